"""Questions to the journal. Each is answered by the database from an index: none loads the history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from chains.relayer.fees import Fees
from chains.relayer.intents import LIVE, SETTLED, UNSETTLED, Attempt, Intent, Kind, State
from chains.relayer.journal_db import Database, attempts, intents

_KEYS_AT_ONCE: Final = 500
"""Keys in one query; SQLite takes at least 999 variables."""


@dataclass(frozen=True)
class ChainCount:
    """A chain's intents in one state.

    Attributes:
        since: Unix seconds of the earliest last change, and
        alerts: how many need a look; both 0 for what is settled.
    """

    chain_id: int
    state: State
    number: int
    since: int
    alerts: int


class JournalReader:
    """The reading half of a journal."""

    def __init__(self, location: Path | str) -> None:
        """Open or create the journal at a file's path or a database's URL.

        Raises:
            FormatError: what is there is something else, or of a later version.
            InputError: the URL cannot be used.
        """
        self.location = location
        self._db = Database(location)

    def find(self, key: str) -> Intent | None:
        """The intent under `key`."""
        with self._db.reading() as connection:
            return find_intent(connection, key)

    def keys_like(self, beginning: str, limit: int) -> list[str]:
        """At most `limit` keys with this beginning, in their order."""
        query = (
            sa.select(intents.c.key)
            .where(sa.func.substr(intents.c.key, 1, len(beginning)) == beginning)
            .order_by(intents.c.key)
            .limit(limit)
        )
        with self._db.reading() as connection:
            return list(connection.execute(query).scalars())

    def live(self, chain_id: int, sender: str) -> list[Intent]:
        """Intents of `sender` on a chain that are signed and not settled, by nonce."""
        with self._db.reading() as connection:
            return live_intents(connection, chain_id, sender)

    def waiting(self, chain_id: int, sender: str) -> list[Intent]:
        """Intents of `sender` on a chain that were written down and never signed."""
        query = (
            sa.select(intents)
            .where(of_sender(chain_id, sender), intents.c.state == State.INTENT.value)
            .order_by(intents.c.changed_at, intents.c.key)
        )
        with self._db.reading() as connection:
            return [intent_of(row) for row in connection.execute(query).mappings()]

    def unsettled_chains(self, sender: str) -> list[int]:
        """Chains on which something of `sender` may still happen."""
        query = (
            sa.select(intents.c.chain_id)
            .where(in_states(UNSETTLED), intents.c.sender == sender)
            .distinct()
            .order_by(intents.c.chain_id)
        )
        with self._db.reading() as connection:
            return list(connection.execute(query).scalars())

    def attempts(self, key: str) -> list[Attempt]:
        """Signed transactions of the intent's present nonce, oldest first."""
        return self.attempts_of([key]).get(key, [])

    def attempts_of(self, keys: Sequence[str]) -> Mapping[str, list[Attempt]]:
        """`attempts` of several intents by key."""
        found: dict[str, list[Attempt]] = {}
        with self._db.reading() as connection:
            for first in range(0, len(keys), _KEYS_AT_ONCE):
                query = (
                    sa.select(attempts)
                    .join(intents, (intents.c.key == attempts.c.key) & (intents.c.nonce == attempts.c.nonce))
                    .where(attempts.c.key.in_(keys[first : first + _KEYS_AT_ONCE]))
                    .order_by(attempts.c.key, attempts.c.ordinal)
                )
                for row in connection.execute(query).mappings():
                    found.setdefault(row["key"], []).append(attempt_of(row))
        return found

    def settled_bytes(self, chain_id: int, sender: str, nonce: int) -> bytes | None:
        """The transaction that a block held when an intent with `nonce` was settled; None where there was none."""
        query = (
            sa.select(attempts.c.raw)
            .join(intents, intents.c.transaction_hash == attempts.c.hash)
            .where(of_sender(chain_id, sender), intents.c.nonce == nonce, in_states(SETTLED))
        )
        with self._db.reading() as connection:
            raw = connection.execute(query).scalar()
        return None if raw is None else bytes(raw)

    def page(
        self,
        *,
        chain_id: int | None = None,
        unsettled: bool = False,
        start: int = 0,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[Intent]:
        """Intents in the order of their last change, from the `start`-th on."""
        order = (intents.c.changed_at, intents.c.key)
        query = sa.select(intents).order_by(*(c.desc() if newest_first else c for c in order))
        if chain_id is not None:
            query = query.where(intents.c.chain_id == chain_id)
        if unsettled:
            query = query.where(in_states(UNSETTLED))
        query = query.offset(start).limit(limit) if limit is not None else query
        with self._db.reading() as connection:
            return [intent_of(row) for row in connection.execute(query).mappings()]

    def all(self) -> list[Intent]:
        """Every intent, in the order of its last change."""
        return self.page()

    def counts(self) -> list[ChainCount]:
        """How many intents there are by chain and state."""
        by = (intents.c.chain_id, intents.c.state)
        alerts = sa.func.sum(sa.case((intents.c.alert != "", 1), else_=0))
        # Apart, so that the long history is counted from an index alone.
        oldest = sa.select(*by, sa.func.min(intents.c.changed_at), alerts).where(in_states(UNSETTLED))
        with self._db.reading() as connection:
            numbers = connection.execute(sa.select(*by, sa.func.count()).group_by(*by)).all()
            unsettled = connection.execute(oldest.group_by(*by)).all()
        marks = {(chain, state): (since, int(alarms)) for chain, state, since, alarms in unsettled}
        return sorted(
            (
                ChainCount(chain, State(state), n, *marks.get((chain, state), (0, 0)))
                for chain, state, n in numbers
            ),
            key=lambda c: (c.chain_id, c.state),
        )


def find_intent(connection: sa.Connection, key: str) -> Intent | None:
    """The intent under `key`."""
    row = connection.execute(sa.select(intents).where(intents.c.key == key)).mappings().first()
    return intent_of(row) if row else None


def live_intents(connection: sa.Connection, chain_id: int, sender: str) -> list[Intent]:
    """Signed and unsettled ones of a sender, by nonce."""
    query = sa.select(intents).where(of_sender(chain_id, sender), in_states(LIVE)).order_by(intents.c.nonce)
    return [intent_of(row) for row in connection.execute(query).mappings()]


def of_sender(chain_id: int, sender: str) -> sa.ColumnElement[bool]:
    """A condition on intents."""
    return (intents.c.chain_id == chain_id) & (intents.c.sender == sender)


def in_states(states: Sequence[State]) -> sa.ColumnElement[bool]:
    """A condition on intents."""
    return intents.c.state.in_([state.value for state in states])


def same_intent(intent: Intent) -> sa.ColumnElement[bool]:
    """A condition on intents: this incarnation, as one that started anew has another nonce or sender."""
    return (
        (intents.c.key == intent.key)
        & of_sender(intent.chain_id, intent.sender)
        & (intents.c.nonce == intent.nonce)
    )


def same_block(intent: Intent) -> sa.ColumnElement[bool]:
    """A condition on intents: in the block, or in none, that this one says."""
    return intents.c.block_hash.is_not_distinct_from(intent.block_hash)


def intent_of(row: sa.RowMapping) -> Intent:
    """A row of the table of intents."""
    values = {name: row[name] for name in Intent.__dataclass_fields__}
    return Intent(**{**values, "state": State(values["state"]), "data": bytes(values["data"])})


def attempt_of(row: sa.RowMapping) -> Attempt:
    """A row of the table of attempts."""
    return Attempt(
        hash=row["hash"],
        nonce=row["nonce"],
        raw=bytes(row["raw"]),
        fees=Fees(int(row["max_fee_wei"]), int(row["priority_fee_wei"])),
        signed_at=row["signed_at"],
        kind=Kind(row["kind"]),
        sent_at=row["sent_at"],
    )
