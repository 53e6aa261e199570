"""The circuit builder: linear combinations with integer intervals, constraints, and the witness program.

Every wire carries the interval of the integer it stands for, or None for "any field element". A range check is only
built when no integer outside [0, 2^n) in the interval is congruent to one inside, so a sum or product that could wrap
around the field is refused when the circuit is built and never when it is used.

A row is (A.z)(B.z) = C.z. Wires are numbered as in iden3's formats: 0 is the constant one, then public inputs, then
private inputs, then what the witness program computes.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from circuits.field import MODULUS, encode

Interval = tuple[int, int] | None
Pairs = tuple[tuple[int, int], ...]

OP_MUL: Final = 1
OP_BITS: Final = 2
OP_SOLVE: Final = 5

_U32 = npt.NDArray[np.uint32]


class CircuitBuildError(ValueError):
    """The circuit as written could be satisfied by a wrong witness (a wrap) or is malformed. A programming error."""


class Lc:
    """A linear combination of wires with the interval of its integer value (None: any field element)."""

    __slots__ = ("interval", "terms")

    def __init__(self, terms: dict[int, int], interval: Interval) -> None:
        self.terms = terms
        self.interval = interval

    @classmethod
    def constant(cls, value: int) -> Lc:
        """The constant `value`."""
        return cls({0: value} if value else {}, (value, value))

    @property
    def constant_value(self) -> int | None:
        """The value when this is a constant, else None."""
        if not self.terms:
            return 0
        return self.terms[0] if len(self.terms) == 1 and 0 in self.terms else None

    def __add__(self, other: Lc | int) -> Lc:
        return Lc.sum((self, other if isinstance(other, Lc) else Lc.constant(other)))

    def __sub__(self, other: Lc | int) -> Lc:
        return self + (other * -1 if isinstance(other, Lc) else -other)

    def __mul__(self, scalar: int) -> Lc:
        if scalar == 0:
            return Lc.constant(0)
        interval = None
        if self.interval is not None:
            lo, hi = self.interval[0] * scalar, self.interval[1] * scalar
            interval = (min(lo, hi), max(lo, hi))
        return Lc({w: c * scalar for w, c in self.terms.items()}, interval)

    @staticmethod
    def sum(parts: Iterable[Lc]) -> Lc:
        """The sum of many combinations in one pass."""
        terms: dict[int, int] = {}
        lo, hi, known = 0, 0, True
        for part in parts:
            for w, c in part.terms.items():
                total = terms.get(w, 0) + c
                if total:
                    terms[w] = total
                else:
                    del terms[w]
            if part.interval is None:
                known = False
            else:
                lo, hi = lo + part.interval[0], hi + part.interval[1]
        return Lc(terms, (lo, hi) if known else None)


@dataclass(frozen=True)
class Matrix:
    """A sparse matrix in CSR form; `coef` indexes the circuit's coefficient table."""

    ptr: _U32
    idx: _U32
    coef: _U32

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.ptr) - 1

    def buffers(self) -> tuple[bytes, bytes, bytes]:
        """The three arrays as little-endian uint32 bytes."""
        return self.ptr.tobytes(), self.idx.tobytes(), self.coef.tobytes()

    def row(self, row: int) -> list[tuple[int, int]]:
        """(wire, coefficient index) pairs of one row."""
        span = slice(int(self.ptr[row]), int(self.ptr[row + 1]))
        return list(zip(self.idx[span].tolist(), self.coef[span].tolist(), strict=True))


class _Rows:
    """Collects rows of one matrix: single ones in Python arrays, whole templates as numpy blocks."""

    def __init__(self) -> None:
        self._lengths: list[_U32] = []
        self._idx: list[_U32] = []
        self._coef: list[_U32] = []
        self._buffer = (array("I"), array("I"), array("I"))
        self.count = 0

    def add(self, wires: Iterable[int], coefs: Iterable[int]) -> None:
        lengths, idx, coef = self._buffer
        before = len(idx)
        idx.extend(wires)
        coef.extend(coefs)
        lengths.append(len(idx) - before)
        self.count += 1

    def flush(self) -> None:
        for pending, target in zip(self._buffer, (self._lengths, self._idx, self._coef), strict=True):
            target.append(np.frombuffer(pending.tobytes(), dtype=np.uint32))
        self._buffer = (array("I"), array("I"), array("I"))

    def add_block(self, lengths: _U32, idx: _U32, coef: _U32) -> None:
        self.flush()
        self._lengths.append(lengths)
        self._idx.append(idx)
        self._coef.append(coef)
        self.count += len(lengths)

    def matrix(self) -> Matrix:
        self.flush()
        lengths = np.concatenate(self._lengths).astype(np.uint64)
        ptr = np.zeros(len(lengths) + 1, dtype=np.uint32)
        ptr[1:] = np.cumsum(lengths)
        return Matrix(ptr, np.concatenate(self._idx), np.concatenate(self._coef))


@dataclass(frozen=True)
class Template:
    """A gadget compiled once over local wires and placed many times.

    Local wire 0 is the constant one, 1..n_inputs are inputs, and row i defines local wire n_inputs+1+i.
    """

    n_inputs: int
    rows: tuple[tuple[Pairs, Pairs], ...]
    """Per row the (local wire, coefficient) pairs of A and of B. C is the defined wire."""
    last_c: Pairs = ()
    """What the C side of the last row holds besides the wire it defines."""


@dataclass
class _Placed:
    lengths: _U32
    idx: _U32
    coef: _U32


@dataclass(frozen=True)
class CompiledCircuit:
    """What the Rust core needs to run, set up and prove a circuit."""

    name: str
    n_wires: int
    n_public: int
    n_inputs: int
    coefs: tuple[int, ...]
    a: Matrix
    b: Matrix
    c: Matrix
    h: Matrix
    program: _U32
    row_labels: tuple[tuple[int, str], ...]
    """(first row, label) in row order: the id of the equation a row belongs to (docs/protocol.md)."""
    op_labels: dict[int, str]
    """Label of each BITS operation, by its ordinal in the program."""
    assumptions: dict[str, int]
    """How many wires rely on each rule of policy well-formedness (W1, W2, ...)."""
    input_names: dict[str, tuple[int, int]] = field(default_factory=dict)
    """First wire and length of each named input."""

    @property
    def n_constraints(self) -> int:
        """Number of rows."""
        return self.a.rows

    def label_of_row(self, row: int) -> str:
        """The equation id of a row."""
        label = ""
        for first, name in self.row_labels:
            if first > row:
                break
            label = name
        return label

    def digest(self) -> str:
        """SHA-256 of the constraint system as 0x hex: what a key belongs to."""
        h = hashlib.sha256(f"counterfoil/r1cs/1 {self.n_wires} {self.n_public}".encode())
        h.update(encode(self.coefs))
        for matrix in (self.a, self.b, self.c):
            for buffer in matrix.buffers():
                h.update(buffer)
        return "0x" + h.hexdigest()

    def constraints_by_label(self) -> dict[str, int]:
        """How many rows each equation costs."""
        totals: dict[str, int] = {}
        ends = [first for first, _ in self.row_labels[1:]] + [self.n_constraints]
        for (first, label), end in zip(self.row_labels, ends, strict=True):
            totals[label] = totals.get(label, 0) + end - first
        return {label: n for label, n in totals.items() if n}


class Builder:
    """Builds one circuit. Declare public inputs, then private inputs, then constraints."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._a, self._b, self._c, self._h = _Rows(), _Rows(), _Rows(), _Rows()
        self._coef_ids: dict[int, int] = {}
        self._next_wire = 1
        self._n_public = 0
        self._inputs_closed = False
        self._n_inputs = 0
        self._program = array("I")
        self._ops = 0
        self._row_labels: list[tuple[int, str]] = [(0, "")]
        self._op_labels: dict[int, str] = {}
        self._assumptions: dict[str, int] = {}
        self._inputs: dict[str, tuple[int, int]] = {}
        self._placed: dict[int, tuple[Template, tuple[_Placed, _Placed, _Placed]]] = {}

    # Inputs

    def public(self, name: str) -> Lc:
        """Declares one public input. It stands for any field element until it is checked."""
        if self._n_public != self._next_wire - 1:
            raise CircuitBuildError(f"public input {name} comes after a private one")
        self._n_public += 1
        return self._input(name, 1)[0]

    def private(self, name: str, count: int = 1) -> list[Lc]:
        """Declares `count` private inputs under one name."""
        return self._input(name, count)

    def _input(self, name: str, count: int) -> list[Lc]:
        if self._inputs_closed:
            raise CircuitBuildError(f"input {name} is declared after the first constraint")
        if name in self._inputs:
            raise CircuitBuildError(f"input {name} is declared twice")
        self._inputs[name] = (self._next_wire, count)
        return [Lc({self._new_wire(): 1}, None) for _ in range(count)]

    def _new_wire(self) -> int:
        wire = self._next_wire
        self._next_wire += 1
        return wire

    def assume(self, x: Lc, lo: int, hi: int, rule: str) -> Lc:
        """States lo <= x <= hi because of policy rule `rule`, which whoever accepts the policy root has checked.

        Only for values that the policy root fixes, never for one the prover may choose.
        """
        self._assumptions[rule] = self._assumptions.get(rule, 0) + 1
        return Lc(x.terms, (lo, hi))

    # Constraints

    def label(self, text: str) -> None:
        """Names the equation that the following rows belong to."""
        self._row_labels.append((self._a.count, text))

    def _append(self, rows: _Rows, lc: Lc) -> None:
        ids = self._coef_ids
        rows.add(lc.terms.keys(), [ids.setdefault(c % MODULUS, len(ids)) for c in lc.terms.values()])

    def _op(self, *words: int) -> None:
        if not self._inputs_closed:
            self._inputs_closed = True
            self._n_inputs = self._next_wire - 1
        self._program.extend(words)
        self._ops += 1

    def enforce(self, a: Lc, b: Lc, c: Lc) -> None:
        """Adds the row a * b = c."""
        self._append(self._a, a)
        self._append(self._b, b)
        self._append(self._c, c)

    def equal(self, a: Lc, b: Lc) -> None:
        """Adds the row (a - b) * 1 = 0."""
        self.enforce(a - b, Lc.constant(1), Lc.constant(0))

    def mul(self, a: Lc, b: Lc) -> Lc:
        """A wire holding a * b; free when one side is constant."""
        for x, y in ((a, b), (b, a)):
            value = x.constant_value
            if value is not None:
                return y * value
        interval: Interval = None
        if a.interval is not None and b.interval is not None:
            corners = [x * y for x in a.interval for y in b.interval]
            interval = (min(corners), max(corners))
            if max(abs(interval[0]), abs(interval[1])) >= MODULUS // 2:
                raise CircuitBuildError(
                    f"a product of {a.interval} and {b.interval} could wrap around the field"
                )
        self._op(OP_MUL, self._a.count, self._next_wire, 1)
        out = Lc({self._new_wire(): 1}, interval)
        self.enforce(a, b, out)
        return out

    def wire(self, x: Lc) -> Lc:
        """A single wire equal to `x` (one row), for gadgets whose inputs must be wires."""
        if len(x.terms) == 1:
            ((wire, coef),) = x.terms.items()
            if coef == 1 and wire != 0:
                return x
        self._op(OP_MUL, self._a.count, self._next_wire, 1)
        out = Lc({self._new_wire(): 1}, x.interval)
        self.enforce(x, Lc.constant(1), out)
        return out

    def boolean(self, x: Lc) -> Lc:
        """Checks x in {0, 1}: x (x - 1) = 0."""
        self.enforce(x, x - 1, Lc.constant(0))
        return Lc(x.terms, (0, 1))

    def bits(self, x: Lc, n: int, what: str, zero_bit: int | None = None) -> None:
        """The n bits of the canonical representative of x; refuses a witness where x >= 2^n mod r.

        Rows: n booleans and sum 2^j b_j = x. A `zero_bit` is shown to be 0 instead.
        """
        if (1 << n) > MODULUS // 2:
            raise CircuitBuildError(f"{what}: {n} bits do not fit the field")
        self._append(self._h, x)
        self._op_labels[self._ops] = what
        self._op(OP_BITS, self._h.count - 1, self._next_wire, n)
        weighted = {self._new_wire(): 1 << j for j in range(n)}
        for j, wire in enumerate(weighted):
            bit = Lc({wire: 1}, None)
            self.enforce(bit, Lc.constant(1) if j == zero_bit else bit - 1, Lc.constant(0))
        self.equal(Lc(weighted, None), x)

    def range_check(self, x: Lc, n: int, what: str) -> Lc:
        """Checks that the integer x is in [0, 2^n).

        When x has an interval, no integer of it outside [0, 2^n) may be congruent to one inside. When x is a single
        wire that may be any field element, its canonical representative is checked and becomes the integer.
        """
        if x.interval is None:
            if len(x.terms) != 1:
                raise CircuitBuildError(f"{what}: a sum of unbounded wires has no integer value to check")
        else:
            lo, hi = x.interval
            if lo < (1 << n) - MODULUS or hi >= MODULUS:
                raise CircuitBuildError(f"{what}: the interval [{lo}, {hi}] could wrap into [0, 2^{n})")
        self.bits(x, n, what)
        hi = (1 << n) - 1
        return Lc(x.terms, (0, hi) if x.interval is None else (max(0, x.interval[0]), min(hi, x.interval[1])))

    # Templates

    def place(self, template: Template, inputs: Sequence[Lc]) -> list[Lc]:
        """Places a template on input wires; returns the wires its rows define, as field elements."""
        if len(inputs) != template.n_inputs:
            raise CircuitBuildError(f"the template takes {template.n_inputs} inputs, not {len(inputs)}")
        wires = [next(iter(self.wire(x).terms)) for x in inputs]
        n_rows, first_row, first_wire = len(template.rows), self._a.count, self._next_wire
        a, b, c = self._compiled(template)
        local = np.empty(1 + template.n_inputs + n_rows, dtype=np.uint32)
        local[0] = 0
        local[1 : 1 + template.n_inputs] = wires
        local[1 + template.n_inputs :] = np.arange(first_wire, first_wire + n_rows, dtype=np.uint32)
        for rows, block in ((self._a, a), (self._b, b), (self._c, c)):
            rows.add_block(block.lengths, local[block.idx], block.coef)
        last = n_rows - 1 if template.last_c else n_rows
        self._op(OP_MUL, first_row, first_wire, last)
        if template.last_c:
            self._op(OP_SOLVE, first_row + last, first_wire + last)
        self._next_wire += n_rows
        return [Lc({first_wire + i: 1}, None) for i in range(n_rows)]

    def _compiled(self, template: Template) -> tuple[_Placed, _Placed, _Placed]:
        held = self._placed.get(id(template))
        if held is None:
            held = (template, self._compile(template))
            self._placed[id(template)] = held
        return held[1]

    def _compile(self, template: Template) -> tuple[_Placed, _Placed, _Placed]:
        ids = self._coef_ids
        sides = [[row[0] for row in template.rows], [row[1] for row in template.rows]]
        sides.append([((1 + template.n_inputs + i, 1),) for i in range(len(template.rows))])
        sides[2][-1] += template.last_c

        def placed(side: list[Pairs]) -> _Placed:
            coefs = [ids.setdefault(c % MODULUS, len(ids)) for row in side for _, c in row]
            return _Placed(
                np.array([len(row) for row in side], dtype=np.uint32),
                np.array([w for row in side for w, _ in row], dtype=np.uint32),
                np.array(coefs, dtype=np.uint32),
            )

        return placed(sides[0]), placed(sides[1]), placed(sides[2])

    # Result

    def compile(self) -> CompiledCircuit:
        """Closes the circuit."""
        return CompiledCircuit(
            name=self.name,
            n_wires=self._next_wire,
            n_public=self._n_public,
            n_inputs=self._n_inputs if self._inputs_closed else self._next_wire - 1,
            coefs=tuple(self._coef_ids),
            a=self._a.matrix(),
            b=self._b.matrix(),
            c=self._c.matrix(),
            h=self._h.matrix(),
            program=np.frombuffer(self._program.tobytes(), dtype=np.uint32),
            row_labels=tuple(self._row_labels),
            op_labels=self._op_labels,
            assumptions=self._assumptions,
            input_names=self._inputs,
        )
