"""The scalar field of BN254, in which every circuit value lives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MODULUS: Final = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""r, the order of BN254's G1 (EIP-196)."""
ELEMENT_BYTES: Final = 32


def encode(values: Iterable[int]) -> bytes:
    """Encodes integers, reduced mod r (negatives wrap), as 32-byte little-endian words."""
    return b"".join((v % MODULUS).to_bytes(ELEMENT_BYTES, "little") for v in values)


def decode(data: bytes) -> list[int]:
    """Decodes 32-byte little-endian words; the inverse of `encode` for values in [0, r)."""
    return [int.from_bytes(data[i : i + ELEMENT_BYTES], "little") for i in range(0, len(data), ELEMENT_BYTES)]


def signed(value: int) -> int:
    """The representative of `value` in (-r/2, r/2)."""
    value %= MODULUS
    return value - MODULUS if value > MODULUS // 2 else value
