"""The rows of a compiled circuit by what they do: define a wire, show a bit to be one, sum bits, or check inputs."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from circuits import _native
from circuits.artifacts import to_native
from circuits.assignment import Inputs, encode_inputs
from circuits.field import MODULUS, encode
from circuits.r1cs import OP_BITS, OP_MUL, OP_SOLVE, CompiledCircuit

Side = dict[int, int]


@dataclass(frozen=True)
class BitsOp:
    """A decomposition into bits: its label, its value as a row of `h`, first bit wire, number of bits, last row."""

    label: str
    value: int
    first: int
    count: int
    sum_row: int

    def row_of_bit(self, place: int) -> int:
        """The row that shows bit `place` to be one."""
        return self.sum_row - self.count + place


@dataclass(frozen=True)
class Run:
    """All wires of a lenient run, and the rows that refuse them."""

    wires: bytes
    broken: list[int]
    changed: Mapping[int, int] = field(default_factory=dict)
    """Wires that hold other values than in `wires`."""

    def __getitem__(self, wire: int) -> int:
        found = self.changed.get(wire)
        return int.from_bytes(self.wires[32 * wire : 32 * wire + 32], "little") if found is None else found

    def value(self, side: Side) -> int:
        """A side of a row in these wires."""
        return sum(c * self[w] for w, c in side.items()) % MODULUS


class Rows:
    """A circuit with its native twin, and questions about its rows."""

    def __init__(self, circuit: CompiledCircuit, native: _native.Circuit | None = None) -> None:
        self.circuit = circuit
        self.native = native or to_native(circuit)
        self._segments = [first for first, _ in circuit.row_labels]

    def native_run(self, inputs: Inputs, forced: Mapping[int, int] | None = None) -> Run:
        """Runs the witness program without checks, with some computed wires forced, then checks every row."""
        wires = forced or {}
        values = encode(wires.values())
        return Run(*self.native.tampered(encode_inputs(self.circuit, inputs), list(wires), values))

    def side(self, matrix: str, row: int) -> Side:
        """(wire, coefficient) of one side of a row: a, b, c, or h of a decomposition."""
        coefs = self.circuit.coefs
        return {w: coefs[c] for w, c in getattr(self.circuit, matrix).row(row)}

    def label(self, row: int) -> str:
        """The equation that a row belongs to."""
        return self.circuit.row_labels[bisect_right(self._segments, row) - 1][1]

    def place(self, row: int) -> int:
        """Which slot, class or group a row belongs to, where its equation is labelled anew for each."""
        at = bisect_right(self._segments, row) - 1
        label = self.circuit.row_labels[at][1]
        ends = [*self._segments[1:], self.circuit.n_constraints]
        return sum(
            name == label and first < end
            for (first, name), end in zip(self.circuit.row_labels[:at], ends, strict=False)
        )

    def segment(self, label: str, place: int) -> range:
        """The rows of an equation that is labelled anew for each slot, class or group."""
        ends = [*self._segments[1:], self.circuit.n_constraints]
        spans = [
            range(first, end)
            for (first, name), end in zip(self.circuit.row_labels, ends, strict=True)
            if name == label and first < end
        ]
        return spans[place]

    def input_of(self, wire: int) -> tuple[str, int] | None:
        """Name and index of an input wire."""
        if not 0 < wire <= self.circuit.n_inputs:
            return None
        return next(
            (name, wire - first)
            for name, (first, count) in self.circuit.input_names.items()
            if first <= wire < first + count
        )

    def inputs_of(self, side: Side) -> list[tuple[str, int]]:
        """The inputs on one side of a row."""
        return [found for found in map(self.input_of, side) if found is not None]

    @cached_property
    def defined(self) -> dict[int, int]:
        """The wire each computing row defines."""
        out: dict[int, int] = {}
        for code, arguments, _ in self._program:
            if code == OP_MUL:
                row, wire, count = arguments
                out.update({row + i: wire + i for i in range(count)})
            elif code == OP_SOLVE:
                out[arguments[0]] = arguments[1]
        return out

    @cached_property
    def definer(self) -> dict[int, int]:
        """The row that defines each computed wire."""
        return {wire: row for row, wire in self.defined.items()}

    @cached_property
    def op_of(self) -> dict[int, BitsOp]:
        """The decomposition of each row that shows a bit or sums bits."""
        ptr, idx = self.circuit.a.ptr, self.circuit.a.idx
        alone = np.flatnonzero(np.diff(ptr) == 1)
        row_of = dict(zip(idx[ptr[alone]].tolist(), alone.tolist(), strict=True))
        out: dict[int, BitsOp] = {}
        for code, arguments, ordinal in self._program:
            if code == OP_BITS:
                value, first, count = arguments
                start = row_of[first]
                op = BitsOp(self.circuit.op_labels[ordinal], value, first, count, start + count)
                out.update(dict.fromkeys(range(start, start + count + 1), op))
        return out

    @cached_property
    def ops(self) -> dict[str, BitsOp]:
        """Each decomposition by its label; of those that share one label, the last."""
        return {op.label: op for op in self.op_of.values()}

    @cached_property
    def by_label(self) -> dict[str, list[int]]:
        """The rows of each equation."""
        out: dict[str, list[int]] = {}
        for row in range(self.circuit.n_constraints):
            out.setdefault(self.label(row), []).append(row)
        return out

    @cached_property
    def _program(self) -> list[tuple[int, list[int], int]]:
        """(code, arguments, ordinal) of each operation."""
        words, at, out = self.circuit.program.tolist(), 0, list[tuple[int, list[int], int]]()
        while at < len(words):
            length = 2 if words[at] == OP_SOLVE else 3
            out.append((words[at], words[at + 1 : at + 1 + length], len(out)))
            at += 1 + length
        return out


def stratified(rows: Rows, total: int, seed: int) -> dict[str, list[int]]:
    """`total` rows, as many of each equation as there are up to one bound."""
    found, source = rows.by_label, random.Random(seed)
    bound = 1
    while bound < max(map(len, found.values())) and sum(min(len(r), bound) for r in found.values()) < total:
        bound += 1
    return {label: sorted(source.sample(r, min(bound, len(r)))) for label, r in found.items()}
