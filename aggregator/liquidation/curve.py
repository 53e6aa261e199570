"""A rate as a piecewise-linear function of health: the worse the account, the higher the rate, never the reverse."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from aggregator.fixed import div_ceil
from aggregator.model.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Knot:
    """At this health (equity over maintenance requirement, 1e-6) the rate is this (1e-6)."""

    health_e6: int
    rate_e6: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Straight lines between the knots, constant beyond the first and the last.

    Raises ConfigError for no knot, for healths that do not rise, and for rates that rise with health: a curve under
    which a better account is treated worse would make it pay to look worse.
    """

    knots: tuple[Knot, ...]

    def __post_init__(self) -> None:
        if not self.knots:
            raise ConfigError("a curve has no points; give at least one { health, rate }")
        for n, (low, high) in enumerate(pairwise(self.knots), start=1):
            if high.health_e6 <= low.health_e6:
                raise ConfigError(f"point {n} has no more health than the one before; sort them by health")
            if high.rate_e6 > low.rate_e6:
                raise ConfigError(
                    f"point {n} has a higher rate than the one before; a better account cannot be charged more"
                )

    def at(self, health_e6: int) -> int:
        """The rate in 1e-6 at a health in 1e-6, rounded up: against the holder."""
        first, last = self.knots[0], self.knots[-1]
        if health_e6 <= first.health_e6:
            return first.rate_e6
        for low, high in pairwise(self.knots):
            if health_e6 < high.health_e6:
                fall = (low.rate_e6 - high.rate_e6) * (high.health_e6 - health_e6)
                return high.rate_e6 + div_ceil(fall, high.health_e6 - low.health_e6)
        return last.rate_e6
