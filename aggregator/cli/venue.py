"""`counterfoil venue`: is this account good for the margin asked, under this venue's own rules, right now?"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from aggregator.cli import tables
from aggregator.cli.documents import read_bundle
from aggregator.cli.framework import Settings, command_group, pass_settings, settings_options
from aggregator.cli.networks import chosen_networks, networks_option
from aggregator.cli.signing import Sending, sending_options
from aggregator.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from aggregator.service.venue import Check, VenueRules
    from chains.contracts.registry import VenueStanding

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_ACCOUNT: Final = re.compile(r"0x[0-9a-fA-F]{1,64}", re.ASCII)


def _account_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """What commands take that change a pledge which is there."""
    options = (
        click.argument("account", metavar="ACCOUNT"),
        click.option(
            "--venue",
            "venue_file",
            type=click.Path(path_type=Path),
            required=True,
            help="The venue's rules (TOML).",
        ),
        click.option("--amount", required=True, help="USD, with up to 6 decimals."),
        click.option(
            "--reference",
            default="",
            help="Names this change: the same one is never sent twice, and the same amount again needs another name.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


@command_group
def venue() -> None:
    """Check accounts and pledge margin as a venue."""


def checks_table(checks: Sequence[Check]) -> tables.Table:
    """One row per condition of a bundle."""
    said = {True: "pass", False: "FAIL", None: "unknown"}
    rows = [(check.name, said[check.passed], check.detail) for check in checks]
    return tables.Table("", ("Condition", "Result", "Detail"), rows)


def standing_table(standing: VenueStanding) -> tables.Table:
    """What the registry says of the account and this venue."""
    record = standing.record
    proven = (tables.usd_down(record.amount_usd_e6), f"USD at {record.level.name}")
    rows = [
        ("proof on record", *(proven if record.until else ("none", ""))),
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
        "level": standing.record.level.name if standing.record.until else None,
        "until": standing.record.until,
        "ownPledgeUsdE6": str(standing.own_pledge_usd_e6),
        "pledgedUsdE6": str(standing.pledged_usd_e6),
        "availableUsdE6": str(standing.available_usd_e6),
    }


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
    """Check BUNDLE against the venue's rules, and that the registry has the amount free for this venue.

    Every condition is listed. One that fails ends the command with the exit code of its reason.
    """
    from aggregator.service.standing import PLEDGES, check_pledges
    from aggregator.service.venue import check_bundle
    from aggregator.service.venue_file import load_venue

    rules = load_venue(venue_file)
    networks = () if offline else chosen_networks(network_paths)
    bundle = read_bundle(settings, document)
    checks, standing = check_bundle(bundle, rules, int(time.time())), None
    if not offline:
        pledges, standing = asyncio.run(check_pledges(networks, rules, bundle.account_id))
        checks = (*checks, pledges)
    failed = next((c.error for c in checks if c.error is not None), None)

    def render(console: Console) -> None:
        console.print(checks_table(checks).draw())
        if standing is not None:
            console.print(standing_table(standing).draw())
        if offline:
            console.print(f"{PLEDGES}: not asked")
        if failed is None:
            console.print(
                f"The {'proof' if offline else 'bundle'} is good for {tables.usd_down(bundle.amount_e6, 6)} USD at "
                f"{bundle.level.name}, account 0x{bundle.account_id:064x}"
                f"{'; pledges were not asked' if offline else ''}."
            )

    data: dict[str, object] = {
        "good": failed is None,
        "pledgesAsked": not offline,
        "accountId": f"0x{bundle.account_id:064x}",
        "keyKind": bundle.key_kind.value,
        "checks": _checks_json(checks),
    }
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
@click.option(
    "--reference",
    default="",
    help="Names this pledge: the same one is never sent twice, and the same amount again needs another name.",
)
@sending_options
@settings_options
@pass_settings
def pledge(
    settings: Settings, document: str, venue_file: Path, amount: str, reference: str, sending: Sending
) -> None:
    """Reserve AMOUNT of the margin that BUNDLE proves, for this venue, in the registry.

    The bundle is checked first. The registry refuses what is not proven, not fresh, or pledged already.
    Without --reference, a pledge that was made before is not made again and ends with exit code 8.
    """
    from aggregator.service.venue import check_bundle, require
    from aggregator.service.venue_file import load_venue, parse_usd
    from chains.contracts.registry import pledge_call

    rules = load_venue(venue_file)
    amount_e6 = parse_usd(amount)
    bundle = read_bundle(settings, document)
    require(check_bundle(bundle, rules, int(time.time())))
    name = f"pledge:eip155:{rules.chain_id}:{rules.registry}:{bundle.public[4]:x}:{amount_e6}:{reference}"
    data = pledge_call(bundle.account_id, amount_e6)
    _send_as_venue(settings, sending, rules, name, data, f"pledge {amount} USD", reference)


@venue.command()
@_account_options
@sending_options
@settings_options
@pass_settings
def release(
    settings: Settings, account: str, venue_file: Path, amount: str, reference: str, sending: Sending
) -> None:
    """Give back AMOUNT of what this venue has pledged on ACCOUNT (its id). The registry never refuses that.

    Without --reference, a release that was made before is not made again and ends with exit code 8.
    """
    from aggregator.service.venue_file import load_venue, parse_usd
    from chains.contracts.registry import release_call

    rules, account_id = load_venue(venue_file), _account_id(account)
    amount_e6 = parse_usd(amount)
    name = f"release:eip155:{rules.chain_id}:{rules.registry}:{account_id:x}:{amount_e6}:{reference}"
    data = release_call(account_id, amount_e6)
    _send_as_venue(settings, sending, rules, name, data, f"release {amount} USD", reference)


@venue.command()
@_account_options
@click.option("--to", "receiver", required=True, metavar="ADDRESS", help="The venue that takes it over.")
@sending_options
@settings_options
@pass_settings
def transfer(
    settings: Settings,
    account: str,
    venue_file: Path,
    amount: str,
    reference: str,
    receiver: str,
    sending: Sending,
) -> None:
    """Hand AMOUNT of this venue's pledge on ACCOUNT (its id) to another venue, with nothing free in between.

    The receiver needs a fresh proof of its own for what it then has, at initial margin. Without --reference, a
    transfer that was made before is not made again and ends with exit code 8.
    """
    from aggregator.service.venue_file import load_venue, parse_usd
    from chains.contracts.registry import transfer_call

    if _ADDRESS.fullmatch(receiver) is None:
        raise InputError(f"{receiver!r} is not an address; give 0x and 40 hex digits")
    rules, account_id = load_venue(venue_file), _account_id(account)
    amount_e6, to = parse_usd(amount), receiver.lower()
    name = f"transfer:eip155:{rules.chain_id}:{rules.registry}:{account_id:x}:{to}:{amount_e6}:{reference}"
    data = transfer_call(account_id, to, amount_e6)
    _send_as_venue(settings, sending, rules, name, data, f"hand over {amount} USD", reference)


def _account_id(text: str) -> int:
    if _ACCOUNT.fullmatch(text) is None:
        raise InputError(f"{text!r} is not an account id; give the 0x number that venue check names")
    return int(text, 16)


def _send_as_venue(
    settings: Settings,
    sending: Sending,
    rules: VenueRules,
    name: str,
    data: bytes,
    label: str,
    reference: str,
) -> None:
    """Send one call to the registry as the venue itself, and show how far it came.

    Raises AlreadyDoneError for a change that was done before, when no reference says that this very one is meant.
    """
    from aggregator.cli.relay_views import outcome_json, refuse_repeat, render_outcome
    from aggregator.cli.relaying import coin_of, send
    from chains.relayer import Call

    own = sending.wallet().address.lower()
    if own != rules.venue:
        raise InputError(f"the signer is {own}, not the venue {rules.venue}; use the venue's key")
    outcome = send(settings, sending, rules.chain_id, Call(name, rules.registry, data, label))
    refusal, coin = refuse_repeat(outcome, reference), coin_of(sending, rules.chain_id)

    def render(console: Console) -> None:
        # A refusal is the whole answer.
        if refusal is None:
            render_outcome(console, outcome, yes=sending.yes, coin=coin, reference=reference)

    settings.show(outcome_json(outcome, yes=sending.yes), render)
    if refusal is not None:
        settings.fail_after_answer(refusal)
