"""RLP decoding of untrusted bytes: one encoding per value, bounded nesting.

The `rlp` package decodes nested lists by recursion without a bound, so what comes from an RPC endpoint is decoded
here. Source: Ethereum yellow paper, appendix B.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from aggregator.model.errors import StateProofError

Item: TypeAlias = "bytes | list[Item]"

MAX_DEPTH: Final = 16
"""Lists in lists. A trie node nests once, plus once for each node inlined in it (at most 31 bytes each)."""

_SHORT_LIMIT: Final = 55
_STRING, _LONG_STRING, _LIST, _LONG_LIST = 0x80, 0xB7, 0xC0, 0xF7


def decode(data: bytes) -> Item:
    """The one item that `data` encodes, all of it; raises StateProofError."""
    item, end = _decode_item(data, 0, 0)
    if end != len(data):
        raise StateProofError(f"an RLP item ends at byte {end} of {len(data)}; the proof is malformed")
    return item


def decode_integer(item: Item, what: str, bits: int = 256) -> int:
    """A non-negative integer without leading zeros, below 2^bits; raises StateProofError."""
    if not isinstance(item, bytes) or item[:1] == b"\x00" or len(item) * 8 > bits:
        raise StateProofError(f"{what} is not a canonical integer; the proof is malformed")
    return int.from_bytes(item, "big")


def _decode_item(data: bytes, start: int, depth: int) -> tuple[Item, int]:
    """The item at `start` and the offset behind it."""
    if start >= len(data):
        raise StateProofError("an RLP item is cut off; the proof is malformed")
    prefix = data[start]
    if prefix < _STRING:
        return data[start : start + 1], start + 1
    is_list = prefix >= _LIST
    short, long = (_LIST, _LONG_LIST) if is_list else (_STRING, _LONG_STRING)
    begin, length = _payload(data, start, prefix, short, long)
    end = begin + length
    if end > len(data):
        raise StateProofError("an RLP item is cut off; the proof is malformed")
    if not is_list:
        if length == 1 and data[begin] < _STRING:
            raise StateProofError("an RLP byte is wrapped needlessly; the proof is malformed")
        return data[begin:end], end
    if depth >= MAX_DEPTH:
        raise StateProofError(f"RLP lists nest deeper than {MAX_DEPTH}; the proof is malformed")
    items: list[Item] = []
    while begin < end:
        item, begin = _decode_item(data[:end], begin, depth + 1)
        items.append(item)
    return items, end


def _payload(data: bytes, start: int, prefix: int, short: int, long: int) -> tuple[int, int]:
    """Offset and length of the payload of a string or list."""
    if prefix <= long:
        return start + 1, prefix - short
    size = prefix - long
    digits = data[start + 1 : start + 1 + size]
    length = int.from_bytes(digits, "big")
    if len(digits) != size or digits[:1] == b"\x00" or length <= _SHORT_LIMIT:
        raise StateProofError("an RLP length is not in its shortest form; the proof is malformed")
    return start + 1 + size, length
