"""What a relayer is asked to bring about, what it would cost, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from eth_utils.crypto import keccak

from chains.contracts.registry import Submission, submit_call
from chains.relayer.fees import Fees
from chains.relayer.intents import Intent, State

_LAST_TIME: Final = (1 << 63) - 1
"""The largest number that the journal holds."""


@dataclass(frozen=True)
class Call:
    """One effect to bring about on a chain.

    Attributes:
        key: names the effect in the journal; a second call under the same key is the same effect, not another one.
        to: contract address, or None to deploy `data`.
        data: call data, or creation code.
        label: what it is, for people.
        fingerprint: what must be equal for two calls of one key to be the same effect; by default `to` and `data`.
        expires_at: chain time, Unix seconds, after which it would be refused, so that it is given up.
    """

    key: str
    to: str | None
    data: bytes
    label: str
    fingerprint: str = ""
    expires_at: int | None = None

    def __post_init__(self) -> None:
        if not self.fingerprint:
            object.__setattr__(
                self, "fingerprint", keccak((self.to or "").lower().encode() + b"|" + self.data).hex()
            )


def submission_call(submission: Submission, chain_id: int, registry: str) -> Call:
    """The call that submits a bundle, under the key with which the registry refuses replays.

    Another proof of the same statement is the same effect.
    """
    key = "submit:" + submission.replay_key(chain_id, registry)
    return Call(
        key,
        registry,
        submit_call(submission),
        "submit a proof",
        fingerprint=key,
        expires_at=min(submission.expiry, submission.attestation_expiry, _LAST_TIME),
    )


@dataclass(frozen=True)
class Plan:
    """What would be sent: the result of a dry run."""

    sender: str
    gas: int
    fees: Fees
    balance_wei: int

    @property
    def cost_wei(self) -> int:
        """The most it can cost."""
        return self.gas * self.fees.max_fee_wei


@dataclass(frozen=True)
class Outcome:
    """How far a call has come.

    Attributes:
        plan: for a dry run.
        intent: for anything that is in the journal.
        already: it was final before it was asked for; nothing was sent.
        resumed: it was begun before it was asked for, and followed from there; no second one was sent.
        error: why it could not be followed further.
    """

    key: str
    state: State
    plan: Plan | None = None
    intent: Intent | None = None
    already: bool = False
    resumed: bool = False
    error: str = ""

    @property
    def transaction_hash(self) -> str | None:
        """Hash of the transaction that was included."""
        return self.intent.transaction_hash if self.intent else None
