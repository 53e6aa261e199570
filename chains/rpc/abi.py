"""Call data by function signature, for reads that need no ABI file.

Source: Solidity ABI specification, "Function Selector and Argument Encoding".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from aggregator.model.errors import ChainError


@cache
def selector(signature: str) -> bytes:
    """The four bytes of a canonical signature such as "balanceOf(address)"."""
    return keccak(signature.encode("ascii"))[:4]


def encode_call(signature: str, *arguments: object) -> bytes:
    """Selector and arguments; tuples are not supported in `signature`."""
    inner = signature[signature.index("(") + 1 : -1]
    return selector(signature) + abi_encode(inner.split(",") if inner else [], arguments)


def decode_result(types: Sequence[str], data: bytes, what: str) -> tuple[object, ...]:
    """The values a call returned; `what` names the call in the error. Raises ChainError."""
    try:
        return tuple(abi_decode(list(types), data))
    except (DecodingError, ValueError, OverflowError) as error:
        raise ChainError(f"{what} returned {len(data)} bytes that are not ({','.join(types)})") from error
