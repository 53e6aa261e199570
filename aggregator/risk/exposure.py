"""Where an account's risk lies: Greeks by class, beta to a benchmark, concentration, and days to liquidate.

Figures for reading, from the models: USD in 1e-6, shares and betas in 1e-6, rounded to nearest. No margin depends on
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from aggregator.margin.rulebooks.base import Holding
from aggregator.model.errors import InputError
from aggregator.model.policy import InstrumentKind
from aggregator.model.units import E20_PER_USD_E6, PRICE_SCALE, QUANTITY_SCALE, RATE_SCALE
from aggregator.policy.derivatives import YEAR_S
from aggregator.pricing import black76
from aggregator.risk.depth import days_to_liquidate
from aggregator.risk.desk import Desk
from aggregator.risk.market import Market

DAYS_PER_YEAR: Final = 365


@dataclass(frozen=True, slots=True)
class Exposure:
    """Greeks of one risk class in USD (1e-6).

    delta: for a move of the spot by 100 %, at today's slope; gamma: change of delta for a rise of 1 %; vega: for one
    volatility point; theta: for one day. `beta_e6` to the benchmark, `days` to sell the delta, both None when unknown.
    """

    name: str
    delta_e6: int
    gamma_e6: int
    vega_e6: int
    theta_e6: int
    beta_e6: int | None
    days_e6: int | None


@dataclass(frozen=True, slots=True)
class Concentration:
    """Shares in 1e-6 by name, largest first, and their Herfindahl index (1e6: all in one)."""

    shares_e6: tuple[tuple[str, int], ...]
    herfindahl_e6: int


@dataclass(frozen=True, slots=True)
class RiskFigures:
    """`beta_e6`: what the account's equity moves in per cent when the benchmark moves by one; None when unknown."""

    benchmark: str | None
    beta_e6: int | None
    classes: tuple[Exposure, ...]
    collateral: Concentration
    exposure: Concentration


def _e6(value: float) -> int:
    return round(Fraction(value) * RATE_SCALE)


def concentration(sizes: Mapping[str, int]) -> Concentration:
    """Shares of non-negative sizes; no shares when all are 0. Source of the index: Herfindahl-Hirschman."""
    total = sum(sizes.values())
    held = sorted(((n, s) for n, s in sizes.items() if s), key=lambda one: (-one[1], one[0]))
    if total == 0:
        return Concentration((), 0)
    index = Fraction(sum(size * size for _, size in held) * RATE_SCALE, total * total)
    return Concentration(tuple((name, size * RATE_SCALE // total) for name, size in held), round(index))


def _greeks(market: Market, one: Holding) -> tuple[float, float, float, float]:
    """Dollar delta, its change for 1 %, vega a point and theta a day of a holding."""
    quantity = one.quantity_e8 / QUANTITY_SCALE
    if one.option is None:
        return quantity * one.price_e12 / PRICE_SCALE, 0.0, 0.0, 0.0
    years = one.seconds / YEAR_S
    strike = np.asarray(one.option.strike_e8 / QUANTITY_SCALE)
    forward = market.curve.forward(years)
    found = black76.greeks(forward, strike, years, market.volatility(strike, years), one.option.is_call)
    delta, gamma = float(found.delta) * forward, float(found.gamma) * forward**2
    return (
        quantity * delta,
        quantity * (gamma + delta) / 100,
        quantity * float(found.vega) / 100,
        quantity * float(found.theta) / DAYS_PER_YEAR,
    )


def risk_figures(desk: Desk, betas_e6: Mapping[str, int] | None = None) -> RiskFigures:
    """The figures of a desk's account.

    betas_e6: by the name of a price; benchmark and volumes are those of the spec. Raises InputError for an account
    without equity (its beta has no meaning) when betas are given.
    """
    policy = desk.policy()
    betas, risk = betas_e6 or {}, desk.spec.estimates.risk
    sums: dict[str, list[float]] = {one.name: [0.0] * 4 for one in desk.spec.classes}
    collateral: dict[str, int] = {}
    equity = 0
    for one in desk.holdings:
        instrument = policy.by_symbol[one.symbol]
        equity += one.value_e20
        if instrument.class_id:
            name = policy.classes[instrument.class_id - 1]
            sums[name] = [a + b for a, b in zip(sums[name], _greeks(desk.market(name), one), strict=True)]
        if one.kind in (InstrumentKind.SPOT, InstrumentKind.DEBT) or not instrument.class_id:
            asset = next((g.name for g in policy.groups if g.id == instrument.group_id), one.asset)
            collateral[asset] = collateral.get(asset, 0) + one.value_e20
    classes, weighted = [], Fraction(0)
    for spec in desk.spec.classes:
        delta, gamma, vega, theta = sums[spec.name]
        beta = betas.get(spec.price)
        weighted += Fraction(delta) * (beta or 0)
        volume, days = (risk.volumes.get(spec.price) if risk is not None else None), None
        if volume is not None and risk is not None:
            units = delta / (desk.price_e12(spec.price) / PRICE_SCALE)
            days = _e6(days_to_liquidate(units, volume, risk.participation))
        classes.append(Exposure(spec.name, _e6(delta), _e6(gamma), _e6(vega), _e6(theta), beta, days))
    portfolio_beta = None
    if betas:
        if equity <= 0:
            raise InputError("the account has no equity, so it has no beta; add collateral")
        held_usd = Fraction(equity, E20_PER_USD_E6 * RATE_SCALE)
        portfolio_beta = round(weighted / held_usd)
    return RiskFigures(
        benchmark=risk.benchmark if risk is not None and betas else None,
        beta_e6=portfolio_beta,
        classes=tuple(classes),
        collateral=concentration({name: max(0, value) for name, value in collateral.items()}),
        exposure=concentration({one.name: abs(one.delta_e6) for one in classes}),
    )
