"""`counterfoil plan`: what to trade or move within limits, and the account before and after. Nothing is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from aggregator.cli import tables
from aggregator.cli.framework import Settings, command_group, pass_settings, settings_options
from aggregator.cli.subject import read_subject
from aggregator.model.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from aggregator.optimise import Plan
    from aggregator.service.planning import PlanRequest


def plan_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what both kinds of plan have: the account, the policy, the limit and the costs."""
    for option in (
        click.option("--expired", is_flag=True, help="Allow a policy past its end; its prices are old."),
        click.option("--fee", metavar="USD", help="Fixed cost of a step.  [default: 0 a trade, 5 a move]"),
        click.option(
            "--cost-ppm",
            type=click.IntRange(0, 1_000_000),
            metavar="N",
            help="Cost of a step in 1e-6 of its value.  [default: 500 a trade, 100 a move]",
        ),
        click.option("--limit", metavar="USD", help="The most to trade or move in all.  [default: no limit]"),
        click.option(
            "--policy", "policy_name", required=True, help="The policy to value under: a file, id or name."
        ),
        click.argument("snapshot"),
    ):
        command = option(command)
    return command


@command_group
def plan() -> None:
    """Plan hedges and moves of collateral."""


@plan.command()
@plan_options
@click.option(
    "--instrument",
    "instruments",
    multiple=True,
    metavar="SYMBOL",
    help="A perp or future that may be traded; may be repeated.  [default: those of the classes held]",
)
@settings_options
@pass_settings
def hedge(
    settings: Settings,
    snapshot: str,
    policy_name: str,
    limit: str | None,
    cost_ppm: int | None,
    fee: str | None,
    expired: bool,
    instruments: tuple[str, ...],
) -> None:
    """Find the trades that raise the IM excess most, costs paid.

    SNAPSHOT is a file, an id in the store, or an account's name for its newest one. Trades open at the policy's
    marks. Nothing is sent; where no trade pays, the plan is empty and says why (docs/plans.md).
    """
    from aggregator.service.planning import HEDGE, PlanRequest, usd_e6

    asked = PlanRequest(
        HEDGE,
        None if limit is None else usd_e6(limit, "--limit"),
        instruments or None,
        cost_ppm,
        None if fee is None else usd_e6(fee, "--fee"),
    )
    _show(settings, snapshot, policy_name, asked, expired=expired)


@plan.command()
@plan_options
@click.option(
    "--instrument",
    "instruments",
    multiple=True,
    metavar="SYMBOL",
    help="A token on a chain that may give or take; may be repeated.  [default: all]",
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="SYMBOL=QUANTITY",
    help="Reach and keep at least this much of a token on a chain; may be repeated.",
)
@click.option(
    "--wrappers", is_flag=True, help="Also change tokens that stand for the same asset, on their chain."
)
@settings_options
@pass_settings
def rebalance(
    settings: Settings,
    snapshot: str,
    policy_name: str,
    limit: str | None,
    cost_ppm: int | None,
    fee: str | None,
    expired: bool,
    instruments: tuple[str, ...],
    targets: tuple[str, ...],
    wrappers: bool,
) -> None:
    """Find the moves of collateral that lower its add-ons by more than they cost.

    SNAPSHOT is a file, an id in the store, or an account's name for its newest one. Only what lies in the account's own
    wallets is moved, and nothing is sold. Nothing is sent; where no move pays, the plan is empty and says why
    (docs/plans.md).
    """
    from aggregator.service.planning import REBALANCE, PlanRequest, usd_e6

    asked = PlanRequest(
        REBALANCE,
        None if limit is None else usd_e6(limit, "--limit"),
        instruments or None,
        cost_ppm,
        None if fee is None else usd_e6(fee, "--fee"),
        wrappers,
        tuple(_target(text) for text in targets),
    )
    _show(settings, snapshot, policy_name, asked, expired=expired)


def _target(text: str) -> tuple[str, int]:
    from aggregator.service.planning import quantity_e8

    symbol, equals, quantity = text.partition("=")
    if not equals:
        raise InputError(f"--target {text[:60]!r} has no quantity; write it like ETH@eip155:1=2.5")
    return symbol, quantity_e8(quantity)


def _show(settings: Settings, snapshot: str, policy_name: str, asked: PlanRequest, *, expired: bool) -> None:
    from aggregator.service.planning import make_plan, plan_json

    subject = read_subject(settings, snapshot, policy_name, expired=expired)
    found = make_plan(subject.policy, subject.taken, asked)

    def render(console: Console) -> None:
        if found.steps:
            console.print(_steps(found).draw())
        console.print(found.reason)
        if found.steps:
            console.print(_before_after(found).draw())

    subject.show(settings, {"kind": asked.kind, **plan_json(found)}, render)


def _steps(found: Plan) -> tables.Table:
    rows = [(str(n), step.text, tables.usd_up(step.cost_e6)) for n, step in enumerate(found.steps, 1)]
    rows.append(("", "All", tables.usd_up(found.cost_e6)))
    return tables.Table("Steps", ("", "Step", ">Cost (USD)"), rows, total=1)


def _before_after(found: Plan) -> tables.Table:
    rows = [
        (
            "Equity",
            tables.value_down(found.before_im.equity_e20),
            tables.value_down(found.after_im.equity_e20),
        )
    ]
    for level, before, after in (
        ("IM", found.before_im, found.after_im),
        ("MM", found.before_mm, found.after_mm),
    ):
        rows += [
            (
                f"Requirement {level}",
                tables.usd_up(before.requirement_e6),
                tables.usd_up(after.requirement_e6),
            ),
            (f"Excess {level}", tables.usd_down(before.excess_e6), tables.usd_down(after.excess_e6)),
            (f"Health {level}", tables.health(before.health_e6), tables.health(after.health_e6)),
        ]
    return tables.Table("Before and after (USD)", ("", ">Before", ">After"), rows)
