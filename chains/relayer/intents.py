"""What the journal holds: an intent, how far it has come, and the signed transactions made for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chains.relayer.fees import Fees


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


LIVE: Final = (State.SIGNED, State.BROADCAST, State.INCLUDED)
"""Signed, and something may still happen."""
SETTLED: Final = tuple(state for state in State if state.settled)
UNSETTLED: Final = (State.INTENT, *LIVE)
