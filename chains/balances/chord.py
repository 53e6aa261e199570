"""A position as amounts that are never worth more than it, over a range of prices and not at one alone.

The value of liquidity is concave in the price: the amounts at one price are worth more than the position at every
other, because the position has by then sold what rose and kept what fell. Scenarios move prices, so a margin has to
count amounts that hold after the move as well. The straight line between the values at the two ends of a range lies
below the value everywhere between them; its slope is an amount of token0, its height at price zero one of token1.

Source: Uniswap v3 whitepaper, section 6.2 (amounts); that a concave function lies above its chords.
"""

from __future__ import annotations

from math import isqrt
from typing import Final

from aggregator.model.errors import InputError
from aggregator.model.units import RATE_SCALE
from chains.balances.concentrated import MAX_SQRT_PRICE, Position, amounts_of

_Q192: Final = 1 << 192


def chord_amounts(position: Position, sqrt_price: int, range_e6: int) -> tuple[int, int]:
    """Base units of token0 and token1, fees included, worth at most the position while either token falls by the range.

    So from price x (1 - range) to price / (1 - range), whichever of the two the pool calls token0. What the amounts at
    the lower end lost to rounding is taken off the slope, so this holds exactly.

    Parameters:
        sqrt_price: the root of the outside price, Q64.96.
        range_e6: in 1e-6, at least 0 and below 1; 0 gives the amounts at the price itself.

    Raises:
        InputError: the range is none of these.
    """
    if not 0 <= range_e6 < RATE_SCALE:
        raise InputError(f"the range of a position is {range_e6}e-6; use a share from 0 to below 1")
    square, left = sqrt_price * sqrt_price, RATE_SCALE - range_e6
    low = isqrt(square * left // RATE_SCALE)
    high = min(isqrt(square * RATE_SCALE // left) + 1, MAX_SQRT_PRICE)
    if not range_e6 or sqrt_price >= MAX_SQRT_PRICE:
        return position.amounts(sqrt_price)
    worth_low, worth_high = (_worth(position, root) for root in (low, high))
    rounded_off = low * low + _Q192
    slope = max(0, worth_high - worth_low - rounded_off) // (high * high - low * low)
    height = max(0, worth_low - slope * low * low) // _Q192
    return slope + position.owed0, height + position.owed1


def _worth(position: Position, root: int) -> int:
    """The liquidity's value in base units of token1 times 2^192, at the price whose root is given."""
    amount0, amount1 = amounts_of(position.liquidity, root, position.tick_lower, position.tick_upper)
    return amount0 * root * root + amount1 * _Q192
