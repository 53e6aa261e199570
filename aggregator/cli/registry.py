"""`counterfoil registry`: what a registry on a chain accepts, and who could change that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from aggregator.cli import tables
from aggregator.cli.framework import Settings, command_group, pass_settings, settings_options
from aggregator.cli.networks import chosen_networks, network_of, networks_option
from aggregator.model.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from chains.contracts.custody import TimelockTerms
    from chains.contracts.registry import RegistryRules
    from chains.contracts.verifiers import AcceptedVerifier
    from chains.networks import Network


@command_group
def registry() -> None:
    """Look at a registry before relying on it."""


@registry.command()
@click.argument("contract", metavar="REGISTRY")
@click.option(
    "--timelock", metavar="ADDRESS", help="Refuse unless this timelock, and nobody else, can change it."
)
@click.option(
    "--least-delay",
    type=click.IntRange(min=1),
    default=86_400,
    show_default=True,
    help="Seconds the timelock has to wait at least.",
)
@click.option(
    "--proposer",
    "proposers",
    multiple=True,
    metavar="ADDRESS",
    help="Who alone may schedule; may be repeated.",
)
@click.option(
    "--executor",
    "executors",
    multiple=True,
    metavar="ADDRESS",
    help="Who alone may execute; may be repeated.  [default: anyone]",
)
@click.option(
    "--from-block",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="A block before registry and timelock were placed; their events are read from there.",
)
@networks_option
@settings_options
@pass_settings
def show(
    settings: Settings,
    contract: str,
    timelock: str | None,
    least_delay: int,
    proposers: tuple[str, ...],
    executors: tuple[str, ...],
    from_block: int,
    network_paths: tuple[str, ...],
) -> None:
    """Show the rules of REGISTRY (eip155:N:0x..): production or not, verifiers, attestors, publishers, owner, guardian,
    pause.

    With --timelock its owner is checked as well: the timelock's code, its delay, and every holder of its roles.
    """
    from aggregator.service.linking import parse_caip10
    from chains.contracts.custody import TimelockTerms
    from chains.contracts.deploy import ANYONE

    chain_id, address = parse_caip10(contract)
    if timelock is not None and not proposers:
        raise InputError("--timelock says nothing without those who may schedule; name them with --proposer")
    terms = None if timelock is None else TimelockTerms(least_delay, proposers, executors or (ANYONE,))
    network = network_of(chosen_networks(network_paths), f"eip155:{chain_id}")
    rules, verifiers, publishers = asyncio.run(_read(network, address, timelock, terms, from_block))
    data: dict[str, object] = {
        "registry": contract.lower(),
        "production": rules.production,
        "paused": rules.paused,
        "owner": rules.owner,
        "pendingOwner": rules.pending_owner,
        "guardian": rules.guardian,
        "attestors": list(rules.attestors),
        "threshold": rules.threshold,
        "maxAgeSeconds": rules.max_age_s,
        "gracePeriodSeconds": rules.grace_period_s,
        "ownedByTimelock": terms is not None,
        "verifiers": [
            {"circuitId": v.circuit_id, "verifier": v.address, "dev": v.dev, "keyDigest": v.key_digest}
            for v in verifiers
        ],
        "publishers": list(publishers),
    }

    def render(console: Console) -> None:
        rows = [
            ("production", "yes: dev keys are refused" if rules.production else "no: dev keys are accepted"),
            ("attestors", f"{rules.threshold} of {len(rules.attestors)}: {', '.join(rules.attestors)}"),
            ("snapshots", f"at most {rules.max_age_s} s old"),
            ("grace period", f"{rules.grace_period_s} s"),
            ("owner", rules.owner),
            ("next owner", rules.pending_owner),
            ("guardian", rules.guardian),
            ("publishers", ", ".join(publishers) or "nobody but the owner"),
            (
                "paused",
                "yes: nothing new is pledged; submissions and releases go on" if rules.paused else "no",
            ),
        ]
        console.print(tables.Table("", ("", ""), rows).draw())
        for v in verifiers:
            kind = (
                "dev key: whoever made it could forge proofs" if v.dev else "not a dev key, by its deployer"
            )
            console.print(f"verifier {v.address}, {kind}")
            console.print(f"  verification key  {v.circuit_id}")
            console.print(f"  key digest        {v.key_digest or 'none: it is another contract'}")
        if not verifiers:
            console.print("It accepts no verifier.")
        if terms is not None:
            besides = " Publishers add policies, and take back their own, at once." if publishers else ""
            console.print(
                f"Only the timelock can change it, after {least_delay} s or more, as agreed.{besides}"
            )
        else:
            console.print("Who stands behind the owner was not checked; add --timelock.")

    settings.show(data, render)


async def _read(
    network: Network, address: str, timelock: str | None, terms: TimelockTerms | None, from_block: int
) -> tuple[RegistryRules, tuple[AcceptedVerifier, ...], tuple[str, ...]]:
    from chains.contracts.custody import check_owned_by_timelock
    from chains.contracts.registry import Registry
    from chains.contracts.verifiers import accepted_verifiers, publishers
    from chains.rpc.provider import web3_on

    async with network.connect() as chain:
        w3 = web3_on(chain)
        rules = await Registry(w3, address).rules()
        if timelock is not None and terms is not None:
            await check_owned_by_timelock(w3, address, timelock, terms, from_block=from_block)
        verifiers = await accepted_verifiers(w3, address, from_block=from_block)
        return rules, verifiers, await publishers(w3, address, from_block=from_block)
