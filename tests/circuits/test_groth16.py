"""Both verifiers accept a true proof and refuse every altered one, with the reason."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from aggregator.model.errors import ProofRefusedError
from circuits import _native
from circuits.field import MODULUS, encode
from circuits.formats.layout import BASE_FIELD_ORDER, join, words
from circuits.groth16 import open_key, setup_dev
from circuits.verifiers import native, pyecc
from tests.circuits.conftest import TinyProof
from tests.circuits.malformed import g2_outside_the_subgroup, spliced

Verify = Callable[[bytes, Sequence[int], bytes], None]

VERIFIERS = pytest.mark.parametrize("verify", [native.verify, pyecc.verify], ids=["native", "pyecc"])
POINTS = {"A": (0, 2), "B": (2, 4), "C": (6, 2)}
COORDINATES = [("A", 0), ("A", 1), ("B", 2), ("B", 3), ("B", 4), ("B", 5), ("C", 6), ("C", 7)]
Q = BASE_FIELD_ORDER


def with_words(data: bytes, first: int, values: Sequence[int]) -> bytes:
    """The bytes with some 32-byte words replaced."""
    return spliced(data, 32 * first, join(list(values)))


def negated(data: bytes, first_y: int, count: int) -> bytes:
    """The bytes with a point's y replaced by its negative."""
    return with_words(data, first_y, [-y % Q for y in words(data)[first_y : first_y + count]])


@VERIFIERS
def test_a_true_proof_is_accepted(tiny_proof: TinyProof, verify: Verify) -> None:
    verify(tiny_proof.key.verification_key, tiny_proof.public, tiny_proof.proof)


@VERIFIERS
def test_proofs_are_malleable(tiny_proof: TinyProof, verify: Verify) -> None:
    """(-A, -B, C) is another proof of the same statement: never key anything on proof bytes."""
    other = negated(negated(tiny_proof.proof, 1, 1), 4, 2)
    assert other != tiny_proof.proof
    verify(tiny_proof.key.verification_key, tiny_proof.public, other)


@VERIFIERS
@pytest.mark.parametrize(
    "public",
    [[36, 777], [35, 778], [777, 35], [0, 0], [35 - 1, 777 + 1]],
)
def test_other_public_inputs_are_refused(tiny_proof: TinyProof, verify: Verify, public: list[int]) -> None:
    with pytest.raises(ProofRefusedError, match="does not hold for these public inputs"):
        verify(tiny_proof.key.verification_key, public, tiny_proof.proof)


@VERIFIERS
@pytest.mark.parametrize(
    ("public", "reason"),
    [
        ([35 + MODULUS, 777], "public input 0 is not in 0..r-1"),
        ([35, 777 + MODULUS], "public input 1 is not in 0..r-1"),
        ([35, 777 - MODULUS], "public input 1 is not in 0..r-1"),
        ([MODULUS, 777], "public input 0 is not in 0..r-1"),
        ([1 << 300, 777], "public input 0 is not in 0..r-1"),
        ([35], "1 given, the verification key takes 2"),
        ([35, 777, 0], "3 given, the verification key takes 2"),
        ([], "0 given, the verification key takes 2"),
    ],
)
def test_public_inputs_that_are_not_canonical_are_refused(
    tiny_proof: TinyProof, verify: Verify, public: list[int], reason: str
) -> None:
    with pytest.raises(ProofRefusedError, match=reason):
        verify(tiny_proof.key.verification_key, public, tiny_proof.proof)


def test_the_core_itself_refuses_a_public_input_plus_r(tiny_proof: TinyProof) -> None:
    """The bound is not only in the Python wrapper."""
    public = (35 + MODULUS).to_bytes(32, "little") + (777).to_bytes(32, "little")
    with pytest.raises(ValueError, match="public inputs: element 0 is not below the field order"):
        _native.verify(tiny_proof.key.verification_key, public, tiny_proof.proof)


@VERIFIERS
@pytest.mark.parametrize(("point", "word"), COORDINATES)
def test_each_coordinate_is_checked(tiny_proof: TinyProof, verify: Verify, point: str, word: int) -> None:
    value = words(tiny_proof.proof)[word]
    off_curve = with_words(tiny_proof.proof, word, [(value + 1) % Q])
    with pytest.raises(ProofRefusedError, match=f"proof: {point} is not on the curve"):
        verify(tiny_proof.key.verification_key, tiny_proof.public, off_curve)
    unreduced = with_words(tiny_proof.proof, word, [value + Q])
    with pytest.raises(ProofRefusedError, match=f"proof: {point} has a coordinate that is not below"):
        verify(tiny_proof.key.verification_key, tiny_proof.public, unreduced)


@VERIFIERS
@pytest.mark.parametrize("point", POINTS)
def test_infinity_is_refused(tiny_proof: TinyProof, verify: Verify, point: str) -> None:
    first, count = POINTS[point]
    with pytest.raises(ProofRefusedError, match=f"proof: {point} is the point at infinity"):
        verify(
            tiny_proof.key.verification_key,
            tiny_proof.public,
            with_words(tiny_proof.proof, first, [0] * count),
        )


@VERIFIERS
@pytest.mark.parametrize(("first_y", "count"), [(1, 1), (4, 2), (7, 1)], ids=["A", "B", "C"])
def test_a_negated_point_is_refused(tiny_proof: TinyProof, verify: Verify, first_y: int, count: int) -> None:
    with pytest.raises(ProofRefusedError, match="does not hold"):
        verify(tiny_proof.key.verification_key, tiny_proof.public, negated(tiny_proof.proof, first_y, count))


@VERIFIERS
def test_points_in_another_order_are_refused(tiny_proof: TinyProof, verify: Verify) -> None:
    p = tiny_proof.proof
    with pytest.raises(ProofRefusedError, match="does not hold"):
        verify(tiny_proof.key.verification_key, tiny_proof.public, p[192:] + p[64:192] + p[:64])


@VERIFIERS
def test_b_outside_the_subgroup_is_refused(tiny_proof: TinyProof, verify: Verify) -> None:
    outside = with_words(tiny_proof.proof, 2, g2_outside_the_subgroup())
    with pytest.raises(ProofRefusedError, match="proof: B is not in the subgroup of order r"):
        verify(tiny_proof.key.verification_key, tiny_proof.public, outside)


@VERIFIERS
@pytest.mark.parametrize("length", [0, 1, 255, 257, 512])
def test_a_proof_of_another_length_is_refused(tiny_proof: TinyProof, verify: Verify, length: int) -> None:
    with pytest.raises(ProofRefusedError, match=f"proof: {length} bytes, it should have 256"):
        verify(tiny_proof.key.verification_key, tiny_proof.public, (tiny_proof.proof * 2)[:length])


@VERIFIERS
def test_the_key_of_another_setup_refuses(tiny_proof: TinyProof, verify: Verify, tmp_path: Path) -> None:
    setup_dev(tiny_proof.circuit, tmp_path / "other.zkey")
    with pytest.raises(ProofRefusedError, match="does not hold"):
        verify(open_key(tmp_path / "other.zkey").verification_key, tiny_proof.public, tiny_proof.proof)


@VERIFIERS
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda k: b"", "verification key: 0 bytes"),
        (lambda k: k[:448], "verification key: 448 bytes"),
        (lambda k: k[:-1], "verification key: 639 bytes"),
        (lambda k: k[:-64], "2 given, the verification key takes 1"),
        (lambda k: k + k[-64:], "2 given, the verification key takes 3"),
        (lambda k: with_words(k, 0, [0, 0]), "alpha is the point at infinity"),
        (lambda k: with_words(k, 0, [1, 3]), "alpha is not on the curve"),
        (lambda k: with_words(k, 2, g2_outside_the_subgroup()), "beta is not in the subgroup"),
        (lambda k: with_words(k, 6, g2_outside_the_subgroup()), "gamma is not in the subgroup"),
        (lambda k: with_words(k, 10, g2_outside_the_subgroup()), "delta is not in the subgroup"),
        (lambda k: with_words(k, 10, [0] * 4), "delta is the point at infinity"),
        (lambda k: with_words(k, 14, [0, 0]), "IC point 0 is the point at infinity"),
        (lambda k: with_words(k, 18, [0, 0]), "IC point 2 is the point at infinity"),
        (lambda k: with_words(k, 16, [1, 1]), "IC point 1 is not on the curve"),
        (lambda k: with_words(k, 16, [Q, 1]), "IC point 1 has a coordinate that is not below"),
    ],
)
def test_a_malformed_verification_key_is_refused(
    tiny_proof: TinyProof, verify: Verify, change: Callable[[bytes], bytes], reason: str
) -> None:
    with pytest.raises(ProofRefusedError, match=reason):
        verify(change(tiny_proof.key.verification_key), tiny_proof.public, tiny_proof.proof)


def test_the_verifiers_agree_on_random_damage(tiny_proof: TinyProof) -> None:
    """The native verdict on a flipped bit is always a refusal; py-ecc confirms a few."""
    rng = random.Random(11)
    vk, public = tiny_proof.key.verification_key, tiny_proof.public
    for round_number in range(300):
        at = rng.randrange(256)
        damaged = spliced(tiny_proof.proof, at, bytes([tiny_proof.proof[at] ^ 1 << rng.randrange(8)]))
        for verify in [native.verify, pyecc.verify] if round_number < 10 else [native.verify]:
            with pytest.raises(ProofRefusedError):
                verify(vk, public, damaged)


def test_public_inputs_are_taken_at_both_ends_of_the_field(tiny_proof: TinyProof) -> None:
    witness = tiny_proof.circuit.witness(encode([0, MODULUS - 1, 1, 0]))
    proof = tiny_proof.key.native.prove(witness)
    for verify in (native.verify, pyecc.verify):
        verify(tiny_proof.key.verification_key, [0, MODULUS - 1], proof)
