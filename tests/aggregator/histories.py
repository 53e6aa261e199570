"""Made-up price histories: seeded, so that every run sees the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from aggregator.pricing.black76 import Floats

LAST_DAY = date(2027, 1, 14)
"""The day before the tests' policies."""


def csv_of(closes: Sequence[float], last: date = LAST_DAY) -> str:
    """Daily closes that end on `last`, as CSV."""
    first = last - timedelta(days=len(closes) - 1)
    rows = [f"{first + timedelta(days=n)},{close!r}" for n, close in enumerate(closes)]
    return "\n".join(["date,close", *rows]) + "\n"


def closes_of(returns: Floats, start: float) -> list[float]:
    """Closes with these log returns."""
    return [float(close) for close in start * np.exp(np.concatenate([[0.0], np.cumsum(returns)]))]


def simulated(*, omega: float, alpha: float, beta: float, days: int, seed: int) -> tuple[Floats, float]:
    """GARCH(1,1) returns and the variance of the day after them."""
    generator = np.random.default_rng(seed)
    variance, made = omega / (1 - alpha - beta), []
    for _ in range(days):
        made.append(float(np.sqrt(variance) * generator.standard_normal()))
        variance = omega + alpha * made[-1] ** 2 + beta * variance
    return np.array(made), variance


def correlated(days: int = 300, seed: int = 7, rho: float = 0.7, scale: float = 0.03) -> Floats:
    """Returns of two classes, days x 2."""
    generator = np.random.default_rng(seed)
    made: Floats = (
        scale * generator.standard_normal((days, 2)) @ np.array([[1.0, rho], [0.0, (1 - rho**2) ** 0.5]])
    )
    return made
