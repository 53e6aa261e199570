"""What an operator does with the journal: look, try again, give up; and the same as metrics."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from aggregator.model.errors import InputError
from chains.relayer.call import Outcome
from chains.relayer.intents import Attempt, Intent
from chains.relayer.journal import Journal
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
    journal: Journal,
    *,
    chain_id: int | None = None,
    unsettled: bool = False,
    start: int = 0,
    limit: int | None = None,
    newest_first: bool = False,
) -> list[IntentStatus]:
    """What is in the journal, the longest unchanged first. No chain is asked.

    Parameters:
        chain_id: only those on this chain.
        unsettled: only those on which something may still happen.
        start, limit: how many to pass over, and how many to give.
        newest_first: in the other order.
    """
    found = journal.page(
        chain_id=chain_id, unsettled=unsettled, start=start, limit=limit, newest_first=newest_first
    )
    now, attempts = int(time.time()), journal.attempts_of([i.key for i in found])
    return [IntentStatus(i, tuple(attempts.get(i.key, ())), max(0, now - i.changed_at)) for i in found]


def status_of(journal: Journal, key: str) -> IntentStatus:
    """One intent, by its whole key. Raises InputError when there is none."""
    intent = journal.find(key)
    if intent is None:
        raise InputError(f"the journal has no intent {key}; list them with relay status")
    return IntentStatus(intent, tuple(journal.attempts(key)), max(0, int(time.time()) - intent.changed_at))


def full_key(journal: Journal, beginning: str) -> str:
    """The key that this is, or that alone begins with it. Raises InputError when there is none, or more than one."""
    if journal.find(beginning) is not None:
        return beginning
    found = journal.keys_like(beginning, 2) if beginning else []
    if len(found) > 1:
        raise InputError(f"several intents begin with {beginning} ({found[0]}, ..); give more of the key")
    if not found:
        raise InputError(f"the journal has no intent {beginning}; list them with relay status")
    return found[0]


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
    counted, now = journal.counts(), int(time.time())
    oldest, alerts = dict.fromkeys((c.chain_id for c in counted), 0), Counter[int]()
    for c in counted:
        alerts[c.chain_id] += 0 if c.state.settled else c.alerts
        if not c.state.settled:
            oldest[c.chain_id] = max(oldest[c.chain_id], now - c.since)
    lines = [
        "# HELP counterfoil_relayer_intents Intents by state.",
        "# TYPE counterfoil_relayer_intents gauge",
    ]
    for c in counted:
        labels = f'chain="eip155:{c.chain_id}",state="{c.state.value}"'
        lines.append(f"counterfoil_relayer_intents{{{labels}}} {c.number}")
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
