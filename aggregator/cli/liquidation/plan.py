"""`counterfoil liquidation plan`: what would be closed, at what penalty, and health before and after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aggregator.cli import tables
from aggregator.cli.desks import desk_of, inputs_option, read_inputs
from aggregator.cli.framework import Settings, pass_settings, settings_options
from aggregator.cli.moves import named_numbers, read_rules, read_text, rules_option, usd_e6
from aggregator.cli.report_views import level_json
from aggregator.cli.subject import read_subject
from aggregator.fixed import format_up

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from aggregator.liquidation.auction import AuctionResult, Bid
    from aggregator.liquidation.outcome import Outcome
    from aggregator.liquidation.rules import Rules
    from aggregator.liquidation.steps import Closing
    from aggregator.margin.native import Evaluation
    from aggregator.model.policy import Policy


@click.command()
@click.argument("snapshot")
@click.option("--policy", "policy_name", required=True, help="The policy to value under: a file, id or name.")
@rules_option
@click.option(
    "--move",
    "moves",
    multiple=True,
    metavar="NAME=SHARE",
    help='Move a price first, such as ETH=-0.3 ("*" for every risk class); may be repeated.',
)
@click.option("--fund", metavar="USD", help="What the insurance fund holds.  [default: as the rules say]")
@click.option(
    "--bids",
    "bids_path",
    type=click.Path(path_type=Path),
    help="Also auction what is sold, to the bids in this file (TOML).",
)
@click.option("--expired", is_flag=True, help="Allow a policy past its end; its prices are old.")
@inputs_option
@settings_options
@pass_settings
def plan(
    settings: Settings,
    snapshot: str,
    policy_name: str,
    rules_path: Path,
    moves: tuple[str, ...],
    fund: str | None,
    bids_path: Path | None,
    expired: bool,
    inputs_path: Path | None,
) -> None:
    """Show what a liquidation of an account would close, for whom, and what is left.

    SNAPSHOT is a file, an id in the store, or an account's name for its newest one. Nothing is sent. An account that
    stands is an answer like any other, with exit code 0; --move shows what a fall would do to it
    (docs/liquidation.md).
    """
    from aggregator.liquidation.auction import parse_bids
    from aggregator.liquidation.outcome import settle
    from aggregator.margin.native import positions_by_id

    rules = read_rules(rules_path)
    shares = named_numbers(moves, "--move", "ETH=-0.3")
    bids = parse_bids(read_text(bids_path, "the bids"), str(bids_path)) if bids_path is not None else None
    subject = read_subject(settings, snapshot, policy_name, expired=expired)
    policy, positions = subject.policy, subject.positions()
    if shares:
        policy = _moved(settings, policy, positions, shares, inputs_path)
    held = rules.fund_e6 if fund is None else usd_e6(fund, "--fund")
    found = settle(policy, positions_by_id(policy, positions), rules, held)
    auctions = _auctions(policy, found, rules, bids) if bids is not None else ()

    def render(console: Console) -> None:
        made = found.liquidation
        if made.closings:
            console.print(_closings(made.closings).draw())
        console.print(_before_after(made.before, made.after).draw())
        for one in auctions:
            console.print(_auction(one).draw())
        console.print(_sentence(found))

    subject.show(settings, _json(rules, shares, found, auctions), render)


def _moved(
    settings: Settings,
    policy: Policy,
    positions: Mapping[str, int],
    shares: Mapping[str, int],
    inputs_path: Path | None,
) -> Policy:
    from aggregator.risk.desk import Moves

    desk = desk_of(read_inputs(settings, policy, inputs_path), positions)
    return desk.policy(Moves(shares))


def _auctions(policy: Policy, found: Outcome, rules: Rules, bids: Sequence[Bid]) -> tuple[AuctionResult, ...]:
    """An auction of everything of value that is sold."""
    from aggregator.liquidation.auction import Lot, auction

    return tuple(
        auction(Lot(one.symbol, one.quantity_e8, policy.by_symbol[one.symbol].mark_e12), rules.auction, bids)
        for one in found.liquidation.closings
        if one.value_e20 > 0
    )


def _closings(closings: Sequence[Closing]) -> tables.Table:
    rows: list[tuple[str, ...]] = [
        (
            one.symbol,
            tables.quantity(one.quantity_e8),
            tables.value_down(one.value_e20),
            tables.usd_up(one.penalty_e6),
            tables.usd_up(one.liquidator_e6),
            tables.usd_up(one.fund_e6),
        )
        for one in closings
    ]
    gross = sum(abs(one.value_e20) for one in closings)
    total = [
        sum(v) for v in zip(*((c.penalty_e6, c.liquidator_e6, c.fund_e6) for c in closings), strict=True)
    ]
    rows.append(("All, gross", "", tables.value_down(gross), *(tables.usd_up(amount) for amount in total)))
    columns = ("Closed", ">Quantity", ">Value at mark", ">Penalty", ">To the liquidator", ">To the fund")
    return tables.Table("What is closed (USD)", columns, rows, total=1)


def _before_after(before: Evaluation, after: Evaluation) -> tables.Table:
    rows = [
        ("Equity", *(tables.value_down(one.equity_e20) for one in (before, after))),
        ("Requirement MM", *(tables.usd_up(one.requirement_e6) for one in (before, after))),
        ("Excess MM", *(tables.usd_down(one.excess_e6) for one in (before, after))),
        ("Health MM", *(tables.health(one.health_e6) for one in (before, after))),
    ]
    return tables.Table("Before and after (USD)", ("", ">Before", ">After"), rows)


def _auction(found: AuctionResult) -> tables.Table:
    rows = [
        (
            str(one.step + 1),
            one.bidder,
            tables.quantity(one.quantity_e8),
            tables.rate(one.price_e6),
            tables.usd_down(one.paid_e6),
        )
        for one in found.fills
    ]
    rows.append(("", "Unsold", tables.quantity(found.unsold_e8), "", ""))
    rows.append(("", "Given up against the mark", "", "", tables.value_up(found.discount_e20)))
    columns = (">Step", "Bidder", ">Quantity", ">Of the mark", ">Paid USD")
    return tables.Table(f"Auction of {found.lot.symbol}", columns, rows, total=2)


def _sentence(found: Outcome) -> str:
    from aggregator.liquidation.steps import State

    made = found.liquidation
    penalty = format_up(made.penalty_rate_e6, 4, 2)
    closed = f"{tables.value_down(made.value_e20)} USD are closed at a penalty of {penalty} %"
    match made.state:
        case State.STANDS:
            return "The account is above maintenance margin: nothing is closed."
        case State.RESTORED:
            return f"{closed}, and health is back at the target."
        case State.CAPPED:
            share = format_up(made.close_factor_e6, 4, 2)
            return (
                f"{closed}: the {share} % that one liquidation may close. Health is still below the target."
            )
        case State.STUCK:
            return f"{closed}. The account stands, and no closing brings it nearer to the target."
    text = "Nothing but winding the account down helps: everything that has a price is closed."
    if not found.deficit_e6:
        return text
    owed, paid, left = (
        tables.usd_up(amount) for amount in (found.deficit_e6, found.cover.paid_e6, found.cover.uncovered_e6)
    )
    return f"{text} It owes {owed} USD more than it has: the fund pays {paid}, others {left}."


def _closing(one: Closing) -> dict[str, str]:
    return {
        "symbol": one.symbol,
        "quantityE8": str(one.quantity_e8),
        "valueE20": str(one.value_e20),
        "penaltyE6": str(one.penalty_e6),
        "liquidatorE6": str(one.liquidator_e6),
        "fundE6": str(one.fund_e6),
        "dustE20": str(one.dust_e20),
    }


def _health(health_e6: int | None) -> str | None:
    return None if health_e6 is None else str(health_e6)


def _json(
    rules: Rules, shares: Mapping[str, int], found: Outcome, auctions: Sequence[AuctionResult]
) -> dict[str, object]:
    made = found.liquidation
    return {
        "rules": rules.name,
        "movesE6": {name: str(share) for name, share in shares.items()},
        "state": made.state.value,
        "penaltyRateE6": str(made.penalty_rate_e6),
        "closeFactorE6": str(made.close_factor_e6),
        "before": level_json(made.before),
        "after": level_json(made.after),
        "valueE20": str(made.value_e20),
        "penaltyE6": str(made.penalty_e6),
        "closings": [_closing(one) for one in made.closings],
        "steps": [
            {
                "closings": [_closing(one) for one in step.closings],
                "healthBeforeE6": _health(step.health_before_e6),
                "healthAfterE6": _health(step.health_after_e6),
            }
            for step in made.steps
        ],
        "deficitE6": str(found.deficit_e6),
        "fundPaidE6": str(found.cover.paid_e6),
        "fundAfterE6": str(found.cover.fund_e6),
        "uncoveredE6": str(found.cover.uncovered_e6),
        "auctions": [
            {
                "symbol": one.lot.symbol,
                "quantityE8": str(one.lot.quantity_e8),
                "unsoldE8": str(one.unsold_e8),
                "proceedsE6": str(one.proceeds_e6),
                "discountE20": str(one.discount_e20),
                "fills": [
                    {
                        "bidder": fill.bidder,
                        "step": fill.step,
                        "priceE6": str(fill.price_e6),
                        "quantityE8": str(fill.quantity_e8),
                        "paidE6": str(fill.paid_e6),
                    }
                    for fill in one.fills
                ],
            }
            for one in auctions
        ],
    }
