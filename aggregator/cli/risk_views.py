"""The risk figures of an account as tables and as JSON: Greeks by class, beta, concentration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.cli import tables
from aggregator.cli.tables import Table
from aggregator.fixed import format_decimal, format_down

if TYPE_CHECKING:
    from rich.console import Console

    from aggregator.risk.exposure import Concentration, Exposure, RiskFigures


def _ratio(value_e6: int | None) -> str:
    return "unknown" if value_e6 is None else format_down(value_e6, 6, 3)


def _row(one: Exposure) -> tuple[str, ...]:
    return (
        one.name,
        *(tables.usd_down(v) for v in (one.delta_e6, one.gamma_e6, one.vega_e6, one.theta_e6)),
        *(_ratio(one.beta_e6), _ratio(one.days_e6)),
    )


def _shares(title: str, found: Concentration) -> Table:
    rows = [(name, format_down(share * 100, 6, 2) + " %") for name, share in found.shares_e6]
    rows.append(("Herfindahl index", format_decimal(found.herfindahl_e6, 6)))
    return Table(title, ("Part", ">Share"), rows, total=1)


def render_risk(console: Console, figures: RiskFigures) -> None:
    """All figures."""
    columns = (
        *("Class", ">Delta USD", ">Gamma per 1 %", ">Vega per point", ">Theta per day"),
        *(">Beta", ">Days to sell"),
    )
    console.print(
        Table("Exposure by risk class (USD)", columns, [_row(one) for one in figures.classes]).draw()
    )
    console.print(_shares("Concentration of collateral", figures.collateral).draw())
    console.print(_shares("Concentration of exposure", figures.exposure).draw())
    if figures.benchmark is not None:
        console.print(f"Beta of the account's equity to {figures.benchmark}: {_ratio(figures.beta_e6)}.")
    else:
        console.print("No beta: the policy's spec names no benchmark; give it a [risk] table.")


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)


def _concentration(found: Concentration) -> dict[str, object]:
    largest = found.shares_e6[0] if found.shares_e6 else None
    return {
        "herfindahlE6": str(found.herfindahl_e6),
        "largest": None if largest is None else largest[0],
        "largestShareE6": None if largest is None else str(largest[1]),
        "sharesE6": {name: str(share) for name, share in found.shares_e6},
    }


def risk_json(figures: RiskFigures) -> dict[str, object]:
    """All figures; amounts are decimal strings in 1e-6 USD."""
    return {
        "benchmark": figures.benchmark,
        "betaE6": _text(figures.beta_e6),
        "classes": [
            {
                "name": one.name,
                "deltaE6": str(one.delta_e6),
                "gammaPerPercentE6": str(one.gamma_e6),
                "vegaPerPointE6": str(one.vega_e6),
                "thetaPerDayE6": str(one.theta_e6),
                "betaE6": _text(one.beta_e6),
                "daysToLiquidateE6": _text(one.days_e6),
            }
            for one in figures.classes
        ],
        "collateral": _concentration(figures.collateral),
        "exposure": _concentration(figures.exposure),
    }
