"""Correlation between classes from return histories: shrunk, stressed, positive semi-definite, rounded up.

Sources: O. Ledoit, M. Wolf, "Honey, I shrunk the sample covariance matrix", J. Portfolio Management 30 (2004),
appendix B (constant-correlation target); N. Higham, "Computing the nearest correlation matrix - a problem
from finance", IMA J. Numerical Analysis 22 (2002) (alternating projections with Dykstra's correction).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from aggregator.model.errors import PolicyError
from aggregator.model.units import RATE_SCALE
from aggregator.pricing.black76 import Floats

MIN_RETURNS: Final = 30
EIGEN_TOLERANCE: Final = 1e-6
"""How far below zero an eigenvalue may lie: what rounding entries to 1e-6 does to it."""
EIGEN_FLOOR: Final = 1e-5
"""Projected matrices keep this much, so that rounding each entry up leaves them positive semi-definite."""
_ROUNDS: Final = 4000
_SETTLED: Final = 1e-11


def check_correlation(matrix: Floats, names: Sequence[str], where: str = "correlation") -> None:
    """Raise PolicyError naming the entry unless `matrix` is a correlation matrix of `names`.

    Square, numbers in -1..1, 1 on the diagonal, symmetric, no eigenvalue below -1e-6.
    """
    if matrix.shape != (len(names), len(names)):
        raise PolicyError(
            f"{where} is not {len(names)} x {len(names)}; give one row and column for each class"
        )
    for k, row in enumerate(names):
        for m, column in enumerate(names):
            entry, place = float(matrix[k, m]), f"{where}[{row}][{column}]"
            if not math.isfinite(entry) or abs(entry) > 1:
                raise PolicyError(f"{place} is {entry}; give a number in -1..1")
            if k == m and entry != 1:
                raise PolicyError(f"{place} is {entry:g}; the diagonal of a correlation matrix is 1")
            if entry != matrix[m, k]:
                raise PolicyError(
                    f"{place} is {entry:g} and {where}[{column}][{row}] is {float(matrix[m, k]):g}; make them equal"
                )
    least = float(np.linalg.eigvalsh(matrix).min()) if len(names) else 0.0
    if least < -EIGEN_TOLERANCE:
        raise PolicyError(
            f"{where} is not positive semi-definite, its least eigenvalue is {least:.6g}; no joint distribution has "
            "these correlations, lower them"
        )


def _sample(returns: Floats, names: Sequence[str]) -> tuple[Floats, Floats]:
    """Deviations from the mean and the covariance (divided by T, as in the source)."""
    if returns.ndim != 2 or returns.shape[1] != len(names):
        raise PolicyError(f"the returns are not a table of {len(names)} columns; give one for each class")
    if len(returns) < MIN_RETURNS:
        raise PolicyError(f"{len(returns)} returns are too few for correlations; give at least {MIN_RETURNS}")
    for n, name in enumerate(names):
        if not np.isfinite(returns[:, n]).all():
            raise PolicyError(f"the returns of {name} are not all finite; check its history")
        if np.ptp(returns[:, n]) == 0:
            raise PolicyError(f"the returns of {name} never change, so it has no correlation; drop it")
    deviations = returns - returns.mean(axis=0)
    return deviations, deviations.T @ deviations / len(returns)


def sample_correlation(returns: Floats, names: Sequence[str]) -> Floats:
    """Plain correlations of the columns of `returns` (days x classes); PolicyError as `ledoit_wolf`."""
    _, covariance = _sample(returns, names)
    scale = np.sqrt(np.diag(covariance))
    found = np.clip(covariance / np.outer(scale, scale), -1.0, 1.0)
    np.fill_diagonal(found, 1.0)
    return np.asarray((found + found.T) / 2, dtype=np.float64)


def ledoit_wolf(returns: Floats, names: Sequence[str]) -> tuple[Floats, float]:
    """Correlations shrunk towards their mean, and the intensity in 0..1 of the source's optimum.

    returns: days x classes, aligned. Raises PolicyError for fewer than 30 days, numbers that are not finite, or a
    class that never moves.
    """
    y, s = _sample(returns, names)
    t, n = y.shape
    correlation = sample_correlation(returns, names)
    if n < 2:
        return correlation, 0.0
    scale = np.sqrt(np.diag(s))
    mean = float((correlation.sum() - n) / (n * (n - 1)))
    target = mean * np.outer(scale, scale)
    np.fill_diagonal(target, np.diag(s))
    squares = y * y
    pi = squares.T @ squares / t - s * s
    theta = (y**3).T @ y / t - np.diag(s)[:, None] * s
    weight = np.outer(1 / scale, scale) * theta
    np.fill_diagonal(weight, 0.0)
    rho = float(np.trace(pi)) + mean * float(weight.sum())
    gamma = float(((s - target) ** 2).sum())
    intensity = 1.0 if gamma == 0 else max(0.0, min((float(pi.sum()) - rho) / gamma / t, 1.0))
    shrunk = (1 - intensity) * correlation + intensity * mean
    np.fill_diagonal(shrunk, 1.0)
    return np.asarray(shrunk, dtype=np.float64), intensity


def nearest_correlation(matrix: Floats, lower: Floats | None = None, eigen_floor: float = 0.0) -> Floats:
    """The correlation matrix nearest to a symmetric one in the Frobenius norm, entries at or above `lower`.

    Alternating projections on {eigenvalues >= eigen_floor} and {diagonal 1, lower <= entries <= 1}, with Dykstra's
    correction. Raises PolicyError when they do not settle, which needs bounds that no correlation matrix keeps.
    """
    low = np.full_like(matrix, -1.0) if lower is None else lower
    y, correction = matrix.copy(), np.zeros_like(matrix)
    second = np.zeros_like(matrix)
    for _ in range(_ROUNDS):
        shifted = y - correction
        values, vectors = np.linalg.eigh((shifted + shifted.T) / 2)
        x = (vectors * np.maximum(values, eigen_floor)) @ vectors.T
        correction = x - shifted
        boxed = x - second
        y = np.clip(boxed, low, 1.0)
        np.fill_diagonal(y, 1.0)
        second = y - boxed
        if float(np.abs(y - x).max()) < _SETTLED:
            break
    least = float(np.linalg.eigvalsh(y).min())
    if least < eigen_floor / 2 - EIGEN_TOLERANCE / 10:
        raise PolicyError(
            f"no correlation matrix was found near the estimate (least eigenvalue {least:.3g}); use a longer history "
            "or a gentler stress"
        )
    return np.asarray((y + y.T) / 2, dtype=np.float64)


@dataclass(frozen=True, slots=True)
class CorrelationStress:
    """`floor`: least correlation of any pair; `towards_one`: share of the way each goes to 1; `worst_window`: every
    pair at least as in its worst stretch of that many days, 0 for none."""

    floor: float = 0.0
    towards_one: float = 0.0
    worst_window: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.floor < 1 or not 0 <= self.towards_one < 1:
            raise PolicyError(
                "a correlation stress has floor or towards_one outside 0..1 (1 excluded); correct it"
            )
        if self.worst_window and self.worst_window < MIN_RETURNS:
            raise PolicyError(f"worst_window is {self.worst_window} days; use 0 or at least {MIN_RETURNS}")


def worst_window_correlation(returns: Floats, names: Sequence[str], days: int) -> Floats:
    """Each pair's highest sample correlation over all stretches of `days` days; PolicyError when there are fewer."""
    if len(returns) < days:
        raise PolicyError(f"worst_window is {days} days and the histories share {len(returns)}; shorten it")
    windows = [
        sample_correlation(returns[start : start + days], names) for start in range(len(returns) - days + 1)
    ]
    return np.asarray(np.max(windows, axis=0), dtype=np.float64)


def margin_correlation_e6(
    estimate: Floats, names: Sequence[str], stress: CorrelationStress, worst: Floats | None = None
) -> tuple[tuple[int, ...], ...]:
    """The estimate as M3 takes it: in 0..1, stressed, positive semi-definite, in 1e-6, never below the estimate.

    Negative entries become 0: a hedge between classes is not credited. The projection only raises entries, and the
    rounding is up. Raises PolicyError as `check_correlation` and `nearest_correlation` do.
    """
    least = np.clip(estimate, 0.0, 1.0)
    if worst is not None:
        least = np.maximum(least, worst)
    least = np.maximum(least, stress.floor)
    least = np.minimum(least + (1 - least) * stress.towards_one, 1 - EIGEN_FLOOR)
    np.fill_diagonal(least, 1.0)
    made = nearest_correlation(least, least, EIGEN_FLOOR)
    rounded = np.array(
        [[RATE_SCALE if k == m else _up_e6(made[k, m]) for m in range(len(names))] for k in range(len(names))]
    ).reshape(len(names), len(names))
    check_correlation(rounded / RATE_SCALE, names)
    return tuple(tuple(int(entry) for entry in row) for row in rounded)


def _up_e6(entry: float) -> int:
    return min(RATE_SCALE, math.ceil(Fraction(float(entry)) * RATE_SCALE))


def beta(returns: Floats, benchmark: Floats) -> float:
    """Slope of `returns` on `benchmark`, both oldest first and of one length; PolicyError when that never moves."""
    if len(returns) != len(benchmark) or len(returns) < MIN_RETURNS:
        raise PolicyError(
            f"beta needs two aligned histories of at least {MIN_RETURNS} returns; give longer ones"
        )
    b = benchmark - benchmark.mean()
    variance = float(b @ b)
    if variance == 0:
        raise PolicyError("the benchmark never moves, so nothing has a beta to it; choose another")
    return float(b @ (returns - returns.mean()) / variance)
