"""`counterfoil liquidation cascade`: a shock, the liquidations it starts, and what these do to prices and to others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aggregator.cli import tables
from aggregator.cli.desks import desk_of, inputs_option, read_inputs, read_positions, require_alive
from aggregator.cli.documents import read_policy
from aggregator.cli.framework import Settings, pass_settings, settings_options
from aggregator.cli.moves import named_numbers, read_rules, read_text, rules_option
from aggregator.fixed import format_down
from aggregator.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from aggregator.liquidation.book_file import BookAccount
    from aggregator.liquidation.cascade import Cascade, Round
    from aggregator.liquidation.impact import Market
    from aggregator.model.policy import Policy
    from aggregator.risk.stress_file import NamedMoves

    Run = tuple[str, tuple[str, ...], Cascade]

YEARS = 1 / 365
"""The horizon of the volatility that impact is counted in: a day."""
MOST_ACCOUNTS_SHOWN = 40


@click.command()
@click.argument("book", required=False)
@click.option("--policy", "policy_name", required=True, help="The policy to value under: a file, id or name.")
@rules_option
@click.option(
    "--move",
    "moves",
    multiple=True,
    metavar="NAME=SHARE",
    help='The shock: a move of a price, such as ETH=-0.3 ("*" for every risk class); may be repeated.',
)
@click.option(
    "--scenarios",
    type=click.Path(path_type=Path),
    help="Shocks from a file instead (TOML, see configs/stress), one cascade each.",
)
@click.option("--rounds", default=100, metavar="N", help="Stop after so many rounds.  [default: 100]")
@click.option("--expired", is_flag=True, help="Allow a policy past its end; its prices are old.")
@inputs_option
@settings_options
@pass_settings
def cascade(
    settings: Settings,
    book: str | None,
    policy_name: str,
    rules_path: Path,
    moves: tuple[str, ...],
    scenarios: Path | None,
    rounds: int,
    expired: bool,
    inputs_path: Path | None,
) -> None:
    """Shock a market and let the liquidations of many accounts run their course.

    BOOK is a file of accounts (JSON, docs/liquidation.md); without it, every account of this home is taken with its
    newest snapshot. Whatever happens to them is an answer like any other, with exit code 0.
    """
    from aggregator.liquidation.cascade import cascade as run
    from aggregator.liquidation.drivers import drivers
    from aggregator.liquidation.impact import markets
    from aggregator.policy.spec import parse_spec

    rules = read_rules(rules_path)
    shocks = _shocks(moves, scenarios)
    policy = read_policy(settings, policy_name)
    require_alive(policy, expired=expired)
    accounts = _accounts(settings, book, policy)
    inputs = read_inputs(settings, policy, inputs_path)
    symbols = dict.fromkeys((symbol for one in accounts for symbol in one.positions), 1)
    desk = desk_of(inputs, symbols)
    estimates = parse_spec(inputs.spec_text, "the spec of these inputs").estimates
    found, unknown = markets(desk, drivers(desk, YEARS), rules.markets, estimates)
    positions = [one.positions for one in accounts]
    runs: list[Run] = []
    for shock in shocks:
        kept, left = shock.quoted(desk.prices, desk.rates)
        with settings.step(f"cascade {shock.name}"):
            runs.append((shock.name, left, run(desk, positions, rules, found, kept.moves, rounds)))

    def render(console: Console) -> None:
        for name, left, made in runs:
            _render(console, name, left, made, accounts)
        console.print(_markets(found).draw())
        if unknown:
            console.print(
                f"Nobody says how deep the market of {', '.join(unknown)} is; selling does not move it."
            )

    settings.show(
        {
            "rules": rules.name,
            "accounts": len(accounts),
            "markets": [{"price": one.price, "from": one.source} for one in found],
            "withoutDepth": list(unknown),
            "shocks": [_json(name, left, made, accounts) for name, left, made in runs],
        },
        render,
    )


def _shocks(moves: tuple[str, ...], scenarios: Path | None) -> tuple[NamedMoves, ...]:
    from aggregator.risk.desk import Moves
    from aggregator.risk.stress_file import NamedMoves, parse_stress

    if bool(moves) == (scenarios is not None):
        raise InputError("a cascade starts with --move or with --scenarios; give one of the two")
    if scenarios is not None:
        return parse_stress(read_text(scenarios, "the scenarios"), str(scenarios))
    shares = named_numbers(moves, "--move", "ETH=-0.3")
    return (NamedMoves(", ".join(moves), Moves(shares)),)


def _accounts(settings: Settings, book: str | None, policy: Policy) -> Sequence[BookAccount]:
    """The accounts of a file, or all of the home; raises IncompleteSnapshotError for one that lacks something."""
    from aggregator.liquidation.book_file import BookAccount, parse_book
    from aggregator.store import read_whole

    if book is not None:
        return parse_book(read_whole(Path(book), "the book"))
    with settings.home.store() as store:
        names = sorted({entry.label for entry in store.snapshots()})
    if not names:
        raise InputError("no account of this home has a snapshot; take one, or name a file of accounts")
    return [BookAccount(name, read_positions(settings, name, policy)) for name in names]


def _render(
    console: Console, name: str, left: tuple[str, ...], made: Cascade, accounts: Sequence[BookAccount]
) -> None:
    console.print(_prices(name, made).draw())
    if left:
        console.print(f"The policy does not quote {', '.join(left)}; left as is.")
    if not made.rounds:
        console.print("Nobody is below maintenance margin after the shock.")
        return
    console.print(_rounds(made.rounds).draw())
    console.print(_liquidated(made, accounts).draw())
    if len(made.liquidated) > MOST_ACCOUNTS_SHOWN:
        console.print(f"{len(made.liquidated) - MOST_ACCOUNTS_SHOWN} more are in the answer of --json.")
    fund = f"The fund has {tables.usd_down(made.fund_after_e6)} of {tables.usd_down(made.fund_before_e6)} USD"
    unpaid = sum(one.unpaid_e6 for one in made.rounds)
    shared = sum(made.shared_e6.values())
    console.print(
        f"{len(made.liquidated)} of {len(accounts)} accounts are liquidated, {len(made.contagion)} of them because of "
        f"the others; {len(made.insolvent)} owe more than they have. {fund}; others share {tables.usd_up(shared)} USD, "
        f"nobody pays {tables.usd_up(unpaid)} USD."
    )
    if not made.settled:
        console.print("It did not come to rest: some accounts are still below maintenance margin.")


def _amplified(value_e6: int | None) -> str:
    return "" if value_e6 is None else f"{format_down(value_e6, 6, 3)} x"


def _prices(name: str, made: Cascade) -> tables.Table:
    rows = [
        (
            price,
            tables.price(made.start_e12[price]),
            tables.price(made.shocked_e12[price]),
            tables.price(made.final_e12[price]),
            _amplified(made.amplification_e6(price)),
        )
        for price in sorted(made.start_e12)
    ]
    columns = ("Price", ">Before USD", ">After the shock", ">At the end", ">Of the shock")
    return tables.Table(f"Cascade: {name}", columns, rows)


def _rounds(rounds: Sequence[Round]) -> tables.Table:
    rows = [
        (
            str(n),
            str(len(one.below)),
            str(len(one.wound_down)),
            tables.value_up(one.value_e20),
            tables.usd_up(one.penalty_e6),
            tables.usd_up(one.deficit_e6),
            tables.usd_up(one.fund_paid_e6),
            tables.usd_up(one.shared_e6),
        )
        for n, one in enumerate(rounds, start=1)
    ]
    columns = (
        *(">Round", ">Below", ">Wound down", ">Closed", ">Penalties"),
        *(">Deficits", ">Paid by the fund", ">Shared"),
    )
    return tables.Table("Rounds (USD)", columns, rows)


def _liquidated(made: Cascade, accounts: Sequence[BookAccount]) -> tables.Table:
    rows = [
        (
            accounts[n].name,
            "others" if n in made.contagion else "the shock",
            tables.value_down(made.equity_before_e20[n]),
            tables.value_down(made.equity_after_e20[n]),
            tables.value_up(made.closed_e20.get(n, 0)),
            "insolvent" if n in made.insolvent else "",
        )
        for n in made.liquidated[:MOST_ACCOUNTS_SHOWN]
    ]
    columns = ("Account", "Because of", ">Equity before", ">Equity after", ">Closed", "")
    return tables.Table("Liquidated (USD)", columns, rows)


def _markets(found: Sequence[Market]) -> tables.Table:
    rows = [(one.price, f"{one.daily_volatility * 100:.2f} %", one.source) for one in found]
    return tables.Table("Markets", ("Price", ">Volatility a day", "Depth from"), rows)


def _json(
    name: str, left: tuple[str, ...], made: Cascade, accounts: Sequence[BookAccount]
) -> dict[str, object]:
    amplified = {price: made.amplification_e6(price) for price in sorted(made.start_e12)}
    return {
        "name": name,
        "notQuoted": list(left),
        "settled": made.settled,
        "prices": [
            {
                "name": price,
                "startE12": str(made.start_e12[price]),
                "shockedE12": str(made.shocked_e12[price]),
                "finalE12": str(made.final_e12[price]),
                "amplificationE6": None if value is None else str(value),
            }
            for price, value in amplified.items()
        ],
        "closedE20": str(made.value_e20),
        "fundBeforeE6": str(made.fund_before_e6),
        "fundAfterE6": str(made.fund_after_e6),
        "sharedE6": str(sum(made.shared_e6.values())),
        "unpaidE6": str(sum(one.unpaid_e6 for one in made.rounds)),
        "rounds": [
            {
                "below": [accounts[n].name for n in one.below],
                "woundDown": [accounts[n].name for n in one.wound_down],
                "insolvent": [accounts[n].name for n in one.insolvent],
                "closedE20": str(one.value_e20),
                "penaltyE6": str(one.penalty_e6),
                "deficitE6": str(one.deficit_e6),
                "fundPaidE6": str(one.fund_paid_e6),
                "sharedE6": str(one.shared_e6),
                "unpaidE6": str(one.unpaid_e6),
                "soldUnits": {price: f"{units:.8f}" for price, units in one.sold.items()},
            }
            for one in made.rounds
        ],
        "liquidated": [
            {
                "name": accounts[n].name,
                "contagion": n in made.contagion,
                "insolvent": n in made.insolvent,
                "equityBeforeE20": str(made.equity_before_e20[n]),
                "equityShockedE20": str(made.equity_shocked_e20[n]),
                "equityAfterE20": str(made.equity_after_e20[n]),
                "closedE20": str(made.closed_e20.get(n, 0)),
            }
            for n in made.liquidated
        ],
        "lossesE6": {accounts[n].name: str(amount) for n, amount in made.shared_e6.items()},
    }
