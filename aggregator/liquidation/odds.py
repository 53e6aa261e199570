"""How probable it is that an account falls below maintenance margin within a horizon: an estimate with its error.

Prices are correlated geometric Brownian motions with the policy's volatilities and correlations. The horizon is cut
into steps. Between two steps at which the account stands, with excesses e0 and e1, the path between is a Brownian
bridge of the excess, which passes zero with probability

    exp(-2 e0 e1 / v),    v = g' S g dt,

g the slope of the excess in the log prices, v the mean of both ends, and S their covariance: so the barrier is watched
at all times and not only at the steps (P. Glasserman, "Monte Carlo methods in financial engineering" (2004), section
6.4). It is exact for an excess that is linear in the log prices; elsewhere it is off by what the slope changes within
one step.

Paths come in antithetic pairs from a seeded generator, so a seed gives the same answer. Standard errors are over pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from aggregator.liquidation.drivers import Driver, factor_of
from aggregator.liquidation.excess_table import ExcessTable
from aggregator.model.errors import InputError
from aggregator.model.units import RATE_SCALE, USD_SCALE
from aggregator.pricing.black76 import Floats

PAIRS: Final = 10_000
STEPS: Final = 64
MAX_PAIRS: Final = 250_000
MAX_STEPS: Final = 10_000
TAIL: Final = 0.99
"""The shortfall is the mean of the worst hundredth of outcomes."""
BATCHES: Final = 20
ONE_SIDED: Final = 1.645
"""Standard errors that 95 % of a normal estimate's errors are below."""
RULE_OF_THREE: Final = 3.0
MARKS: Final = 8
"""How many times within the horizon the cumulative probability is given at."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its standard error, both in 1e-6."""

    value_e6: int
    error_e6: int


@dataclass(frozen=True)
class Odds:
    """What the simulation found.

    `breach` is the probability of standing below maintenance at any time, `end` of doing so at the end of the horizon.
    `shortfall` is the mean of the worst hundredth of excesses at the end, in USD rounded down. `by_time` are (seconds,
    probability until then in 1e-6). `half_time_s` is when half of the breaches have happened, None without any.
    Probabilities are rounded up. `breach_at_most_e6` is what `breach` is below with 95 % confidence: 1.645 standard
    errors above it, and never under 3 / pairs, as that much may hide where no path breaches (the rule of three).
    """

    breach: Estimate
    breach_at_most_e6: int
    end: Estimate
    shortfall: Estimate
    by_time: tuple[tuple[int, int], ...]
    half_time_s: int | None
    pairs: int
    steps: int


def _up(value: float) -> int:
    return -((-Fraction(value) * RATE_SCALE) // 1)


def _probability(value: float, error: float) -> Estimate:
    return Estimate(min(RATE_SCALE, max(0, _up(value))), _up(error))


def _over_pairs(values: Floats) -> tuple[float, float]:
    """Mean and standard error of values whose second half mirrors the first."""
    pairs = values.reshape(2, -1).mean(axis=0)
    return float(pairs.mean()), float(pairs.std(ddof=1) / np.sqrt(len(pairs)))


def _shortfall(end: Floats) -> Estimate:
    """The mean of the worst hundredth, and its error over batches of pairs."""

    def tail(values: Floats) -> float:
        count = max(1, round(values.size * (1 - TAIL)))
        return float(np.partition(values.ravel(), count - 1)[:count].mean())

    pairs = end.reshape(2, -1)
    batches = [tail(one) for one in np.array_split(pairs, BATCHES, axis=1)]
    error = float(np.std(batches, ddof=1) / np.sqrt(BATCHES))
    return Estimate(int(Fraction(tail(end)) * USD_SCALE // 1), _up(error))


def breach_odds(
    table: ExcessTable,
    drivers: Sequence[Driver],
    rho: Floats,
    years: float,
    drifts: Mapping[str, float] | None = None,
    *,
    pairs: int = PAIRS,
    steps: int = STEPS,
    seed: int = 0,
) -> Odds:
    """Simulate the account of `table` over `years`.

    drifts: annual growth rates of prices by the name of a driver's price, default 0 (no expected gain or loss).
    Raises InputError for a horizon, pairs or steps out of range.
    """
    if not (0 < years <= 10 and 2 * BATCHES <= pairs <= MAX_PAIRS and 1 <= steps <= MAX_STEPS):
        raise InputError(
            f"a horizon of {years:g} years, {pairs} pairs or {steps} steps is out of range; use at most 10 years, "
            f"{2 * BATCHES}..{MAX_PAIRS} pairs and 1..{MAX_STEPS} steps"
        )
    rng = np.random.default_rng(seed)
    sigma = np.array([one.volatility for one in drivers])
    growth = np.array([(drifts or {}).get(one.price, 0.0) for one in drivers]) - sigma**2 / 2
    dt = years / steps
    loads = factor_of(rho) * sigma[:, None]
    covariance = loads @ loads.T * dt
    moves = np.zeros((2 * pairs, len(drivers)))
    excess = table.excess(moves)
    alive = (excess >= 0).astype(np.float64)
    dead_by = [float(1 - alive.mean())]
    variance = _variance(table, moves, excess, covariance)
    for _ in range(steps):
        drawn = rng.standard_normal((pairs, len(drivers))) @ (loads.T * np.sqrt(dt))
        moves = moves + growth * dt + np.concatenate([drawn, -drawn])
        after = table.excess(moves)
        ahead = _variance(table, moves, after, covariance)
        alive *= 1 - _crossing(excess, after, (variance + ahead) / 2)
        excess, variance = after, ahead
        dead_by.append(float(1 - alive.mean()))
    seconds = years * 365 * 86_400
    marks = sorted({round(steps * n / MARKS) for n in range(1, MARKS + 1)} - {0})
    share, error = _over_pairs(1 - alive)
    return Odds(
        breach=_probability(share, error),
        breach_at_most_e6=min(RATE_SCALE, _up(max(share + ONE_SIDED * error, RULE_OF_THREE / pairs))),
        end=_probability(*_over_pairs((excess < 0).astype(np.float64))),
        shortfall=_shortfall(excess),
        by_time=tuple((round(seconds * n / steps), _up(max(dead_by[n], 0.0))) for n in marks),
        half_time_s=_half_time(dead_by, seconds),
        pairs=pairs,
        steps=steps,
    )


def _variance(table: ExcessTable, moves: Floats, excess: Floats, covariance: Floats) -> Floats:
    """Variance of the linearised excess over one step."""
    slope = table.gradient(moves, excess)
    return np.asarray(np.einsum("pi,ij,pj->p", slope, covariance, slope), dtype=np.float64)


def _crossing(before: Floats, after: Floats, variance: Floats) -> Floats:
    """Probability of passing zero between two steps; 1 where one of them is below it."""
    standing = (before >= 0) & (after >= 0)
    spread = np.where(variance > 0, variance, 1.0)
    bridge = np.exp(-2 * np.maximum(before, 0.0) * np.maximum(after, 0.0) / spread)
    return np.where(standing, np.where(variance > 0, bridge, 0.0), 1.0)


def _half_time(dead_by: Sequence[float], seconds: float) -> int | None:
    half = dead_by[-1] / 2
    if half <= 0:
        return None
    n = next(n for n, share in enumerate(dead_by) if share >= half)
    if n == 0:
        return 0
    part = (half - dead_by[n - 1]) / (dead_by[n] - dead_by[n - 1])
    return round(seconds * (n - 1 + part) / (len(dead_by) - 1))
