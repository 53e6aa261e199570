"""How far selling moves a price: laws of impact, and what a spec and the rules say of a market's depth.

A net quantity Q of the underlying sold in all (bought: negative), V units traded a day and s the volatility of a day
move the logarithm of the price by

    square-root   -sign(Q) x factor x s x sqrt(abs(Q) / V)     Toth et al. (2011); the exponent of Almgren, Thum,
                                                               Hauptmann, Li, "Direct estimation of equity market
                                                               impact", Risk 18 (2005) is 3/5
    linear        -factor x s x Q / V                          Kyle, "Continuous auctions and insider trading",
                                                               Econometrica 53 (1985); the permanent part of Almgren,
                                                               Chriss, "Optimal execution", J. Risk 3 (2001)
    depth         -sign(Q) x average slippage of the levels    a profile in the policy's spec

Q is cumulative over the rounds of a cascade, so that cutting a sale into rounds changes nothing. Nothing recovers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.liquidation.drivers import DAYS_PER_YEAR, Driver
from aggregator.liquidation.rules import Law, MarketRules
from aggregator.model.units import PRICE_BOUND
from aggregator.policy.estimates import Estimates
from aggregator.policy.spec import PolicySpec
from aggregator.risk.depth import Depth, SquareRootImpact
from aggregator.risk.desk import Desk, Moves

FURTHEST: Final = 3.0
"""No sale moves a price by more than a factor of e^3."""
BUMP: Final = 100
"""Deltas are taken from a rise of a price by one part in this."""


@dataclass(frozen=True, slots=True)
class LinearImpact:
    """cost = factor x daily volatility x quantity / units traded a day."""

    factor: float
    daily_volume: float

    def cost(self, quantity: float, daily_volatility: float) -> float:
        """As stated above."""
        return self.factor * daily_volatility * quantity / self.daily_volume


@dataclass(frozen=True, slots=True)
class Market:
    """One price that selling moves, the prices that follow it, its depth, and where that is from."""

    price: str
    moves: tuple[str, ...]
    depth: Depth
    daily_volatility: float
    source: str

    def log_move(self, sold: float) -> float:
        """The move of the log price after a net quantity was sold in all."""
        size = min(FURTHEST, self.depth.cost(abs(sold), self.daily_volatility)) if sold else 0.0
        return -math.copysign(size, sold)

    def prices_after(self, prices_e12: Mapping[str, int], sold: float) -> dict[str, int]:
        """The prices (1e-12 USD, rounded to nearest) after the move."""
        factor = math.exp(self.log_move(sold))
        return {n: min(max(round(prices_e12[n] * factor), 1), PRICE_BOUND - 1) for n in self.moves}


def _of_rules(one: MarketRules) -> Depth:
    if one.law is Law.LINEAR:
        return LinearImpact(one.factor, one.daily_volume)
    return SquareRootImpact(one.factor, one.daily_volume)


def _of_spec(spec: PolicySpec, estimates: Estimates, prices: Sequence[str]) -> tuple[Depth, str] | None:
    """Depth as a spec gives it: of the first asset of these prices with [assets.dynamic], or by [risk].volumes."""
    for asset in spec.assets:
        if asset.price in prices and asset.name in estimates.haircuts:
            return estimates.haircuts[asset.name].depth, f"the policy's depth of {asset.name}"
    volumes = estimates.risk.volumes if estimates.risk is not None else {}
    for price in prices:
        if price in volumes:
            return SquareRootImpact(1.0, volumes[price]), "the policy's daily volume, square-root law"
    return None


def markets(
    desk: Desk, drivers: Sequence[Driver], rules: Sequence[MarketRules], estimates: Estimates
) -> tuple[tuple[Market, ...], tuple[str, ...]]:
    """The markets of the drivers' prices, and those prices whose depth nobody gives: selling does not move them.

    `estimates` are those of the spec as its publisher wrote it. What the rules say of a price goes before the spec.
    """
    given = {one.price: one for one in rules}
    found, unknown = [], []
    for driver in drivers:
        volatility = driver.volatility / DAYS_PER_YEAR**0.5
        one = given.get(driver.price)
        if one is not None:
            daily = volatility if one.daily_volatility is None else one.daily_volatility
            source = f"the rules, {one.law.value} law"
            found.append(Market(driver.price, driver.moves, _of_rules(one), daily, source))
            continue
        known = _of_spec(desk.spec, estimates, (driver.price, *driver.moves))
        if known is None:
            unknown.append(driver.price)
        else:
            found.append(Market(driver.price, driver.moves, known[0], volatility, known[1]))
    return tuple(found), tuple(unknown)


def deltas(
    desk: Desk, found: Sequence[Market], prices_e12: Mapping[str, int], moves: Moves
) -> dict[str, dict[str, float]]:
    """Units of each market's price in one unit of an instrument, by price and symbol, at a state of the market.

    The change of the mark over that of the price when the price and its followers rise by a hundredth: 1 for the token
    itself, the rate for a wrapper, the delta for an option.
    """
    still = {one.symbol: one.mark_e12 for one in desk.policy_at(prices_e12, moves).instruments}
    result = {}
    for market in found:
        base = {name: prices_e12.get(name, desk.price_e12(name)) for name in market.moves}
        higher = dict(prices_e12) | {name: price + price // BUMP for name, price in base.items()}
        rise = higher[market.price] - base[market.price]
        moved = desk.policy_at(higher, moves).instruments
        result[market.price] = {
            one.symbol: (one.mark_e12 - still[one.symbol]) / rise
            for one in moved
            if one.symbol in still and one.mark_e12 != still[one.symbol]
        }
    return result
