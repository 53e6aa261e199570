"""What the relayer has decided, signed and sent, written down before it happens.

    intent -> signed -> broadcast(hashes) -> included(block hash) -> final
                            |                     `----------------> failed(reason)
                            `--------------------------------------> replaced

An intent is one wished-for effect under a key of its own. Its attempts are signed transactions with one and the same
nonce, so at most one of them can take effect; giving it up is one more attempt, which does nothing. A signed
transaction is in the journal before any node sees it: after a crash the same bytes are sent again, never new ones.
"replaced" is an intent whose nonce a transaction of someone else's has spent for good.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import sqlalchemy as sa

from aggregator.model.errors import TransactionError
from chains.relayer.fees import Fees
from chains.relayer.journal_db import Database, attempts, intents
from chains.relayer.signer import SignedTransaction


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


_LIVE: Final = (State.SIGNED, State.BROADCAST, State.INCLUDED)
_SETTLED: Final = tuple(state for state in State if state.settled)


class Journal:
    """The relayer's memory: a file, or a PostgreSQL database. Several processes may share one."""

    def __init__(self, location: Path | str) -> None:
        """Open or create the journal at a file's path or a database's URL.

        Raises:
            FormatError: what is there is something else, or of a later version.
            InputError: the URL cannot be used.
        """
        self.location = location
        self._db = Database(location)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()

    def find(self, key: str) -> Intent | None:
        """The intent under `key`."""
        with self._db.reading() as connection:
            return _find(connection, key)

    def live(self, chain_id: int, sender: str) -> list[Intent]:
        """Intents of `sender` on a chain that are signed and not settled, by nonce."""
        with self._db.reading() as connection:
            return _live(connection, chain_id, sender)

    def attempts(self, key: str) -> list[Attempt]:
        """Signed transactions of the intent's present nonce, oldest first."""
        query = (
            sa.select(attempts)
            .join(intents, (intents.c.key == attempts.c.key) & (intents.c.nonce == attempts.c.nonce))
            .where(attempts.c.key == key)
            .order_by(attempts.c.ordinal)
        )
        with self._db.reading() as connection:
            return [_attempt(row) for row in connection.execute(query).mappings()]

    def all(self) -> list[Intent]:
        """Every intent, in the order of its last change."""
        query = sa.select(intents).order_by(intents.c.changed_at, intents.c.key)
        with self._db.reading() as connection:
            return [_intent(row) for row in connection.execute(query).mappings()]

    def waiting(self, chain_id: int, sender: str) -> list[Intent]:
        """Intents of `sender` on a chain that were written down and never signed."""
        query = (
            sa.select(intents)
            .where(_of(chain_id, sender), intents.c.state == State.INTENT.value)
            .order_by(intents.c.changed_at, intents.c.key)
        )
        with self._db.reading() as connection:
            return [_intent(row) for row in connection.execute(query).mappings()]

    def intend(self, intent: Intent) -> Intent:
        """Write an intent down, or find it.

        A failed or replaced intent starts anew; its old attempts stay in the file, and their nonce is spent. Any other
        is returned as it is.

        Raises:
            TransactionError: the key belongs to another effect.
        """
        with self._db.writing() as connection:
            known = _find(connection, intent.key)
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
            connection.execute(sa.delete(intents).where(intents.c.key == intent.key))
            connection.execute(
                intents.insert().values(
                    key=intent.key,
                    chain_id=intent.chain_id,
                    sender=intent.sender,
                    label=intent.label,
                    target=intent.target,
                    data=intent.data,
                    fingerprint=intent.fingerprint,
                    state=State.INTENT.value,
                    changed_at=_now(),
                    expires_at=intent.expires_at,
                )
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
        with self._db.writing() as connection:
            intent = _find(connection, key)
            if intent is None or intent.state is not State.INTENT:
                return False
            used = {i.nonce for i in _live(connection, intent.chain_id, intent.sender)}
            nonce = pending_nonce
            if exactly and nonce in used:
                return False
            while nonce in used:
                nonce += 1
            self._write_attempt(connection, key, nonce, fees, sign(nonce))
            _update(connection, key, state=State.SIGNED.value, nonce=nonce, gas=gas, changed_at=_now())
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
        with self._db.writing() as connection:
            intent = _find(connection, key)
            if intent is None or intent.nonce is None:
                raise TransactionError(f"{key} has nothing to replace; send it first")
            if intent.state not in {State.SIGNED, State.BROADCAST}:
                return False
            if giving_up:
                _update(connection, key, giving_up=giving_up)
            self._write_attempt(connection, key, intent.nonce, fees, sign(intent.nonce), kind)
        return True

    def sent(self, transaction_hash: str) -> None:
        """A node has taken this attempt."""
        with self._db.writing() as connection:
            connection.execute(
                sa.update(attempts)
                .where(attempts.c.hash == transaction_hash)
                .values(sent_at=sa.func.coalesce(attempts.c.sent_at, _now()))
            )

    def alert(self, key: str, text: str) -> None:
        """Say what a person should look at; empty when it is over."""
        with self._db.writing() as connection:
            _update(connection, key, alert=text)

    def broadcast(self, key: str) -> None:
        """A node has taken it; or the block that held it is gone."""
        with self._db.writing() as connection:
            _update(
                connection,
                key,
                _in(_LIVE),
                state=State.BROADCAST.value,
                block_number=None,
                block_hash=None,
                transaction_hash=None,
                gas_used=None,
                contract_address=None,
                changed_at=_now(),
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
        with self._db.writing() as connection:
            _update(
                connection,
                key,
                _in(_LIVE),
                state=State.INCLUDED.value,
                transaction_hash=transaction_hash,
                block_number=block_number,
                block_hash=block_hash,
                gas_used=gas_used,
                contract_address=contract_address,
                changed_at=_now(),
            )

    def settle(self, key: str, state: State, reason: str = "") -> None:
        """It is final, or has failed for good."""
        with self._db.writing() as connection:
            _update(
                connection,
                key,
                ~_in(_SETTLED),
                state=state.value,
                reason=reason,
                alert="",
                changed_at=_now(),
            )

    def _write_attempt(
        self,
        connection: sa.Connection,
        key: str,
        nonce: int,
        fees: Fees,
        signed: SignedTransaction,
        kind: Kind = Kind.CALL,
    ) -> None:
        last = sa.select(sa.func.coalesce(sa.func.max(attempts.c.ordinal), 0)).where(attempts.c.key == key)
        connection.execute(
            attempts.insert().values(
                hash=signed.hash,
                key=key,
                nonce=nonce,
                raw=signed.raw,
                max_fee_wei=str(fees.max_fee_wei),
                priority_fee_wei=str(fees.priority_fee_wei),
                signed_at=_now(),
                kind=kind.value,
                ordinal=connection.execute(last).scalar_one() + 1,
            )
        )


def _find(connection: sa.Connection, key: str) -> Intent | None:
    row = connection.execute(sa.select(intents).where(intents.c.key == key)).mappings().first()
    return _intent(row) if row else None


def _live(connection: sa.Connection, chain_id: int, sender: str) -> list[Intent]:
    query = sa.select(intents).where(_of(chain_id, sender), _in(_LIVE)).order_by(intents.c.nonce)
    return [_intent(row) for row in connection.execute(query).mappings()]


def _of(chain_id: int, sender: str) -> sa.ColumnElement[bool]:
    return (intents.c.chain_id == chain_id) & (intents.c.sender == sender)


def _in(states: tuple[State, ...]) -> sa.ColumnElement[bool]:
    return intents.c.state.in_([state.value for state in states])


def _update(connection: sa.Connection, key: str, *where: sa.ColumnElement[bool], **values: Any) -> None:
    connection.execute(sa.update(intents).where(intents.c.key == key, *where).values(**values))


def _intent(row: sa.RowMapping) -> Intent:
    values = {name: row[name] for name in Intent.__dataclass_fields__}
    return Intent(**{**values, "state": State(values["state"]), "data": bytes(values["data"])})


def _attempt(row: sa.RowMapping) -> Attempt:
    return Attempt(
        hash=row["hash"],
        nonce=row["nonce"],
        raw=bytes(row["raw"]),
        fees=Fees(int(row["max_fee_wei"]), int(row["priority_fee_wei"])),
        signed_at=row["signed_at"],
        kind=Kind(row["kind"]),
        sent_at=row["sent_at"],
    )


def _now() -> int:
    return int(time.time())
