"""Ethereum JSON-RPC's two hex encodings, and the parsers that turn untrusted answers into Python values.

Source: execution-apis, "Hex value encoding" (QUANTITY and DATA).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from aggregator.model.errors import ChainError

_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}", re.ASCII)
_DATA: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)


def encode_quantity(value: int) -> str:
    """`value` >= 0 as a QUANTITY: no leading zeros, zero is "0x0"."""
    return hex(value)


def encode_data(value: bytes) -> str:
    """`value` as DATA: two digits a byte, nothing is "0x"."""
    return "0x" + value.hex()


def parse_quantity(value: object, what: str) -> int:
    """A QUANTITY below 2^256; `what` names it in the error. Raises ChainError."""
    if not isinstance(value, str) or _QUANTITY.fullmatch(value) is None:
        raise ChainError(f"{what} is {str(value)[:40]!r}, not a hex quantity; the endpoint is faulty")
    return int(value, 16)


def parse_data(value: object, what: str, length: int | None = None) -> bytes:
    """DATA, of exactly `length` bytes when that is given. Raises ChainError."""
    if not isinstance(value, str) or _DATA.fullmatch(value) is None:
        raise ChainError(f"{what} is {str(value)[:40]!r}, not hex data; the endpoint is faulty")
    data = bytes.fromhex(value[2:])
    if length is not None and len(data) != length:
        raise ChainError(f"{what} has {len(data)} bytes instead of {length}; the endpoint is faulty")
    return data


def parse_object(value: object, what: str) -> dict[str, object]:
    """A JSON object. Raises ChainError."""
    if not isinstance(value, dict):
        raise ChainError(f"{what} is {type(value).__name__}, not an object; the endpoint is faulty")
    return cast("dict[str, object]", value)


def parse_array(value: object, what: str) -> list[object]:
    """A JSON array. Raises ChainError."""
    if not isinstance(value, list):
        raise ChainError(f"{what} is {type(value).__name__}, not an array; the endpoint is faulty")
    return cast("list[object]", value)


def to_plain(value: Any) -> object:
    """`value` as plain JSON types: bytes become DATA, mappings dicts, sequences lists."""
    if isinstance(value, bytes | bytearray):
        return encode_data(bytes(value))
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value
