"""Sends one call to a chain and says how far it came; what `relay` and `venue pledge` share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aggregator.cli.framework import Settings
from aggregator.cli.signing import Sending, journal_location
from aggregator.cli.tables import sentence_case
from aggregator.model.errors import InputError, TransactionError
from chains.relayer import (
    Call,
    Intent,
    IntentStatus,
    Journal,
    Outcome,
    Relayer,
    Signer,
    State,
    cancel,
    metrics,
    retry,
    status,
)
from chains.rpc.provider import web3_on

if TYPE_CHECKING:
    from rich.console import Console

WEI_DIGITS: Final = 18


def send(settings: Settings, sending: Sending, chain_id: int, call: Call) -> Outcome:
    """Try and price `call`, and with --yes sign it once and follow it until it is final.

    Raises ProofRefusedError, ExpiredError or TransactionError with the contract's reason, and ChainError.
    """
    with settings.home.store():
        pass
    return _with_relayer(
        settings, sending, chain_id, call.label, lambda relayer: relayer.relay(call, yes=sending.yes)
    )


def journal_entries(
    settings: Settings, journal: str | None, key: str | None = None, *, unsettled: bool = False
) -> list[IntentStatus]:
    """What is in the journal, or the one entry of `key`; nothing is made and no chain is asked.

    Raises InputError when there is no entry of that key.
    """
    with _reading(settings, journal) as opened:
        return status(opened, key, unsettled=unsettled)


def journal_metrics(settings: Settings, journal: str | None) -> str:
    """The journal in the Prometheus text format; nothing is made."""
    with _reading(settings, journal) as opened:
        return metrics(opened)


def own_intent(entry: IntentStatus, signer: Signer) -> Intent:
    """The entry's intent; raises InputError when it was written down for another sender."""
    intent = entry.intent
    if intent.sender.lower() != signer.address.lower():
        raise InputError(
            f"{intent.key} is of {intent.sender}, not of {signer.address}; give its own --signer"
        )
    return intent


def retry_entry(settings: Settings, sending: Sending, intent: Intent) -> Outcome:
    """Try and price what is written down in `intent`, and with --yes bring it about. Raises as `send`."""
    call = Call(intent.key, intent.target, intent.data, intent.label, intent.fingerprint, intent.expires_at)

    async def work(relayer: Relayer) -> Outcome:
        return await retry(relayer, intent.key) if sending.yes else await relayer.relay(call)

    return _with_relayer(settings, sending, intent.chain_id, intent.label, work)


def cancel_entry(settings: Settings, sending: Sending, intent: Intent) -> Outcome:
    """Give `intent` up with --yes, else only see that this is possible still.

    Raises TransactionError when it is settled or in a block, or cannot be outbid.
    """
    if intent.state.settled or intent.state is State.INCLUDED:
        raise TransactionError(f"{intent.key} is {intent.state} and cannot be given up; look at its status")
    if not sending.yes:
        return Outcome(intent.key, intent.state, intent=intent)
    return _with_relayer(
        settings, sending, intent.chain_id, f"cancel {intent.label}", lambda r: cancel(r, intent.key)
    )


def _reading(settings: Settings, journal: str | None) -> Journal:
    """The journal, or an empty one in its place where there is no file."""
    location = journal_location(settings, journal)
    absent = isinstance(location, Path) and not location.exists()
    return Journal(Path(":memory:") if absent else location)


def _with_relayer(
    settings: Settings,
    sending: Sending,
    chain_id: int,
    label: str,
    work: Callable[[Relayer], Awaitable[Outcome]],
) -> Outcome:
    """Run `work` with a relayer over the journal, telling how far it is."""
    network, signer = sending.network(chain_id), sending.wallet()

    async def run(tell: Callable[[str], None]) -> Outcome:
        async with network.connect() as chain:
            with Journal(journal_location(settings, sending.journal)) as journal:
                relayer = Relayer(
                    web3_on(chain),
                    network.chain_id,
                    signer,
                    journal,
                    sending.relaying(),
                    progress=lambda intent: tell(intent.state.value),
                )
                return await work(relayer)

    with settings.step(sentence_case(label)) as tell:
        return asyncio.run(run(tell))


def outcome_json(outcome: Outcome) -> dict[str, object]:
    """How far a call has come, as JSON."""
    data: dict[str, object] = {"state": outcome.state.value, "sent": outcome.intent is not None}
    if outcome.plan is not None:
        data |= {
            "sender": outcome.plan.sender.lower(),
            "gas": str(outcome.plan.gas),
            "costAtMostWei": str(outcome.plan.cost_wei),
        }
    if outcome.intent is not None:
        data |= {
            "transactionHash": outcome.intent.transaction_hash,
            "blockNumber": str(outcome.intent.block_number),
            "gasUsed": str(outcome.intent.gas_used),
        }
    return data


def render_outcome(console: Console, outcome: Outcome) -> None:
    """How far a call has come, in words."""
    from aggregator.fixed import format_decimal

    if outcome.state is State.PLANNED and outcome.plan is not None:
        cost = format_decimal(outcome.plan.cost_wei, WEI_DIGITS)
        console.print(
            f"It would go through: {outcome.plan.gas:,} gas, at most {cost} of the chain's coin, "
            f"from {outcome.plan.sender}."
        )
        console.print("Nothing was sent. Add --yes to send it.")
        return
    console.print(f"State: {outcome.state.value}")
    if outcome.intent is not None and outcome.intent.transaction_hash:
        console.print(f"  transaction  {outcome.intent.transaction_hash}")
        console.print(f"  block        {outcome.intent.block_number}, gas used {outcome.intent.gas_used:,}")


def render_retry(console: Console, outcome: Outcome, *, yes: bool) -> None:
    """How far a retry has come, and what --yes would do."""
    render_outcome(console, outcome)
    if not yes and outcome.intent is not None and not outcome.state.settled:
        console.print("Nothing was sent. Add --yes to go on with it.")


def render_cancel(console: Console, outcome: Outcome, *, yes: bool) -> None:
    """What became of giving up, or what --yes would do."""
    if not yes:
        console.print(f"{outcome.key} is {outcome.state.value} and can be given up.")
        console.print("Nothing was sent. Add --yes to give it up.")
    elif outcome.state.without_effect:
        console.print("It was given up; the call did not take effect.")
    else:
        console.print("The call was faster than its cancellation.")
        render_outcome(console, outcome)
