"""Exact integer arithmetic whose names state the rounding.

`down` is towards minus infinity and `up` towards plus infinity, also for negative numbers: an asset rounded
down and a debt (negative) rounded down are both rounded against the holder.
"""

from __future__ import annotations

import re
from math import isqrt
from typing import Final

from aggregator.model.errors import InputError

MAX_DECIMAL_CHARS: Final = 100
"""A longer decimal text is refused unread: no number of the system needs more than 80 digits."""

_DECIMAL = re.compile(r"(?P<sign>-?)(?P<whole>[0-9]+)(?:\.(?P<part>[0-9]+))?", re.ASCII)
_INTEGER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)


def _positive(denominator: int) -> int:
    if denominator <= 0:
        raise ValueError(f"the denominator is {denominator}; pass a positive one and put the sign above")
    return denominator


def div_floor(numerator: int, denominator: int) -> int:
    """Largest integer n with n x denominator <= numerator; `denominator` > 0 or ValueError."""
    return numerator // _positive(denominator)


def div_ceil(numerator: int, denominator: int) -> int:
    """Smallest integer n with n x denominator >= numerator; `denominator` > 0 or ValueError."""
    return -(-numerator // _positive(denominator))


def div_away(numerator: int, denominator: int) -> int:
    """Quotient rounded away from zero; `denominator` > 0 or ValueError."""
    return div_ceil(numerator, denominator) if numerator >= 0 else div_floor(numerator, denominator)


def mul_div_down(a: int, b: int, denominator: int) -> int:
    """floor(a x b / denominator) with the product exact; `denominator` > 0 or ValueError."""
    return div_floor(a * b, denominator)


def mul_div_up(a: int, b: int, denominator: int) -> int:
    """ceil(a x b / denominator) with the product exact; `denominator` > 0 or ValueError."""
    return div_ceil(a * b, denominator)


def isqrt_up(value: int) -> int:
    """Smallest integer n >= 0 with n x n >= value; a negative value is a ValueError."""
    if value < 0:
        raise ValueError(f"the square root of {value} does not exist; pass a non-negative integer")
    root = isqrt(value)
    return root if root * root == value else root + 1


def _require_short(text: str) -> None:
    if len(text) > MAX_DECIMAL_CHARS:
        raise InputError(
            f"the number {text[:20]}.. of {len(text)} characters is too long; no amount needs {MAX_DECIMAL_CHARS}"
        )


def _split_decimal(text: str, digits: int, *, signed: bool = True) -> tuple[bool, int, str]:
    """(negative, integer formed of all digits up to `digits` places, what is left over)."""
    _require_short(text)
    match = _DECIMAL.fullmatch(text)
    if match is None:
        example = "-12.5" if signed else "12.5"
        raise InputError(
            f"{text[:40]!r} is not a decimal number; write digits like {example}, without exponent or commas"
        )
    part = match["part"] or ""
    kept = part[:digits].ljust(digits, "0")
    return match["sign"] == "-", int(match["whole"] + kept), part[digits:].strip("0")


def parse_decimal(text: str, digits: int, *, signed: bool = True) -> int:
    """`text` as an integer count of 10^-digits, exactly. Without `signed` the example in the message has no minus.

    Raises InputError when the text is not a plain decimal number or has more than `digits` decimals.
    """
    negative, value, rest = _split_decimal(text, digits, signed=signed)
    if rest:
        raise InputError(f"{text!r} has more than {digits} decimals; shorten it, nothing is rounded silently")
    return -value if negative else value


def parse_decimal_down(text: str, digits: int) -> int:
    """`text` as a count of 10^-digits, rounded towards minus infinity; InputError when it is not a number."""
    negative, value, rest = _split_decimal(text, digits)
    return -(value + bool(rest)) if negative else value


def parse_decimal_up(text: str, digits: int) -> int:
    """`text` as a count of 10^-digits, rounded towards plus infinity; InputError when it is not a number."""
    negative, value, rest = _split_decimal(text, digits)
    return -value if negative else value + bool(rest)


def format_decimal(value: int, digits: int) -> str:
    """`value` x 10^-digits as exact text without trailing zeros: (1500000, 6) is "1.5"."""
    whole, part = divmod(abs(value), 10**digits)
    fraction = str(part).rjust(digits, "0").rstrip("0") if part else ""
    return ("-" if value < 0 else "") + str(whole) + ("." + fraction if fraction else "")


def _format_places(value: int, places: int) -> str:
    whole, part = divmod(abs(value), 10**places)
    fraction = "." + str(part).rjust(places, "0") if places else ""
    return ("-" if value < 0 else "") + f"{whole:,}{fraction}"


def format_down(value: int, digits: int, places: int) -> str:
    """`value` x 10^-digits for reading: exactly `places` decimals, rounded down, thousands with commas."""
    if places >= digits:
        return _format_places(value * 10 ** (places - digits), places)
    return _format_places(div_floor(value, 10 ** (digits - places)), places)


def format_up(value: int, digits: int, places: int) -> str:
    """`value` x 10^-digits for reading: exactly `places` decimals, rounded up, thousands with commas."""
    if places >= digits:
        return _format_places(value * 10 ** (places - digits), places)
    return _format_places(div_ceil(value, 10 ** (digits - places)), places)


def format_usd(amount_e6: int) -> str:
    """1e-6 USD for reading, exact: thousands with commas, and at least two decimals."""
    text = _format_places(amount_e6, 6)
    return text[:-4] + text[-4:].rstrip("0")


def parse_integer(text: str) -> int:
    """A canonical decimal integer: no plus, no leading zeros, no blanks, no "-0". InputError otherwise."""
    _require_short(text)
    if _INTEGER.fullmatch(text) is None:
        raise InputError(f"{text[:40]!r} is not a canonical integer; write plain digits like -12")
    return int(text)
