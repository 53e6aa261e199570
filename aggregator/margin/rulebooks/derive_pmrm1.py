"""Derive's portfolio margin, first version (PMRM): 21 scenarios of spot and volatility, one base asset.

MM = worst scenario - static contingency + mark-to-market + cash; IM multiplies the first two by a factor that rises
when the stable coin falls, and adds the oracle-confidence charge. Integers in 1e-18 USD, truncated as on chain.

Source: derivexyz/v2-core, src/risk-managers/PMRM.sol and PMRMLib.sol, restated.
"""

from __future__ import annotations

from dataclasses import dataclass

from aggregator.margin.rulebooks.derive_market import (
    Charge,
    DeriveMargin,
    Expiry,
    Perp,
    check_expiries,
    confidence_charge,
)
from aggregator.margin.rulebooks.derive_pmrm2 import BASIS, MONTH_S, Scenario, VolShock, years
from aggregator.margin.rulebooks.wad import WAD, wdiv, wmul
from aggregator.model.errors import ConfigError
from aggregator.model.policy import Level
from aggregator.pricing.wad import black76_wad, exp_wad, pow_wad


@dataclass(frozen=True, slots=True)
class Pmrm1Parameters:
    """Parameters in 1e-18; names follow the source's structs. `dte_floor` is in seconds.

    Raises ConfigError without scenarios, or when one has a skew shock or a dampening, which this version lacks.
    """

    scenarios: tuple[Scenario, ...]
    im_factor: int
    static_discount: int
    rate_multiple: int
    rate_add: int
    vol_range_up: int
    vol_range_down: int
    short_term_power: int
    long_term_power: int
    dte_floor: int
    basis_spot_up: int
    basis_spot_down: int
    basis_add: int
    basis_multiple: int
    peg_loss_threshold: int
    peg_loss_factor: int
    confidence_threshold: int
    confidence_factor: int
    base_percent: int
    perp_percent: int
    option_percent: int

    def __post_init__(self) -> None:
        if not self.scenarios:
            raise ConfigError("a Derive portfolio rulebook has no scenarios; list at least one")
        for one in self.scenarios:
            if one.shock in (VolShock.LINEAR, VolShock.ABS) or one.dampening != WAD:
                raise ConfigError(
                    f"the scenario {one.name!r} needs portfolio margin version 2; use derive-pm2"
                )


@dataclass(frozen=True, slots=True)
class Pmrm1Portfolio:
    """One account of one underlying; `base` is the amount of the base asset, never negative."""

    spot: int
    stable: int
    cash: int
    base: int = 0
    expiries: tuple[Expiry, ...] = ()
    perp: Perp | None = None
    spot_confidence: int = WAD

    def base_value(self, spot_factor: int) -> int:
        """The base asset in stable coins after a move of spot."""
        return wdiv(wmul(wmul(self.base, self.spot), spot_factor), self.stable) if self.base else 0


def _value(expiry: Expiry, scenario: Scenario, p: Pmrm1Parameters) -> int:
    """Undiscounted value of an expiry's options in a scenario."""
    tenor = MONTH_S * WAD // max(expiry.seconds, p.dte_floor, 1)
    multiple = pow_wad(tenor, p.short_term_power if expiry.seconds <= MONTH_S else p.long_term_power)
    factor = {
        VolShock.UP: WAD + wmul(p.vol_range_up, multiple),
        VolShock.DOWN: max(0, WAD - wmul(p.vol_range_down, multiple)),
    }.get(scenario.shock, WAD)
    forward = wmul(expiry.forward - expiry.forward_fixed, scenario.spot) + expiry.forward_fixed
    return sum(
        wmul(
            black76_wad(expiry.seconds, wmul(one.volatility, factor), forward, one.strike, one.is_call),
            one.amount,
        )
        for one in expiry.options
    )


def _spot(factor: int) -> Scenario:
    return Scenario(factor, VolShock.NONE)


def _discount(expiry: Expiry, p: Pmrm1Parameters) -> int:
    rate = wmul(max(0, expiry.rate), p.rate_multiple) + p.rate_add
    return wmul(p.static_discount, exp_wad(-wmul(years(expiry.seconds), rate)))


def scenario_pnl(portfolio: Pmrm1Portfolio, scenario: Scenario, parameters: Pmrm1Parameters) -> int:
    """P&L of the account in a scenario; what an expiry is worth then counts less the static discount."""
    total = portfolio.base_value(scenario.spot) - portfolio.base_value(WAD)
    for expiry in portfolio.expiries:
        after = _value(expiry, scenario, parameters)
        kept = wmul(after, _discount(expiry, parameters)) if after > 0 else after
        total += kept - _value(expiry, _spot(WAD), parameters)
    if portfolio.perp is not None:
        total += wmul(portfolio.perp.amount, wmul(scenario.spot - WAD, portfolio.perp.price))
    return total


def _basis(expiry: Expiry, p: Pmrm1Parameters) -> int:
    now = _value(expiry, _spot(WAD), p)
    moves = (_value(expiry, _spot(factor), p) - now for factor in (p.basis_spot_up, p.basis_spot_down))
    return wmul(min(0, *moves), p.basis_add + wmul(p.basis_multiple, years(expiry.seconds)))


def _confidence(portfolio: Pmrm1Portfolio, p: Pmrm1Parameters) -> int:
    perp = portfolio.perp
    held = abs(perp.amount) if perp else 0
    least = min(portfolio.spot_confidence, perp.confidence if perp and held else WAD)
    affected = [(least, held + portfolio.base)]
    affected += [
        (min(least, one.confidence, one.volatility_confidence), one.gross_amount)
        for one in portfolio.expiries
    ]
    return sum(
        confidence_charge(
            confidence, p.confidence_threshold, p.confidence_factor, wmul(amount, portfolio.spot)
        )
        for confidence, amount in affected
    )


def margin(portfolio: Pmrm1Portfolio, level: Level, parameters: Pmrm1Parameters) -> DeriveMargin:
    """Margin of the account at `level`; raises InputError for a negative price, strike or time."""
    p = parameters
    check_expiries(portfolio.expiries)
    worst, binding = sum(_basis(one, p) for one in portfolio.expiries), BASIS
    for scenario in p.scenarios:
        pnl = scenario_pnl(portfolio, scenario, p)
        if pnl < worst:
            worst, binding = pnl, scenario.name
    held = abs(portfolio.perp.amount) if portfolio.perp else 0
    linear = wmul(wmul(held, p.perp_percent) + wmul(portfolio.base, p.base_percent), portfolio.spot)
    shorts = sum(
        wmul(wmul(one.naked_shorts(), p.option_percent), portfolio.spot) for one in portfolio.expiries
    )
    factor, doubt = WAD, 0
    if level is Level.IM:
        factor, doubt = p.im_factor, _confidence(portfolio, p)
        if portfolio.stable < p.peg_loss_threshold:
            factor += wmul(p.peg_loss_threshold - portfolio.stable, p.peg_loss_factor)
    loss = wmul(worst - linear - shorts, factor)
    parts = (
        Charge(f"scenario loss: {binding}", wmul(worst, factor)),
        Charge("base and perp contingency", -wmul(linear, factor)),
        Charge("short options", loss - wmul(worst, factor) + wmul(linear, factor)),
        Charge("oracle confidence", -doubt),
    )
    market = (
        portfolio.base_value(WAD)
        + (portfolio.perp.pnl if portfolio.perp is not None else 0)
        + sum(_value(one, _spot(WAD), p) for one in portfolio.expiries)
        + portfolio.cash
    )
    return DeriveMargin(
        margin=market + loss - doubt,
        mark_to_market=market,
        binding=binding,
        parts=tuple(part for part in parts if part.amount),
    )
