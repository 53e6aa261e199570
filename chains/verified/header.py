"""A block header rebuilt from the fields of eth_getBlockBy*, so that its hash vouches for its state root.

Most nodes offer no raw header (debug_getRawHeader). The order of the fields is that of the header's RLP, one row
per fork that added some. Source: execution-specs, `Header` of each fork; EIP-1559, 4895, 4844, 4788, 7685, 7928,
7843. Roll-ups that keep Ethereum's header (OP Stack, Arbitrum, Polygon PoS) rebuild the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import rlp
from eth_utils.crypto import keccak

from aggregator.model.errors import ChainError, StateProofError
from chains.rpc.values import parse_data, parse_quantity
from chains.verified.strict_rlp import decode, decode_integer

_HASH: Final = 32
_QUANTITY: Final = 0
_BYTES: Final = -1

_FRONTIER: Final = (
    ("parentHash", _HASH),
    ("sha3Uncles", _HASH),
    ("miner", 20),
    ("stateRoot", _HASH),
    ("transactionsRoot", _HASH),
    ("receiptsRoot", _HASH),
    ("logsBloom", 256),
    ("difficulty", _QUANTITY),
    ("number", _QUANTITY),
    ("gasLimit", _QUANTITY),
    ("gasUsed", _QUANTITY),
    ("timestamp", _QUANTITY),
    ("extraData", _BYTES),
    ("mixHash", _HASH),
    ("nonce", 8),
)
_LATER: Final = (
    ("baseFeePerGas", _QUANTITY),  # London
    ("withdrawalsRoot", _HASH),  # Shanghai
    ("blobGasUsed", _QUANTITY),  # Cancun
    ("excessBlobGas", _QUANTITY),
    ("parentBeaconBlockRoot", _HASH),
    ("requestsHash", _HASH),  # Prague
    ("blockAccessListHash", _HASH),  # Amsterdam
    ("slotNumber", _QUANTITY),
)
"""Optional fields. One that is missing before one that is present is encoded as empty."""
MAX_FIELDS: Final = 40
"""More than any header has; later forks may append some to those above."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is used of a header. `rebuilt` says whether `hash` was recomputed from the fields."""

    number: int
    hash: bytes
    parent_hash: bytes
    state_root: bytes
    timestamp: int
    rebuilt: bool
    encoded: bytes = field(default=b"", compare=False, repr=False)
    """The RLP that hashes to `hash`; empty when `rebuilt` is False."""


def encode_header(block: Mapping[str, object]) -> bytes:
    """The header's RLP from a block's JSON fields; raises ChainError when one is missing or malformed."""
    fields = [_encode_field(block[k], k, size) for k, size in _FRONTIER if k in block]
    if len(fields) != len(_FRONTIER):
        missing = next(k for k, _ in _FRONTIER if k not in block)
        raise ChainError(f"the block lacks the field {missing}; its header cannot be rebuilt")
    present = [n for n, (key, _) in enumerate(_LATER) if block.get(key) is not None]
    for key, size in _LATER[: present[-1] + 1 if present else 0]:
        value = block.get(key)
        fields.append(b"" if value is None else _encode_field(value, key, size))
    return bytes(rlp.encode(fields))


def _encode_field(value: object, key: str, size: int) -> bytes:
    if size == _QUANTITY:
        number = parse_quantity(value, f"the block's {key}")
        return number.to_bytes((number.bit_length() + 7) // 8, "big")
    return parse_data(value, f"the block's {key}", None if size == _BYTES else size)


def parse_header(block: Mapping[str, object]) -> Header:
    """A header from untrusted block fields, marked as rebuilt when its RLP hashes to the block's hash.

    Raises:
        ChainError: number, hash, parent, state root or timestamp is missing or malformed.
    """
    claimed = parse_data(block.get("hash"), "the block hash", _HASH)
    try:
        encoded = encode_header(block)
    except ChainError:
        encoded = b""
    rebuilt = keccak(encoded) == claimed
    return Header(
        number=parse_quantity(block.get("number"), "the block number"),
        hash=claimed,
        parent_hash=parse_data(block.get("parentHash"), "the parent hash", _HASH),
        state_root=parse_data(block.get("stateRoot"), "the state root", _HASH),
        timestamp=parse_quantity(block.get("timestamp"), "the block's timestamp"),
        rebuilt=rebuilt,
        encoded=encoded if rebuilt else b"",
    )


def decode_header(encoded: bytes) -> Header:
    """A header from its RLP, whose hash is the block's; raises StateProofError when it is none."""
    fields = decode(encoded)
    if not isinstance(fields, list) or not len(_FRONTIER) <= len(fields) <= MAX_FIELDS:
        raise StateProofError("the header is not a list of 15 to 40 fields; it is refused")
    by_name = dict(zip((name for name, _ in _FRONTIER), fields, strict=False))
    parent, root = by_name["parentHash"], by_name["stateRoot"]
    if not isinstance(parent, bytes) or not isinstance(root, bytes) or {len(parent), len(root)} != {_HASH}:
        raise StateProofError("the header's parent hash or state root is not 32 bytes; it is refused")
    return Header(
        number=decode_integer(by_name["number"], "the header's number", 64),
        hash=keccak(encoded),
        parent_hash=parent,
        state_root=root,
        timestamp=decode_integer(by_name["timestamp"], "the header's timestamp", 64),
        rebuilt=True,
        encoded=encoded,
    )


def require_rebuilt(header: Header) -> Header:
    """`header`, or StateProofError when its hash does not vouch for its fields."""
    if not header.rebuilt:
        raise StateProofError(
            f"the header of block {header.number} does not rebuild to its hash, so nothing can be proven under it"
        )
    return header
