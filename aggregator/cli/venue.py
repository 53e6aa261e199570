"""`counterfoil venue`: is this account good for the margin asked, under this venue's own rules, right now?"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aggregator.cli import tables
from aggregator.cli.documents import read_document
from aggregator.cli.framework import Settings, pass_settings, settings_options
from aggregator.cli.networks import chosen_networks, network_of, networks_option
from aggregator.cli.signing import signing_options
from aggregator.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from aggregator.service.venue import Check, VenueRules
    from chains.contracts.registry import VenueStanding
    from chains.networks import Network


@click.group()
def venue() -> None:
    """Check accounts and pledge margin as a venue."""


def checks_table(checks: Sequence[Check]) -> tables.Table:
    """One row per condition of a bundle."""
    rows = [(check.name, "pass" if check.passed else "FAIL", check.detail) for check in checks]
    return tables.Table("", ("Condition", "Result", "Detail"), rows)


def standing_table(standing: VenueStanding) -> tables.Table:
    """What the registry says of the account and this venue."""
    record = standing.record
    rows = [
        ("proof on record", tables.usd_down(record.amount_usd_e6), f"USD at {record.level.name}"),
        ("pledged to this venue", tables.usd_up(standing.own_pledge_usd_e6), "USD"),
        ("pledged to all venues", tables.usd_up(standing.pledged_usd_e6), "USD"),
        ("still free to pledge", tables.usd_down(standing.available_usd_e6), "USD"),
        (
            "good",
            "yes" if standing.good else "no",
            f"until {tables.moment(record.until)}" if record.until else "",
        ),
    ]
    return tables.Table("Registry", ("", ">Amount", ""), rows)


def _checks_json(checks: Sequence[Check]) -> list[dict[str, object]]:
    return [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in checks]


def _standing_json(standing: VenueStanding) -> dict[str, object]:
    return {
        "good": standing.good,
        "provenUsdE6": str(standing.record.amount_usd_e6),
        "level": standing.record.level.name,
        "until": standing.record.until,
        "ownPledgeUsdE6": str(standing.own_pledge_usd_e6),
        "pledgedUsdE6": str(standing.pledged_usd_e6),
        "availableUsdE6": str(standing.available_usd_e6),
    }


async def _standing(network: Network, rules: VenueRules, account_id: int) -> VenueStanding:
    from chains.contracts.registry import Registry
    from chains.rpc.provider import web3_on

    async with network.connect() as chain:
        return await Registry(web3_on(chain), rules.registry).standing(account_id, rules.venue)


@venue.command()
@click.argument("document", metavar="BUNDLE")
@click.option(
    "--venue", "venue_file", type=click.Path(path_type=Path), required=True, help="The venue's rules (TOML)."
)
@click.option("--offline", is_flag=True, help="Check the bundle only; do not ask the registry.")
@networks_option
@settings_options
@pass_settings
def check(
    settings: Settings, document: str, venue_file: Path, offline: bool, network_paths: tuple[str, ...]
) -> None:
    """Check BUNDLE against the venue's rules, and ask the registry what is pledged on the account.

    Every condition is listed. One that fails ends the command with the exit code of its reason.
    """
    from aggregator.service.venue import check_bundle
    from aggregator.service.venue_file import load_venue
    from circuits.bundle import parse_bundle

    rules = load_venue(venue_file)
    bundle = parse_bundle(read_document(settings, "bundle", document))
    checks = check_bundle(bundle, rules, int(time.time()))
    failed = next((c.error for c in checks if c.error is not None), None)
    standing = None
    if not offline and failed is None:
        network = network_of(chosen_networks(network_paths), f"eip155:{rules.chain_id}")
        standing = asyncio.run(_standing(network, rules, bundle.account_id))

    def render(console: Console) -> None:
        console.print(checks_table(checks).draw())
        if standing is not None:
            console.print(standing_table(standing).draw())
        if failed is None:
            console.print(
                f"The bundle is good for {tables.usd_down(bundle.amount_e6, 6)} USD at {bundle.level.name}."
            )

    data: dict[str, object] = {"good": failed is None, "checks": _checks_json(checks)}
    if standing is not None:
        data["registry"] = _standing_json(standing)
    settings.show(data, render)
    if failed is not None:
        settings.fail_after_answer(failed)


@venue.command()
@click.argument("document", metavar="BUNDLE")
@click.option(
    "--venue", "venue_file", type=click.Path(path_type=Path), required=True, help="The venue's rules (TOML)."
)
@click.option("--amount", required=True, help="USD to reserve, with up to 6 decimals.")
@click.option("--reference", default="", help="Names this pledge; the same pledge is never sent twice.")
@signing_options
@networks_option
@settings_options
@pass_settings
def pledge(
    settings: Settings,
    document: str,
    venue_file: Path,
    amount: str,
    reference: str,
    signer: str,
    password: str | None,
    confirmations: int | None,
    timeout: int,
    yes: bool,
    network_paths: tuple[str, ...],
) -> None:
    """Reserve AMOUNT of the margin that BUNDLE proves, for this venue, in the registry.

    The bundle is checked first. The registry refuses what is not proven, not fresh, or pledged already.
    """
    from aggregator.cli.relaying import outcome_json, relay_settings, render_outcome, send
    from aggregator.service.venue import check_bundle, require
    from aggregator.service.venue_file import load_venue, parse_usd
    from chains.contracts.registry import pledge_call
    from chains.relayer import Call, load_signer
    from circuits.bundle import parse_bundle

    rules = load_venue(venue_file)
    amount_e6 = parse_usd(amount)
    bundle = parse_bundle(read_document(settings, "bundle", document))
    require(check_bundle(bundle, rules, int(time.time())))
    own = load_signer(signer, password=password)
    if own.address.lower() != rules.venue:
        raise InputError(
            f"the signer is {own.address.lower()}, not the venue {rules.venue}; use the venue's key"
        )
    name = f"pledge:eip155:{rules.chain_id}:{rules.registry}:{bundle.public[4]:x}:{amount_e6}:{reference}"
    outcome = send(
        settings,
        network_of(chosen_networks(network_paths), f"eip155:{rules.chain_id}"),
        Call(name, rules.registry, pledge_call(bundle.account_id, amount_e6), f"pledge {amount} USD"),
        own,
        relaying=relay_settings(confirmations, timeout),
        yes=yes,
    )
    settings.show(outcome_json(outcome), lambda console: render_outcome(console, outcome))
