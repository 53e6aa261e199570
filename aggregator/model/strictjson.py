"""Reads JSON that others wrote: one meaning per document, or a sentence saying what is wrong.

Duplicate keys, floats, NaN, half surrogate pairs, unknown or missing fields, `true` for 1 and second spellings of a
number are refused, because a document that two readers understand differently has no meaning that a hash can commit to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import NoReturn, TypeVar

import rfc8785

from aggregator.fixed import MAX_DECIMAL_CHARS, parse_integer
from aggregator.model.errors import FormatError, InputError
from aggregator.model.nesting import require_shallow

T = TypeVar("T")

MAX_SAFE_INTEGER = 2**53 - 1
"""Largest integer written as a JSON number (RFC 8785 numbers are IEEE doubles); larger ones are strings."""

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]", re.ASCII)
_BREAKS = {ord(character): " " for character in "\n\r\t"}
_HEX = re.compile(r"0x(?:[0-9a-f]{2})*", re.ASCII)


def canonical_json(value: object) -> bytes:
    """RFC 8785 bytes of a JSON value made of dicts, lists, strings, booleans, None and safe integers."""
    return rfc8785.dumps(value)  # type: ignore[arg-type]


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result: dict[str, object] = {}
    for key, value in pairs:
        if key in result:
            raise FormatError(f"the JSON has the key {key!r} twice; keep one")
        result[key] = value
    return result


def _no_float(text: str) -> NoReturn:
    raise FormatError(f"the JSON has the number {text[:40]}; amounts are integers or decimal strings")


def _short_integer(text: str) -> int:
    if len(text) > MAX_DECIMAL_CHARS:
        raise FormatError(f"the JSON has a number of {len(text)} digits; large amounts are decimal strings")
    return int(text)


def load_json(data: bytes | str, where: str = "the document") -> object:
    """Parsed JSON without floats or duplicate keys; raises FormatError, which names `where` when it is not JSON."""
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        require_shallow(data if isinstance(data, bytes) else data.encode("utf-8"))
        value: object = json.loads(
            text,
            object_pairs_hook=_no_duplicates,
            parse_int=_short_integer,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
        if _SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # half of a pair has no UTF-8: ValueError
    except UnicodeDecodeError as error:
        raise FormatError(f"{where} is not UTF-8 at byte {error.start}; save it as UTF-8 JSON") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{where} is not JSON ({error}); check that it is whole") from error
    return value


class JsonObject:
    """A JSON object read field by field, with the path in every message and the error class of the caller."""

    def __init__(
        self,
        value: object,
        where: str,
        fields: Iterable[str],
        *,
        error: type[InputError] = FormatError,
        open_ended: bool = False,
        see: str = "its schema in docs/formats.md",
    ) -> None:
        """`fields` are exactly the keys required; `open_ended` allows others beside them; `see` says where."""
        self.where = where
        self.error = error
        if not isinstance(value, dict):
            raise error(f"{where} is not a JSON object; see {see}")
        self.value: dict[str, object] = value
        wanted = set(fields)
        if missing := sorted(wanted - value.keys()):
            raise error(f"{where} lacks the field {missing[0]!r}; see {see}")
        if not open_ended and (unknown := sorted(value.keys() - wanted)):
            raise error(
                f"{where} has the unknown field {unknown[0]!r}; remove it or check the schema version"
            )

    def fail(self, key: str, reason: str) -> NoReturn:
        """Raise the caller's error about the field `key`."""
        raise self.error(f"{self.where}.{key} {reason}")

    def text(
        self, key: str, pattern: re.Pattern[str] | None = None, *, max_length: int = 200, lines: bool = False
    ) -> str:
        """A non-empty string of printable characters, matching `pattern` as a whole when one is given.

        What others wrote is shown on terminals, where a control character could redraw what stands there already.
        `lines` allows line breaks and tabs.
        """
        value = self.value[key]
        if not isinstance(value, str) or not value or len(value) > max_length:
            self.fail(key, f"is not a text of 1 to {max_length} characters; write one")
        if not (value.translate(_BREAKS) if lines else value).isprintable():
            self.fail(key, f"is {value[:60]!r}, not all of it printable characters; correct it")
        if pattern is not None and pattern.fullmatch(value) is None:
            self.fail(key, f"is {value[:60]!r}, which does not match {pattern.pattern}; correct it")
        return value

    def number(self, key: str, low: int = 0, high: int = MAX_SAFE_INTEGER) -> int:
        """A JSON integer in low..high."""
        value = self.value[key]
        if not isinstance(value, int) or isinstance(value, bool):
            self.fail(key, "is not a JSON integer; write it without quotes and decimals")
        if not low <= value <= high:
            self.fail(key, f"is {value}, outside {low}..{high}; correct it")
        return value

    def amount(self, key: str) -> int:
        """A signed integer written as a canonical decimal string."""
        return self._amount(self.value[key], key)

    def amounts(self, key: str) -> tuple[int, ...]:
        """A list of signed integers written as canonical decimal strings."""
        return tuple(self._amount(item, f"{key}[{n}]") for n, item in enumerate(self.list(key)))

    def _amount(self, value: object, key: str) -> int:
        if not isinstance(value, str):
            self.fail(key, 'is not a decimal string; amounts are written as strings like "-12"')
        try:
            return parse_integer(value)
        except InputError as error:
            raise self.error(f"{self.where}.{key}: {error}") from error

    def boolean(self, key: str) -> bool:
        """true or false."""
        value = self.value[key]
        if not isinstance(value, bool):
            self.fail(key, "is not true or false; write one of them")
        return value

    def hex(self, key: str, length: int) -> str:
        """A lower-case 0x string of exactly `length` bytes."""
        value = self.text(key, max_length=2 + 2 * length)
        if _HEX.fullmatch(value) is None or len(value) != 2 + 2 * length:
            self.fail(key, f"is not {length} bytes as lower-case 0x hex; correct it")
        return value

    def list(self, key: str) -> list[object]:
        """A JSON array."""
        value = self.value[key]
        if not isinstance(value, list):
            self.fail(key, "is not a JSON array; write [..]")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of non-empty strings of printable characters."""
        items = self.list(key)
        for n, item in enumerate(items):
            if not isinstance(item, str) or not item or not item.isprintable():
                self.fail(f"{key}[{n}]", "is not a non-empty text of printable characters; write one")
        return tuple(str(item) for item in items)

    def child(self, key: str, fields: Iterable[str]) -> JsonObject:
        """The object under `key`."""
        return JsonObject(self.value[key], f"{self.where}.{key}", fields, error=self.error)

    def children(self, key: str, parse: Callable[[object, str], T]) -> tuple[T, ...]:
        """The list under `key`, each item through `parse(item, where)`."""
        return tuple(parse(item, f"{self.where}.{key}[{n}]") for n, item in enumerate(self.list(key)))

    def schema(self, expected: str) -> None:
        """Refuse a document of another schema or version."""
        value = self.value["schema"]
        if value != expected:
            self.fail(
                "schema", f"is {str(value)[:60]!r}, but this version reads {expected!r}; convert the document"
            )
