"""The state of one class's market and how a scenario moves it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aggregator.model.errors import PolicyError
from aggregator.pricing import black76
from aggregator.pricing.black76 import Floats
from aggregator.pricing.forward import ForwardCurve
from aggregator.pricing.surface import Surface
from aggregator.risk.scenarios import ClassShocks, Scenario

REFERENCE_YEARS: Final = 30 / 365
"""The expiry whose volatility moves by exactly the class's volatility shock."""
TERM_FACTORS: Final = (0.5, 2.0)
"""Near expiries move more and far ones less, like sqrt(30 days / expiry), within these bounds."""
SKEW_DEVIATIONS: Final = 3.0
"""The skew shock grows with the distance from the forward up to this many standard deviations."""
VOLATILITY_FLOOR: Final = 0.01
"""No scenario takes a volatility below 1 % a year."""


@dataclass(frozen=True, slots=True)
class Market:
    """What the instruments of one class are priced from; `surface` is None for a class without options."""

    name: str
    curve: ForwardCurve
    surface: Surface | None
    shocks: ClassShocks

    def volatility(self, strike: Floats, years: float) -> Floats:
        """Annual volatility at a strike before any shock. Raises PolicyError for a class without a surface."""
        if self.surface is None:
            raise PolicyError(f"class {self.name} has options but no volatility surface; add its `vol` table")
        return self.surface.volatility(np.log(strike / self.curve.forward(years)), years)

    def shocked_volatilities(self, strikes: Floats, years: float, scenarios: Sequence[Scenario]) -> Floats:
        """Volatility at each of (n,) strikes under each scenario, sticky in the strike; shape (n, scenarios).

        The level moves by a relative shock scaled by sqrt(30 days / expiry); the skew by volatility points per
        standard deviation of log-moneyness, up for low strikes and down for high ones.
        """
        base = self.volatility(strikes, years)
        forward = self.curve.forward(years)
        at_the_money = float(self.volatility(np.asarray(forward), years))
        term = float(np.clip(np.sqrt(REFERENCE_YEARS / years), *TERM_FACTORS))
        level = np.array([max(1 + s.volatility * self.shocks.volatility * term, 0.0) for s in scenarios])
        skew = np.array([s.skew for s in scenarios])
        deviations = np.log(strikes / forward) / (at_the_money * np.sqrt(years))
        bounded = -np.clip(deviations, -SKEW_DEVIATIONS, SKEW_DEVIATIONS)
        tilt = bounded[:, None] * skew * self.shocks.skew
        return np.asarray(np.maximum(base[:, None] * level + tilt, VOLATILITY_FLOOR), dtype=np.float64)

    def spot_move(self, scenario: Scenario) -> float:
        """Change of the spot price in USD."""
        return self.curve.spot * scenario.spot * self.shocks.scan_range

    def shocked_curve(self, scenario: Scenario) -> ForwardCurve:
        """The forward curve under a scenario."""
        return self.curve.shocked(scenario.spot * self.shocks.scan_range, scenario.basis * self.shocks.basis)

    def option_value(self, strike: Floats, years: float, is_call: Floats) -> Floats:
        """Mark of European options in USD per unit of the underlying."""
        return black76.value(
            self.curve.forward(years), strike, years, self.volatility(strike, years), is_call
        )
