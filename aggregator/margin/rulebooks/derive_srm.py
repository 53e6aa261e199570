"""Derive's standard margin (SRM): each position collateralised on its own, spreads capped at their largest loss.

Per expiry: the better of the summed isolated margins and the loss at the worst strike (plus an unpaired charge for net
short calls). Perps pay a fraction of notional, base assets count with a discount, and low oracle confidence or a
depegged stable coin raises IM. Integers in 1e-18 USD, truncated as on chain.

Source: derivexyz/v2-core, src/risk-managers/StandardManager.sol and docs/managers/SRM.md, restated.
"""

from __future__ import annotations

from dataclasses import dataclass

from aggregator.margin.rulebooks.derive_market import (
    Charge,
    DeriveMargin,
    Expiry,
    OptionHolding,
    Perp,
    check_expiries,
    confidence_charge,
)
from aggregator.margin.rulebooks.wad import WAD, wdiv, wmul
from aggregator.model.policy import Level
from aggregator.pricing.wad import black76_wad


@dataclass(frozen=True, slots=True)
class SrmParameters:
    """Parameters of one market in 1e-18; thresholds of 0 switch a confidence charge off."""

    im_perp: int
    mm_perp: int
    max_spot: int
    min_spot: int
    mm_call_spot: int
    mm_put_spot: int
    mm_put_value: int
    unpaired_im: int
    unpaired_mm: int
    mm_offset: int
    perp_threshold: int
    option_threshold: int
    base_threshold: int
    confidence_factor: int
    base_margin: int
    base_im_scale: int


@dataclass(frozen=True, slots=True)
class SrmMarket:
    """Holdings of one underlying with its parameters; `base` is never negative."""

    name: str
    spot: int
    parameters: SrmParameters
    base: int = 0
    expiries: tuple[Expiry, ...] = ()
    perp: Perp | None = None
    spot_confidence: int = WAD


@dataclass(frozen=True, slots=True)
class SrmPortfolio:
    """One account over several markets; the depeg threshold and factor are those of the manager."""

    cash: int
    markets: tuple[SrmMarket, ...]
    stable: int = WAD
    depeg_threshold: int = 0
    depeg_factor: int = 0


def option_value(expiry: Expiry, one: OptionHolding) -> int:
    """Undiscounted Black-76 value of the holding, signed."""
    price = black76_wad(expiry.seconds, one.volatility, expiry.forward, one.strike, one.is_call)
    return wmul(price, one.amount)


def _spot_multiple(market: SrmMarket, one: OptionHolding) -> int:
    """Initial charge per unit of spot: falls with how far out of the money, down to a floor."""
    p = market.parameters
    out = one.strike - market.spot if one.is_call else market.spot - one.strike
    ratio = wdiv(out, market.spot) if out > 0 else 0
    return wmul(max(p.min_spot, p.max_spot - ratio), market.spot)


def isolated(market: SrmMarket, expiry: Expiry, one: OptionHolding, level: Level) -> int:
    """Margin of one option position on its own: 0 when long, negative when short."""
    if one.amount > 0:
        return 0
    p, mark = market.parameters, option_value(expiry, one)
    if one.is_call:
        if level is Level.MM:
            return mark + wmul(wmul(p.mm_call_spot, market.spot), one.amount)
        return wmul(_spot_multiple(market, one), one.amount) + mark
    kept = min(wmul(wmul(p.mm_put_spot, market.spot), one.amount), wmul(p.mm_put_value, mark)) + mark
    if level is Level.MM:
        return kept
    return min(wmul(_spot_multiple(market, one), one.amount) + mark, wmul(kept, p.mm_offset))


def _settlement(expiry: Expiry, price: int) -> int:
    total = 0
    for one in expiry.options:
        payoff = max(0, price - one.strike) if one.is_call else max(0, one.strike - price)
        total += wmul(payoff, one.amount)
    return min(0, total)


def expiry_margin(market: SrmMarket, expiry: Expiry, level: Level) -> tuple[int, str]:
    """Margin of one expiry's options and which rule gave it."""
    alone = sum(isolated(market, expiry, one, level) for one in expiry.options)
    prices = {0, *(one.strike for one in expiry.options)}
    capped = min(_settlement(expiry, price) for price in prices)
    if expiry.net_calls < 0:
        p = market.parameters
        scale = p.unpaired_im if level is Level.IM else p.unpaired_mm
        capped += wmul(wmul(scale, expiry.forward), expiry.net_calls)
    return (alone, "isolated margins") if alone >= capped else (capped, "largest loss at a strike")


def _market_parts(market: SrmMarket, level: Level, stable: int, depeg: int) -> tuple[list[Charge], int]:
    """Signed parts of a market's margin and its mark-to-market."""
    p, initial, parts, worth = market.parameters, level is Level.IM, [], 0

    def add(name: str, amount: int) -> None:
        parts.append(Charge(f"{market.name} {name}", amount))

    if market.perp is not None and market.perp.amount:
        perp, held = market.perp, abs(market.perp.amount)
        add("perp", -wmul(wmul(held, perp.price), p.im_perp if initial else p.mm_perp))
        add("perp profit and loss", perp.pnl)
        worth += perp.pnl
        if initial:
            least = min(perp.confidence, market.spot_confidence)
            notional = wmul(market.spot, held)
            add(
                "perp, oracle confidence",
                -confidence_charge(least, p.perp_threshold, p.confidence_factor, notional),
            )
    for expiry in market.expiries:
        amount, rule = expiry_margin(market, expiry, level)
        add(f"options in {expiry.seconds // 86400} days: {rule}", amount)
        worth += sum(option_value(expiry, one) for one in expiry.options)
        if initial:
            least = min(market.spot_confidence, expiry.confidence, expiry.volatility_confidence)
            notional = wmul(market.spot, expiry.short_amount)
            add(
                "options, oracle confidence",
                -confidence_charge(least, p.option_threshold, p.confidence_factor, notional),
            )
    if depeg:
        exposed = (abs(market.perp.amount) if market.perp else 0) + sum(
            one.short_amount for one in market.expiries
        )
        add("depeg", -wmul(wmul(exposed, depeg), market.spot))
    if market.base:
        notional = wmul(market.base, market.spot)
        counted = wmul(notional, p.base_margin)
        worth += wdiv(notional, stable)
        if initial:
            counted = wmul(counted, p.base_im_scale)
        add("base asset", counted)
        if initial and counted:
            charge = confidence_charge(
                market.spot_confidence, p.base_threshold, p.confidence_factor, notional
            )
            add("base asset, oracle confidence", -charge)
    return parts, worth


def margin(portfolio: SrmPortfolio, level: Level) -> DeriveMargin:
    """Margin of the account at `level`; raises InputError for a negative price, strike or time."""
    short = portfolio.depeg_threshold - portfolio.stable
    depeg = wmul(short, portfolio.depeg_factor) if level is Level.IM and short > 0 else 0
    parts, worth = [Charge("cash", portfolio.cash)], portfolio.cash
    for market in portfolio.markets:
        check_expiries(market.expiries)
        more, value = _market_parts(market, level, portfolio.stable, depeg)
        parts += more
        worth += value
    kept = tuple(part for part in parts if part.amount)
    total = sum(part.amount for part in parts)
    deciding = min((part for part in kept if part.amount < 0), key=lambda part: part.amount, default=None)
    otherwise = "haircut on base assets" if worth > total else "nothing is required"
    return DeriveMargin(
        margin=total,
        mark_to_market=worth,
        binding=deciding.name if deciding is not None else otherwise,
        parts=kept,
    )
