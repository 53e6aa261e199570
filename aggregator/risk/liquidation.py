"""Where an account is liquidated: the prices of one asset at which maintenance margin is no longer met, and the
frontier of two assets together.

The excess is not monotone in a price (a short straddle fails both ways), so the range is scanned for changes of sign
and each is narrowed by bisection, which always converges, until the bracket is a billionth of the price.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from aggregator.model.errors import InputError
from aggregator.model.policy import Level
from aggregator.model.units import RATE_SCALE
from aggregator.risk.desk import Desk

SCAN_E6: Final = tuple(round(RATE_SCALE * 10 ** (n / 16)) for n in range(-20, 21))
"""Multiples of the current price that are scanned: from 5.6 % to 1780 %, 41 of them, the price itself included."""
RESOLUTION: Final = 10**9


@dataclass(frozen=True, slots=True)
class LiquidationPrice:
    """`good_e12` is a price at which the account stands, `bad_e12` the nearest one known at which it does not."""

    name: str
    good_e12: int
    bad_e12: int

    @property
    def falling(self) -> bool:
        """Whether it is a fall of the price that liquidates."""
        return self.bad_e12 < self.good_e12


def _narrow(stands: Callable[[int], bool], good: int, bad: int, resolution: int) -> tuple[int, int]:
    while abs(good - bad) > max(1, max(good, bad) // resolution):
        middle = (good + bad) // 2
        if stands(middle):
            good = middle
        else:
            bad = middle
    return good, bad


def liquidation_prices(
    desk: Desk,
    name: str,
    others_e12: Mapping[str, int] | None = None,
    scan_e6: tuple[int, ...] = SCAN_E6,
    resolution: int = RESOLUTION,
) -> tuple[LiquidationPrice, ...]:
    """All prices of `name` between which and beyond which the account passes from standing to liquidation, ascending.

    others_e12: prices of other quotes held at these values; scan_e6: multiples of the current price to look at, in
    ascending order; resolution: the brackets end narrower than the price over this. Two crossings between neighbours
    of the scan are not seen; a finer scan finds them.
    Raises InputError for a price nobody quotes.
    """
    price = desk.price_e12(name)
    fixed = dict(others_e12 or {})

    def stands(at_e12: int) -> bool:
        policy = desk.policy_at({**fixed, name: at_e12})
        return desk.evaluate(policy, Level.MM).excess_e6 >= 0

    points = [price * multiple // RATE_SCALE for multiple in scan_e6]
    if any(b <= a for a, b in pairwise(points)):
        raise InputError("the multiples of a liquidation scan do not ascend; sort them")
    states = [stands(point) for point in points]
    found = []
    for n in range(len(points) - 1):
        if states[n] != states[n + 1]:
            near, far = (points[n], points[n + 1]) if states[n] else (points[n + 1], points[n])
            found.append(LiquidationPrice(name, *_narrow(stands, near, far, resolution)))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """At this price of the first asset, the liquidation prices of the second."""

    first_e12: int
    second: tuple[LiquidationPrice, ...]


def frontier(
    desk: Desk,
    first: str,
    second: str,
    multiples_e6: tuple[int, ...],
    scan_e6: tuple[int, ...] = SCAN_E6,
    resolution: int = RESOLUTION,
) -> tuple[FrontierPoint, ...]:
    """The joint frontier: for each multiple of the first asset's price, where the second liquidates."""
    if first == second:
        raise InputError(f"the frontier is asked for {first} against itself; name two prices")
    price = desk.price_e12(first)
    points = []
    for multiple in multiples_e6:
        at = price * multiple // RATE_SCALE
        points.append(FrontierPoint(at, liquidation_prices(desk, second, {first: at}, scan_e6, resolution)))
    return tuple(points)
