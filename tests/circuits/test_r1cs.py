"""The builder: intervals that could wrap are refused when a circuit is built, and rows mean what they say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits import reference
from circuits.field import MODULUS
from circuits.gadgets.poseidon import poseidon, poseidon_chain
from circuits.gadgets.select import choose, member, point
from circuits.hashing import chain, hash_one
from circuits.poseidon import poseidon as reference_poseidon
from circuits.r1cs import Builder, CircuitBuildError, CompiledCircuit, Lc

ELEMENT = st.integers(0, MODULUS - 1)


def satisfied(circuit: CompiledCircuit, *inputs: int) -> bool:
    """Whether any prover could use these inputs: the program runs leniently and the rows decide."""
    return reference.first_violation(circuit, reference.run(circuit, inputs, strict=False)) is None


def test_a_range_check_whose_interval_wraps_is_not_built() -> None:
    b = Builder("wrap")
    x = b.assume(b.private("x")[0], 0, MODULUS - 2, "T")
    with pytest.raises(CircuitBuildError, match="could wrap"):
        b.range_check(x - 5 + MODULUS // 2, 8, "shifted")


def test_a_difference_that_may_be_negative_is_checked_as_an_integer() -> None:
    b = Builder("difference")
    x, y = (b.range_check(w, 8, "byte") for w in b.private("pair", 2))
    b.range_check(x - y, 8, "x - y")
    circuit = b.compile()
    assert satisfied(circuit, 9, 4)
    assert satisfied(circuit, 9, 9)
    assert not satisfied(circuit, 4, 9)


def test_a_product_that_could_wrap_is_not_built() -> None:
    b = Builder("product")
    x = b.range_check(b.private("x")[0], 200, "x")
    with pytest.raises(CircuitBuildError, match="could wrap"):
        b.mul(x, x)


def test_a_sum_of_unbounded_wires_has_no_range() -> None:
    b = Builder("unbounded")
    x, y = b.private("pair", 2)
    with pytest.raises(CircuitBuildError, match="no integer value"):
        b.range_check(x + y, 8, "sum")


def test_an_input_after_the_first_row_is_not_built() -> None:
    b = Builder("late")
    x = b.private("x")[0]
    b.mul(x, x)
    with pytest.raises(CircuitBuildError, match="after the first constraint"):
        b.private("y")


def test_a_public_input_after_a_private_one_is_not_built() -> None:
    b = Builder("order")
    b.private("x")
    with pytest.raises(CircuitBuildError, match="after a private one"):
        b.public("y")


@given(st.integers(0, MODULUS - 1))
def test_a_range_check_accepts_exactly_its_range(value: int) -> None:
    b = Builder("byte")
    b.range_check(b.private("x")[0], 8, "x")
    circuit = b.compile()
    for candidate in (value, value % 512, 255, 256):
        assert satisfied(circuit, candidate) == (candidate < 256)


@pytest.mark.parametrize("arity", [1, 3, 8, 9, 12, 14, 15, 16])
def test_poseidon_in_rows_equals_the_reference(arity: int) -> None:
    b = Builder("poseidon")
    out = b.public("out")
    b.equal(poseidon(b, b.private("in", arity)), out)
    circuit = b.compile()
    inputs = [(7 * i + 3) ** 40 % MODULUS for i in range(arity)]
    digest = reference_poseidon(inputs)
    assert hash_one(inputs) == digest
    assert satisfied(circuit, digest, *inputs)
    assert not satisfied(circuit, (digest + 1) % MODULUS, *inputs)


@pytest.mark.parametrize("length", [3, 4, 5, 6, 7])
def test_a_chain_in_rows_equals_the_native_one(length: int) -> None:
    b = Builder("chain")
    out = b.public("out")
    b.equal(poseidon_chain(b, 4, b.private("in", length)), out)
    circuit = b.compile()
    elements = list(range(5, 5 + length))
    assert satisfied(circuit, chain(4, elements), *elements)
    assert not satisfied(circuit, chain(4, [*elements[:-1], 1]), *elements)


def test_chains_of_different_lengths_differ() -> None:
    assert chain(4, [1, 2, 3, 4]) != chain(4, [1, 2, 3, 4, 5])


@given(st.lists(ELEMENT, min_size=8, max_size=8, unique=True), ELEMENT, st.integers(0, 7))
def test_membership(candidates: list[int], stranger: int, position: int) -> None:
    b = Builder("member")
    x, *cells = b.private("in", 9)
    member(b, x, cells)
    circuit = b.compile()
    assert satisfied(circuit, candidates[position], *candidates)
    assert satisfied(circuit, stranger, *candidates) == (stranger in candidates)


def _pointer_circuit() -> CompiledCircuit:
    b = Builder("point")
    key, c0, c1, p0, p1, none = b.private("in", 6)
    point(b, key, [c0, c1], [p0, p1], none)
    return b.compile()


@pytest.mark.parametrize(
    ("inputs", "good"),
    [
        ((7, 7, 9, 1, 0, 0), True),
        ((9, 7, 9, 0, 1, 0), True),
        ((0, 7, 9, 0, 0, 1), True),
        ((9, 7, 9, 1, 0, 0), False),
        ((9, 7, 9, 0, 2, -1), False),
        ((8, 7, 9, 0, 0, 1), False),
        ((7, 7, 9, 0, 0, 0), False),
        ((7, 7, 9, 2, -1, 0), False),
    ],
)
def test_a_pointer_points_at_its_key_alone(inputs: tuple[int, ...], good: bool) -> None:
    assert satisfied(_pointer_circuit(), *inputs) == good


def test_choose_takes_one_of_two() -> None:
    b = Builder("choose")
    out = b.public("out")
    bit, zero, one = b.private("in", 3)
    b.equal(choose(b, b.boolean(bit), zero, one), out)
    circuit = b.compile()
    assert satisfied(circuit, 5, 0, 5, 6)
    assert satisfied(circuit, 6, 1, 5, 6)
    assert not satisfied(circuit, 7, 2, 5, 6)


def test_a_forced_zero_bit_is_refused_when_set() -> None:
    b = Builder("gap")
    x = b.private("x")[0]
    b.bits(x, 8, "x", zero_bit=3)
    circuit = b.compile()
    assert satisfied(circuit, 0b1111_0111)
    assert not satisfied(circuit, 0b0000_1000)


def test_labels_cover_every_row_once() -> None:
    b = Builder("labels")
    x = b.private("x")[0]
    b.label("one")
    b.mul(x, x)
    b.label("two")
    b.range_check(x, 4, "x")
    circuit = b.compile()
    assert circuit.constraints_by_label() == {"one": 1, "two": 5}
    assert circuit.label_of_row(0) == "one"
    assert circuit.label_of_row(5) == "two"


def test_the_digest_depends_on_every_coefficient() -> None:
    def build(scale: int) -> str:
        b = Builder("digest")
        x = b.private("x")[0]
        b.equal(x * scale, Lc.constant(6))
        return b.compile().digest()

    assert build(2) == build(2)
    assert build(2) != build(3)
