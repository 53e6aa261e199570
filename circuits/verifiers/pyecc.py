"""The independent verifier: Groth16 over BN254 on py-ecc, sharing no code with the prover.

e(A, B) = e(alpha, beta) e(IC_0 + sum x_i IC_i, gamma) e(C, delta)

Source: Groth, "On the Size of Pairing-based Non-interactive Arguments" (2016), section 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence

from py_ecc.fields import optimized_bn128_FQ as FQ
from py_ecc.fields import optimized_bn128_FQ2 as FQ2
from py_ecc.fields import optimized_bn128_FQ12 as FQ12
from py_ecc.optimized_bn128.optimized_curve import (
    add,
    b,
    b2,
    curve_order,
    is_inf,
    is_on_curve,
    multiply,
    neg,
)
from py_ecc.optimized_bn128.optimized_pairing import final_exponentiate, pairing
from py_ecc.typing import Optimized_Point3D

from aggregator.model.errors import ProofRefusedError
from circuits.formats.layout import BASE_FIELD_ORDER, KEY_FIXED_WORDS, is_key_length, is_proof_length, words


def verify(verification_key: bytes, public: Sequence[int], proof: bytes) -> None:
    """Accepts a Groth16 proof over BN254 by returning.

    Parameters: verification_key and proof as in `circuits.formats.layout`; public inputs, each in 0..r-1.
    Raises: ProofRefusedError when the proof is false or any part is malformed.
    """
    if not is_key_length(len(verification_key)):
        raise ProofRefusedError(
            f"verification key: {len(verification_key)} bytes are not those of a key: the proof is refused"
        )
    if not is_proof_length(len(proof)):
        raise ProofRefusedError(f"proof: {len(proof)} bytes, it should have 256: the proof is refused")
    k, p = words(verification_key), words(proof)
    alpha = _g1(k[0:2], "verification key: alpha")
    beta, gamma, delta = (
        _g2(k[start : start + 4], f"verification key: {name}")
        for start, name in ((2, "beta"), (6, "gamma"), (10, "delta"))
    )
    if k[6:10] == k[10:14]:
        raise ProofRefusedError(
            "verification key: gamma equals delta, its second phase was skipped and anyone could forge proofs: "
            "the proof is refused"
        )
    ic = [
        _g1(k[start : start + 2], f"verification key: IC point {(start - KEY_FIXED_WORDS) // 2}")
        for start in range(KEY_FIXED_WORDS, len(k), 2)
    ]
    if len(public) != len(ic) - 1:
        raise ProofRefusedError(
            f"public inputs: {len(public)} given, the verification key takes {len(ic) - 1}: the proof is refused"
        )
    for position, value in enumerate(public):
        if not 0 <= value < curve_order:
            raise ProofRefusedError(f"public input {position} is not in 0..r-1: the proof is refused")
    proof_a = _g1(p[0:2], "proof: A")
    proof_b = _g2(p[2:6], "proof: B")
    proof_c = _g1(p[6:8], "proof: C")

    inputs = ic[0]
    for value, point in zip(public, ic[1:], strict=True):
        inputs = add(inputs, multiply(point, value))
    product = FQ12.one()
    for in_g2, in_g1 in ((proof_b, neg(proof_a)), (beta, alpha), (gamma, inputs), (delta, proof_c)):
        product *= pairing(in_g2, in_g1, final_exponentiate=False)
    if final_exponentiate(product) != FQ12.one():
        raise ProofRefusedError("the proof does not hold for these public inputs: the proof is refused")


def _g1(coordinates: list[int], what: str) -> Optimized_Point3D[FQ]:
    _check_range(coordinates, what)
    point = (FQ(coordinates[0]), FQ(coordinates[1]), FQ.one())
    if not is_on_curve(point, b):
        raise ProofRefusedError(f"{what} is not on the curve: the proof is refused")
    return point


def _g2(coordinates: list[int], what: str) -> Optimized_Point3D[FQ2]:
    _check_range(coordinates, what)
    point = (FQ2(coordinates[0:2]), FQ2(coordinates[2:4]), FQ2.one())
    if not is_on_curve(point, b2):
        raise ProofRefusedError(f"{what} is not on the curve: the proof is refused")
    if not is_inf(multiply(point, curve_order)):
        raise ProofRefusedError(f"{what} is not in the subgroup of order r: the proof is refused")
    return point


def _check_range(coordinates: list[int], what: str) -> None:
    if any(value >= BASE_FIELD_ORDER for value in coordinates):
        raise ProofRefusedError(
            f"{what} has a coordinate that is not below the field order: the proof is refused"
        )
    if not any(coordinates):
        raise ProofRefusedError(f"{what} is the point at infinity: the proof is refused")
