"""Our bytes of proofs and verification keys: coordinates of 32 bytes, little-endian, below q; G2 has c0 before c1.

proof               A (G1)  B (G2)  C (G1)                                                     256 bytes
verification key    alpha (G1)  beta (G2)  gamma (G2)  delta (G2)  IC_0..IC_n (G1)             448 + 64 (n + 1) bytes
"""

from __future__ import annotations

from typing import Final

BASE_FIELD_ORDER: Final = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""q: the order of the field that BN254's coordinates are in (EIP-196)."""
WORD_BYTES: Final = 32
G1_WORDS: Final = 2
G2_WORDS: Final = 4
PROOF_WORDS: Final = 2 * G1_WORDS + G2_WORDS
KEY_FIXED_WORDS: Final = G1_WORDS + 3 * G2_WORDS


def words(data: bytes) -> list[int]:
    """32-byte little-endian words of a buffer whose length the caller has checked."""
    return [int.from_bytes(data[i : i + WORD_BYTES], "little") for i in range(0, len(data), WORD_BYTES)]


def join(values: list[int]) -> bytes:
    """The inverse of `words`."""
    return b"".join(value.to_bytes(WORD_BYTES, "little") for value in values)


def is_proof_length(length: int) -> bool:
    """Whether a buffer of `length` bytes can be a proof."""
    return length == PROOF_WORDS * WORD_BYTES


def is_key_length(length: int) -> bool:
    """Whether a buffer of `length` bytes can be a verification key."""
    ic_bytes = length - KEY_FIXED_WORDS * WORD_BYTES
    return ic_bytes > 0 and ic_bytes % (G1_WORDS * WORD_BYTES) == 0


def key_inputs(length: int) -> int:
    """How many public inputs a verification key of `length` bytes takes; `is_key_length` holds."""
    return (length // WORD_BYTES - KEY_FIXED_WORDS) // G1_WORDS - 1
