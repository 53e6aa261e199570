"""Sends one call to a chain and says how far it came; what `relay submit` and `venue pledge` share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aggregator.cli.framework import Settings
from aggregator.cli.tables import sentence_case
from chains.networks import Network
from chains.relayer import Call, Finality, Journal, LocalSigner, Outcome, Relayer, RelayerSettings, State
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
    signer: LocalSigner,
    *,
    relaying: RelayerSettings,
    yes: bool,
) -> Outcome:
    """Try and price `call`, and with `yes` sign it once and follow it until it is final.

    Raises ProofRefusedError, ExpiredError or TransactionError with the contract's reason, and ChainError.
    """
    with settings.home.store():
        journal_path = settings.home.root / "relayer.db"
    with settings.step(sentence_case(call.label)) as tell:
        return asyncio.run(_send(network, call, signer, journal_path, relaying, yes, tell))


async def _send(
    network: Network,
    call: Call,
    signer: LocalSigner,
    journal_path: Path,
    relaying: RelayerSettings,
    yes: bool,
    tell: Callable[[str], None],
) -> Outcome:
    async with network.connect() as chain:
        with Journal(journal_path) as journal:
            relayer = Relayer(
                web3_on(chain),
                network.chain_id,
                signer,
                journal,
                relaying,
                progress=lambda intent: tell(intent.state.value),
            )
            return await relayer.relay(call, yes=yes)


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
