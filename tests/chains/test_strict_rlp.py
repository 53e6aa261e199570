"""RLP from strangers: round trips with the `rlp` package, and every second spelling refused."""

from __future__ import annotations

import pytest
import rlp
from hypothesis import given
from hypothesis import strategies as st

from aggregator.model.errors import StateProofError
from chains.verified.strict_rlp import MAX_DEPTH, decode, decode_integer

items = st.recursive(st.binary(max_size=80), lambda inner: st.lists(inner, max_size=5), max_leaves=12)


@given(items)
def test_decoding_inverts_the_reference_encoder(item: object) -> None:
    assert decode(rlp.encode(item)) == item


@given(st.binary(max_size=90))
def test_what_is_accepted_has_one_encoding(data: bytes) -> None:
    """Anything that decodes encodes back to the same bytes."""
    try:
        item = decode(data)
    except StateProofError:
        return
    assert rlp.encode(item) == data


@pytest.mark.parametrize(
    "data",
    [
        "", "8100", "817f", "b800", "b83700", "b80080", "c180ff", "83aabb", "c3aabb", "c28200", "f800",
        "b90001" + "00", "c181", "ff" + "ff" * 8, "c0c0",
    ],
)  # fmt: skip
def test_malformed_bytes_are_refused(data: str) -> None:
    with pytest.raises(StateProofError):
        decode(bytes.fromhex(data))


def test_nesting_is_bounded() -> None:
    """A hundred thousand brackets end in an error, not in the end of the process."""
    data = b"\xc0"
    for _ in range(MAX_DEPTH + 1):
        data = bytes(rlp.codec.length_prefix(len(data), 0xC0)) + data
    with pytest.raises(StateProofError, match="nest deeper"):
        decode(data)


@pytest.mark.parametrize("item", [b"\x00", b"\x00\x01", bytes([1]) * 33, [b"\x01"]])
def test_integers_are_canonical(item: bytes | list[bytes]) -> None:
    with pytest.raises(StateProofError):
        decode_integer(item, "x")
