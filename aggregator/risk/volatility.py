"""Realised volatility from daily returns: exponentially weighted (RiskMetrics) and GARCH(1,1).

Returns are log returns with a mean of zero; variances are per day.
Sources: J.P. Morgan/Reuters, "RiskMetrics Technical Document", 4th edition (1996), section 5.2; T. Bollerslev,
"Generalized autoregressive conditional heteroskedasticity", J. Econometrics 31 (1986); variance targeting: R. Engle,
J. Mezrich, "GARCH for groups", Risk 9 (1996).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import minimize
from scipy.signal import lfilter

from aggregator.model.errors import PolicyError
from aggregator.pricing.black76 import Floats

RISKMETRICS_LAMBDA: Final = 0.94
"""Daily decay of the source: 75 days hold all but 1 % of the weight."""
WEIGHT_LEFT_OUT: Final = 0.01
"""Share of an exponential weight that may fall before the first return."""
GARCH_MIN_RETURNS: Final = 250
"""A year of trading days; with fewer the persistence is not identified."""
MAX_PERSISTENCE: Final = 0.9999
_STARTS: Final = ((0.05, 0.90), (0.10, 0.80), (0.15, 0.60))


@dataclass(frozen=True, slots=True)
class Garch:
    """variance' = omega + alpha x return^2 + beta x variance; alpha, beta >= 0, alpha + beta < 1."""

    omega: float
    alpha: float
    beta: float

    @property
    def long_run(self) -> float:
        """The variance that forecasts go to."""
        return self.omega / (1 - self.alpha - self.beta)

    def update(self, variance: float, last_return: float) -> float:
        """Tomorrow's variance from today's variance and return."""
        return self.omega + self.alpha * last_return**2 + self.beta * variance

    def horizon_variance(self, variance: float, days: float) -> float:
        """Sum of the forecasts of `days` days from the next day's `variance` on.

        The forecast k days on is long_run + (alpha + beta)^k (variance - long_run); a part of a day counts in part.
        """
        kept = self.alpha + self.beta
        weight = days if kept == 0 else (1 - kept**days) / (1 - kept)
        if kept == 0:
            return self.long_run * days
        return self.long_run * days + (variance - self.long_run) * weight


def ewma_min_returns(decay: float) -> int:
    """Returns needed so that all but 1 % of the weight lies on data: ln(0.01) / ln(decay), 75 at 0.94."""
    return math.ceil(math.log(WEIGHT_LEFT_OUT) / math.log(decay))


def ewma_variance(returns: Floats, decay: float = RISKMETRICS_LAMBDA) -> float:
    """Tomorrow's variance: the mean of squared returns with weights decay^age, which add up to one.

    returns: oldest first. Raises PolicyError when `decay` is not inside 0..1 or the returns are too few for it.
    """
    if not 0 < decay < 1:
        raise PolicyError(f"the decay of an exponential volatility is {decay:g}; use one inside 0..1")
    needed = ewma_min_returns(decay)
    if len(returns) < needed:
        raise PolicyError(
            f"{len(returns)} returns are too few for a decay of {decay:g}; give at least {needed}"
        )
    weights = decay ** np.arange(len(returns) - 1, -1, -1, dtype=np.float64)
    return float(weights @ (returns * returns) / weights.sum())


def garch_variances(model: Garch, returns: Floats, first: float) -> Floats:
    """Variance of each return and, last, of the one to come; `first` is that of the first return."""
    driven = model.omega + model.alpha * returns * returns
    path, _ = lfilter([1.0], [1.0, -model.beta], driven, zi=[model.beta * first])
    return np.concatenate([[first], path])


def fit_garch(returns: Floats) -> tuple[Garch, float]:
    """The Gaussian quasi-likelihood fit with variance targeting, and tomorrow's variance.

    omega is (1 - alpha - beta) x the sample variance, so two parameters are searched. Raises PolicyError for fewer than
    250 returns, or returns that never move.
    """
    if len(returns) < GARCH_MIN_RETURNS:
        raise PolicyError(f"{len(returns)} returns are too few for GARCH; give at least {GARCH_MIN_RETURNS}")
    sample = float(np.mean(returns * returns))
    if sample <= 0:
        raise PolicyError("the returns of a history are all zero; give one of a price that moves")

    def cost(x: Floats) -> float:
        alpha, beta = float(x[0]), float(x[1])
        if alpha + beta >= MAX_PERSISTENCE:
            return 1e10 * (alpha + beta)
        path = garch_variances(Garch(sample * (1 - alpha - beta), alpha, beta), returns, sample)[:-1]
        return float(np.sum(np.log(path) + returns * returns / path))

    best = min(
        (
            minimize(cost, start, method="Nelder-Mead", bounds=[(0, 1), (0, 1)], options={"xatol": 1e-6})
            for start in _STARTS
        ),
        key=lambda found: float(found.fun),
    )
    alpha, beta = (float(number) for number in best.x)
    model = Garch(sample * (1 - alpha - beta), alpha, beta)
    return model, float(garch_variances(model, returns, sample)[-1])
