"""Daily closes of a price, from CSV or JSON text: every number checked, every fault named with its file and line.

CSV: a header `date,close`, then one row a day, oldest first. JSON: a list of objects with the same two keys. Dates are
`YYYY-MM-DD`, days follow each other without gaps: the markets of this field trade every day, and a return over a
hole in the data would be taken for a move of one day.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, NoReturn

import numpy as np

from aggregator.model.errors import PolicyError
from aggregator.model.nesting import require_shallow
from aggregator.pricing.black76 import Floats

MAX_ROWS: Final = 20_000
"""About 55 years of days."""
_COLUMNS: Final = ["date", "close"]


@dataclass(frozen=True)
class History:
    """`closes` in USD, one a day, the last of them on the day `last`; at least two."""

    where: str
    last: date
    closes: tuple[float, ...]

    def returns(self, days: int | None = None) -> Floats:
        """Log returns, oldest first: all of them, or the latest `days`; PolicyError when there are fewer."""
        found = np.diff(np.log(np.asarray(self.closes, dtype=np.float64)))
        if days is None:
            return found
        if days > len(found):
            raise PolicyError(
                f"{self.where} has {len(found)} daily returns and {days} are asked for; give a longer history"
            )
        return found[-days:]

    def check_age(self, as_of: int, max_age_days: int) -> None:
        """Raise PolicyError when the last close is older than `max_age_days` at `as_of`, or after it."""
        age = (datetime.fromtimestamp(as_of, UTC).date() - self.last).days
        if age < 0:
            raise PolicyError(f"{self.where} ends on {self.last}, after the policy's date; cut it there")
        if age > max_age_days:
            raise PolicyError(
                f"{self.where} ends on {self.last}, {age} days before the policy's date and "
                f"{max_age_days} are allowed; bring it up to date"
            )


def _fail(where: str, place: str, reason: str) -> NoReturn:
    raise PolicyError(f"{where} {place}: {reason}")


def _day(where: str, place: str, value: object) -> date:
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    _fail(where, place, f"date is {value!r}; write it as YYYY-MM-DD")


def _close(where: str, place: str, value: object) -> float:
    number = math.nan
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            number = float(value)
    if not math.isfinite(number) or number <= 0:
        _fail(where, place, f"close is {value!r}; give a finite price above zero")
    return number


def _csv_rows(text: str, where: str) -> Iterator[tuple[str, object, object]]:
    reader = csv.reader(io.StringIO(text))
    try:
        for row in reader:
            place = f"line {reader.line_num}"
            if reader.line_num == 1:
                if row != _COLUMNS:
                    _fail(where, place, f"the header is {','.join(row)!r}; write 'date,close'")
            elif len(row) != len(_COLUMNS):
                _fail(where, place, f"has {len(row)} fields; give a date and a close")
            else:
                yield place, row[0], row[1]
    except csv.Error as error:
        _fail(where, f"line {reader.line_num}", f"is not CSV ({error}); correct it")


def _json_rows(text: str, where: str) -> Iterator[tuple[str, object, object]]:
    try:
        require_shallow(text.encode())
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"{where} is not JSON ({error}); correct that place") from error
    if not isinstance(rows, list):
        raise PolicyError(f"{where} is not a list of closes; write [{{..}}, ..]")
    for n, row in enumerate(rows):
        if not isinstance(row, Mapping) or set(row) != set(_COLUMNS):
            _fail(where, f"[{n}]", "is not an object with the keys date and close")
        yield f"[{n}]", row["date"], row["close"]


def parse_history(text: str, where: str) -> History:
    """CSV, or JSON when the text starts with a bracket, into a history; `where` names the file in messages.

    Raises PolicyError with file, line and field for a malformed row, a close that is not a finite number above zero,
    days out of order, repeated or missing, fewer than two rows or more than 20,000.
    """
    rows = _json_rows(text, where) if text.lstrip()[:1] in ("[", "{") else _csv_rows(text, where)
    closes: list[float] = []
    before: date | None = None
    for place, day_text, close in rows:
        day = _day(where, place, day_text)
        if before is not None and day <= before:
            _fail(where, place, f"date {day} does not come after {before}; sort by date, one row a day")
        if before is not None and day != before + timedelta(days=1):
            _fail(where, place, f"date {day} leaves a gap after {before}; fill in the missing days")
        closes.append(_close(where, place, close))
        before = day
        if len(closes) > MAX_ROWS:
            _fail(where, place, f"there are more than {MAX_ROWS} rows; cut the oldest")
    if before is None or len(closes) < 2:
        raise PolicyError(f"{where} has {len(closes)} closes; a history needs at least two")
    return History(where, before, tuple(closes))
