"""What selling or buying a size at once costs: from a depth profile, or from the square-root law of impact.

Costs are average fractions of the mark over the whole size; size x cost is convex in both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

from aggregator.model.errors import PolicyError


class Depth(Protocol):
    """A market's depth."""

    def cost(self, quantity: float, daily_volatility: float) -> float:
        """Average fraction of the mark lost on `quantity` >= 0 units."""
        ...


@dataclass(frozen=True, slots=True)
class SquareRootImpact:
    """cost = factor x daily volatility x sqrt(quantity / units traded a day).

    Source: B. Toth et al., "Anomalous price impact and the critical nature of liquidity in financial markets",
    Physical Review X 1 (2011), equation 1: the exponent is near one half and the factor of order one.
    """

    factor: float
    daily_volume: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.factor) and self.factor >= 0):
            raise PolicyError(
                f"the impact factor is {self.factor}; use a number of order one, not below zero"
            )
        if not (math.isfinite(self.daily_volume) and self.daily_volume > 0):
            raise PolicyError(f"the daily volume is {self.daily_volume}; give units a day above zero")

    def cost(self, quantity: float, daily_volatility: float) -> float:
        """As stated above."""
        return self.factor * daily_volatility * math.sqrt(quantity / self.daily_volume)


@dataclass(frozen=True, slots=True)
class DepthLevel:
    """`quantity` more units are taken at `slippage` (a fraction) from the mark."""

    quantity: float
    slippage: float


@dataclass(frozen=True, slots=True)
class DepthProfile:
    """Levels from the mark outwards; what lies beyond them is lost whole (slippage 1).

    Raises PolicyError for no level, a quantity at or below zero, or slippages outside 0..1 or not ascending.
    """

    levels: tuple[DepthLevel, ...]

    def __post_init__(self) -> None:
        if not self.levels:
            raise PolicyError("a depth profile has no levels; give at least one")
        for n, level in enumerate(self.levels):
            if not (math.isfinite(level.quantity) and level.quantity > 0 and 0 <= level.slippage <= 1):
                raise PolicyError(
                    f"depth[{n}] has the quantity {level.quantity} and slippage {level.slippage}; use a quantity "
                    "above zero and a fraction"
                )
        for n, (near, far) in enumerate(pairwise(self.levels)):
            if far.slippage < near.slippage:
                raise PolicyError(f"depth[{n + 1}] has less slippage than the level before; sort the levels")

    def cost(self, quantity: float, daily_volatility: float) -> float:
        """Average slippage of taking the levels in turn; the volatility has no part in it."""
        left, lost = quantity, 0.0
        for level in self.levels:
            taken = min(left, level.quantity)
            lost += taken * level.slippage
            left -= taken
        return (lost + left) / quantity if quantity > 0 else self.levels[0].slippage


def days_to_liquidate(quantity: float, daily_volume: float, participation: float) -> float:
    """Days that selling takes at a share of what is traded a day; PolicyError for a share outside 0..1."""
    if not 0 < participation <= 1 or not daily_volume > 0:
        raise PolicyError(
            f"liquidation at {participation:g} of {daily_volume:g} units a day never ends; use a share above 0 "
            "and at most 1"
        )
    return abs(quantity) / (participation * daily_volume)


def marginal_costs(
    depth: Depth, market_cost: float, daily_volatility: float, ends: Sequence[float]
) -> list[float]:
    """The rate on each part of a size between neighbouring `ends` (from 0): the charge is never below the model's.

    The model charges size x (market_cost + depth's cost). It is convex, so the chord of each part lies on or above it.
    """
    charges = [0.0] + [end * (market_cost + depth.cost(end, daily_volatility)) for end in ends]
    starts = [0.0, *ends]
    return [(charges[n + 1] - charges[n]) / (starts[n + 1] - starts[n]) for n in range(len(ends))]
