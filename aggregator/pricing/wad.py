"""Transcendental functions and Black-76 for rulebooks that count in 1e-18 units ("wad").

Arguments and results are integers; the middle is double precision, good to about 1e-14 relative. Venues compute the
same functions with 18 decimals on chain, so results agree to about 1e-12 of the forward and not to the last wei.
Source of the caps: Black76 of Derive's lyra-utils (intrinsic at zero time, forward and strike as upper bounds).
"""

from __future__ import annotations

import math
from typing import Final

from scipy.special import ndtr

from aggregator.model.errors import InputError
from aggregator.pricing.black76 import implied_volatility

WAD: Final = 10**18
YEAR_S: Final = 365 * 24 * 3600


def _real(value: int) -> float:
    return value / WAD


def _wad(value: float) -> int:
    return round(value * WAD)


def exp_wad(x: int) -> int:
    """e^x; raises InputError where the result is beyond a double."""
    try:
        return _wad(math.exp(_real(x)))
    except OverflowError:
        raise InputError(
            f"exp of {_real(x):g} is out of range; check the rates and times it comes from"
        ) from None


def ln_wad(x: int) -> int:
    """Natural logarithm of x > 0; InputError otherwise."""
    if x <= 0:
        raise InputError(f"the logarithm of {x}e-18 does not exist; prices and strikes must be above zero")
    return _wad(math.log(_real(x)))


def pow_wad(base: int, exponent: int) -> int:
    """base^exponent for base > 0; InputError otherwise."""
    if base <= 0:
        raise InputError(f"a power of {base}e-18 is not defined here; the base must be above zero")
    return _wad(math.pow(_real(base), _real(exponent)))


def sqrt_wad(x: int) -> int:
    """Square root of x >= 0, rounded down; exact."""
    if x < 0:
        raise InputError(f"the square root of {x}e-18 does not exist; pass a non-negative number")
    return math.isqrt(x * WAD)


def black76_wad(
    seconds: int, volatility: int, forward: int, strike: int, is_call: bool, discount: int = WAD
) -> int:
    """Discounted value of a European option; all in 1e-18 but `seconds` (0 or more gives intrinsic value at 0).

    Raises InputError when a number is negative.
    """
    if min(seconds, volatility, forward, strike, discount) < 0:
        raise InputError(
            "an option needs time, volatility, forward, strike and discount of 0 or more; correct it"
        )
    deviation = _real(volatility) * math.sqrt(seconds / YEAR_S)
    f, k = _real(forward), _real(strike)
    if deviation == 0 or f == 0 or k == 0:
        call = max(0, forward - strike)
        worth = call if is_call else call + strike - forward
        return worth * discount // WAD
    d1 = math.log(f / k) / deviation + deviation / 2
    d2 = d1 - deviation
    value = f * ndtr(d1) - k * ndtr(d2) if is_call else k * ndtr(-d2) - f * ndtr(-d1)
    return max(0, min(_wad(value), forward if is_call else strike)) * discount // WAD


def implied_volatility_wad(price: int, seconds: int, forward: int, strike: int, is_call: bool) -> int:
    """Volatility at which an undiscounted option is worth `price`; 0 at or below intrinsic value.

    Raises InputError when no volatility up to 2000 % gives the price: it is above what the option can be worth.
    """
    years = seconds / YEAR_S
    intrinsic = max(0, forward - strike) if is_call else max(0, strike - forward)
    if price <= intrinsic or seconds == 0:
        return 0
    found = float(implied_volatility(_real(price), _real(forward), _real(strike), years, is_call))
    if math.isnan(found):
        raise InputError(
            f"an option with strike {_real(strike):g} has the price {_real(price):g}, which no volatility gives; "
            "check its mark and its forward"
        )
    return _wad(found)


def delta_wad(seconds: int, volatility: int, forward: int, strike: int, is_call: bool) -> int:
    """Undiscounted delta of a European option to its forward; a step at the strike without time or volatility.

    Raises InputError when the forward or the strike is not above zero.
    """
    if min(forward, strike) <= 0:
        raise InputError("an option's delta needs a forward and a strike above zero; correct it")
    deviation = _real(volatility) * math.sqrt(seconds / YEAR_S)
    if deviation == 0:
        inside = forward > strike if is_call else forward < strike
        return (WAD if is_call else -WAD) if inside else 0
    d1 = math.log(_real(forward) / _real(strike)) / deviation + deviation / 2
    return _wad(float(ndtr(d1))) - (0 if is_call else WAD)
