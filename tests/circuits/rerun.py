"""Runs of a circuit that follow from one another: only what changed is computed and checked again.

A row can only change its verdict when one of its wires changes, so the rows to look at are those that hold a changed
wire; those of them that define a wire may change it, and so on in the order of the program. The result is that of a
native run (a test and every benchmark compare them), for a hundredth of the work where few rows are concerned.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush

import numpy as np

from circuits.assignment import Inputs
from circuits.field import MODULUS
from circuits.r1cs import Matrix
from tests.circuits.rows import BitsOp, Rows, Run

MAX_BASES = 16
FEW_ROWS = 10_000
"""Below this a native run is the quicker one."""
MAX_DIFFERENT = 250
"""Inputs in which a run may differ from one that is kept; a slot has some 55."""
MAX_HELD_ROWS = 60_000

Terms = list[tuple[int, int]]


@dataclass(frozen=True)
class _Base:
    """A native run that others are told from."""

    inputs: Inputs
    run: Run
    broken: frozenset[int]


class Reruns:
    """Runs of one circuit."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self._bases: OrderedDict[int, _Base] = OrderedDict()
        self._held: dict[int, tuple[Terms, Terms, Terms]] = {}

    def run(self, inputs: Inputs, forced: Mapping[int, int] | None = None) -> Run:
        """As `Rows.native_run`."""
        if self.rows.circuit.n_constraints < FEW_ROWS:
            return self.rows.native_run(inputs, forced)
        reduced = {name: [v % MODULUS for v in values] for name, values in inputs.items()}
        for key, base in self._bases.items():
            changed = self._different(base, reduced)
            if changed is not None:
                self._bases.move_to_end(key)
                break
        else:
            run = self.rows.native_run(reduced)
            base, changed = _Base(reduced, run, frozenset(run.broken)), {}
            self._bases[id(base)] = base
            if len(self._bases) > MAX_BASES:
                self._bases.popitem(last=False)
        return self._rerun(base, changed, {w: v % MODULUS for w, v in (forced or {}).items()})

    def _different(self, base: _Base, inputs: Inputs) -> dict[int, int] | None:
        """The input wires that differ from a kept run's, or None when they are too many."""
        changed: dict[int, int] = {}
        for name, (first, _) in self.rows.circuit.input_names.items():
            before, after = base.inputs[name], inputs[name]
            if before != after:
                changed |= {
                    first + i: new
                    for i, (old, new) in enumerate(zip(before, after, strict=True))
                    if old != new
                }
                if len(changed) > MAX_DIFFERENT:
                    return None
        return changed

    def _rerun(self, base: _Base, inputs: Mapping[int, int], forced: Mapping[int, int]) -> Run:
        changed: dict[int, int] = {**inputs, **forced}
        run = Run(base.run.wires, [], changed)
        queue: list[tuple[int, int]] = []
        queued: set[tuple[int, int]] = set()

        def touch(wire: int) -> None:
            for entry in (
                *((row, 1) for row in self._rows_of(wire)),
                *((r, 0) for r in self._ops_of.get(wire, ())),
            ):
                if entry not in queued:
                    queued.add(entry)
                    heappush(queue, entry)

        def put(wire: int, value: int) -> None:
            if wire not in forced and run[wire] != value:
                changed[wire] = value
                touch(wire)

        for wire in list(changed):
            touch(wire)
        refusing = []
        while queue:
            row, is_row = heappop(queue)
            if not is_row:
                op = self.rows.op_of[row]
                value = run.value(self._value_of(op))
                for place in range(op.count):
                    put(op.first + place, value >> place & 1)
                continue
            a, b, c = (sum(k * run[w] for w, k in side) for side in self._terms(row))
            rest = (a * b - c) % MODULUS
            wire = self.rows.defined.get(row, 0)
            if wire and wire not in forced:
                put(wire, (run[wire] + rest) % MODULUS)
            elif rest:
                refusing.append(row)
        seen = {row for row, is_row in queued if is_row}
        run.broken.extend(sorted([*refusing, *(base.broken - seen)]))
        return run

    def _terms(self, row: int) -> tuple[Terms, Terms, Terms]:
        found = self._held.get(row)
        if found is None:
            if len(self._held) > MAX_HELD_ROWS:
                self._held.clear()
            circuit = self.rows.circuit
            a, b, c = (
                [(w, circuit.coefs[k]) for w, k in matrix.row(row)]
                for matrix in (circuit.a, circuit.b, circuit.c)
            )
            found = self._held[row] = (a, b, c)
        return found

    def _value_of(self, op: BitsOp) -> dict[int, int]:
        return self.rows.side("h", op.value)

    def _rows_of(self, wire: int) -> list[int]:
        starts, rows = self._index
        found: list[int] = np.unique(rows[starts[wire] : starts[wire + 1]]).tolist()
        return found

    @cached_property
    def _index(self) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
        """The rows of each wire."""
        circuit = self.rows.circuit

        def row_numbers(matrix: Matrix) -> np.ndarray:  # type: ignore[type-arg]
            return np.repeat(np.arange(matrix.rows, dtype=np.uint32), np.diff(matrix.ptr))

        sides = (circuit.a, circuit.b, circuit.c)
        wires = np.concatenate([matrix.idx for matrix in sides])
        rows = np.concatenate([row_numbers(matrix) for matrix in sides])[np.argsort(wires, kind="stable")]
        starts = np.zeros(circuit.n_wires + 1, dtype=np.int64)
        starts[1:] = np.cumsum(np.bincount(wires, minlength=circuit.n_wires))
        return starts, rows

    @cached_property
    def _ops_of(self) -> dict[int, list[int]]:
        """The first rows of the decompositions whose value a wire is part of."""
        out: dict[int, list[int]] = {}
        for op in set(self.rows.op_of.values()):
            for wire in self._value_of(op):
                out.setdefault(wire, []).append(op.row_of_bit(0))
        return out
