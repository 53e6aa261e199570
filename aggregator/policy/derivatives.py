"""Perps, dated futures and European options of a class, priced and scanned on its market.

Without a fresh price of the class there is no market, and its derivatives are left out of the policy: an account that
holds one cannot be valued until the price is back, and is told so by name.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import numpy as np

from aggregator.fixed import format_decimal, mul_div_up
from aggregator.model.errors import PolicyError
from aggregator.model.policy import Addon, InstrumentKind
from aggregator.model.units import QUANTITY_SCALE, RATE_SCALE
from aggregator.policy.draft import ClassContext, Draft, addon_of, to_e12, to_risk_e12
from aggregator.policy.quotes import Quotes
from aggregator.policy.spec import Expiries, FutureSpec, OptionSpec, PerpSpec, PolicySpec
from aggregator.risk.arrays import future_array, option_arrays, perp_array
from aggregator.risk.market import Market
from aggregator.risk.scenarios import Scenario

EXPIRY_TIME: Final = time(8, tzinfo=UTC)
"""Expiries are at 08:00 UTC, as on the option venues of this field."""
YEAR_S: Final = 365 * 24 * 3600
CLOSING_HOURS: Final = 1


def expiry_dates(expiries: Expiries, as_of: int) -> list[date]:
    """All expiry dates in order, those counted in days from the UTC date of `as_of` included."""
    today = datetime.fromtimestamp(as_of, UTC).date()
    return sorted({*expiries.dates, *(today + timedelta(days=d) for d in expiries.days)})


def with_dates(spec: PolicySpec, as_of: int) -> PolicySpec:
    """The spec with expiries counted in days turned into the dates they are on the UTC day of `as_of`.

    Policies that are built from it at different times, also on either side of midnight, list the same instruments.
    """

    def fixed(expiries: Expiries) -> Expiries:
        return Expiries(tuple(expiry_dates(expiries, as_of)), ())

    return replace(
        spec,
        futures=tuple(replace(one, expiries=fixed(one.expiries)) for one in spec.futures),
        options=tuple(replace(one, expiries=fixed(one.expiries)) for one in spec.options),
    )


def years_to(expiry: date, as_of: int) -> float:
    """Years of 365 days from `as_of` to an expiry; raises PolicyError within an hour of it or after it."""
    seconds = datetime.combine(expiry, EXPIRY_TIME).timestamp() - as_of
    if seconds < CLOSING_HOURS * 3600:
        raise PolicyError(
            f"the expiry {expiry.isoformat()} is past or within the hour; remove it from the spec"
        )
    return seconds / YEAR_S


def perp_drafts(perp: PerpSpec, context: ClassContext, quotes: Quotes) -> list[Draft | None]:
    """The perp, marked at its own price when the spec names one, else at the index."""
    price = quotes.fresh_price(perp.price)
    if context.market is None or price is None:
        return [None]
    addon_im, addon_mm = addon_of(price, perp.liquidity, perp.liquidity)
    return [
        Draft(
            symbol=perp.symbol,
            kind=InstrumentKind.PERP,
            underlying=perp.class_name,
            class_id=context.class_id,
            group_id=0,
            mark_e12=price,
            unit_e6=0,
            risk_e12=to_risk_e12(perp_array(context.market, context.scenarios)),
            addon_im=addon_im,
            addon_mm=addon_mm,
            limit_price_e12=price,
        )
    ]


def future_drafts(future: FutureSpec, context: ClassContext, as_of: int) -> list[Draft | None]:
    """One dated future per expiry, marked at its forward."""
    drafts: list[Draft | None] = []
    for expiry in expiry_dates(future.expiries, as_of):
        years = years_to(expiry, as_of)
        if context.market is None:
            drafts.append(None)
            continue
        mark = to_e12(context.market.curve.forward(years))
        addon_im, addon_mm = addon_of(mark, future.liquidity, future.liquidity)
        drafts.append(
            Draft(
                symbol=f"{future.class_name}-{expiry:%Y%m%d}",
                kind=InstrumentKind.FUTURE,
                underlying=future.class_name,
                class_id=context.class_id,
                group_id=0,
                mark_e12=mark,
                unit_e6=0,
                risk_e12=to_risk_e12(future_array(context.market, years, context.scenarios)),
                addon_im=addon_im,
                addon_mm=addon_mm,
                limit_price_e12=mark,
            )
        )
    return drafts


def _option_addon(index_e12: int, mark_e12: int, liquidity_e6: int, short_minimum_e6: int) -> Addon:
    """Long: liquidity, at most the whole mark. Short: the short-option minimum and liquidity, of the index."""
    return Addon(
        long_e12=min(mark_e12, mul_div_up(index_e12, liquidity_e6, RATE_SCALE)),
        short_e12=mul_div_up(index_e12, liquidity_e6 + short_minimum_e6, RATE_SCALE),
    )


def _option_drafts_of_expiry(
    option: OptionSpec,
    class_id: int,
    market: Market,
    scenarios: tuple[Scenario, ...],
    expiry: date,
    as_of: int,
) -> list[Draft | None]:
    years = years_to(expiry, as_of)
    index = to_e12(market.curve.spot)
    listed = option.strikes.at(index)
    strikes = np.array([strike / QUANTITY_SCALE for strike in listed])
    drafts: list[Draft | None] = []
    for letter, is_call in (("C", True), ("P", False)):
        sides = np.full(strikes.shape, is_call)
        marks = market.option_value(strikes, years, sides)
        arrays = option_arrays(market, strikes, years, sides, scenarios)
        for n, strike in enumerate(listed):
            mark = to_e12(float(marks[n]))
            drafts.append(
                Draft(
                    symbol=f"{option.class_name}-{expiry:%Y%m%d}-{format_decimal(strike, 8)}-{letter}",
                    kind=InstrumentKind.OPTION,
                    underlying=option.class_name,
                    class_id=class_id,
                    group_id=0,
                    mark_e12=mark,
                    unit_e6=0,
                    risk_e12=to_risk_e12(arrays[n]),
                    addon_im=_option_addon(index, mark, option.liquidity.im_e6, option.short_minimum.im_e6),
                    addon_mm=_option_addon(index, mark, option.liquidity.mm_e6, option.short_minimum.mm_e6),
                    limit_price_e12=max(mark, index),
                )
            )
    return drafts


def option_drafts(option: OptionSpec, context: ClassContext, as_of: int) -> list[Draft | None]:
    """Calls and puts on every strike and expiry, marked on the surface and repriced under every scenario."""
    drafts: list[Draft | None] = []
    for expiry in expiry_dates(option.expiries, as_of):
        if context.market is None:
            drafts += [None] * (2 * option.strikes.count())
            continue
        drafts += _option_drafts_of_expiry(
            option, context.class_id, context.market, context.scenarios, expiry, as_of
        )
    return drafts
