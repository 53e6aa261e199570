"""TOML tables of network files: unknown keys refused, defaults filled in, every message with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from eth_utils.address import is_checksum_address

from aggregator.fixed import parse_decimal
from aggregator.model.errors import ConfigError, InputError
from aggregator.model.strictjson import JsonObject

MAX_DECIMALS: Final = 30
DAY_S: Final = 86_400
_SYMBOL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,31}", re.ASCII)


def is_symbol(text: str) -> bool:
    """Whether `text` is a ticker of 1 to 32 characters without "@"."""
    return _SYMBOL.fullmatch(text) is not None


class NetworkTable(JsonObject):
    """One table; every failure is a ConfigError that names the file and the key."""

    def __init__(
        self, value: object, where: str, required: Sequence[str], optional: Mapping[str, object] | None = None
    ) -> None:
        filled = {**(optional or {}), **value} if isinstance(value, dict) else value
        super().__init__(filled, where, [*required, *(optional or {})], error=ConfigError)

    def symbol(self, key: str) -> str:
        """A ticker without "@"."""
        return self.text(key, _SYMBOL)

    def address(self, key: str) -> str:
        """An address with a right EIP-55 checksum."""
        value = self.text(key)
        if not is_checksum_address(value):
            self.fail(key, f"is {value[:60]!r}, not an address with a right EIP-55 checksum; correct it")
        return value

    def tables(self, key: str) -> list[tuple[object, str]]:
        """The array of tables under `key`, each with its place for messages."""
        return [(item, f"{self.where}.{key}[{n}]") for n, item in enumerate(self.list(key))]

    def scaled(self, key: str, digits: int, low: int, high: int) -> int:
        """A decimal string such as "0.02" in units of 10^-`digits`, in low..high of these."""
        try:
            value = parse_decimal(self.text(key), digits)
        except InputError as error:
            self.fail(key, f"is no exact number: {error}")
        if not low <= value <= high:
            self.fail(key, f"is {self.value[key]}, out of range; correct it")
        return value

    def moment(self, key: str) -> int:
        """A TOML date-time with its offset, such as 2026-11-01T00:00:00Z, as Unix seconds."""
        value = self.value[key]
        if not isinstance(value, datetime) or value.tzinfo is None:
            self.fail(key, "is not a date-time with its offset; write 2026-11-01T00:00:00Z")
        return int(value.timestamp())
