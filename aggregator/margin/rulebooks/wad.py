"""Products and quotients of numbers in 1e-18 units, truncated towards zero as contracts do."""

from __future__ import annotations

from typing import Final

from aggregator.model.errors import InputError

WAD: Final = 10**18


def trunc_div(numerator: int, denominator: int) -> int:
    """Quotient truncated towards zero, as signed division in Solidity and Rust; InputError for zero."""
    if denominator == 0:
        raise InputError("a rulebook divides by zero; check its prices and parameters")
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator < 0) == (denominator < 0) else -quotient


def wmul(a: int, b: int) -> int:
    """a x b / 1e18, truncated towards zero."""
    return trunc_div(a * b, WAD)


def wdiv(a: int, b: int) -> int:
    """a x 1e18 / b, truncated towards zero; InputError when b is zero."""
    return trunc_div(a * WAD, b)
