"""The relayer's journal and what it sent, in words and as JSON."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from aggregator.fixed import format_decimal
from aggregator.model.errors import AlreadyDoneError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from aggregator.cli.relaying import Entries
    from chains.relayer import IntentStatus, Outcome

GWEI_DIGITS: Final = 9
GWEI: Final = 10**GWEI_DIGITS
CENT_OF_GWEI: Final = GWEI // 100
LEAST_IN_COINS: Final = 10**12
"""A millionth of a coin in wei; what costs less is told in gwei."""
_UNITS: Final = (("d", 86_400), ("h", 3_600), ("min", 60))


def cost_up(wei: int, coin: str) -> str:
    """An amount of a chain's coin for people, rounded up: in whole gwei of the coin, or in hundredths of a gwei."""
    if wei >= LEAST_IN_COINS:
        return f"{format_decimal(-(-wei // GWEI), GWEI_DIGITS)} {coin}"
    cents = -(-wei // CENT_OF_GWEI)
    return f"{cents // 100:,}.{cents % 100:02d} gwei of {coin}"


def duration(seconds: int) -> str:
    """A length of time in its two largest units."""
    parts: list[str] = []
    rest = max(0, seconds)
    for name, size in _UNITS:
        if rest >= size or parts:
            parts.append(f"{rest // size} {name}")
            rest %= size
    return " ".join([*parts, f"{rest} s"][:2])


def outcome_json(outcome: Outcome, *, yes: bool) -> dict[str, object]:
    """How far a call has come. `sent` is true when this command had a part in sending it."""
    data: dict[str, object] = {
        "key": outcome.key,
        "state": outcome.state.value,
        "sent": yes and outcome.intent is not None and not outcome.already,
        "already": outcome.already,
        "resumed": outcome.resumed,
    }
    if outcome.plan is not None:
        data |= {
            "sender": outcome.plan.sender.lower(),
            "gas": str(outcome.plan.gas),
            "costAtMostWei": str(outcome.plan.cost_wei),
        }
    if outcome.intent is not None:
        intent = outcome.intent
        data |= {
            "transactionHash": intent.transaction_hash,
            "blockNumber": None if intent.block_number is None else str(intent.block_number),
            "gasUsed": None if intent.gas_used is None else str(intent.gas_used),
        }
    return data


def already_done(outcome: Outcome, reference: str = "") -> str:
    """That it was done before, when, and that nothing was sent."""
    intent = outcome.intent
    block = "a block" if intent is None else f"block {intent.block_number}"
    ago = 0 if intent is None else int(time.time()) - intent.changed_at
    under = f" under the reference {reference}" if reference else ""
    return f"Already done in {block} ({duration(ago)} ago){under}; nothing was sent."


def refuse_repeat(outcome: Outcome, reference: str) -> AlreadyDoneError | None:
    """The error for a change that was done before, unless a reference says that this very one is meant."""
    if not outcome.already or reference:
        return None
    return AlreadyDoneError(f"{already_done(outcome)} To do it again, give --reference.")


def render_outcome(console: Console, outcome: Outcome, *, yes: bool, coin: str, reference: str = "") -> None:
    """How far a call has come, in words."""
    if outcome.plan is not None:
        console.print(
            f"It would go through: {outcome.plan.gas:,} gas, at most {cost_up(outcome.plan.cost_wei, coin)}, "
            f"from {outcome.plan.sender}."
        )
        console.print("Nothing was sent. Add --yes to send it.")
        return
    if outcome.already:
        console.print(already_done(outcome, reference))
    elif not yes:
        console.print(f"It was begun before and is {outcome.state.value}.")
        console.print("Nothing was sent. Add --yes to go on with it.")
    else:
        if outcome.resumed:
            console.print("It was begun before, and followed from there; no second one was sent.")
        console.print(f"State: {outcome.state.value}")
    if outcome.intent is not None and outcome.intent.transaction_hash:
        console.print(f"  transaction  {outcome.intent.transaction_hash}", soft_wrap=True)
        console.print(f"  block        {outcome.intent.block_number}, gas used {outcome.intent.gas_used:,}")


def render_cancel(console: Console, outcome: Outcome, *, yes: bool, coin: str) -> None:
    """What became of giving up, or what --yes would do."""
    if not yes:
        console.print(f"{outcome.key} is {outcome.state.value} and can be given up.", soft_wrap=True)
        console.print("Nothing was sent. Add --yes to give it up.")
    elif outcome.state.without_effect:
        console.print("It was given up; the call did not take effect.")
    else:
        console.print("The call was faster than its cancellation.")
        render_outcome(console, outcome, yes=yes, coin=coin)


def render_entries(console: Console, entries: Entries) -> None:
    """Every entry, the newest last."""
    if entries.absent is not None:
        console.print(f"There is no journal at {entries.absent} yet.", soft_wrap=True)
    elif not entries.shown:
        console.print("Nothing of this kind is in the journal.")
    for entry in entries.shown:
        render_entry(console, entry, in_full=False)
    if entries.older:
        console.print(f"{entries.older:,} older entries are settled and not shown; see --limit.")


def render_entry(console: Console, entry: IntentStatus, *, in_full: bool) -> None:
    """One entry: its key on a line of its own, what became of it, what to look at; with `in_full` every hash."""
    intent = entry.intent

    def line(name: str, text: object) -> None:
        console.print(f"  {name:<12} {text}", soft_wrap=True)

    console.print(intent.key, soft_wrap=True)
    line("state", f"{intent.state.value}, unchanged for {duration(entry.age_s)}")
    line("what", f"{intent.label}, on eip155:{intent.chain_id}")
    if intent.block_number is not None:
        line("block", intent.block_number)
        line("transaction", intent.transaction_hash)
    for name, text in (("reason", intent.reason), ("giving up", intent.giving_up), ("alert", intent.alert)):
        if text:
            line(name, text)
    if in_full:
        line("sender", intent.sender)
        for number, known in enumerate(entry.hashes, 1):
            line(f"attempt {number}", known)


def what_next(entry: IntentStatus) -> str:
    """What resuming would do with an entry."""
    if entry.intent.nonce is None:
        return "tried, and signed and sent if it goes through"
    return "followed, and the same bytes sent again while no block has them"


def render_plan(console: Console, entries: Sequence[IntentStatus]) -> None:
    """What resuming would do."""
    for entry in entries:
        render_entry(console, entry, in_full=False)
        console.print(f"  would be     {what_next(entry)}")
    console.print(
        "Nothing was sent. Add --yes to go on with them."
        if entries
        else "Nothing of this signer is unsettled."
    )


def render_resumed(console: Console, outcomes: Sequence[Outcome]) -> None:
    """How far each has come."""
    for outcome in outcomes:
        console.print(outcome.key, soft_wrap=True)
        console.print(f"  {'state':<12} {outcome.state.value}")
        if outcome.error:
            console.print(f"  {'why':<12} {outcome.error}", soft_wrap=True)
    if not outcomes:
        console.print("Nothing of this signer is unsettled.")
