"""`counterfoil liquidation odds`: how probable a breach of maintenance margin is, with the error of the estimate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from aggregator.cli import tables
from aggregator.cli.desks import inputs_option
from aggregator.cli.framework import Settings, pass_settings, settings_options
from aggregator.cli.moves import named_numbers, seconds
from aggregator.cli.subject import read_subject
from aggregator.fixed import format_up, parse_decimal
from aggregator.model.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from aggregator.liquidation.drivers import Driver
    from aggregator.liquidation.odds import Estimate, Odds
    from aggregator.liquidation.until import TimeLeft

YEAR_S: Final = 365 * 86_400
DRIFTS: Final = ("-0.05", "0.05")


@click.command()
@click.argument("snapshot")
@click.option("--policy", "policy_name", required=True, help="The policy to value under: a file, id or name.")
@click.option("--horizon", default="24h", metavar="TIME", help="Like 90m, 24h or 7d.  [default: 24h]")
@click.option(
    "--volatility",
    "volatilities",
    multiple=True,
    metavar="NAME=RATE",
    help="Annual volatility of a price, such as BTC=0.5; may be repeated.  [default: the policy's]",
)
@click.option(
    "--drift",
    "drifts",
    multiple=True,
    metavar="SHARE",
    help="Also how long the account stands at this steady move a day; may be repeated.  [default: -0.05 and 0.05]",
)
@click.option(
    "--paths", default=20_000, metavar="N", help="Simulated paths, an even number.  [default: 20000]"
)
@click.option("--steps", default=64, metavar="N", help="Steps of a path.  [default: 64]")
@click.option("--seed", default=0, metavar="N", help="The same seed gives the same answer.  [default: 0]")
@click.option("--expired", is_flag=True, help="Allow a policy past its end; its prices are old.")
@inputs_option
@settings_options
@pass_settings
def odds(
    settings: Settings,
    snapshot: str,
    policy_name: str,
    horizon: str,
    volatilities: tuple[str, ...],
    drifts: tuple[str, ...],
    paths: int,
    steps: int,
    seed: int,
    expired: bool,
    inputs_path: Path | None,
) -> None:
    """Estimate how probable it is that an account falls below maintenance margin.

    SNAPSHOT is a file, an id in the store, or an account's name for its newest one. The market is simulated with the
    policy's volatilities and correlations, so the answer is an estimate under that model, with its standard error
    (docs/liquidation.md). Nothing is known of jumps, or of what the account does meanwhile.
    """
    from aggregator.liquidation.drivers import correlations, drivers
    from aggregator.liquidation.excess_table import mismatch, relevant, tabulate
    from aggregator.liquidation.odds import breach_odds
    from aggregator.liquidation.until import time_left
    from aggregator.model.units import RATE_SCALE

    span = seconds(horizon, "--horizon")
    given = {n: v / RATE_SCALE for n, v in named_numbers(volatilities, "--volatility", "BTC=0.5").items()}
    ways = [parse_decimal(text, 6) for text in drifts or DRIFTS]
    if paths < 1 or paths % 2 or seed < 0:
        raise InputError(
            f"{paths} paths or the seed {seed} are out of range; use an even number and at least 0"
        )
    subject = read_subject(settings, snapshot, policy_name, expired=expired)
    desk = subject.desk(settings, inputs_path)
    years = span / YEAR_S
    every = drivers(desk, years, given)
    spread = {one.price: one.volatility * math.sqrt(years) for one in every}
    found = relevant(desk, every, spread)
    if not found:
        raise InputError(
            "no price of a risk class moves this account, so nothing can put it below; there are no odds"
        )
    with settings.step(f"simulating {paths} paths"):
        table = tabulate(desk, found, spread)
        rho = correlations(desk, found)
        made = breach_odds(table, found, rho, years, pairs=paths // 2, steps=steps, seed=seed)
        off = math.ceil(mismatch(table, desk, found, spread) * RATE_SCALE)
        left = [time_left(desk, found, way) for way in ways]

    def render(console: Console) -> None:
        console.print(_estimates(made, horizon).draw())
        console.print(_by_time(made).draw())
        console.print(_drivers(found).draw())
        console.print(_left(left).draw())
        most = format_up(made.breach_at_most_e6, 4, 2)
        console.print(f"With 95 % confidence the first is at most {most} %, if the model holds.")
        console.print(
            f"Estimated from {2 * made.pairs:,} paths of {made.steps} steps under the policy's volatilities; "
            f"the excess is tabulated to within {tables.usd_up(off)} USD of the exact engine where compared."
        )

    subject.show(settings, _json(made, found, left, span, seed, off), render)


def _percent(one: Estimate) -> tuple[str, str]:
    return f"{format_up(one.value_e6, 4, 2)} %", f"{format_up(one.error_e6, 4, 2)} %"


def _estimates(made: Odds, horizon: str) -> tables.Table:
    shortfall = made.shortfall
    rows = [
        (f"Below maintenance at any time within {horizon}", *_percent(made.breach)),
        (f"Below maintenance at the end of {horizon}", *_percent(made.end)),
        (
            "Excess at the end, mean of the worst 1 % (USD)",
            tables.usd_down(shortfall.value_e6),
            tables.usd_up(shortfall.error_e6),
        ),
    ]
    return tables.Table("Estimates", ("", ">Estimate", ">Standard error"), rows)


def _duration(seconds_: int | None) -> str:
    if seconds_ is None:
        return "never"
    if seconds_ >= 2 * 86_400:
        return f"{seconds_ * 10 // 86_400 / 10:.1f} days"
    return f"{seconds_ // 3_600} h {seconds_ % 3_600 // 60:02d} min"


def _by_time(made: Odds) -> tables.Table:
    rows = [(_duration(at), f"{format_up(share, 4, 2)} %") for at, share in made.by_time]
    rows.append(("Half of the breaches by", _duration(made.half_time_s)))
    return tables.Table("Below maintenance by", ("Time", ">Probability"), rows, total=1)


def _drivers(found: Sequence[Driver]) -> tables.Table:
    rows = [(one.price, f"{one.volatility * 100:.1f} %", one.source) for one in found]
    return tables.Table("What moves", ("Price", ">Volatility a year", "From"), rows)


def _left(left: Sequence[TimeLeft]) -> tables.Table:
    rows = [
        (
            f"{format_up(one.drift_e6, 4, 2)} %",
            _duration(one.seconds) if one.seconds is not None else f"more than {_duration(one.looked_s)}",
        )
        for one in left
    ]
    return tables.Table("Time left at a steady move", (">Move a day", ">Stands for"), rows)


def _estimate(one: Estimate) -> dict[str, str]:
    return {"valueE6": str(one.value_e6), "standardErrorE6": str(one.error_e6)}


def _json(
    made: Odds, found: Sequence[Driver], left: Sequence[TimeLeft], span: int, seed: int, off_e6: int
) -> dict[str, object]:
    return {
        "horizonS": span,
        "exact": False,
        "paths": 2 * made.pairs,
        "steps": made.steps,
        "seed": seed,
        "tableErrorE6": str(off_e6),
        "breach": _estimate(made.breach),
        "breachAtMostE6": str(made.breach_at_most_e6),
        "belowAtEnd": _estimate(made.end),
        "shortfallUsd": _estimate(made.shortfall),
        "byTime": [{"seconds": at, "probabilityE6": str(share)} for at, share in made.by_time],
        "halfTimeS": made.half_time_s,
        "prices": [
            {"name": one.price, "volatility": f"{one.volatility:.6f}", "from": one.source} for one in found
        ],
        "timeLeft": [
            {"driftE6": str(one.drift_e6), "seconds": one.seconds, "lookedS": one.looked_s} for one in left
        ],
    }
