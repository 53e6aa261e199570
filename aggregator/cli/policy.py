"""`counterfoil policy`: one epoch's prices, haircuts and scenarios, and the root that commits to them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aggregator.cli import tables
from aggregator.cli.documents import read_policy, write_document
from aggregator.cli.framework import SECONDS, Settings, command_group, pass_settings, settings_options
from aggregator.cli.networks import chosen_networks, networks_option
from aggregator.fixed import format_up
from aggregator.policy.acceptance import ANYTHING, acceptance_json

if TYPE_CHECKING:
    from rich.console import Console

    from aggregator.model.policy import Policy
    from aggregator.store import Store
    from chains.oracles import Market


@command_group
def policy() -> None:
    """Build, show and check risk policies."""


def policy_root(made: Policy) -> str:
    """The root of a policy as lower-case hex."""
    from circuits.policy_tree import build_tree

    return f"0x{build_tree(made).root:064x}"


def _summary(made: Policy, root: str) -> dict[str, object]:
    return {
        "name": made.name,
        "publisher": made.publisher,
        "epoch": made.epoch,
        "asOf": made.as_of,
        "expires": made.expires,
        "expired": made.expires < time.time(),
        "root": root,
        "classes": list(made.classes),
        "groups": [group.name for group in made.groups],
        "instruments": [instrument.symbol for instrument in made.instruments],
        "acceptance": acceptance_json(made.acceptance),
    }


def render_summary(console: Console, made: Policy, root: str) -> None:
    """The header lines of a policy."""
    expired = "  EXPIRED" if made.expires < time.time() else ""
    console.print(f"Policy {made.name}, epoch {made.epoch}, published by {made.publisher}")
    console.print(f"  root        {root}")
    console.print(f"  valid       {tables.moment(made.as_of)} to {tables.moment(made.expires)}{expired}")
    console.print(
        f"  holds       {len(made.instruments)} instruments, {len(made.groups)} netting groups, "
        f"{len(made.classes)} risk classes, {len(made.scenarios)} scenarios"
    )
    rules = made.acceptance
    if rules != ANYTHING:
        cuts = "".join(f", {name} cut by {rate / 10_000:g} %" for name, rate in rules.haircuts_e6)
        console.print(
            f"  counts      readings of trust {rules.least_trust} or better, {rules.least_method} or better{cuts}; "
            f"liquidity for moves of {rules.pool_range_e6 / 10_000:g} %"
        )


@policy.command()
@click.argument("spec", type=click.Path(path_type=Path))
@click.option(
    "--cut",
    type=SECONDS,
    metavar="N",
    help="The wall-clock second of the prices (Unix time).  [default: the last that is final everywhere]",
)
@click.option(
    "--epoch",
    type=SECONDS,
    metavar="N",
    help="Number of this policy.  [default: one more than the last stored of its name]",
)
@click.option(
    "--zero-stale",
    is_flag=True,
    help="Count collateral without a fresh price as zero and raise such debts, instead of stopping.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Also write the policy to this file.")
@networks_option
@settings_options
@pass_settings
def build(
    settings: Settings,
    spec: Path,
    cut: int | None,
    epoch: int | None,
    zero_stale: bool,
    out: Path | None,
    network_paths: tuple[str, ...],
) -> None:
    """Build a policy from SPEC (TOML, see configs/policies) with prices from the networks' feeds, and store it."""
    from aggregator.policy import encode_policy
    from aggregator.policy.build import build_policy
    from aggregator.policy.inputs import PolicyInputs, encode_inputs
    from aggregator.policy.resolve import resolve
    from aggregator.service.cut import settled_cut
    from aggregator.service.spec_file import read_spec
    from chains.oracles import read_market

    text, rules, files = read_spec(spec)
    networks = chosen_networks(network_paths)
    now = int(time.time())

    async def read() -> tuple[int, Market]:
        as_of = await settled_cut(networks) if cut is None else cut
        return as_of, await read_market(networks, cut=as_of)

    with settings.step(f"Reading prices on {tables.count(len(networks), 'network')}"):
        as_of, market = asyncio.run(read())
    for problem in market.problems:
        settings.note(f"not used: {problem}")
    with settings.home.store() as store:
        before = _last(store, rules.name)
        number = (before.epoch + 1 if before is not None else 1) if epoch is None else epoch
        spots = {name: quote.price_e12 for name, quote in market.prices.items() if not quote.stale}
        resolved = resolve(rules, files, spots, as_of=as_of, previous=before)
        for estimate in resolved.notes:
            settings.note(estimate)
        zeroed: dict[str, str] = {}
        made = build_policy(
            resolved.applied(rules),
            market.prices,
            market.rates,
            as_of=as_of,
            epoch=number,
            zero_stale_collateral=zero_stale,
            zeroed=zeroed,
        )
        for what, why in zeroed.items():
            settings.note(f"values no collateral: {what} ({why})")
        document = encode_policy(made)
        root = policy_root(made)
        if out is not None:
            write_document(out, document)
        key = store.add_policy(document, name=made.name, root=int(root, 16), now=now)
        inputs = PolicyInputs(text, resolved, market.prices, market.rates, as_of, number, zero_stale)
        store.add_policy_inputs(key, encode_inputs(inputs))

    def render(console: Console) -> None:
        render_summary(console, made, root)
        console.print(f"Stored as {key}. Next: counterfoil health SNAPSHOT --policy {key}")

    data = {"id": key, **_summary(made, root), "estimates": list(resolved.notes), "zeroed": zeroed}
    settings.show(data, render)


def _last(store: Store, name: str) -> Policy | None:
    """The newest stored policy of that name: what speed limits and the epoch count from."""
    from aggregator.policy import parse_policy

    stored = [entry.id for entry in store.policies() if entry.label == name]
    return parse_policy(store.policy(stored[0])) if stored else None


@policy.command()
@click.argument("document", metavar="POLICY")
@settings_options
@pass_settings
def check(settings: Settings, document: str) -> None:
    """Check that POLICY (a file, or an id or name in the store) keeps rules W1-W7, and print its root."""
    made = read_policy(settings, document)
    root = policy_root(made)

    def render(console: Console) -> None:
        render_summary(console, made, root)
        console.print("Rules W1-W7 hold.")

    settings.show(_summary(made, root), render)


@policy.command()
@click.argument("document", metavar="POLICY")
@settings_options
@pass_settings
def show(settings: Settings, document: str) -> None:
    """Show what POLICY (a file, or an id or name in the store) says."""
    from aggregator.policy import policy_json

    made = read_policy(settings, document)
    root = policy_root(made)

    def render(console: Console) -> None:
        render_summary(console, made, root)
        console.print()
        _render_instruments(console, made)
        _render_groups(console, made)
        _render_classes(console, made)

    settings.show({"root": root, "policy": policy_json(made)}, render)


def _render_instruments(console: Console, made: Policy) -> None:
    groups = {0: "-", **{group.id: group.name for group in made.groups}}
    classes = ("-", *made.classes)
    rows = [
        (str(i.id), i.symbol, i.kind.value, classes[i.class_id], groups[i.group_id]) for i in made.instruments
    ]
    console.print(tables.Table("Instruments", (">Id", "Instrument", "Kind", "Class", "Group"), rows).draw())
    rows = [
        (
            i.symbol,
            tables.price(i.mark_e12),
            tables.price(min(i.risk_e12)),
            tables.price(i.addon_im.long_e12),
            tables.price(i.addon_im.short_e12),
        )
        for i in made.instruments
    ]
    columns = ("Instrument", ">Mark", ">Worst P&L", ">IM add-on long", ">IM add-on short")
    console.print(tables.Table("Their prices (USD per unit)", columns, rows).draw())


def _render_groups(console: Console, made: Policy) -> None:
    rows = []
    for group in made.groups:
        for n, (line_im, line_mm) in enumerate(zip(group.lines_im, group.lines_mm, strict=True)):
            if line_im.slope_e12 or line_mm.slope_e12:
                rows.append(
                    (
                        group.name,
                        str(n),
                        *(
                            text
                            for line in (line_im, line_mm)
                            for text in (
                                tables.price(line.slope_e12),
                                format_up(line.intercept_e26, 26, 2),
                            )
                        ),
                    )
                )
    columns = ("Group", ">Line", ">IM USD per unit", ">IM offset USD", ">MM USD per unit", ">MM offset USD")
    console.print(
        tables.Table("Haircut lines on the net quantity (the highest line counts)", columns, rows).draw()
    )


def _render_classes(console: Console, made: Policy) -> None:
    rows = [
        (name, *(tables.rate(rho) for rho in row))
        for name, row in zip(made.classes, made.correlation_e6, strict=True)
    ]
    factors = (
        f"scan factor IM {tables.rate(made.scan_factor_im_e6)}, MM {tables.rate(made.scan_factor_mm_e6)}"
    )
    columns = ("Class", *(f">{name}" for name in made.classes))
    console.print(tables.Table(f"Correlation between classes ({factors})", columns, rows).draw())
