"""The fast verifier: arkworks in the native core, for one proof and for many of one key."""

from __future__ import annotations

from collections.abc import Sequence

from aggregator.model.errors import ProofRefusedError
from circuits import _native
from circuits.field import ELEMENT_BYTES, MODULUS
from circuits.formats.layout import is_key_length, is_proof_length, key_inputs

Item = tuple[Sequence[int], bytes]
"""Public inputs, each in 0..r-1, and the proof of them."""

_FALSE = "the proof does not hold for these public inputs"


def verify(verification_key: bytes, public: Sequence[int], proof: bytes) -> None:
    """Accepts a Groth16 proof over BN254 by returning.

    Parameters: verification_key and proof as in `circuits.formats.layout`; public inputs, each in 0..r-1.
    Raises: ProofRefusedError when the proof is false or any part is malformed.
    """
    try:
        good = _native.verify(verification_key, _encode(public), proof)
    except ValueError as error:
        raise ProofRefusedError(f"{error}: the proof is refused") from error
    if not good:
        raise ProofRefusedError(f"{_FALSE}: the proof is refused")


def verify_batch(verification_key: bytes, items: Sequence[Item]) -> bool:
    """Whether every one of many proofs of one key holds, by one random combination of their equations.

    A batch with a false proof is accepted with probability 2^-128, whatever the other proofs are. `find_bad` tells
    which are false.
    Raises: ProofRefusedError when there is no item, or an item (named by its position) or the key is malformed.
    """
    if not items:
        raise ProofRefusedError("no proofs are given: the batch is refused")
    inputs = _inputs_of(verification_key)
    for position, (public, proof) in enumerate(items):
        reason = _malformed(public, proof, inputs)
        if reason is not None:
            raise ProofRefusedError(f"item {position}: {reason}: the batch is refused")
    try:
        return _native.verify_batch(verification_key, *_join(items))
    except ValueError as error:
        raise ProofRefusedError(f"{error}: the batch is refused") from error


def find_bad(verification_key: bytes, items: Sequence[Item]) -> dict[int, str]:
    """The items that are refused, by position, each with its reason; empty when all hold.

    One false proof among n costs about two batches; each further one adds at most log2 n halvings.
    Raises: ProofRefusedError when the key is malformed.
    """
    inputs = _inputs_of(verification_key)
    bad: dict[int, str] = {}
    sound: list[int] = []
    for position, (public, proof) in enumerate(items):
        reason = _malformed(public, proof, inputs)
        if reason is None:
            sound.append(position)
        else:
            bad[position] = reason
    try:
        found = _native.find_bad_proofs(verification_key, *_join([items[position] for position in sound]))
    except ValueError as error:
        raise ProofRefusedError(f"{error}: the batch is refused") from error
    bad.update((sound[place], reason or _FALSE) for place, reason in found)
    return dict(sorted(bad.items()))


def _inputs_of(verification_key: bytes) -> int:
    if not is_key_length(len(verification_key)):
        raise ProofRefusedError(
            f"verification key: {len(verification_key)} bytes are not those of a key: the batch is refused"
        )
    return key_inputs(len(verification_key))


def _malformed(public: Sequence[int], proof: bytes, inputs: int) -> str | None:
    if len(public) != inputs:
        return f"public inputs: {len(public)} given, the verification key takes {inputs}"
    if not is_proof_length(len(proof)):
        return f"proof: {len(proof)} bytes, it should have 256"
    return _out_of_range(public)


def _out_of_range(public: Sequence[int]) -> str | None:
    for position, value in enumerate(public):
        if not 0 <= value < MODULUS:
            return f"public input {position} is not in 0..r-1"
    return None


def _encode(public: Sequence[int]) -> bytes:
    reason = _out_of_range(public)
    if reason is not None:
        raise ProofRefusedError(f"{reason}: the proof is refused")
    return _bytes(public)


def _bytes(public: Sequence[int]) -> bytes:
    return b"".join(x.to_bytes(ELEMENT_BYTES, "little") for x in public)


def _join(items: Sequence[Item]) -> tuple[bytes, bytes]:
    return b"".join(_bytes(public) for public, _ in items), b"".join(proof for _, proof in items)
