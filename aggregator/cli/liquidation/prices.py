"""`counterfoil liquidation prices`: the prices at which an account passes into liquidation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from aggregator.cli import tables
from aggregator.cli.desks import inputs_option
from aggregator.cli.framework import Settings, pass_settings, settings_options
from aggregator.cli.subject import read_subject
from aggregator.model.errors import InputError
from aggregator.model.units import RATE_SCALE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from aggregator.risk.desk import Desk
    from aggregator.risk.liquidation import FrontierPoint, LiquidationPrice

FRONTIER_E6: Final = tuple(RATE_SCALE * n // 20 for n in (8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28))
"""Multiples of the first price on a frontier: 40 % to 140 %."""
FRONTIER_SCAN_E6: Final = tuple(round(RATE_SCALE * 10 ** (n / 8)) for n in range(-10, 11))
FRONTIER_RESOLUTION: Final = 10**6
"""A frontier looks at half as many prices as a single search, and is drawn to a millionth of a price."""


@click.command()
@click.argument("snapshot")
@click.option("--policy", "policy_name", required=True, help="The policy to value under: a file, id or name.")
@click.option(
    "--price",
    "names",
    multiple=True,
    metavar="NAME",
    help="A price to move; may be repeated.  [default: all that the account depends on]",
)
@click.option(
    "--frontier", metavar="A,B", help="Also where the price B liquidates at prices of A from 40 % to 140 %."
)
@click.option("--expired", is_flag=True, help="Allow a policy past its end; its prices are old.")
@inputs_option
@settings_options
@pass_settings
def prices(
    settings: Settings,
    snapshot: str,
    policy_name: str,
    names: tuple[str, ...],
    frontier: str | None,
    expired: bool,
    inputs_path: Path | None,
) -> None:
    """Find the prices that put an account below maintenance margin.

    SNAPSHOT is a file, an id in the store, or an account's name for its newest one. Each price moves alone, the others
    hold still. Prices are looked for between 5.6 % and 1780 % of the present one.
    """
    from aggregator.model.policy import Level
    from aggregator.risk.liquidation import frontier as joint
    from aggregator.risk.liquidation import liquidation_prices

    pair = tuple(part.strip() for part in frontier.split(",")) if frontier is not None else ()
    if frontier is not None and len(pair) != 2:
        raise InputError(f"the frontier {frontier!r} does not name two prices; write it like ETH,BTC")
    subject = read_subject(settings, snapshot, policy_name, expired=expired)
    desk = subject.desk(settings, inputs_path)
    for name in (*names, *pair):
        desk.price_e12(name)
    now = desk.evaluate(desk.policy(), Level.MM)
    asked = names or _moving(desk)
    found = {name: liquidation_prices(desk, name) for name in asked}
    points = joint(desk, pair[0], pair[1], FRONTIER_E6, FRONTIER_SCAN_E6, FRONTIER_RESOLUTION) if pair else ()

    def render(console: Console) -> None:
        console.print(_prices(desk, found).draw())
        if pair:
            console.print(_frontier(desk, pair[0], pair[1], points).draw())
        standing = "stands" if now.excess_e6 >= 0 else "is below maintenance margin"
        console.print(
            f"At the present prices the account {standing}, excess {tables.usd_down(now.excess_e6)} USD."
        )

    subject.show(
        settings,
        {
            "excessE6": str(now.excess_e6),
            "prices": [
                {
                    "name": name,
                    "nowE12": str(desk.price_e12(name)),
                    "liquidation": [_json(price) for price in prices],
                }
                for name, prices in found.items()
            ],
            "frontier": None
            if not pair
            else {
                "first": pair[0],
                "second": pair[1],
                "points": [
                    {"firstE12": str(p.first_e12), "liquidation": [_json(price) for price in p.second]}
                    for p in points
                ],
            },
        },
        render,
    )


def _moving(desk: Desk) -> tuple[str, ...]:
    """The prices that change the account's equity or requirement."""
    from aggregator.model.policy import Level

    def state(prices: dict[str, int]) -> tuple[int, int]:
        found = desk.evaluate(desk.policy_at(prices), Level.MM)
        return found.equity_e20, found.requirement_e6

    still = state({})
    return tuple(
        name for name in sorted(desk.prices) if state({name: desk.price_e12(name) * 101 // 100 + 1}) != still
    )


def _json(price: LiquidationPrice) -> dict[str, object]:
    return {
        "standsE12": str(price.good_e12),
        "liquidatesE12": str(price.bad_e12),
        "by": "fall" if price.falling else "rise",
    }


def _distance(price: LiquidationPrice, now_e12: int) -> str:
    """The move from the present price in per cent, rounded towards it: never further than it is."""
    move = (abs(price.bad_e12 - now_e12) * 10_000) // now_e12
    sign = "-" if price.bad_e12 < now_e12 else "+"
    return f"{sign}{move // 100}.{move % 100:02d} %"


def _prices(desk: Desk, found: dict[str, tuple[LiquidationPrice, ...]]) -> tables.Table:
    from aggregator.risk.liquidation import SCAN_E6

    rows = []
    for name, prices in found.items():
        now = desk.price_e12(name)
        if not prices:
            low, high = (tables.price(now * end // RATE_SCALE) for end in (SCAN_E6[0], SCAN_E6[-1]))
            rows.append((name, tables.price(now), f"none from {low} to {high}", "", ""))
        for price in prices:
            way = "fall" if price.falling else "rise"
            rows.append((name, tables.price(now), tables.price(price.bad_e12), _distance(price, now), way))
    columns = ("Price", ">Now USD", ">Liquidates at USD", ">Move", "Fall or rise")
    return tables.Table("Liquidation prices", columns, rows)


def _frontier(desk: Desk, first: str, second: str, points: Sequence[FrontierPoint]) -> tables.Table:
    now = desk.price_e12(first)
    rows = [
        (
            tables.price(point.first_e12),
            f"{point.first_e12 * 100 // now} %",
            ", ".join(
                f"{tables.price(p.bad_e12)} by a {'fall' if p.falling else 'rise'}" for p in point.second
            )
            or "none",
        )
        for point in points
    ]
    return tables.Table("Joint frontier", (f">{first} USD", ">Of now", f"{second} liquidates at USD"), rows)
