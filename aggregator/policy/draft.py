"""An instrument of a policy being built, before it has an id and a position limit."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from aggregator.fixed import mul_div_up
from aggregator.model.policy import Addon, InstrumentKind
from aggregator.model.units import PRICE_SCALE, RATE_SCALE, SCENARIOS
from aggregator.policy.rates import LevelRates
from aggregator.risk.market import Market
from aggregator.risk.scenarios import ClassShocks, Scenario

NO_RISK = (0,) * SCENARIOS


@dataclass(frozen=True, slots=True)
class Draft:
    """Fields as in `Instrument`; `limit_price_e12` is the price that position limits are counted at.

    `depegged`: its own market puts it below what it stands for, so its charges may exceed its mark for no fault of the
    spec.
    """

    symbol: str
    kind: InstrumentKind
    underlying: str
    class_id: int
    group_id: int
    mark_e12: int
    unit_e6: int
    risk_e12: tuple[int, ...]
    addon_im: Addon
    addon_mm: Addon
    limit_price_e12: int
    depegged: bool = False


@dataclass(frozen=True, slots=True)
class ClassContext:
    """A class of the policy, with its shocks, scenarios and scan factor.

    `markets` are at the price of collateral and at that of debts, None without a good price.
    """

    name: str
    class_id: int
    shocks: ClassShocks
    scenarios: tuple[Scenario, ...]
    scan_factor: LevelRates
    markets: tuple[Market, Market] | None


def to_e12(usd: float) -> int:
    """The one rounding from a model's float to an integer: nearest 1e-12 USD, ties to even."""
    return round(Fraction(usd) * PRICE_SCALE)


def to_risk_e12(row: NDArray[np.float64]) -> tuple[int, ...]:
    """A risk array rounded entry by entry like `to_e12`."""
    return tuple(to_e12(float(entry)) for entry in row)


def addon_of(price_e12: int, long: LevelRates, short: LevelRates) -> tuple[Addon, Addon]:
    """Add-ons at IM and MM as rates of a price, rounded up."""
    return (
        Addon(mul_div_up(price_e12, long.im_e6, RATE_SCALE), mul_div_up(price_e12, short.im_e6, RATE_SCALE)),
        Addon(mul_div_up(price_e12, long.mm_e6, RATE_SCALE), mul_div_up(price_e12, short.mm_e6, RATE_SCALE)),
    )
