"""Words the contracts read: proofs, verifying keys, signatures, and the two packed public inputs.

The EVM's BN254 precompiles take an element c0 + c1 u of F_q2 as (c1, c0) (EIP-197); our own proof bytes and the
iden3 formats hold (c0, c1). The swap happens here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from aggregator.model.errors import FormatError
from aggregator.model.policy import Level
from aggregator.model.units import TOTAL_BOUND
from chains.typed_data import is_canonical_signature

FIELD_Q: Final = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""Order of the base field of BN254: coordinates are below it (EIP-196)."""
FIELD_R: Final = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""Order of the groups of BN254: public inputs are below it (EIP-196)."""

PROOF_BYTES: Final = 256
PUBLIC_INPUTS: Final = 5
LEVEL_SHIFT: Final = 80
CONTEXT_TAG: Final = keccak(b"counterfoil/context/1")

G1Words = tuple[int, int]
G2Words = tuple[int, int, int, int]
VerifyingKeyWords = tuple[G1Words, G2Words, G2Words, G2Words, tuple[G1Words, ...]]


def proof_words(proof: bytes) -> tuple[int, ...]:
    """The eight words of a proof in EVM order: A.x A.y B.x.c1 B.x.c0 B.y.c1 B.y.c0 C.x C.y.

    Args:
        proof: 256 bytes, A.x A.y B.x.c0 B.x.c1 B.y.c0 B.y.c1 C.x C.y, each 32 bytes little-endian.

    Raises:
        FormatError: a wrong length, or a coordinate that is not below q.
    """
    if len(proof) != PROOF_BYTES:
        raise FormatError(f"a proof is {PROOF_BYTES} bytes, this one is {len(proof)}; make the proof again")
    ax, ay, bx0, bx1, by0, by1, cx, cy = (
        int.from_bytes(proof[i : i + 32], "little") for i in range(0, PROOF_BYTES, 32)
    )
    words = (ax, ay, bx1, bx0, by1, by0, cx, cy)
    if any(word >= FIELD_Q for word in words):
        raise FormatError("a coordinate of the proof is not below the field order; make the proof again")
    return words


def proof_bytes(words: Sequence[int]) -> bytes:
    """The 256 little-endian bytes of a proof in EVM order: the inverse of `proof_words`."""
    ax, ay, bx1, bx0, by1, by0, cx, cy = words
    return b"".join(word.to_bytes(32, "little") for word in (ax, ay, bx0, bx1, by0, by1, cx, cy))


def verifying_key_words(key: Mapping[str, Any]) -> VerifyingKeyWords:
    """Constructor argument `VerifyingKey` of Groth16Verifier from an iden3 `verification_key.json`.

    Args:
        key: the parsed JSON: `vk_alpha_1`, `vk_beta_2`, `vk_gamma_2`, `vk_delta_2`, `IC`, points in affine form
            with a last coordinate of 1, numbers as decimal strings.

    Raises:
        FormatError: another protocol or curve, a wrong number of public inputs, or a point at infinity.
    """
    if key.get("protocol") != "groth16" or key.get("curve") not in {"bn128", "bn254"}:
        raise FormatError("the verifying key is not a Groth16 key over BN254; give this circuit's own key")
    try:
        ic = tuple(_g1(point) for point in key["IC"])
        if len(ic) != PUBLIC_INPUTS + 1:
            raise FormatError(
                f"the verifying key has {len(ic) - 1} public inputs and the contract takes {PUBLIC_INPUTS}; "
                "give the key of the solvency circuit"
            )
        return (
            _g1(key["vk_alpha_1"]),
            _g2(key["vk_beta_2"]),
            _g2(key["vk_gamma_2"]),
            _g2(key["vk_delta_2"]),
            ic,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"the verifying key is malformed ({error!r}); export it again") from error


def verifying_key_digest(key: VerifyingKeyWords) -> bytes:
    """`Groth16Verifier.keyDigest()` of a deployed verifier that holds `key`."""
    alpha, beta, gamma, delta, ic = key
    flat = [*alpha, *beta, *gamma, *delta, *(c for point in ic for c in point)]
    return keccak(b"".join(c.to_bytes(32, "big") for c in flat))


def signature_words(signature: bytes) -> tuple[bytes, bytes]:
    """A signature as the registry reads it (EIP-2098): r, and s with the parity of y in its highest bit.

    Args:
        signature: 65 bytes r s v in canonical form.

    Raises:
        FormatError: it is not canonical (`chains.typed_data.is_canonical_signature`).
    """
    if not is_canonical_signature(signature):
        raise FormatError("an attestor's signature is not 65 bytes in canonical form; ask for it again")
    s, parity = int.from_bytes(signature[32:64], "big"), signature[64] - 27
    return signature[:32], (s | parity << 255).to_bytes(32, "big")


def requirement_and_level(amount_usd_e6: int, level: Level) -> int:
    """Public input 3: amount_usd_e6 + level x 2^80.

    Raises:
        FormatError: the amount is negative or not below 2^80.
    """
    if not 0 <= amount_usd_e6 < TOTAL_BOUND:
        raise FormatError(
            f"the amount {amount_usd_e6} is not in 0..2^80-1 (1e-6 USD); ask for a smaller amount"
        )
    return amount_usd_e6 + (int(level) << LEVEL_SHIFT)


def context_of(
    *, chain_id: int, registry: str, venue: str, expiry: int, anchors_hash: bytes, cut_time: int
) -> int:
    """Public input 4: whom and until when a proof is for, as the registry computes it.

    Args:
        chain_id, registry: where the proof will be submitted.
        venue: address of the venue it is made for.
        expiry, cut_time: Unix seconds.
        anchors_hash: 32 bytes, keccak256 of the canonical anchor list.
    """
    encoded = encode(
        ["bytes32", "uint256", "address", "address", "uint64", "bytes32", "uint64"],
        [CONTEXT_TAG, chain_id, registry, venue, expiry, anchors_hash, cut_time],
    )
    return int.from_bytes(keccak(encoded), "big") >> 8


def _g1(point: Sequence[Any]) -> G1Words:
    x, y, z = (int(c) for c in point)
    if z != 1:
        raise ValueError("a point is not in affine form")
    return x, y


def _g2(point: Sequence[Sequence[Any]]) -> G2Words:
    (x0, x1), (y0, y1), (z0, z1) = ((int(a), int(b)) for a, b in point)
    if (z0, z1) != (1, 0):
        raise ValueError("a point is not in affine form")
    return x1, x0, y1, y0
