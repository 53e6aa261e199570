"""Instruments that are held or owed on chains: cash, tokens, debts and wrappers, and the netting groups they share."""

from __future__ import annotations

from aggregator.model.policy import Addon, InstrumentKind, NettingGroup
from aggregator.model.units import PRICE_SCALE, RATE_SCALE
from aggregator.policy.draft import NO_RISK, ClassContext, Draft, addon_of, to_risk_e12
from aggregator.policy.haircut import lines_from_tiers
from aggregator.policy.quotes import Quotes
from aggregator.policy.rates import LevelRates
from aggregator.policy.spec import AssetSpec, PolicySpec
from aggregator.risk.arrays import spot_array

ALL_OF_IT = LevelRates(RATE_SCALE, RATE_SCALE)
NOTHING = LevelRates(0, 0)


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


def netting_group(group_id: int, asset: AssetSpec, quotes: Quotes) -> NettingGroup:
    """The haircut lines of an asset at its price; the short side at the price its debts are valued at."""
    long_price = quotes.fresh_price(asset.price) or 0
    short_price = quotes.debt_price(asset.price) or 0
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


def held(
    symbol: str,
    asset: AssetSpec,
    context: ClassContext | None,
    group_id: int,
    price_e12: int,
    unit_e6: int,
    rates: LevelRates,
) -> Draft:
    """A token that counts as collateral; at price 0 it carries neither value nor risk nor netting."""
    addon_im, addon_mm = addon_of(price_e12, rates, rates)
    return Draft(
        symbol=symbol,
        kind=InstrumentKind.SPOT,
        underlying=asset.class_name or asset.name,
        class_id=context.class_id if context is not None else 0,
        group_id=group_id,
        mark_e12=price_e12,
        unit_e6=unit_e6 if price_e12 else 0,
        risk_e12=risk_of(context, price_e12),
        addon_im=addon_im,
        addon_mm=addon_mm,
        limit_price_e12=price_e12,
    )


def spot_drafts(
    spec: PolicySpec, asset: AssetSpec, context: ClassContext | None, group_id: int, quotes: Quotes
) -> list[Draft | None]:
    """One instrument per chain the asset is on, with chain, bridge and liquidity add-ons on the gross quantity."""
    price = quotes.fresh_price(asset.price) or 0
    return [
        held(
            f"{asset.name}@{chain}",
            asset,
            context,
            group_id,
            price,
            RATE_SCALE,
            spec.chains[chain] + asset.bridges.get(chain, NOTHING) + asset.liquidity,
        )
        for chain in asset.chains
    ]


def owed(
    symbol: str,
    asset: AssetSpec,
    context: ClassContext | None,
    group_id: int,
    price_e12: int,
    unit_e6: int,
) -> Draft:
    """A debt, held in negative quantities.

    The long add-on takes the whole value back: a positive quantity of a debt can never be collateral.
    """
    addon_im, addon_mm = addon_of(price_e12, ALL_OF_IT, asset.liquidity)
    return Draft(
        symbol=symbol,
        kind=InstrumentKind.DEBT,
        underlying=asset.class_name or asset.name,
        class_id=context.class_id if context is not None else 0,
        group_id=group_id,
        mark_e12=price_e12,
        unit_e6=unit_e6,
        risk_e12=risk_of(context, price_e12),
        addon_im=addon_im,
        addon_mm=addon_mm,
        limit_price_e12=price_e12,
    )


def debt_drafts(
    asset: AssetSpec, context: ClassContext | None, group_id: int, quotes: Quotes
) -> list[Draft | None]:
    """One debt per chain; None (no such instrument) when there never was a price."""
    price = quotes.debt_price(asset.price)
    return [
        None
        if price is None
        else owed(f"{asset.name}-DEBT@{chain}", asset, context, group_id, price, RATE_SCALE)
        for chain in asset.debt_chains
    ]
