"""For given private inputs the rows leave one witness: nobody can choose another public signal, bit or hash.

What stays open is what a statement is about: the context is the verifier's, and the private inputs are the prover's.
Among those the claims L, C and R may be any that dominate; that no public signal depends on them is shown here.
"""

from __future__ import annotations

import random
from functools import cache

import pytest

from circuits.artifacts import ready
from circuits.field import MODULUS
from circuits.r1cs import Builder, CompiledCircuit, Lc
from circuits.solvency import Size, build
from tests.circuits.mutation import Mutants
from tests.circuits.rows import Rows
from tests.circuits.uniqueness import Propagation, Verdict, private_names

SMALLEST = Size(slots=2, classes=1, groups=1)
SIGNALS = {
    "accountId": {"secretKey", "subAccount"},
    "commitment": {"blinding", "documentHash", "leafId", "quantity", "short"},
    "policyRoot": {"documentHash", "trees", "scanFactors", "correlations"},
    "requirementAndLevel": {"amount", "level"},
}


@cache
def propagation() -> Propagation:
    return Propagation(build(SMALLEST))


@pytest.fixture(scope="module")
def small() -> tuple[CompiledCircuit, Verdict]:
    circuit = ready("solvency-16").compiled
    return circuit, Propagation(circuit).run(private_names(circuit))


def test_every_wire_but_the_context_follows_from_the_private_inputs(
    small: tuple[CompiledCircuit, Verdict],
) -> None:
    circuit, verdict = small
    context = circuit.input_names["context"][0]
    square = next(row for row in range(circuit.n_constraints) if circuit.label_of_row(row) == "S2 context")
    assert circuit.a.row(square) == circuit.b.row(square) == [(context, circuit.coefs.index(1))]
    assert verdict.free == [context, circuit.c.row(square)[0][0]]


def test_each_public_signal_is_a_function_of_what_it_should_be(
    small: tuple[CompiledCircuit, Verdict],
) -> None:
    """No claim, pointer or path reaches a signal: an account and amount have the same signals whatever is claimed."""
    circuit, verdict = small
    found = {name: verdict.support[circuit.input_names[name][0]] for name in SIGNALS}
    assert found == SIGNALS


@pytest.mark.parametrize("name", ["secretKey", "blinding", "quantity", "amount", "trees", "scanRisk"])
def test_an_input_that_is_not_given_leaves_wires_open(name: str) -> None:
    """The search can fail: without an input the wires that depend on it are free, and only those signals."""
    circuit = propagation().circuit
    verdict = propagation().run(set(private_names(circuit)) - {name})
    assert circuit.input_names[name][0] in verdict.free or name in ("amount", "trees")
    for signal, needed in SIGNALS.items():
        is_free = circuit.input_names[signal][0] in verdict.free
        assert is_free == (name in needed)


def _kinds() -> dict[str, int]:
    """One row of each equation and kind: what defines a wire, a bit, a sum of bits, a public signal."""
    circuit = propagation().circuit
    told = Rows(circuit)
    rows: dict[str, list[int]] = {}
    for row in range(circuit.n_constraints):
        op = told.op_of.get(row)
        if row in told.defined:
            kind = "wire"
        elif op is None:
            signals = {w for matrix in "abc" for w in told.side(matrix, row) if 0 < w <= circuit.n_public}
            kind = "signal" if signals else "check of inputs"
        else:
            kind = "sum of bits" if row == op.sum_row else "bit"
        rows.setdefault(f"{circuit.label_of_row(row)}: {kind}", []).append(row)
    source = random.Random(7)
    return {name: source.choice(found) for name, found in rows.items()}


@pytest.mark.slow
def test_without_a_row_that_determines_something_a_wire_is_free() -> None:
    circuit = propagation().circuit
    given = private_names(circuit)
    usual = propagation().run(given).free
    wrong = []
    for name, row in _kinds().items():
        open_now = len(propagation().run(given, without=[row]).free) > len(usual)
        if open_now == name.endswith("check of inputs") or name == "S2 context: wire":
            wrong.append(name)
    assert wrong == ["S2 context: wire"]


def test_rows_that_determine_nothing_only_narrow_the_inputs() -> None:
    """They refuse inputs and choose none; tests/circuits/mutation.py shows that each is needed for that."""
    checks = {name.split(":")[0] for name in _kinds() if name.endswith("check of inputs")}
    assert checks == {
        *("S1 amount and level", "S5 policy blocks", "S6 class cells", "S8 policy path"),
        *("S9 quantity", "S10 slot order", "M2 class sums", "M4 group sums"),
    }


def test_in_an_instance_the_pointers_follow_too() -> None:
    """Which cell a slot points at is no choice: with distinct cells one value of each pointer is left."""
    mutants = Mutants(Size(slots=4, classes=2, groups=2))
    circuit = mutants.rows.circuit
    run = mutants.rows.native_run(mutants.books.true(mutants.books.full()))
    values = [run[wire] for wire in range(circuit.n_wires)]
    assert run.broken == []
    pointers = {"classPointers", "classNone", "groupPointers", "groupNone"}
    search = Propagation(circuit)
    verdict = search.run(set(private_names(circuit)) - pointers | {"context"}, values=values)
    assert verdict.unique
    without_sums = [
        row
        for row in range(circuit.n_constraints)
        if circuit.label_of_row(row) in ("M2 class sums", "M4 group sums")
        and len(circuit.a.row(row)) > 2
        and circuit.b.row(row) == [(0, circuit.coefs.index(1))]
    ]
    assert not search.run(
        set(private_names(circuit)) - pointers | {"context"}, values=values, without=without_sums
    ).unique


def _toy(*, boolean: bool = True, weights: tuple[int, ...] = (1, 2, 4)) -> CompiledCircuit:
    """out = x, and x as a sum of weighted bits that the prover gives."""
    b = Builder("toy")
    out = b.public("out")
    x, *bits = [*b.private("x"), *b.private("bits", len(weights))]
    b.equal(x, out)
    for bit in bits:
        if boolean:
            b.boolean(bit)
    b.equal(Lc.sum(bit * weight for bit, weight in zip(bits, weights, strict=True)), x)
    return b.compile()


@pytest.mark.parametrize(
    ("circuit", "unique"),
    [
        (_toy(), True),
        (_toy(weights=(4, 1, 2)), True),
        (_toy(weights=(3, 6, 12)), True),
        (_toy(weights=(MODULUS - 1, MODULUS - 2, MODULUS - 4)), True),
        (_toy(boolean=False), False),
        (_toy(weights=(1, 2, 3)), False),
        (_toy(weights=(1, 1)), False),
        (_toy(weights=tuple(1 << j for j in range(253))), True),
        (_toy(weights=tuple(1 << j for j in range(254))), False),
    ],
)
def test_the_rule_for_bits(circuit: CompiledCircuit, unique: bool) -> None:
    """Bits that are not shown to be bits, sums that two choices share, and sums that wrap have a second witness."""
    assert Propagation(circuit).run(["x"]).unique is unique


def test_a_product_determines_a_factor_only_where_the_other_is_not_zero() -> None:
    b = Builder("factor")
    x, y, z = b.private("x") + b.private("y") + b.private("z")
    b.enforce(x, y, z)
    circuit = b.compile()
    assert not Propagation(circuit).run(["x", "z"]).unique
    assert Propagation(circuit).run(["x", "z"], values=[1, 3, 5, 15]).unique
    assert not Propagation(circuit).run(["x", "z"], values=[1, 0, 5, 0]).unique
