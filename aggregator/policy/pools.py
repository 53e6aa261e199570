"""Shares of pools of two tokens, charged so that no holding gets cheaper by being put into a pool.

A share is worth what half of it is in either token. So it pays, for the same value, at least

- the scan risk of the two halves: its value moves with the roots of both prices, which lose more than the halves do
  (the geometric mean lies below the arithmetic one), and never gain more;
- the chain, bridge, wrapper and liquidity add-ons of the worse of the two tokens on the whole: whoever trades against a
  pool in trouble leaves it with the worse token;
- the tiered haircut of both. One half counts in the netting group of its asset, the one whose last tier is the
  steeper, beside the tokens that are held directly. The other half, which an instrument has no second group for, pays
  the last tier of its own group on the gross; a group charges no more than that for any further unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, isqrt
from typing import Final

from aggregator.model.errors import PolicyError
from aggregator.model.policy import InstrumentKind
from aggregator.model.units import PRICE_SCALE, RATE_SCALE, UNIT_BOUND
from aggregator.policy.collateral import NOTHING, Place, risk_of, rounding_e12, unit_e6
from aggregator.policy.draft import NO_RISK, Draft, addon_of, to_risk_e12
from aggregator.policy.holdings import PoolSpec
from aggregator.policy.quotes import Quotes
from aggregator.policy.rates import LevelRates, worse
from aggregator.policy.slopes import raised
from aggregator.policy.spec import PolicySpec
from aggregator.risk.arrays import product_array

LEAST_UNIT_E6: Final = 1000
"""A unit of fewer millionths rounds up by more than a thousandth of itself."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One token of a pool: its place, its price as collateral (0: unfit), how much of its asset it is, its add-on."""

    place: Place
    price_e12: int
    rate_e12: int
    addon: LevelRates
    depegged: bool

    def addons(self, chain: str) -> LevelRates:
        """What holding the token itself on a chain adds, the chain's own part aside."""
        asset = self.place.asset
        return asset.bridges.get(chain, NOTHING) + asset.liquidity + self.addon

    def tokens_e12(self, value_e12: int) -> Fraction:
        """How many of the token half of a value buys, in 1e-12."""
        return Fraction(value_e12 * PRICE_SCALE, 2 * self.price_e12)

    def asset_e12(self, value_e12: int) -> Fraction:
        """The same in the units of its asset that the tokens count as in the netting group."""
        return self.tokens_e12(value_e12) * unit_e6(self.rate_e12) / RATE_SCALE


@dataclass(frozen=True, slots=True)
class _Netted:
    """Where a share nets: group, unit, and the rates at IM and MM that it pays beside (1e-12 USD, long)."""

    group_id: int
    unit_e6: int
    more: tuple[int, int]


def pool_drafts(
    pool: PoolSpec, first: Leg, second: Leg, spec: PolicySpec, quotes: Quotes
) -> Iterator[Draft | None]:
    """Shares at 2 sqrt(x p y q) over the supply, p and q being what the tokens are worth as collateral.

    They move with the class of their tokens; where the two are in different classes, with none, and the worst loss
    that the scenarios give is charged in full.
    """
    rate = quotes.fresh_rate(pool.rate)
    if rate is not None and set(tokens := quotes.rates[pool.rate].tokens) != set(pool.tokens):
        raise PolicyError(
            f"the pool {pool.name} holds {' and '.join(tokens) or 'unknown tokens'} and the spec says "
            f"{' and '.join(pool.tokens)}; correct one of them"
        )
    price = isqrt((rate or 0) ** 2 * first.price_e12 * second.price_e12) // PRICE_SCALE
    legs = (first, second)
    class_id, risk, extra = _scanned(price, legs, spec)
    netted = _netted(price, legs) if price else _Netted(0, 0, (0, 0))
    for chain in pool.chains:
        own = worse(first.addons(chain), second.addons(chain))
        rates = spec.chains[chain] + own + pool.addon + extra
        addon_im, addon_mm = raised(addon_of(price, rates, rates), netted.more, (0, 0))
        yield Draft(
            symbol=f"{pool.name}@{chain}",
            kind=InstrumentKind.SPOT,
            underlying=pool.name,
            class_id=class_id,
            group_id=netted.group_id,
            mark_e12=price,
            unit_e6=netted.unit_e6,
            risk_e12=risk,
            addon_im=addon_im,
            addon_mm=addon_mm,
            limit_price_e12=price,
            depegged=first.depegged or second.depegged,
        )


def _scanned(
    price_e12: int, legs: tuple[Leg, Leg], spec: PolicySpec
) -> tuple[int, tuple[int, ...], LevelRates]:
    """Class, risk array, and the rates that stand for the scan where the tokens are in two classes.

    An entry is never above what the two halves gain in that scenario, to the last digit.
    """
    contexts = [leg.place.context for leg in legs]
    known = [context for context in contexts if context is not None]
    if not price_e12 or not known:
        return 0, NO_RISK, NOTHING
    shocks = [context.shocks for context in known]
    if len({context.class_id for context in known}) > 1:
        worst = max(0.0, -float(product_array(1.0, shocks, spec.scenarios).min()))
        return (
            0,
            NO_RISK,
            LevelRates(_whole(worst * spec.scan_factor.im_e6), _whole(worst * spec.scan_factor.mm_e6)),
        )
    whole = to_risk_e12(product_array(price_e12 / PRICE_SCALE, shocks, spec.scenarios))
    halves = [
        (leg.tokens_e12(price_e12) / PRICE_SCALE, risk_of(context, leg.price_e12))
        for leg, context in zip(legs, contexts, strict=True)
    ]
    risk = tuple(
        min(entry, floor(sum(tokens * half[s] for tokens, half in halves))) for s, entry in enumerate(whole)
    )
    return known[0].class_id, risk, NOTHING


def _netted(price_e12: int, legs: tuple[Leg, Leg]) -> _Netted:
    """The group of the leg with the steeper last tier; the other leg's last tier on the gross.

    Where a share is too much of an asset for a unit (W3), or so little that rounding the unit up costs more than a
    thousandth, both legs pay their last tier on the gross.
    """
    kept = max(legs, key=lambda leg: leg.place.slopes.long_im * leg.asset_e12(price_e12))
    same = [leg for leg in legs if leg.place.group_id == kept.place.group_id]
    amount = sum((leg.asset_e12(price_e12) for leg in same), Fraction(0))
    unit = unit_e6(ceil(amount))
    if not LEAST_UNIT_E6 <= unit < UNIT_BOUND:
        same, unit = [], 0
    gross = [leg.place.slopes.long_of(ceil(leg.asset_e12(price_e12))) for leg in legs if leg not in same]
    if unit:
        exact = sum(leg.tokens_e12(price_e12) * leg.rate_e12 / PRICE_SCALE for leg in same)
        gross.append(kept.place.slopes.short_of(rounding_e12(unit, floor(exact))))
    more = (sum(im for im, _ in gross), sum(mm for _, mm in gross))
    return _Netted(kept.place.group_id if unit else 0, unit, more)


def _whole(rate_e6: float) -> int:
    return min(RATE_SCALE, ceil(rate_e6))
