"""Batch verification accepts true proofs together, and names every proof that is false or malformed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from aggregator.model.errors import ProofRefusedError
from circuits.field import MODULUS, encode
from circuits.formats.layout import BASE_FIELD_ORDER, join, words
from circuits.groth16 import prove
from circuits.verifiers.native import Item, find_bad, verify_batch
from tests.circuits.conftest import TinyProof
from tests.circuits.malformed import g2_outside_the_subgroup, spliced

COUNT = 12
Change = Callable[[Item], Item]


@pytest.fixture(scope="module")
def items(tiny_proof: TinyProof) -> list[Item]:
    """Proofs of different statements under one key."""
    made: list[Item] = []
    for x in range(1, COUNT + 1):
        public = [x * 7, 700 + x]
        witness = tiny_proof.circuit.witness(encode([*public, x, 7]))
        made.append((public, prove(tiny_proof.key, witness)))
    return made


@pytest.fixture(scope="module")
def vk(tiny_proof: TinyProof) -> bytes:
    return tiny_proof.key.verification_key


@pytest.mark.parametrize("count", range(1, COUNT + 1))
def test_true_proofs_are_accepted_together(vk: bytes, items: list[Item], count: int) -> None:
    assert verify_batch(vk, items[:count])
    assert find_bad(vk, items[:count]) == {}


@pytest.mark.parametrize("bad", range(COUNT))
def test_one_false_proof_anywhere_is_refused_and_named(vk: bytes, items: list[Item], bad: int) -> None:
    public, proof = items[bad]
    changed = [*items[:bad], ([public[0], public[1] + 1], proof), *items[bad + 1 :]]
    assert not verify_batch(vk, changed)
    assert find_bad(vk, changed) == {bad: "the proof does not hold for these public inputs"}


def test_the_proofs_of_two_statements_may_not_be_exchanged(vk: bytes, items: list[Item]) -> None:
    """The plain product of the equations would hold."""
    (first, a), (second, b) = items[:2]
    changed = [(first, b), (second, a), *items[2:]]
    assert not verify_batch(vk, changed)
    assert list(find_bad(vk, changed)) == [0, 1]


def test_the_same_proof_twice_holds_and_twice_false_is_refused_twice(vk: bytes, items: list[Item]) -> None:
    assert verify_batch(vk, items[:1] * 5)
    public, proof = items[0]
    assert list(find_bad(vk, [([public[0] + 1, public[1]], proof)] * 5)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda item: (item[0], item[1][:-1]), "proof: 255 bytes, it should have 256"),
        (lambda item: (item[0], b""), "proof: 0 bytes"),
        (lambda item: (item[0][:1], item[1]), "public inputs: 1 given, the verification key takes 2"),
        (lambda item: ([*item[0], 0], item[1]), "public inputs: 3 given, the verification key takes 2"),
        (lambda item: ([item[0][0] + MODULUS, item[0][1]], item[1]), "public input 0 is not in 0..r-1"),
        (lambda item: ([item[0][0], -1], item[1]), "public input 1 is not in 0..r-1"),
        (lambda item: (item[0], bytes(64) + item[1][64:]), "proof: A is the point at infinity"),
        (lambda item: (item[0], spliced(item[1], 64, join(g2_outside_the_subgroup()))), "proof: B is not in"),
        (
            lambda item: (item[0], spliced(item[1], 192, join([words(item[1])[6] + BASE_FIELD_ORDER]))),
            "proof: C has a coordinate that is not below",
        ),
    ],
)
def test_a_malformed_item_is_refused_and_named(
    vk: bytes, items: list[Item], change: Change, reason: str
) -> None:
    changed = [*items[:3], change(items[3]), *items[4:8]]
    with pytest.raises(ProofRefusedError, match=f"item 3: {reason}"):
        verify_batch(vk, changed)
    bad = find_bad(vk, changed)
    assert list(bad) == [3]
    assert reason in bad[3]


def test_malformed_and_false_items_are_named_together(vk: bytes, items: list[Item]) -> None:
    changed = [items[0], (items[1][0], b""), (items[2][0], items[3][1]), *items[4:]]
    bad = find_bad(vk, changed)
    assert list(bad) == [1, 2]
    assert "does not hold" in bad[2]


def test_an_empty_batch_proves_nothing(vk: bytes) -> None:
    with pytest.raises(ProofRefusedError, match="no proofs are given"):
        verify_batch(vk, [])
    assert find_bad(vk, []) == {}


@pytest.mark.parametrize("key", [b"", bytes(448), bytes(640)])
def test_a_malformed_key_is_refused(items: list[Item], key: bytes) -> None:
    for check in (verify_batch, find_bad):
        with pytest.raises(ProofRefusedError, match="verification key"):
            check(key, items[:2])
