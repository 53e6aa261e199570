"""Sends one call to a chain and says how far it came; what `relay` and `venue pledge` share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aggregator.cli.framework import Settings
from aggregator.cli.tables import sentence_case
from aggregator.model.errors import InputError, TransactionError
from chains.networks import Network
from chains.relayer import (
    Call,
    Finality,
    Intent,
    IntentStatus,
    Journal,
    Outcome,
    Relayer,
    RelayerSettings,
    Signer,
    State,
    cancel,
    retry,
    status,
)
from chains.rpc.provider import web3_on

if TYPE_CHECKING:
    from rich.console import Console

WEI_DIGITS: Final = 18


def relay_settings(confirmations: int | None, timeout_s: int) -> RelayerSettings:
    """Settings of a relayer from the options."""
    return RelayerSettings(finality=Finality(confirmations), timeout_s=timeout_s)


def send(
    settings: Settings,
    network: Network,
    call: Call,
    signer: Signer,
    *,
    relaying: RelayerSettings,
    yes: bool,
) -> Outcome:
    """Try and price `call`, and with `yes` sign it once and follow it until it is final.

    Raises ProofRefusedError, ExpiredError or TransactionError with the contract's reason, and ChainError.
    """
    with settings.home.store():
        pass
    return _with_relayer(
        settings, network, signer, relaying, call.label, lambda relayer: relayer.relay(call, yes=yes)
    )


def journal_entries(
    settings: Settings, key: str | None = None, *, unsettled: bool = False
) -> list[IntentStatus]:
    """What is in the home's journal, or the one entry of `key`; nothing is made and no chain is asked.

    Raises InputError when there is no entry of that key.
    """
    path = _journal_path(settings)
    with Journal(path if path.exists() else Path(":memory:")) as journal:
        return status(journal, key, unsettled=unsettled)


def own_intent(entry: IntentStatus, signer: Signer) -> Intent:
    """The entry's intent; raises InputError when it was written down for another sender."""
    intent = entry.intent
    if intent.sender.lower() != signer.address.lower():
        raise InputError(
            f"{intent.key} is of {intent.sender}, not of {signer.address}; give its own --signer"
        )
    return intent


def retry_entry(
    settings: Settings,
    network: Network,
    intent: Intent,
    signer: Signer,
    *,
    relaying: RelayerSettings,
    yes: bool,
) -> Outcome:
    """Try and price what is written down in `intent`, and with `yes` bring it about. Raises as `send`."""
    call = Call(intent.key, intent.target, intent.data, intent.label, intent.fingerprint, intent.expires_at)

    async def work(relayer: Relayer) -> Outcome:
        return await retry(relayer, intent.key) if yes else await relayer.relay(call)

    return _with_relayer(settings, network, signer, relaying, intent.label, work)


def cancel_entry(
    settings: Settings,
    network: Network,
    intent: Intent,
    signer: Signer,
    *,
    relaying: RelayerSettings,
    yes: bool,
) -> Outcome:
    """Give `intent` up with `yes`, else only see that this is possible still.

    Raises TransactionError when it is settled or in a block, or cannot be outbid.
    """
    if intent.state.settled or intent.state is State.INCLUDED:
        raise TransactionError(f"{intent.key} is {intent.state} and cannot be given up; look at its status")
    if not yes:
        return Outcome(intent.key, intent.state, intent=intent)
    return _with_relayer(
        settings, network, signer, relaying, f"cancel {intent.label}", lambda r: cancel(r, intent.key)
    )


def _journal_path(settings: Settings) -> Path:
    return settings.home.root / "relayer.db"


def _with_relayer(
    settings: Settings,
    network: Network,
    signer: Signer,
    relaying: RelayerSettings,
    label: str,
    work: Callable[[Relayer], Awaitable[Outcome]],
) -> Outcome:
    """Run `work` with a relayer over the home's journal, telling how far it is."""

    async def run(tell: Callable[[str], None]) -> Outcome:
        async with network.connect() as chain:
            with Journal(_journal_path(settings)) as journal:
                relayer = Relayer(
                    web3_on(chain),
                    network.chain_id,
                    signer,
                    journal,
                    relaying,
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
