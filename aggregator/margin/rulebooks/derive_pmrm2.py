"""Derive's portfolio margin, second version (PMRM_2): scenarios, skew, contingencies and collateral haircuts.

margin = loss factor x worst scenario - contingencies + mark-to-market + cash, all integers in 1e-18 USD. The worst
scenario is the lowest P&L over the scenarios and the basis contingency. Products truncate towards zero as on chain;
exponentials, logarithms and option values are those of `aggregator.pricing.wad`.

Source: derivexyz/v2-core, src/risk-managers/PMRM_2.sol and PMRMLib_2.sol (January 2026), restated.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from aggregator.margin.rulebooks.derive_market import (
    Charge,
    DeriveMargin,
    Expiry,
    OptionHolding,
    Perp,
    check_expiries,
    confidence_charge,
)
from aggregator.margin.rulebooks.wad import WAD, trunc_div, wdiv, wmul
from aggregator.model.errors import ConfigError
from aggregator.model.policy import Level
from aggregator.pricing.wad import YEAR_S, black76_wad, exp_wad, ln_wad, pow_wad, sqrt_wad

MONTH_S = 30 * 24 * 3600
BASIS = "basis contingency"


class VolShock(StrEnum):
    """How a scenario moves volatility: not, up, down, or a tilt (linear) or bend (abs) of the skew."""

    NONE = "none"
    UP = "up"
    DOWN = "down"
    LINEAR = "linear"
    ABS = "abs"


@dataclass(frozen=True, slots=True)
class Scenario:
    """`spot` multiplies the spot price, `dampening` the P&L of a far move."""

    spot: int
    shock: VolShock
    dampening: int = WAD

    @property
    def name(self) -> str:
        """As shown in reports: "spot x1.15, volatility up"."""
        return f"spot x{_short(self.spot)}, volatility {self.shock.value}"


@dataclass(frozen=True, slots=True)
class Pmrm2Parameters:
    """Parameters in 1e-18; names follow the source's structs. `dte_floor` is in seconds."""

    scenarios: tuple[Scenario, ...]
    im_factor: int
    mm_factor: int
    short_rate_multiple: int
    long_rate_multiple: int
    short_rate_add: int
    long_rate_add: int
    short_static_discount: int
    long_static_discount: int
    vol_range_up: int
    vol_range_down: int
    short_term_power: int
    long_term_power: int
    dte_floor: int
    min_vol_up: int
    basis_spot_up: int
    basis_spot_down: int
    basis_add: int
    basis_multiple: int
    peg_loss_threshold: int
    peg_loss_factor: int
    confidence_threshold: int
    confidence_factor: int
    mm_perp: int
    im_perp: int
    mm_option: int
    im_option: int
    linear_cap: int
    linear_slope: int
    abs_cap: int
    abs_slope: int
    min_k_star: int
    width_scale: int
    vol_static: int
    vol_scale: int

    def __post_init__(self) -> None:
        if not self.scenarios:
            raise ConfigError("a Derive portfolio rulebook has no scenarios; list at least one")


@dataclass(frozen=True, slots=True)
class Collateral:
    """A spot asset: `value` = amount x price / stable price. Only `risk_cancelling` ones move with the scenarios."""

    name: str
    value: int
    mm_haircut: int
    im_haircut: int
    risk_cancelling: bool
    confidence: int = WAD


@dataclass(frozen=True, slots=True)
class Pmrm2Portfolio:
    """One account of one underlying."""

    spot: int
    stable: int
    cash: int
    expiries: tuple[Expiry, ...] = ()
    collaterals: tuple[Collateral, ...] = ()
    perp: Perp | None = None
    spot_confidence: int = WAD


def _short(value: int) -> str:
    whole, part = divmod(value, WAD)
    return f"{whole}.{part:018d}"[:6].rstrip("0").rstrip(".")


def years(seconds: int) -> int:
    """Years of 365 days in 1e-18, truncated."""
    return seconds * WAD // YEAR_S


def vol_shocks(seconds: int, parameters: Pmrm2Parameters) -> tuple[int, int]:
    """Multipliers of volatility up and down: near expiries move more (30 days is the unit)."""
    tenor = MONTH_S * WAD // max(seconds, parameters.dte_floor, 1)
    power = parameters.short_term_power if seconds <= MONTH_S else parameters.long_term_power
    multiple = pow_wad(tenor, power)
    down = WAD - wmul(parameters.vol_range_down, multiple)
    return WAD + wmul(parameters.vol_range_up, multiple), max(0, down)


@dataclass(frozen=True, slots=True)
class _Priced:
    """An expiry with its unmoved value and its discounts."""

    expiry: Expiry
    parameters: Pmrm2Parameters
    discount: int

    @classmethod
    def of(cls, expiry: Expiry, parameters: Pmrm2Parameters) -> _Priced:
        rate = max(0, expiry.rate)
        return cls(expiry, parameters, exp_wad(trunc_div(-rate * expiry.seconds, YEAR_S)))

    def _value(self, forward: int, one: OptionHolding, volatility: int) -> int:
        price = black76_wad(
            self.expiry.seconds, volatility, forward, one.strike, one.is_call, discount=self.discount
        )
        return wmul(price, one.amount)

    def moved(self, spot: int, shock: VolShock) -> int:
        """Value after a move of spot and a shift of volatility."""
        up, down = vol_shocks(self.expiry.seconds, self.parameters)
        factor = {VolShock.UP: up, VolShock.DOWN: down}.get(shock, WAD)
        floor = self.parameters.min_vol_up if shock is VolShock.UP else 0
        fixed = self.expiry.forward_fixed
        forward = wmul(self.expiry.forward - fixed, spot) + fixed
        return sum(
            self._value(forward, one, max(floor, wmul(one.volatility, factor))) for one in self.expiry.options
        )

    def skewed(self, linear: bool) -> int:
        """Value after the wings of the smile are tilted (linear) or raised (abs), spot unmoved."""
        p = self.parameters
        root = sqrt_wad(years(self.expiry.seconds))
        slope, cap = (p.linear_slope, p.linear_cap) if linear else (p.abs_slope, p.abs_cap)
        limit = wmul(slope, root) + cap
        width = p.vol_static + wmul(root, p.vol_scale)
        k_star = max(p.min_k_star, wmul(wmul(root, p.width_scale), width))
        total = 0
        for one in self.expiry.options:
            k = ln_wad(wdiv(one.strike, self.expiry.forward))
            k = k if linear else abs(k)
            step = trunc_div(k * limit, k_star)
            multiple = WAD + (min(limit, step) if k >= 0 else max(-limit, step))
            total += self._value(self.expiry.forward, one, wmul(one.volatility, max(0, multiple)))
        return total

    def discounted(self, value: int) -> int:
        """The static discount: less for what is worth something, more for what is owed."""
        p, rate = self.parameters, max(0, self.expiry.rate)
        time = years(self.expiry.seconds)
        if value >= 0:
            decay = exp_wad(-wmul(time, wmul(rate, p.long_rate_multiple) + p.long_rate_add))
            return wmul(value, wmul(p.long_static_discount, decay))
        decay = exp_wad(-wmul(time, wmul(rate, p.short_rate_multiple) + p.short_rate_add))
        return wmul(value, min(wdiv(WAD, self.discount), wdiv(p.short_static_discount, decay)))

    def pnl(self, scenario: Scenario) -> int:
        """Discounted value after the scenario less the value now, dampened; a skew move never gains."""
        tilt = scenario.shock in (VolShock.LINEAR, VolShock.ABS)
        after = (
            self.skewed(scenario.shock is VolShock.LINEAR)
            if tilt
            else self.moved(scenario.spot, scenario.shock)
        )
        pnl = wmul(self.discounted(after) - self.moved(WAD, VolShock.NONE), scenario.dampening)
        return -abs(pnl) if tilt else pnl

    def basis_contingency(self) -> int:
        """The worse of two small spot moves, scaled with time: the forward may part from spot."""
        p = self.parameters
        now = self.moved(WAD, VolShock.NONE)
        worst = min(
            self.moved(p.basis_spot_up, VolShock.NONE) - now,
            self.moved(p.basis_spot_down, VolShock.NONE) - now,
            0,
        )
        return wmul(worst, p.basis_add + wmul(p.basis_multiple, years(self.expiry.seconds)))


def scenario_pnl(portfolio: Pmrm2Portfolio, scenario: Scenario, parameters: Pmrm2Parameters) -> int:
    """P&L of the account in one scenario against its mark-to-market."""
    total = 0
    if portfolio.perp is not None:
        move = wmul(scenario.spot - WAD, portfolio.perp.price)
        total += wmul(wmul(portfolio.perp.amount, move), scenario.dampening)
    total += sum(_Priced.of(expiry, parameters).pnl(scenario) for expiry in portfolio.expiries)
    for one in portfolio.collaterals:
        if one.risk_cancelling:
            total += wmul(wmul(one.value, scenario.spot - WAD), scenario.dampening)
    return total


def _contingencies(portfolio: Pmrm2Portfolio, p: Pmrm2Parameters) -> tuple[list[Charge], list[Charge]]:
    """Static charges: those of both levels, and those of IM alone."""
    perp = portfolio.perp
    confidence = min(portfolio.spot_confidence, perp.confidence if perp and perp.amount else WAD)
    notional = wmul(abs(perp.amount), portfolio.spot) if perp else 0
    both = [Charge("perp contingency", -wmul(notional, p.mm_perp))]
    initial = [Charge("perp contingency, initial", -wmul(notional, p.im_perp))]

    def doubt(name: str, confidence: int, amount: int) -> None:
        charge = confidence_charge(confidence, p.confidence_threshold, p.confidence_factor, amount)
        initial.append(Charge(f"oracle confidence, {name}", -charge))

    doubt("perp", confidence, notional)
    for one in portfolio.expiries:
        shorts = wmul(one.naked_shorts(), portfolio.spot)
        both.append(Charge("short options", -wmul(shorts, p.mm_option)))
        initial.append(Charge("short options, initial", -wmul(shorts, p.im_option)))
        least = min(confidence, one.confidence, one.volatility_confidence)
        doubt("options", least, wmul(one.gross_amount, portfolio.spot))
    for held in portfolio.collaterals:
        both.append(Charge(f"haircut of {held.name}", -wmul(held.value, held.mm_haircut)))
        initial.append(Charge(f"haircut of {held.name}, initial", -wmul(held.value, held.im_haircut)))
        doubt(held.name, min(portfolio.spot_confidence, held.confidence), held.value)
    return both, initial


def margin(portfolio: Pmrm2Portfolio, level: Level, parameters: Pmrm2Parameters) -> DeriveMargin:
    """Margin of the account at `level`; raises InputError for a negative price, strike or time."""
    check_expiries(portfolio.expiries)
    priced = [_Priced.of(expiry, parameters) for expiry in portfolio.expiries]
    worst, binding = sum(one.basis_contingency() for one in priced), BASIS
    for scenario in parameters.scenarios:
        pnl = scenario_pnl(portfolio, scenario, parameters)
        if pnl < worst:
            worst, binding = pnl, scenario.name
    factor = parameters.im_factor if level is Level.IM else parameters.mm_factor
    if level is Level.IM and portfolio.stable < parameters.peg_loss_threshold:
        factor += wmul(parameters.peg_loss_threshold - portfolio.stable, parameters.peg_loss_factor)
    both, initial = _contingencies(portfolio, parameters)
    parts = [Charge(f"scenario loss: {binding}", wmul(worst, factor)), *both]
    parts += initial if level is Level.IM else []
    market = (
        sum(one.moved(WAD, VolShock.NONE) for one in priced)
        + sum(one.value for one in portfolio.collaterals)
        + (portfolio.perp.pnl if portfolio.perp is not None else 0)
        + portfolio.cash
    )
    return DeriveMargin(
        margin=market + sum(part.amount for part in parts),
        mark_to_market=market,
        binding=binding,
        parts=tuple(part for part in parts if part.amount),
    )
