"""Instruments that are held or owed on chains: cash, tokens, debts and wrappers, and the netting groups they share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aggregator.fixed import div_ceil
from aggregator.model.policy import Addon, InstrumentKind, NettingGroup
from aggregator.model.units import PRICE_SCALE, RATE_SCALE
from aggregator.policy.draft import NO_RISK, ClassContext, Draft, addon_of, to_risk_e12
from aggregator.policy.haircut import lines_from_tiers
from aggregator.policy.quotes import Quotes
from aggregator.policy.rates import LevelRates
from aggregator.policy.slopes import Slopes, raised
from aggregator.policy.spec import AssetSpec, PolicySpec
from aggregator.risk.arrays import spot_array

ALL_OF_IT = LevelRates(RATE_SCALE, RATE_SCALE)
NOTHING = LevelRates(0, 0)


@dataclass(frozen=True, slots=True)
class Place:
    """Where an asset stands in the policy: its class, its netting group, and what that group charges at most."""

    asset: AssetSpec
    context: ClassContext | None
    group_id: int
    slopes: Slopes


def cash() -> Draft:
    """USD owed by or to a venue: the cash leg of derivatives."""
    return Draft(
        symbol="USD",
        kind=InstrumentKind.SPOT,
        underlying="USD",
        class_id=0,
        group_id=0,
        mark_e12=PRICE_SCALE,
        unit_e6=0,
        risk_e12=NO_RISK,
        addon_im=Addon(0, 0),
        addon_mm=Addon(0, 0),
        limit_price_e12=PRICE_SCALE,
    )


def collateral_price(asset: AssetSpec, quotes: Quotes) -> int:
    """The price of collateral in 1e-12: the asset's own, or of what it stands for where that is lower; 0 if unfit."""
    price = quotes.fresh_price(asset.price) or 0
    if asset.stands_for is None:
        return price
    return min(price, quotes.fresh_price(asset.stands_for) or 0)


def owed_price(asset: AssetSpec, quotes: Quotes) -> int | None:
    """The price of a debt in 1e-12: the higher of the two, raised where one of them is missing; None without any."""
    price = quotes.debt_price(asset.price)
    if asset.stands_for is None:
        return price
    other = quotes.debt_price(asset.stands_for)
    if price is None or other is None:
        known = other if price is None else price
        return None if known is None else quotes.raised(known)
    return max(price, other)


def netting_group(group_id: int, asset: AssetSpec, quotes: Quotes) -> NettingGroup:
    """The haircut lines of an asset at its price; the short side at the price its debts are valued at."""
    long_price = collateral_price(asset, quotes)
    short_price = owed_price(asset, quotes) or 0
    return NettingGroup(
        id=group_id,
        name=asset.name,
        lines_im=lines_from_tiers(long_price, asset.long_im, asset.short_im, short_price),
        lines_mm=lines_from_tiers(long_price, asset.long_mm, asset.short_mm, short_price),
    )


def risk_of(context: ClassContext | None, price_e12: int) -> tuple[int, ...]:
    """The risk array of something that moves with its class, at a price in 1e-12 USD."""
    if context is None:
        return NO_RISK
    return to_risk_e12(spot_array(price_e12 / PRICE_SCALE, context.shocks, context.scenarios))


def unit_e6(rate_e12: int) -> int:
    """A rate as the unit that counts in a netting group, rounded up."""
    return div_ceil(rate_e12, PRICE_SCALE // RATE_SCALE)


def rounding_e12(unit: int, rate_e12: int) -> int:
    """By how much a unit (1e-6) exceeds the rate, in 1e-12 of the asset."""
    return unit * (PRICE_SCALE // RATE_SCALE) - rate_e12


def held(
    symbol: str,
    place: Place,
    price_e12: int,
    rate_e12: int,
    rates: LevelRates,
    owed_e12: int | None,
    *,
    depegged: bool = False,
) -> Draft:
    """A token that counts as collateral; at price 0 it carries neither value nor risk nor netting.

    `rate_e12` is how much of its asset it counts as. The unit is rounded up, so that the haircut of a net holding is
    never understated; what that adds to the offset of a net debt is charged again on the long side, at the steepest
    line. A negative quantity is a debt and pays the difference to `owed_e12`, the price of debts.
    """
    unit = unit_e6(rate_e12) if price_e12 else 0
    over = place.slopes.short_of(rounding_e12(unit, rate_e12)) if unit else (0, 0)
    gap = max(0, (owed_e12 or 0) - price_e12)
    addon_im, addon_mm = raised(addon_of(price_e12, rates, rates), over, (gap, gap))
    context = place.context
    return Draft(
        symbol=symbol,
        kind=InstrumentKind.SPOT,
        underlying=place.asset.class_name or place.asset.name,
        class_id=context.class_id if context is not None else 0,
        group_id=place.group_id,
        mark_e12=price_e12,
        unit_e6=unit,
        risk_e12=risk_of(context, price_e12),
        addon_im=addon_im,
        addon_mm=addon_mm,
        limit_price_e12=price_e12,
        depegged=depegged,
    )


def spot_drafts(spec: PolicySpec, place: Place, quotes: Quotes) -> Iterator[Draft | None]:
    """One instrument per chain the asset is on, with chain, bridge and liquidity add-ons on the gross quantity."""
    asset = place.asset
    price, owed_e12 = collateral_price(asset, quotes), owed_price(asset, quotes)
    for chain in asset.chains:
        rates = spec.chains[chain] + asset.bridges.get(chain, NOTHING) + asset.liquidity
        yield held(f"{asset.name}@{chain}", place, price, PRICE_SCALE, rates, owed_e12)


def owed(symbol: str, place: Place, price_e12: int, rate_e12: int, least_rate_e12: int) -> Draft:
    """A debt, held in negative quantities.

    The long add-on takes the whole value back: a positive quantity of a debt can never be collateral. The unit is of
    the highest rate, rounded up; what it exceeds the lowest by would lower the haircut of a net holding, so it is
    charged again on the short side, at the steepest line.
    """
    asset, context = place.asset, place.context
    unit = unit_e6(rate_e12)
    over = place.slopes.long_of(rounding_e12(unit, least_rate_e12))
    addon_im, addon_mm = raised(addon_of(price_e12, ALL_OF_IT, asset.liquidity), (0, 0), over)
    return Draft(
        symbol=symbol,
        kind=InstrumentKind.DEBT,
        underlying=asset.class_name or asset.name,
        class_id=context.class_id if context is not None else 0,
        group_id=place.group_id,
        mark_e12=price_e12,
        unit_e6=unit,
        risk_e12=risk_of(context, price_e12),
        addon_im=addon_im,
        addon_mm=addon_mm,
        limit_price_e12=price_e12,
    )


def debt_drafts(place: Place, quotes: Quotes) -> Iterator[Draft | None]:
    """One debt per chain; None (no such instrument) when there never was a price."""
    price = owed_price(place.asset, quotes)
    for chain in place.asset.debt_chains:
        if price is None:
            yield None
        else:
            yield owed(f"{place.asset.name}-DEBT@{chain}", place, price, PRICE_SCALE, PRICE_SCALE)
