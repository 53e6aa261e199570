"""No row of the statement is there for nothing: without it a false or malformed statement gets through.

A few rows of every equation of solvency-16 and of the statement at its smallest; `python -m bench.mutation` takes all
rows of the latter and two thousand of solvency-64.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bench.mutation import INSTANCE
from circuits.r1cs import CompiledCircuit, Matrix
from circuits.solvency import SMALL, Size, build
from tests.circuits.mutation import EXPLAINED, Mutants
from tests.circuits.rows import stratified

ROOT = Path(__file__).parent.parent.parent
TINY = Size(slots=2, classes=2, groups=1)
ROWS = 60
SMALLEST_ROWS = 400


@cache
def mutants() -> Mutants:
    return Mutants(SMALL)


@cache
def tiny() -> Mutants:
    return Mutants(TINY)


@pytest.mark.slow
def test_each_row_of_a_sample_is_needed() -> None:
    sample = stratified(mutants().rows, ROWS, seed=2026)
    survivors = {label for label, rows in sample.items() for row in rows if not mutants().kill(row)}
    assert survivors == EXPLAINED.keys()


@pytest.mark.slow
def test_each_row_of_a_sample_of_the_smallest_instance_is_needed() -> None:
    """In a process of its own, because its constants are others. All its runs are those of the native core."""
    command = [sys.executable, "-m", "bench.mutation", "--one", INSTANCE]
    done = subprocess.run(
        [*command, f"--rows={SMALLEST_ROWS}", "--processes=1"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=300,
    )
    found = json.loads(done.stdout)
    assert found["tried"] >= SMALLEST_ROWS
    assert {survivor["equation"] for survivor in found["survivors"]} == EXPLAINED.keys()


def _doubled(circuit: CompiledCircuit, row: int) -> CompiledCircuit:
    """The circuit with one of its rows written twice, so that neither copy is needed."""

    def add(matrix: Matrix) -> Matrix:
        span = slice(int(matrix.ptr[row]), int(matrix.ptr[row + 1]))
        ptr = np.append(matrix.ptr, matrix.ptr[-1] + matrix.ptr[row + 1] - matrix.ptr[row]).astype(np.uint32)
        return Matrix(ptr, np.append(matrix.idx, matrix.idx[span]), np.append(matrix.coef, matrix.coef[span]))

    return replace(circuit, a=add(circuit.a), b=add(circuit.b), c=add(circuit.c))


@pytest.mark.parametrize("label", ["M1 equity", "S9 quantity", "M2 class sums", "S8 policy path"])
def test_a_redundant_row_survives(label: str) -> None:
    """The search can fail: it finds nothing against a row that another one repeats."""
    row = tiny().rows.by_label[label][-1]
    assert tiny().kill(row, confirm=True)
    assert not Mutants(TINY, _doubled(build(TINY), row)).kill(row)


def test_a_changed_wire_of_a_true_statement_is_no_kill() -> None:
    """The criterion is strict: without S2 another square of the context passes, and the statement stays true."""
    rows = tiny().rows
    (row,) = rows.by_label["S2 context"]
    inputs = tiny().books.true(tiny().books.full())
    square = rows.defined[row]
    assert rows.native_run(inputs, {square: 1}).broken == [row]
    assert tiny().kill(row) is None


def test_no_other_row_holds_the_context() -> None:
    """Why S2 stays (docs/protocol.md, section 8): it alone gives the context a place in the rows."""
    circuit = tiny().rows.circuit
    context = circuit.input_names["context"][0]
    holding = {
        row
        for matrix in (circuit.a, circuit.b, circuit.c)
        for row in range(circuit.n_constraints)
        if any(wire == context for wire, _ in matrix.row(row))
    }
    assert [tiny().rows.label(row) for row in holding] == ["S2 context"]


def test_a_rerun_is_a_native_run() -> None:
    """What is computed from a run nearby is what the native core computes, wire by wire and row by row."""
    found = tiny()
    source = random.Random(4)
    honest = found.books.true(found.books.full())
    found.runs.run(honest)
    computed = [*found.rows.definer, *(op.first for op in set(found.rows.op_of.values()))]
    for _ in range(30):
        inputs = {name: list(values) for name, values in honest.items()}
        for name in source.sample(sorted(inputs), 2):
            inputs[name][source.randrange(len(inputs[name]))] += source.choice((1, -1, 1 << 80))
        forced = {wire: source.randrange(1 << 90) for wire in source.sample(computed, 2)}
        ours, native = found.runs.run(inputs, forced), found.rows.native_run(inputs, forced)
        assert ours.broken == native.broken
        assert all(ours[wire] == native[wire] for wire in range(found.rows.circuit.n_wires))
