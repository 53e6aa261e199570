"""Perps, dated futures and European options of a class, priced and scanned on its market.

An instrument has one mark for both sides. It is the lower value that the instrument has at the price of collateral and
at the price of debts, so a long position is worth no more than either says. A short one owes the higher value: it pays
the difference, and what the scan of the lower one leaves out, as an add-on on the gross.

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
from aggregator.policy.slopes import raised
from aggregator.policy.spec import Expiries, FutureSpec, OptionSpec, PerpSpec, PolicySpec
from aggregator.risk.arrays import future_array, option_arrays, perp_array
from aggregator.risk.market import Market

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
    seconds = _time_of(expiry) - as_of
    if seconds < CLOSING_HOURS * 3600:
        raise PolicyError(
            f"the expiry {expiry.isoformat()} is past or within the hour; remove it from the spec"
        )
    return seconds / YEAR_S


def check_outlived(what: str, expiry: date, expires: int) -> None:
    """Refuse an instrument that ends while the policy still prices it; PolicyError.

    After its expiry an instrument is worth what it settled at, and no mark of before says what that is.
    """
    if _time_of(expiry) <= expires:
        until = datetime.fromtimestamp(expires, UTC)
        raise PolicyError(
            f"{what} ends on {expiry.isoformat()} at {EXPIRY_TIME:%H:%M} UTC and the policy is in force until "
            f"{until:%Y-%m-%d %H:%M:%S} UTC; remove this expiry from the spec or shorten lifetime_s"
        )


def _time_of(expiry: date) -> int:
    return int(datetime.combine(expiry, EXPIRY_TIME).timestamp())


def _two_sided(
    symbol: str,
    kind: InstrumentKind,
    context: ClassContext,
    marks: tuple[int, int],
    arrays: tuple[tuple[int, ...], tuple[int, ...]],
    addons: tuple[Addon, Addon],
    limit_price_e12: int,
) -> Draft:
    """One instrument from its marks and risk arrays at the price of collateral and at that of debts."""
    lower = 0 if marks[0] <= marks[1] else 1
    risk, other = arrays[lower], arrays[1 - lower]
    gap = abs(marks[1] - marks[0])
    unscanned = max(0, *(there - here for here, there in zip(risk, other, strict=True)))
    short = tuple(
        gap + mul_div_up(unscanned, factor, RATE_SCALE)
        for factor in (context.scan_factor.im_e6, context.scan_factor.mm_e6)
    )
    addon_im, addon_mm = raised(addons, (0, 0), (short[0], short[1]))
    return Draft(
        symbol=symbol,
        kind=kind,
        underlying=context.name,
        class_id=context.class_id,
        group_id=0,
        mark_e12=marks[lower],
        unit_e6=0,
        risk_e12=risk,
        addon_im=addon_im,
        addon_mm=addon_mm,
        limit_price_e12=limit_price_e12,
    )


def perp_drafts(perp: PerpSpec, context: ClassContext, quotes: Quotes) -> list[Draft | None]:
    """The perp, marked at its own price when the spec names one, else at the index."""
    price = quotes.fresh_price(perp.price)
    if context.markets is None or price is None:
        return [None]
    high = quotes.debt_price(perp.price) or price
    low_array, high_array = (to_risk_e12(perp_array(market, context.scenarios)) for market in context.markets)
    addons = addon_of(high, perp.liquidity, perp.liquidity)
    arrays = (low_array, high_array)
    return [_two_sided(perp.symbol, InstrumentKind.PERP, context, (price, high), arrays, addons, high)]


def future_drafts(future: FutureSpec, context: ClassContext, as_of: int, expires: int) -> list[Draft | None]:
    """One dated future per expiry, marked at its forward."""
    drafts: list[Draft | None] = []
    for expiry in expiry_dates(future.expiries, as_of):
        symbol = f"{future.class_name}-{expiry:%Y%m%d}"
        check_outlived(f"the future {symbol}", expiry, expires)
        years = years_to(expiry, as_of)
        if context.markets is None:
            drafts.append(None)
            continue
        low, high = (to_e12(market.curve.forward(years)) for market in context.markets)
        low_array, high_array = (
            to_risk_e12(future_array(market, years, context.scenarios)) for market in context.markets
        )
        addons = addon_of(high, future.liquidity, future.liquidity)
        arrays = (low_array, high_array)
        drafts.append(_two_sided(symbol, InstrumentKind.FUTURE, context, (low, high), arrays, addons, high))
    return drafts


def _option_addon(index_e12: int, mark_e12: int, liquidity_e6: int, short_minimum_e6: int) -> Addon:
    """Long: liquidity, at most the whole mark. Short: the short-option minimum and liquidity, of the index."""
    return Addon(
        long_e12=min(mark_e12, mul_div_up(index_e12, liquidity_e6, RATE_SCALE)),
        short_e12=mul_div_up(index_e12, liquidity_e6 + short_minimum_e6, RATE_SCALE),
    )


def _option_drafts_of_expiry(
    option: OptionSpec, context: ClassContext, markets: tuple[Market, Market], expiry: date, as_of: int
) -> list[Draft | None]:
    """The strikes follow the lower index; add-ons of the index are of the upper one."""
    years = years_to(expiry, as_of)
    index = to_e12(markets[1].curve.spot)
    listed = option.strikes.at(to_e12(markets[0].curve.spot))
    strikes = np.array([strike / QUANTITY_SCALE for strike in listed])
    drafts: list[Draft | None] = []
    for letter, is_call in (("C", True), ("P", False)):
        sides = np.full(strikes.shape, is_call)
        values = [market.option_value(strikes, years, sides) for market in markets]
        scans = [option_arrays(market, strikes, years, sides, context.scenarios) for market in markets]
        for n, strike in enumerate(listed):
            low, high = (to_e12(float(value[n])) for value in values)
            mark = min(low, high)
            addons = (
                _option_addon(index, mark, option.liquidity.im_e6, option.short_minimum.im_e6),
                _option_addon(index, mark, option.liquidity.mm_e6, option.short_minimum.mm_e6),
            )
            drafts.append(
                _two_sided(
                    f"{option.class_name}-{expiry:%Y%m%d}-{format_decimal(strike, 8)}-{letter}",
                    InstrumentKind.OPTION,
                    context,
                    (low, high),
                    (to_risk_e12(scans[0][n]), to_risk_e12(scans[1][n])),
                    addons,
                    max(low, high, index),
                )
            )
    return drafts


def option_drafts(option: OptionSpec, context: ClassContext, as_of: int, expires: int) -> list[Draft | None]:
    """Calls and puts on every strike and expiry, marked on the surface and repriced under every scenario."""
    drafts: list[Draft | None] = []
    for expiry in expiry_dates(option.expiries, as_of):
        check_outlived(f"the option {option.class_name}-{expiry:%Y%m%d}", expiry, expires)
        if context.markets is None:
            drafts += [None] * (2 * option.strikes.count())
            continue
        drafts += _option_drafts_of_expiry(option, context, context.markets, expiry, as_of)
    return drafts
