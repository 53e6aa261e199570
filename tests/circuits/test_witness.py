"""The witness program on all cores and in vectors gives what the run in order gives.

`tampered` with nothing forced is the run in order: the reference.
"""

from __future__ import annotations

import random

import pytest

from aggregator.margin.native import evaluate
from aggregator.model.policy import Level
from circuits import _native
from circuits.artifacts import ready, to_native
from circuits.assignment import Holder, assign, encode_inputs
from circuits.field import MODULUS, decode, encode
from circuits.gadgets.poseidon import poseidon
from circuits.gadgets.select import member
from circuits.hashing import hash_one
from circuits.policy_tree import build_tree
from circuits.r1cs import Builder
from circuits.solvency import SIZES
from tests.circuits.books import ACCOUNT, fixed_policy


def in_order(circuit: _native.Circuit, inputs: bytes) -> bytes:
    """The wires of the sequential run, which no row refuses."""
    witness, broken = circuit.tampered(inputs, [], b"")
    assert broken == []
    return witness


@pytest.mark.parametrize("name", list(SIZES))
@pytest.mark.parametrize("level", list(Level))
def test_the_solvency_circuits_run_as_in_order(name: str, level: Level) -> None:
    circuit, policy = ready(name), fixed_policy()
    evaluation = evaluate(policy, ACCOUNT, level)
    values = assign(
        SIZES[name], policy, build_tree(policy), evaluation, Holder(7, 1, 5), evaluation.excess_e6, 3
    )
    inputs = encode_inputs(circuit.compiled, values)
    assert circuit.native.witness(inputs) == in_order(circuit.native, inputs)


@pytest.mark.parametrize("seed", range(8))
def test_hashes_of_hashes_run_as_in_order(seed: int) -> None:
    """Hashes of several widths, over inputs, constants and each other's outputs, some of them members of a list."""
    rng = random.Random(seed)
    b = Builder("hashes")
    known = [(wire, rng.choice([0, 1, MODULUS - 1, rng.randrange(MODULUS)])) for wire in b.private("x", 9)]
    inputs = encode(value for _, value in known)
    for _ in range(rng.randint(12, 40)):
        arity = rng.choice([2, 2, 2, 3, 8])
        parts = [rng.choice(known) for _ in range(arity)]
        out = poseidon(b, [wire for wire, _ in parts])
        known.append((out, hash_one([value for _, value in parts])))
        if rng.random() < 0.3:
            member(b, out, [known[0][0], known[1][0], known[-1][0], known[2][0]])
    circuit = to_native(b.compile())
    witness = circuit.witness(inputs)
    assert witness == in_order(circuit, inputs)
    wires = decode(witness)
    assert all(wires[next(iter(wire.terms))] == value for wire, value in known)


@pytest.mark.parametrize(("x", "y", "failing"), [(3, 3, None), (1000, 3, 0), (20, 1000, 1), (3, 1000, 2)])
def test_the_first_of_the_range_checks_that_fail_is_named(x: int, y: int, failing: int | None) -> None:
    """x < 2^9, x^2 < 2^8 (a level later) and y < 2^4: the order is the program's, not that of the levels."""
    b = Builder("checks")
    wires = [b.private("x")[0], b.private("y")[0]]
    first = b.range_check(wires[0], 9, "x")
    b.range_check(b.mul(first, first), 8, "square")
    b.range_check(wires[1], 4, "y")
    compiled = b.compile()
    circuit = to_native(compiled)
    inputs = encode([x, y])
    if failing is None:
        assert circuit.witness(inputs) == in_order(circuit, inputs)
        return
    number = list(compiled.op_labels)[failing]
    with pytest.raises(ValueError, match=f"^range check at op {number}: the value does not fit"):
        circuit.witness(inputs)
