"""The fast verifier: arkworks in the native core."""

from __future__ import annotations

from collections.abc import Sequence

from aggregator.model.errors import ProofRefusedError
from circuits import _native
from circuits.field import ELEMENT_BYTES, MODULUS


def verify(verification_key: bytes, public: Sequence[int], proof: bytes) -> None:
    """Accepts a Groth16 proof over BN254 by returning.

    Parameters: verification_key and proof as in `circuits.formats.layout`; public inputs, each in 0..r-1.
    Raises: ProofRefusedError when the proof is false or any part is malformed.
    """
    for position, value in enumerate(public):
        if not 0 <= value < MODULUS:
            raise ProofRefusedError(f"public input {position} is not in 0..r-1: the proof is refused")
    try:
        good = _native.verify(
            verification_key, b"".join(x.to_bytes(ELEMENT_BYTES, "little") for x in public), proof
        )
    except ValueError as error:
        raise ProofRefusedError(f"{error}: the proof is refused") from error
    if not good:
        raise ProofRefusedError("the proof does not hold for these public inputs: the proof is refused")
