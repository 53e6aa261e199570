"""What an operator does with the journal: look, try again, give up; and the same as metrics."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from aggregator.model.errors import InputError
from chains.relayer.call import Outcome
from chains.relayer.journal import Attempt, Intent, Journal, State
from chains.relayer.relayer import Relayer


@dataclass(frozen=True)
class IntentStatus:
    """One intent with its signed transactions. `age_s` is the time since its state last changed."""

    intent: Intent
    attempts: tuple[Attempt, ...]
    age_s: int

    @property
    def hashes(self) -> tuple[str, ...]:
        """Hashes under which a node may know it, oldest first."""
        return tuple(a.hash for a in self.attempts)


def status(
    journal: Journal, key: str | None = None, *, chain_id: int | None = None, unsettled: bool = False
) -> list[IntentStatus]:
    """What is in the journal, the longest unchanged first. No chain is asked.

    Parameters:
        key: only this intent.
        chain_id: only those on this chain.
        unsettled: only those on which something may still happen.

    Raises:
        InputError: there is no intent of that key.
    """
    now = int(time.time())
    found = [
        IntentStatus(i, tuple(journal.attempts(i.key)), max(0, now - i.changed_at))
        for i in journal.all()
        if (key is None or i.key == key)
        and (chain_id is None or i.chain_id == chain_id)
        and not (unsettled and i.state.settled)
    ]
    if key is not None and not found:
        raise InputError(f"the journal has no intent {key}; list them with relay status")
    return found


async def retry(relayer: Relayer, key: str) -> Outcome:
    """Make a failed or replaced effect anew, or go on with one that is not settled. A final one stays as it is.

    Raises:
        InputError: there is no intent of that key for this chain and sender.
        ProofRefusedError, TransactionError: as `Relayer.relay`.
    """
    return await relayer.go_on(_own(relayer, key))


async def cancel(relayer: Relayer, key: str) -> Outcome:
    """Give an unsettled effect up and follow it to its end: FAILED, or FINAL when the call was faster.

    Raises:
        InputError: there is no intent of that key for this chain and sender.
        TransactionError: it is settled or in a block already, cannot be outbid, or is not final in time.
    """
    intent = await relayer.give_up(_own(relayer, key).key, "it was cancelled by the operator")
    if not intent.state.settled:
        intent = await relayer.settle(key)
    return Outcome(key, intent.state, intent=intent)


def metrics(journal: Journal) -> str:
    """The journal in the Prometheus text format (version 0.0.4)."""
    intents = journal.all()
    now = int(time.time())
    counts = Counter((i.chain_id, i.state) for i in intents)
    oldest: dict[int, int] = {}
    alerts: Counter[int] = Counter()
    for i in intents:
        if not i.state.settled:
            oldest[i.chain_id] = max(oldest.get(i.chain_id, 0), now - i.changed_at)
            alerts[i.chain_id] += bool(i.alert)
    lines = [
        "# HELP counterfoil_relayer_intents Intents by state.",
        "# TYPE counterfoil_relayer_intents gauge",
    ]
    for chain, state in sorted(counts):
        labels = f'chain="eip155:{chain}",state="{State(state).value}"'
        lines.append(f"counterfoil_relayer_intents{{{labels}}} {counts[chain, state]}")
    for name, text, values in (
        ("oldest_unsettled_seconds", "Time since the longest unchanged unsettled intent changed.", oldest),
        ("alerts", "Unsettled intents that a person should look at.", alerts),
    ):
        metric = f"counterfoil_relayer_{name}"
        lines += [f"# HELP {metric} {text}", f"# TYPE {metric} gauge"]
        lines += [f'{metric}{{chain="eip155:{chain}"}} {values[chain]}' for chain in sorted(values)]
    return "\n".join(lines) + "\n"


def _own(relayer: Relayer, key: str) -> Intent:
    intent = relayer.journal.find(key)
    if intent is None or (intent.chain_id, intent.sender) != (relayer.chain_id, relayer.signer.address):
        raise InputError(
            f"the journal has no intent {key} of {relayer.signer.address} on chain {relayer.chain_id}; "
            "check chain and signer"
        )
    return intent
