"""Which nonce an intent gets: one that neither the chain, nor what is live, nor what is settled has had."""

from __future__ import annotations

import sqlalchemy as sa

from chains.relayer.intents import LIVE, Intent, State
from chains.relayer.journal_db import intents, nonces
from chains.relayer.journal_reading import find_intent, in_states, of_sender


def nonce_for(connection: sa.Connection, intent: Intent, pending_nonce: int, *, exactly: bool) -> int | None:
    """The nonce an unsigned intent would get now; None when it cannot be signed any more, or not exactly so."""
    known = find_intent(connection, intent.key)
    if known is None or known.state is not State.INTENT or _content(known) != _content(intent):
        return None
    mine = of_sender(intent.chain_id, intent.sender)
    used = set(connection.execute(sa.select(intents.c.nonce).where(mine, in_states(LIVE))).scalars())
    if exactly:
        return None if pending_nonce in used else pending_nonce
    spent = sa.select(nonces.c.next_nonce).where(
        nonces.c.chain_id == intent.chain_id, nonces.c.sender == intent.sender
    )
    nonce = max(pending_nonce, int(connection.execute(spent).scalar() or 0))
    while nonce in used:
        nonce += 1
    return nonce


def spend(connection: sa.Connection, intent: Intent, nonce: int) -> None:
    """Never give `nonce` or one below it again."""
    row = (nonces.c.chain_id == intent.chain_id) & (nonces.c.sender == intent.sender)
    known = connection.execute(sa.select(nonces.c.next_nonce).where(row)).scalar()
    if known is None:
        values = {"chain_id": intent.chain_id, "sender": intent.sender, "next_nonce": nonce + 1}
        connection.execute(nonces.insert().values(**values))
    elif known <= nonce:
        connection.execute(sa.update(nonces).where(row).values(next_nonce=nonce + 1))


def _content(intent: Intent) -> tuple[object, ...]:
    """What would be signed."""
    return intent.chain_id, intent.sender, intent.target, intent.data, intent.fingerprint
