"""What the relayer has decided, signed and sent, written down before it happens (SQLite).

    intent -> signed -> broadcast(hashes) -> included(block hash) -> final
                            |                     `----------------> failed(reason)
                            `--------------------------------------> replaced

An intent is one wished-for effect under a key of its own. Its attempts are signed transactions with one and the same
nonce, so at most one of them can take effect; giving it up is one more attempt, which does nothing. A signed
transaction is in the journal before any node sees it: after a crash the same bytes are sent again, never new ones.
"replaced" is an intent whose nonce a transaction of someone else's has spent for good.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aggregator.model.errors import FormatError, TransactionError
from chains.relayer.fees import Fees
from chains.relayer.signer import SignedTransaction

VERSION: Final = 2
_SCHEMA: Final = """
CREATE TABLE intents (
    key TEXT PRIMARY KEY,
    chain_id INTEGER NOT NULL,
    sender TEXT NOT NULL,
    label TEXT NOT NULL,
    target TEXT,
    data BLOB NOT NULL,
    fingerprint TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    nonce INTEGER,
    gas INTEGER,
    block_number INTEGER,
    block_hash TEXT,
    transaction_hash TEXT,
    gas_used INTEGER,
    contract_address TEXT,
    changed_at INTEGER NOT NULL,
    expires_at INTEGER,
    giving_up TEXT NOT NULL DEFAULT '',
    alert TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX live_nonce ON intents (chain_id, sender, nonce)
    WHERE state IN ('signed', 'broadcast', 'included');
CREATE TABLE attempts (
    hash TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    nonce INTEGER NOT NULL,
    raw BLOB NOT NULL,
    max_fee_wei TEXT NOT NULL,
    priority_fee_wei TEXT NOT NULL,
    signed_at INTEGER NOT NULL,
    kind TEXT NOT NULL DEFAULT 'call',
    sent_at INTEGER
) STRICT;
"""
_FROM_VERSION_1: Final = (
    "ALTER TABLE intents ADD COLUMN expires_at INTEGER",
    "ALTER TABLE intents ADD COLUMN giving_up TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE intents ADD COLUMN alert TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE attempts ADD COLUMN kind TEXT NOT NULL DEFAULT 'call'",
    "ALTER TABLE attempts ADD COLUMN sent_at INTEGER",
)


class State(StrEnum):
    """How far an intent has come. `planned` is a dry run and never in the journal."""

    PLANNED = "planned"
    INTENT = "intent"
    SIGNED = "signed"
    BROADCAST = "broadcast"
    INCLUDED = "included"
    FINAL = "final"
    FAILED = "failed"
    REPLACED = "replaced"

    @property
    def settled(self) -> bool:
        """Nothing more will happen."""
        return self in {State.FINAL, State.FAILED, State.REPLACED}

    @property
    def without_effect(self) -> bool:
        """Settled, and the effect did not come about: the same call may be made anew."""
        return self in {State.FAILED, State.REPLACED}


@dataclass(frozen=True)
class Intent:
    """One row: a wished-for effect and how far it has come.

    Attributes:
        expires_at: chain time in Unix seconds after which the effect is impossible.
        giving_up: why its nonce is being given to a transaction that does nothing; empty otherwise.
        alert: what a person should look at; empty when all is well.
        changed_at: Unix seconds of the last change of state.
    """

    key: str
    chain_id: int
    sender: str
    label: str
    target: str | None
    data: bytes
    fingerprint: str
    state: State
    reason: str = ""
    nonce: int | None = None
    gas: int | None = None
    block_number: int | None = None
    block_hash: str | None = None
    transaction_hash: str | None = None
    gas_used: int | None = None
    contract_address: str | None = None
    expires_at: int | None = None
    giving_up: str = ""
    alert: str = ""
    changed_at: int = 0


class Kind(StrEnum):
    """What an attempt does: the intent's call, or nothing (it spends the nonce)."""

    CALL = "call"
    CANCEL = "cancel"


@dataclass(frozen=True)
class Attempt:
    """One signed transaction of an intent. `sent_at` is when a node first took it."""

    hash: str
    nonce: int
    raw: bytes
    fees: Fees
    signed_at: int
    kind: Kind = Kind.CALL
    sent_at: int | None = None


_COLUMNS: Final = ", ".join(Intent.__dataclass_fields__)


class Journal:
    """The relayer's memory. Several processes may share one file."""

    def __init__(self, path: Path) -> None:
        """Open or create the journal at `path`.

        Raises:
            FormatError: the file is something else, or of a later version.
        """
        self.path = path
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30.0)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._prepare()
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise FormatError(f"{path} is not a relayer journal ({error}); name another file") from error
        except FormatError:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def find(self, key: str) -> Intent | None:
        """The intent under `key`."""
        row = self._db.execute(f"SELECT {_COLUMNS} FROM intents WHERE key = ?", (key,)).fetchone()  # noqa: S608 - constant
        return _intent(row) if row else None

    def live(self, chain_id: int, sender: str) -> list[Intent]:
        """Intents of `sender` on a chain that are signed and not settled, by nonce."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM intents WHERE chain_id = ? AND sender = ? "  # noqa: S608 - constant
            "AND state IN ('signed', 'broadcast', 'included') ORDER BY nonce",
            (chain_id, sender),
        )
        return [_intent(row) for row in rows]

    def attempts(self, key: str) -> list[Attempt]:
        """Signed transactions of the intent's present nonce, oldest first."""
        rows = self._db.execute(
            "SELECT a.hash, a.nonce, a.raw, a.max_fee_wei, a.priority_fee_wei, a.signed_at, a.kind, a.sent_at "
            "FROM attempts a "
            "JOIN intents i ON i.key = a.key AND i.nonce = a.nonce WHERE a.key = ? ORDER BY a.rowid",
            (key,),
        )
        return [
            Attempt(h, n, bytes(raw), Fees(int(m), int(p)), at, Kind(kind), sent)
            for h, n, raw, m, p, at, kind, sent in rows
        ]

    def all(self) -> list[Intent]:
        """Every intent, in the order of its last change."""
        rows = self._db.execute(f"SELECT {_COLUMNS} FROM intents ORDER BY changed_at, key")  # noqa: S608 - constant
        return [_intent(row) for row in rows]

    def waiting(self, chain_id: int, sender: str) -> list[Intent]:
        """Intents of `sender` on a chain that were written down and never signed."""
        rows = self._db.execute(
            f"SELECT {_COLUMNS} FROM intents WHERE chain_id = ? AND sender = ? AND state = 'intent' "  # noqa: S608
            "ORDER BY changed_at, key",
            (chain_id, sender),
        )
        return [_intent(row) for row in rows]

    def intend(self, intent: Intent) -> Intent:
        """Write an intent down, or find it.

        A failed or replaced intent starts anew; its old attempts stay in the file, and their nonce is spent. Any other
        is returned as it is.

        Raises:
            TransactionError: the key belongs to another effect.
        """
        with self._writing():
            known = self.find(intent.key)
            if known and not known.state.without_effect:
                same = (known.fingerprint, known.chain_id, known.sender) == (
                    intent.fingerprint,
                    intent.chain_id,
                    intent.sender,
                )
                if not same:
                    raise TransactionError(
                        f"{intent.key} is already the key of another transaction ({known.label}); "
                        "choose another key"
                    )
                return known
            self._db.execute("DELETE FROM intents WHERE key = ?", (intent.key,))
            self._db.execute(
                "INSERT INTO intents (key, chain_id, sender, label, target, data, fingerprint, state, "
                "changed_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(intent.key, intent.chain_id, intent.sender, intent.label, intent.target, intent.data),
                    *(intent.fingerprint, State.INTENT, _now(), intent.expires_at),
                ),
            )
        return intent

    def sign(
        self,
        key: str,
        *,
        pending_nonce: int,
        gas: int,
        fees: Fees,
        sign: Callable[[int], SignedTransaction],
        exactly: bool = False,
    ) -> bool:
        """Give the intent a nonce, sign it and write both down, in one database transaction.

        Parameters:
            pending_nonce: the sender's next nonce according to the chain; journalled ones count too.
            gas: its gas limit, kept for replacements.
            sign: signs the transaction with the nonce it is given.
            exactly: `pending_nonce` or none.

        Returns: False when another process has signed it, or taken exactly that nonce, in the meantime.
        """
        with self._writing():
            intent = self.find(key)
            if intent is None or intent.state is not State.INTENT:
                return False
            used = {i.nonce for i in self.live(intent.chain_id, intent.sender)}
            nonce = pending_nonce
            if exactly and nonce in used:
                return False
            while nonce in used:
                nonce += 1
            self._write_attempt(key, nonce, fees, sign(nonce))
            self._db.execute(
                "UPDATE intents SET state = ?, nonce = ?, gas = ?, changed_at = ? WHERE key = ?",
                (State.SIGNED, nonce, gas, _now(), key),
            )
        return True

    def replace(
        self,
        key: str,
        fees: Fees,
        sign: Callable[[int], SignedTransaction],
        *,
        kind: Kind = Kind.CALL,
        giving_up: str = "",
    ) -> bool:
        """Sign the intent again with its own nonce and other fees.

        Parameters:
            kind: CANCEL for a transaction that only spends the nonce.
            giving_up: written down with it: why.

        Returns: False when it is in a block or settled by now, so that nothing was signed.
        """
        with self._writing():
            intent = self.find(key)
            if intent is None or intent.nonce is None:
                raise TransactionError(f"{key} has nothing to replace; send it first")
            if intent.state not in {State.SIGNED, State.BROADCAST}:
                return False
            if giving_up:
                self._db.execute("UPDATE intents SET giving_up = ? WHERE key = ?", (giving_up, key))
            self._write_attempt(key, intent.nonce, fees, sign(intent.nonce), kind)
        return True

    def sent(self, transaction_hash: str) -> None:
        """A node has taken this attempt."""
        self._db.execute(
            "UPDATE attempts SET sent_at = coalesce(sent_at, ?) WHERE hash = ?", (_now(), transaction_hash)
        )

    def alert(self, key: str, text: str) -> None:
        """Say what a person should look at; empty when it is over."""
        self._db.execute("UPDATE intents SET alert = ? WHERE key = ? AND alert <> ?", (text, key, text))

    def broadcast(self, key: str) -> None:
        """A node has taken it; or the block that held it is gone."""
        self._db.execute(
            "UPDATE intents SET state = ?, block_number = NULL, block_hash = NULL, transaction_hash = NULL, "
            "gas_used = NULL, contract_address = NULL, changed_at = ? WHERE key = ? "
            "AND state IN ('signed', 'broadcast', 'included')",
            (State.BROADCAST, _now(), key),
        )

    def included(
        self,
        key: str,
        *,
        transaction_hash: str,
        block_number: int,
        block_hash: str,
        gas_used: int,
        contract_address: str | None,
    ) -> None:
        """A block holds one of its attempts."""
        self._db.execute(
            "UPDATE intents SET state = ?, transaction_hash = ?, block_number = ?, block_hash = ?, gas_used = ?, "
            "contract_address = ?, changed_at = ? WHERE key = ? AND state IN ('signed', 'broadcast', 'included')",
            (
                *(State.INCLUDED, transaction_hash, block_number, block_hash, gas_used, contract_address),
                *(_now(), key),
            ),
        )

    def settle(self, key: str, state: State, reason: str = "") -> None:
        """It is final, or has failed for good."""
        self._db.execute(
            "UPDATE intents SET state = ?, reason = ?, alert = '', changed_at = ? WHERE key = ? "
            "AND state NOT IN ('final', 'failed', 'replaced')",
            (state, reason, _now(), key),
        )

    def _write_attempt(
        self, key: str, nonce: int, fees: Fees, signed: SignedTransaction, kind: Kind = Kind.CALL
    ) -> None:
        self._db.execute(
            "INSERT INTO attempts (hash, key, nonce, raw, max_fee_wei, priority_fee_wei, signed_at, kind) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(signed.hash, key, nonce, signed.raw, str(fees.max_fee_wei), str(fees.priority_fee_wei)),
                *(_now(), kind),
            ),
        )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One database transaction that no other process can interleave with."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _prepare(self) -> None:
        with self._writing():
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            (tables,) = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            if version == VERSION:
                return
            if version == 1:
                for statement in _FROM_VERSION_1:
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {VERSION}")
                return
            if version != 0 or tables != 0:
                raise FormatError(
                    f"{self.path} is not a relayer journal of version {VERSION}; name another file"
                )
            for statement in _SCHEMA.split(";\n"):
                self._db.execute(statement)
            self._db.execute(f"PRAGMA user_version = {VERSION}")


def _intent(row: tuple[object, ...]) -> Intent:
    values = dict(zip(Intent.__dataclass_fields__, row, strict=True))
    values["state"] = State(str(values["state"]))
    return Intent(**values)  # type: ignore[arg-type]


def _now() -> int:
    return int(time.time())
