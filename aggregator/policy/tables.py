"""Reads the TOML of a policy spec or a rulebook: every key known, every number exact, every message with its path."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import NoReturn, TypeVar

from aggregator.model.errors import PolicyError
from aggregator.model.units import RATE_SCALE

T = TypeVar("T")


class Table:
    """One TOML table. Keys are taken one by one; `close` refuses those nobody asked for."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise PolicyError(f"{where} is not a table; write key = value pairs")
        self.where = where
        self.rest: dict[str, object] = dict(value)

    def fail(self, key: str, reason: str) -> NoReturn:
        """Raise PolicyError about the key."""
        raise PolicyError(f"{self.where}.{key} {reason}")

    def close(self) -> None:
        """Refuse keys that were not taken: a misspelt key would silently fall back to its default."""
        if self.rest:
            self.fail(sorted(self.rest)[0], "is not a known key; correct its spelling or remove it")

    def has(self, key: str) -> bool:
        """Whether the key is present and not yet taken."""
        return key in self.rest

    def take(self, key: str) -> object:
        """The raw value of a required key."""
        if key not in self.rest:
            raise PolicyError(f"{self.where} lacks the key {key!r}; see the shipped files under configs/")
        return self.rest.pop(key)

    def text(self, key: str, default: str | None = None) -> str:
        """A non-empty string."""
        if default is not None and key not in self.rest:
            return default
        value = self.take(key)
        if not isinstance(value, str) or not value:
            self.fail(key, "is not a non-empty text; write one in quotes")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """true or false."""
        if key not in self.rest:
            return default
        value = self.take(key)
        if not isinstance(value, bool):
            self.fail(key, "is not true or false; write one of them without quotes")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """A whole number in low..high."""
        value = self.take(key)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self.fail(key, f"is not a whole number in {low}..{high}; correct it")
        return value

    def _decimal(self, value: object, key: str) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            self.fail(key, "is not a number; write it without quotes")
        number = Decimal(value)
        if not number.is_finite() or abs(number) > Decimal(10) ** 24:
            self.fail(key, "is not a number of ordinary size; correct it")
        return number

    def decimal(self, key: str, default: str | None = None) -> Decimal:
        """An exact number."""
        if default is not None and key not in self.rest:
            return Decimal(default)
        return self._decimal(self.take(key), key)

    def decimals(self, key: str) -> tuple[Decimal, ...]:
        """A list of exact numbers."""
        value = self.take(key)
        if not isinstance(value, list):
            self.fail(key, "is not a list; write [..]")
        return tuple(self._decimal(item, f"{key}[{n}]") for n, item in enumerate(value))

    def scaled(self, key: str, scale: int, default: str | None = None) -> int:
        """An exact number >= 0 as a count of 1/scale; more decimals than that are refused."""
        value = self.decimal(key, default) * scale
        if value < 0 or value != value.to_integral_value():
            self.fail(key, f"is negative or finer than 1/{scale}; correct it")
        return int(value)

    def rate_e6(self, key: str, default: str | None = None, high: int = RATE_SCALE) -> int:
        """A rate in 0..high (1e-6), such as 0.05 for 5 %."""
        value = self.scaled(key, RATE_SCALE, default)
        if value > high:
            self.fail(key, f"is above {high / RATE_SCALE:g}; rates are fractions, 5 % is 0.05")
        return value

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """A list of non-empty strings without repetition."""
        if default is not None and key not in self.rest:
            return default
        value = self.take(key)
        if not isinstance(value, list) or any(not isinstance(v, str) or not v for v in value):
            self.fail(key, 'is not a list of texts; write [".."]')
        if len(set(value)) != len(value):
            self.fail(key, "repeats an entry; keep one")
        return tuple(value)

    def table(self, key: str) -> Table:
        """A sub-table."""
        return Table(self.take(key), f"{self.where}.{key}")

    def tables(self, key: str, parse: Callable[[Table], T]) -> tuple[T, ...]:
        """A list of tables, each through `parse` and then closed; an absent key is an empty list."""
        value = self.rest.pop(key, [])
        if not isinstance(value, list):
            self.fail(key, "is not a list of tables; write [[..]]")
        result = []
        for n, item in enumerate(value):
            table = Table(item, f"{self.where}.{key}[{n}]")
            result.append(parse(table))
            table.close()
        return tuple(result)

    def named(self, key: str, parse: Callable[[str, Table], T]) -> dict[str, T]:
        """A table of tables, each through `parse(name, table)` and then closed; an absent key is empty."""
        outer = Table(self.rest.pop(key, {}), f"{self.where}.{key}")
        result = {}
        for name in list(outer.rest):
            table = outer.table(name)
            result[name] = parse(name, table)
            table.close()
        return result

    def dates(self, key: str) -> tuple[date, ...]:
        """A list of TOML local dates such as 2026-12-25."""
        value = self.take(key)
        if not isinstance(value, list) or any(type(v) is not date for v in value):
            self.fail(key, "is not a list of dates; write [2026-12-25]")
        return tuple(value)


def load_toml(text: str, where: str) -> Table:
    """TOML text as a table with exact decimals; raises PolicyError with the line when it is malformed."""
    try:
        return Table(tomllib.loads(text, parse_float=Decimal), where)
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise PolicyError(f"{where} is not TOML ({error}); correct that place") from error
