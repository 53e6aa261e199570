"""Arithmetic of concentrated liquidity: ticks to amounts, fees owed, and what a position is worth at outside prices.

Square roots of prices are token1 per token0 in base units, as Q64.96. Every amount is rounded down, as the pool rounds
what it pays out.

Source: Uniswap v3 whitepaper, sections 6.1 to 6.4; Uniswap/v3-core `TickMath`, `SqrtPriceMath`, `Tick`;
Uniswap/v3-periphery `PositionValue`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final, NamedTuple

from aggregator.model.errors import ChainError

MAX_TICK: Final = 887_272
"""The last tick whose price fits: 1.0001^887272 is just below 2^128."""
MAX_SQRT_PRICE: Final = 1_461_446_703_485_210_103_287_273_052_203_988_822_378_723_970_342
_Q32, _Q96, _Q128, _Q256 = (1 << bits for bits in (32, 96, 128, 256))
_BITS: Final = 1024
"""Of the fraction that the powers are computed in."""


def _powers() -> tuple[int, ...]:
    """1.0001^(-2^n / 2) times 2^128, rounded to the nearest, as the pool has them; n from 0 to 19."""
    power, powers = isqrt((10_000 << 2 * _BITS) // 10_001), []
    for _ in range(MAX_TICK.bit_length()):
        powers.append((power + (1 << _BITS - 129)) >> _BITS - 128)
        power = power * power >> _BITS
    return tuple(powers)


_POWERS: Final = _powers()


def sqrt_price_at(tick: int) -> int:
    """The root of the price at `tick`, Q64.96, rounded up; raises ChainError beyond MAX_TICK."""
    if abs(tick) > MAX_TICK:
        raise ChainError(f"the tick {tick} is beyond {MAX_TICK}; a pool has no such tick, check the contract")
    ratio = _Q128
    for bit, power in enumerate(_POWERS):
        if abs(tick) >> bit & 1:
            ratio = ratio * power // _Q128
    if tick > 0:
        ratio = (_Q256 - 1) // ratio
    return -(-ratio // _Q32)


def amounts_of(liquidity: int, sqrt_price: int, tick_lower: int, tick_upper: int) -> tuple[int, int]:
    """Base units of token0 and token1 that `liquidity` between the ticks is at this price, rounded down."""
    lower, upper = sqrt_price_at(tick_lower), sqrt_price_at(tick_upper)
    inside = min(max(sqrt_price, lower), upper)
    amount0 = (liquidity * _Q96 * (upper - inside) // upper) // inside
    return amount0, liquidity * (inside - lower) // _Q96


@dataclass(frozen=True, slots=True)
class Growth:
    """Fee growth of one token per unit of liquidity, Q128 modulo 2^256: of the pool, and outside of two ticks."""

    everywhere: int
    outside_lower: int
    outside_upper: int

    def inside(self, tick: int, tick_lower: int, tick_upper: int) -> int:
        """The growth between the ticks while the pool is at `tick`."""
        below = self.outside_lower if tick >= tick_lower else self.everywhere - self.outside_lower
        above = self.outside_upper if tick < tick_upper else self.everywhere - self.outside_upper
        return (self.everywhere - below - above) % _Q256


def fees_owed(liquidity: int, inside: int, inside_last: int, stored: int) -> int:
    """What is owed of one token: what was `stored`, and the growth since then; modulo 2^128 as the contract counts."""
    grown = (inside - inside_last) % _Q256 * liquidity // _Q128
    return (stored + grown) % _Q128


class Share(NamedTuple):
    """Liquidity, the fee growth inside its ticks when it was last touched, and the fees owed then, of both tokens."""

    liquidity: int
    inside_last: tuple[int, int]
    stored: tuple[int, int]

    def owed(self, inside: Sequence[int]) -> tuple[int, int]:
        """The fees owed once touched at this growth."""
        owed0, owed1 = (fees_owed(self.liquidity, *three) for three in zip(inside, *self[1:], strict=True))
        return owed0, owed1


@dataclass(frozen=True, slots=True)
class Position:
    """Liquidity between two ticks, and the fees it is owed in base units."""

    liquidity: int
    tick_lower: int
    tick_upper: int
    owed0: int
    owed1: int

    @classmethod
    def of(cls, detail: Mapping[str, str]) -> Position:
        """From the detail of a reading; raises ChainError when no position can be like that."""
        keys = ("liquidity", "tickLower", "tickUpper", "owed0", "owed1")
        made = cls(*(whole_number(detail, key) for key in keys))
        if not -MAX_TICK <= made.tick_lower < made.tick_upper <= MAX_TICK:
            raise ChainError(
                f"the ticks {made.tick_lower} and {made.tick_upper} enclose nothing; check the reading"
            )
        if any(not 0 <= amount < _Q128 for amount in (made.liquidity, made.owed0, made.owed1)):
            raise ChainError("liquidity or fees of a position are negative or above 2^128; check the reading")
        return made

    def amounts(self, sqrt_price: int) -> tuple[int, int]:
        """Base units of token0 and token1 with the fees, at this price."""
        held0, held1 = amounts_of(self.liquidity, sqrt_price, self.tick_lower, self.tick_upper)
        return held0 + self.owed0, held1 + self.owed1


def whole_number(detail: Mapping[str, str], key: str) -> int:
    """An entry of a detail as an integer of at most 78 digits; raises ChainError."""
    text = detail.get(key, "")
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 78 or str(int(text)) != text:
        raise ChainError(f"the detail's {key} is not a whole number; the reading is malformed")
    return int(text)


def fair_sqrt_price(price0_e12: int, price1_e12: int, decimals0: int, decimals1: int) -> int:
    """The root of the pool's price that USD prices in 1e-12 per whole token stand for, Q64.96, rounded down.

    A token0 that is worth nothing gives 0, and a token1 that is worth nothing the highest price: the pool would then be
    all of it.
    """
    if price0_e12 < 0 or price1_e12 < 0:
        raise ChainError("a price is negative; give the USD of one whole token in 1e-12")
    if price1_e12 == 0:
        return MAX_SQRT_PRICE
    ratio: int = (price0_e12 * 10**decimals1 << 192) // (price1_e12 * 10**decimals0)
    return isqrt(ratio)


def fair_value_e12(
    position: Position, price0_e12: int, price1_e12: int, decimals0: int, decimals1: int
) -> int:
    """USD of the position in 1e-12, rounded down: the amounts it would be at these prices, at these prices.

    The pool's own price does not enter. A position is worth the least, at given outside prices, when the pool is at
    just these prices, so that no trade against the pool makes this value too high.

    Parameters:
        price0_e12, price1_e12: USD of one whole token in 1e-12, from outside the pool.
    """
    amount0, amount1 = position.amounts(fair_sqrt_price(price0_e12, price1_e12, decimals0, decimals1))
    value: int = amount0 * price0_e12 // 10**decimals0 + amount1 * price1_e12 // 10**decimals1
    return value
