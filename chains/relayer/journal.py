"""What the relayer has decided, signed and sent, written down before it happens.

    intent -> signed -> broadcast(hashes) -> included(block hash) -> final
       |                    |                     `----------------> failed(reason)
       `-> failed           `--------------------------------------> replaced

An intent is one wished-for effect under a key of its own. Its attempts are signed transactions with one and the same
nonce, so at most one of them can take effect; giving it up is one more attempt, which does nothing. A signed
transaction is in the journal before any node sees it: after a crash the same bytes are sent again, never new ones.
"replaced" is an intent whose nonce a transaction of someone else's has spent for good.

Every change names what it rests on (compare and set): it happens only to the very incarnation of the intent that was
looked at, by sender and nonce, and only from the states it may start from. A change that finds something else does
nothing and says so; whoever made it reads again and follows. Only an intent without a nonce fails without the chain.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import sqlalchemy as sa

from aggregator.model.errors import TransactionError
from chains.relayer.fees import Fees
from chains.relayer.intents import LIVE, SETTLED, UNSETTLED, Attempt, Intent, Kind, State
from chains.relayer.journal_db import attempts, intents
from chains.relayer.journal_reading import JournalReader, find_intent, in_states, same_block, same_intent
from chains.relayer.nonces import nonce_for, spend
from chains.relayer.signer import SignedTransaction

_WAITING: Final = (State.SIGNED, State.BROADCAST)
_MOST_TRIES: Final = 100
"""Signatures that lose their nonce to another process, before the intent is left for another run."""


class Journal(JournalReader):
    """The relayer's memory: a file, or a PostgreSQL database. Several processes may share one."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._db.close()

    def intend(self, intent: Intent) -> Intent:
        """Write an intent down, or find it.

        A failed or replaced intent starts anew; its old attempts stay in the file, and their nonce is spent. Any other
        is returned as it is.

        Raises:
            TransactionError: the key belongs to another effect.
        """
        with self._db.writing() as connection:
            known = find_intent(connection, intent.key)
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

    def abandon(self, key: str, reason: str) -> bool:
        """An intent that was never signed fails. Returns False when it has a nonce by now, or is settled."""
        unsigned = (intents.c.state == State.INTENT.value) & intents.c.nonce.is_(None)
        with self._db.writing() as connection:
            values = {"state": State.FAILED.value, "reason": reason, "alert": "", "changed_at": _now()}
            return _changed(connection, (intents.c.key == key) & unsigned, **values)

    def sign(
        self,
        intent: Intent,
        *,
        pending_nonce: int,
        gas: int,
        fees: Fees,
        sign: Callable[[int], SignedTransaction],
        exactly: bool = False,
    ) -> bool:
        """Sign the intent with a nonce, and write nonce and signed bytes down in one database transaction.

        Nothing is locked while `sign` thinks: when the nonce is taken meanwhile, its signature is thrown away unsent
        and the next nonce signed.

        Parameters:
            intent: as it was written down; nothing is signed when the journal has something else under its key.
            pending_nonce: the sender's next nonce according to the chain; journalled ones count too, settled ones as
                well, because the node may lag.
            gas: its gas limit, kept for replacements.
            sign: signs the transaction with the nonce it is given.
            exactly: `pending_nonce` or none.

        Returns: False when another process has signed or given it up, or taken exactly that nonce, in the meantime.

        Raises:
            TransactionError: others take the nonces faster than they are signed.
        """
        for _ in range(_MOST_TRIES):
            with self._db.reading() as connection:
                nonce = nonce_for(connection, intent, pending_nonce, exactly=exactly)
            if nonce is None:
                return False
            signed = sign(nonce)
            with self._db.writing() as connection:
                if nonce_for(connection, intent, pending_nonce, exactly=exactly) != nonce:
                    continue
                self._write_attempt(connection, intent.key, nonce, fees, signed)
                values = {"state": State.SIGNED.value, "nonce": nonce, "gas": gas, "changed_at": _now()}
                _changed(connection, intents.c.key == intent.key, **values)
            return True
        raise TransactionError(
            f"nonces of {intent.sender} are taken faster than they are signed; {intent.key} is written down, "
            "run it again"
        )

    def replace(
        self,
        intent: Intent,
        last: Attempt,
        fees: Fees,
        sign: Callable[[int], SignedTransaction],
        *,
        kind: Kind = Kind.CALL,
        giving_up: str = "",
    ) -> bool:
        """Sign the intent again with its own nonce and other fees; nothing is locked while `sign` thinks.

        Parameters:
            last: the newest attempt that was looked at.
            kind: CANCEL for a transaction that only spends the nonce.
            giving_up: written down with it: why.

        Returns: False when it is in a block or settled by now, or another attempt was added, so that nothing is kept.
        """
        if intent.nonce is None:
            raise TransactionError(f"{intent.key} has nothing to replace; send it first")
        signed = sign(intent.nonce)
        newest = sa.select(attempts.c.hash).where(attempts.c.key == intent.key)
        newest = newest.order_by(attempts.c.ordinal.desc()).limit(1)
        with self._db.writing() as connection:
            waiting = sa.select(intents.c.key).where(same_intent(intent), in_states(_WAITING))
            if connection.execute(waiting).first() is None:
                return False
            if connection.execute(newest).scalar() != last.hash:
                return False
            if giving_up:
                _changed(connection, same_intent(intent), giving_up=giving_up)
            self._write_attempt(connection, intent.key, intent.nonce, fees, signed, kind)
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
        """Say what a person should look at; empty when it is over. Nothing is said of a settled intent."""
        with self._db.writing() as connection:
            _changed(connection, (intents.c.key == key) & in_states(UNSETTLED), alert=text)

    def broadcast(self, intent: Intent) -> bool:
        """A node has taken it for the first time. Returns whether it was only signed until now."""
        with self._db.writing() as connection:
            values = {"state": State.BROADCAST.value, "alert": "", "changed_at": _now()}
            return _changed(connection, same_intent(intent) & in_states((State.SIGNED,)), **values)

    def uprooted(self, intent: Intent) -> bool:
        """The block that held it is gone. Returns whether that block is what the journal had."""
        with self._db.writing() as connection:
            return _changed(
                connection,
                same_intent(intent) & in_states((State.INCLUDED,)) & same_block(intent),
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
        intent: Intent,
        *,
        transaction_hash: str,
        block_number: int,
        block_hash: str,
        gas_used: int,
        contract_address: str | None,
    ) -> bool:
        """A block holds one of its attempts. Returns whether it was not settled yet."""
        with self._db.writing() as connection:
            return _changed(
                connection,
                same_intent(intent) & in_states(LIVE),
                state=State.INCLUDED.value,
                transaction_hash=transaction_hash,
                block_number=block_number,
                block_hash=block_hash,
                gas_used=gas_used,
                contract_address=contract_address,
                changed_at=_now(),
            )

    def settle(self, intent: Intent, state: State, reason: str = "") -> bool:
        """The chain has decided: a final block holds it, its cancellation, or another transaction with its nonce.

        Returns: whether it was signed, not settled, and in the block (or none) that `intent` says.
        """
        with self._db.writing() as connection:
            done = _changed(
                connection,
                same_intent(intent) & in_states(LIVE) & same_block(intent),
                state=state.value,
                reason=reason,
                alert="",
                changed_at=_now(),
            )
            if done and intent.nonce is not None:
                spend(connection, intent, intent.nonce)
        return done

    def prune(self, before: int) -> int:
        """Forget what is not needed any more of intents that were settled before a time; returns of how many.

        Signed bytes go, and the call data of final ones. Keys, fingerprints, nonces and hashes stay, and the call data
        of failed ones: what was done is never done again, what failed can be tried again.

        Parameters:
            before: Unix seconds.
        """
        old = in_states(SETTLED) & (intents.c.changed_at < before)
        keys = sa.select(intents.c.key).where(old)
        kept = sa.select(sa.func.count(sa.distinct(attempts.c.key))).where(attempts.c.key.in_(keys))
        with self._db.writing() as connection:
            number = int(connection.execute(kept).scalar_one())
            connection.execute(sa.delete(attempts).where(attempts.c.key.in_(keys)))
            _changed(connection, old & in_states((State.FINAL,)), data=b"")
        return number

    def prunable(self, before: int) -> int:
        """Of how many intents `prune` would forget something."""
        old = in_states(SETTLED) & (intents.c.changed_at < before)
        query = sa.select(sa.func.count(sa.distinct(attempts.c.key))).where(
            attempts.c.key.in_(sa.select(intents.c.key).where(old))
        )
        with self._db.reading() as connection:
            return int(connection.execute(query).scalar_one())

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


def _changed(connection: sa.Connection, where: sa.ColumnElement[bool], **values: Any) -> bool:
    """Whether a row was there to change."""
    return connection.execute(sa.update(intents).where(where).values(**values)).rowcount > 0


def _now() -> int:
    return int(time.time())
