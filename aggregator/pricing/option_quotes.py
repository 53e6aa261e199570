"""Option quotes from CSV text, for fitting a surface: every fault named with its file, line and field.

A header `expiry,strike,type,bid,ask`, then one option a row: expiry `YYYY-MM-DD` (at 08:00 UTC), strike in USD, type
C or P, bid and ask as volatilities (0.64 is 64 %) or in USD per unit of the underlying.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final, NoReturn

from aggregator.model.errors import PolicyError
from aggregator.pricing import black76
from aggregator.pricing.fit import VolQuote
from aggregator.pricing.forward import ForwardCurve

MAX_QUOTES: Final = 5_000
EXPIRY_TIME: Final = time(8, tzinfo=UTC)
YEAR_S: Final = 365 * 24 * 3600
LEAST_SECONDS: Final = 3600
_COLUMNS: Final = ["expiry", "strike", "type", "bid", "ask"]


@dataclass(frozen=True, slots=True)
class OptionQuote:
    """One row; `line` is where it stands in the file."""

    line: int
    expiry: date
    strike: float
    is_call: bool
    bid: float
    ask: float


def _fail(where: str, line: int, reason: str) -> NoReturn:
    raise PolicyError(f"{where} line {line}: {reason}")


def _number(where: str, line: int, field: str, text: str) -> float:
    number = math.nan
    with suppress(ValueError):
        number = float(text)
    if not math.isfinite(number) or number <= 0:
        _fail(where, line, f"{field} is {text!r}; give a finite number above zero, or drop the row")
    return number


def _quote(where: str, line: int, row: Sequence[str]) -> OptionQuote:
    if len(row) != len(_COLUMNS):
        _fail(where, line, f"has {len(row)} fields; give {', '.join(_COLUMNS)}")
    try:
        expiry = date.fromisoformat(row[0])
    except ValueError:
        _fail(where, line, f"expiry is {row[0]!r}; write it as YYYY-MM-DD")
    if row[2] not in ("C", "P"):
        _fail(where, line, f"type is {row[2]!r}; write C or P")
    strike, bid, ask = (_number(where, line, _COLUMNS[n], row[n]) for n in (1, 3, 4))
    if bid > ask:
        _fail(where, line, f"the quote is crossed, bid {bid:g} above ask {ask:g}; drop it")
    return OptionQuote(line, expiry, strike, row[2] == "C", bid, ask)


def _rows(text: str, where: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text))
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        _fail(where, reader.line_num, f"is not CSV ({error}); correct it")


def parse_option_quotes(text: str, where: str) -> tuple[OptionQuote, ...]:
    """CSV text into quotes; PolicyError for a malformed or crossed row, an option quoted twice, or no row at all."""
    quotes: list[OptionQuote] = []
    seen: set[tuple[date, float, bool]] = set()
    for line, row in _rows(text, where):
        if line == 1:
            if row != _COLUMNS:
                _fail(where, line, f"the header is {','.join(row)!r}; write {','.join(_COLUMNS)!r}")
            continue
        quote = _quote(where, line, row)
        key = (quote.expiry, quote.strike, quote.is_call)
        if key in seen:
            _fail(where, line, f"{row[0]} {row[1]} {row[2]} is quoted twice; keep one")
        seen.add(key)
        quotes.append(quote)
        if len(quotes) > MAX_QUOTES:
            _fail(where, line, f"there are more than {MAX_QUOTES} quotes; give fewer")
    if not quotes:
        raise PolicyError(f"{where} has no quotes; give at least five for each expiry")
    return tuple(quotes)


def _implied(where: str, quote: OptionQuote, field: str, price: float, forward: float, years: float) -> float:
    found = float(black76.implied_volatility(price, forward, quote.strike, years, quote.is_call))
    if not found > 0:
        _fail(
            where, quote.line, f"{field} {price:g} USD is no price of this option at any volatility; drop it"
        )
    return found


def volatility_quotes(
    quotes: Sequence[OptionQuote], where: str, curve: ForwardCurve, as_of: int, *, in_usd: bool
) -> tuple[VolQuote, ...]:
    """Quotes as volatilities on a forward curve, years counted from `as_of`.

    Raises PolicyError with the line for an option expired or within an hour of it, or a USD price that no volatility
    gives.
    """
    made = []
    for quote in quotes:
        seconds = datetime.combine(quote.expiry, EXPIRY_TIME).timestamp() - as_of
        if seconds < LEAST_SECONDS:
            _fail(
                where, quote.line, f"the option expires on {quote.expiry}, past or within the hour; drop it"
            )
        years = seconds / YEAR_S
        forward = curve.forward(years)
        bid, ask = quote.bid, quote.ask
        if in_usd:
            bid = _implied(where, quote, "bid", bid, forward, years)
            ask = _implied(where, quote, "ask", ask, forward, years)
        made.append(VolQuote(years, forward, quote.strike, bid, ask))
    return tuple(made)
