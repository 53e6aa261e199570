"""No row of the statement is there for nothing: for each, some witness is refused by it alone.

CI takes a few rows of every equation; `python -m bench.mutation` takes two thousand.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from circuits.r1cs import CompiledCircuit, Matrix
from circuits.solvency import build
from tests.circuits.mutation import HEDGED, SIZE, Mutants, killed, stratified

SAMPLE = stratified(per_label=5, seed=2026)


@pytest.mark.slow
@pytest.mark.parametrize("label", list(SAMPLE))
def test_each_row_is_needed(label: str) -> None:
    survivors = [row for row in SAMPLE[label] if not killed(row)]
    assert survivors == []


def _doubled(circuit: CompiledCircuit, row: int) -> CompiledCircuit:
    """The circuit with one of its rows written twice, so that neither copy is needed."""

    def add(matrix: Matrix) -> Matrix:
        span = slice(int(matrix.ptr[row]), int(matrix.ptr[row + 1]))
        ptr = np.append(matrix.ptr, matrix.ptr[-1] + matrix.ptr[row + 1] - matrix.ptr[row]).astype(np.uint32)
        return Matrix(ptr, np.append(matrix.idx, matrix.idx[span]), np.append(matrix.coef, matrix.coef[span]))

    return replace(circuit, a=add(circuit.a), b=add(circuit.b), c=add(circuit.c))


def test_a_redundant_row_survives() -> None:
    """The search can fail: it finds nothing against a row that another one repeats."""
    circuit = build(SIZE)
    row = next(first for first, label in circuit.row_labels if label == "M1 equity")
    assert killed(row)
    assert not Mutants(HEDGED, 2, _doubled(circuit, row)).kill(row)
