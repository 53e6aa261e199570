"""Kills mutants of the statement: for a row, a witness that every other row accepts and that row alone refuses.

Dropping a row that such a witness exists for makes the circuit accept what it refused before. The search plays the
dishonest prover: it breaks the row in the way its kind suggests, then repairs what refuses further down, by the
public inputs and private inputs that a prover may choose.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property

from aggregator.margin.native import evaluate
from aggregator.model.policy import Level
from circuits import _native
from circuits.artifacts import to_native
from circuits.assignment import Holder, assign, encode_inputs
from circuits.field import MODULUS, decode, encode
from circuits.policy_tree import build_tree
from circuits.r1cs import OP_BITS, OP_MUL, OP_SOLVE, CompiledCircuit
from circuits.solvency import Size, build
from tests.circuits.books import fixed_policy

SIZE = Size(slots=4, classes=2, groups=2)
MAX_REPAIRS = 60
HEDGED = {2: 100 * 10**8, 10: -5 * 10**8, 31: -(10**8)}
"""One unused slot, both classes and both groups in use."""
CASH = {1: 10**13}
"""No class and no group in use, so that their cells are free."""

Row = list[tuple[int, int]]


@dataclass(frozen=True)
class Attempt:
    """Inputs by wire and forced wires, to be run."""

    inputs: dict[int, int]
    forced: dict[int, int]


class Mutants:
    """The small circuit, the honest witness of a book with slack in every claim, and the search."""

    def __init__(self, book: dict[int, int], last_class: int, circuit: CompiledCircuit | None = None) -> None:
        self.circuit: CompiledCircuit = circuit or build(SIZE)
        self.native: _native.Circuit = to_native(self.circuit)
        policy = fixed_policy()
        evaluation = evaluate(policy, book, Level.MM)
        inputs = assign(SIZE, policy, build_tree(policy), evaluation, Holder(5, 0, 6), 0, 7)
        inputs["scanRisk"] = [value + 10**9 for value in inputs["scanRisk"]]
        inputs["contingency"] = [value + 10**9 for value in inputs["contingency"]]
        inputs["classCells"][8:] = [int(c == last_class) for c in range(1, 9)]
        inputs["totalRisk"] = [2 * sum(inputs["scanRisk"])]
        self.honest = dict(enumerate(decode(encode_inputs(self.circuit, inputs)), start=1))
        self.base, broken = self.run(Attempt(self.honest, {}))
        if broken:
            raise AssertionError(f"the honest witness breaks {self.circuit.label_of_row(broken[0])}")

    def run(self, attempt: Attempt) -> tuple[list[int], list[int]]:
        """All wires, and the rows that refuse them."""
        inputs = encode(attempt.inputs[w] for w in range(1, self.circuit.n_inputs + 1))
        z, broken = self.native.tampered(inputs, list(attempt.forced), encode(attempt.forced.values()))
        return decode(z), broken

    @cached_property
    def defined(self) -> dict[int, int]:
        """The wire each computing row defines."""
        out: dict[int, int] = {}
        for code, arguments in self._program():
            if code == OP_MUL:
                row, wire, count = arguments
                out.update({row + i: wire + i for i in range(count)})
            elif code == OP_SOLVE:
                out[arguments[0]] = arguments[1]
        return out

    @cached_property
    def bits(self) -> dict[int, tuple[int, int, int]]:
        """For each bit wire: first wire, number of bits, its place."""
        out = {}
        for code, arguments in self._program():
            if code == OP_BITS:
                _, wire, count = arguments
                out.update({wire + j: (wire, count, j) for j in range(count)})
        return out

    def _program(self) -> Iterator[tuple[int, list[int]]]:
        words, at = self.circuit.program.tolist(), 0
        while at < len(words):
            length = 2 if words[at] == OP_SOLVE else 3
            yield words[at], words[at + 1 : at + 1 + length]
            at += 1 + length

    def side(self, matrix: str, row: int) -> dict[int, int]:
        """(wire, coefficient) of one side of a row."""
        return {w: self.circuit.coefs[c] for w, c in getattr(self.circuit, matrix).row(row)}

    def kill(self, row: int) -> bool:
        """Whether a witness was found that this row alone refuses."""
        return any(self._repair(row, attempt) for attempt in self._breaks(row))

    # Ways to break a row

    def _breaks(self, row: int) -> Iterable[Attempt]:
        wire = self.defined.get(row)
        if wire is not None:
            for delta in (1, -1, 10**9, -(10**9)):
                yield Attempt(self.honest, {wire: (self.base[wire] + delta) % MODULUS})
            yield from self._change_inputs_of(row)
            return
        a = self.side("a", row)
        bit = next((w for w in a if w in self.bits), None)
        if len(a) == 1 and bit is not None:
            yield self._odd_bit(bit)
        elif bit is not None:
            first, _, _ = self.bits[bit]
            yield Attempt(self.honest, {first: 1 - self.base[first]})
        yield from self._odd_flags(row, a)
        yield from self._change_inputs_of(row)

    def _odd_bit(self, bit: int) -> Attempt:
        """A bit that is none, with another flipped so that the sum stays: b_j + (b_i - (1 - b_i)) 2^(i-j)."""
        first, _, place = self.bits[bit]
        other = 0 if place else 1
        change = 1 - 2 * self.base[first + other]
        weight = pow(2, other, MODULUS) * pow(2, -place, MODULUS)
        return Attempt(
            self.honest,
            {
                first + other: self.base[first + other] + change,
                bit: (self.base[bit] - change * weight) % MODULUS,
            },
        )

    def _odd_flags(self, row: int, a: dict[int, int]) -> Iterable[Attempt]:
        names = self.circuit.input_names
        flags = [w for w in a if 0 < w <= self.circuit.n_inputs]
        for name, width in (("classPointers", SIZE.classes), ("groupPointers", SIZE.groups)):
            first, count = names[name]
            none, _ = names[name.replace("Pointers", "None")]
            for wire in flags:
                if first <= wire < first + count:
                    slot, k = divmod(wire - first, width)
                    moved = {first + slot * width + m: int(m == k) for m in range(width)} | {none + slot: 0}
                    yield Attempt(self.honest | moved, {})
                if none <= wire < none + SIZE.slots:
                    slot = wire - none
                    moved = {first + slot * width + m: 0 for m in range(width)}
                    yield Attempt(self.honest | moved | {none + slot: 1}, {})
                    yield Attempt(self.honest | moved | {none + slot: 0}, {})
        first, count = names["classCells"]
        for wire in flags:
            if first <= wire < first + count:
                yield from self._odd_cell(first + (wire - first) // 8 * 8, wire, len(a) == 1)

    def _odd_cell(self, start: int, wire: int, with_third: bool) -> Iterable[Attempt]:
        """A class cell with two flags, or the same with a third, -1, that makes their sum 1 again."""
        clear = {start + c: 0 for c in range(8)}
        for x in range(8):
            for y in range(x):
                pair = clear | {start + x: 1, start + y: 1}
                if not with_third:
                    yield Attempt(self.honest | pair, {})
                elif wire not in (start + x, start + y):
                    yield Attempt(self.honest | pair | {wire: MODULUS - 1}, {})

    def _change_inputs_of(self, row: int) -> Iterable[Attempt]:
        wires = self.side("a", row).keys() | self.side("b", row).keys() | self.side("c", row).keys()
        for wire in sorted(wires):
            if 0 < wire <= self.circuit.n_inputs:
                for value in (self.base[wire] + 1, 2, self.base[wire] - 1):
                    yield Attempt(self.honest | {wire: value % MODULUS}, {})

    # Repairing what refuses further down

    def _repair(self, row: int, attempt: Attempt) -> bool:
        touched: dict[int, int] = {}
        for _ in range(MAX_REPAIRS):
            z, broken = self.run(attempt)
            if broken == [row]:
                return True
            if row not in broken:
                return False
            other = next(r for r in broken if r != row)
            touched[other] = touched.get(other, 0) + 1
            change = self._fix(other, z, attempt, touched[other])
            if change is None or touched[other] > 3:
                return False
            attempt = Attempt(attempt.inputs | change, attempt.forced)
        return False

    def _fix(self, row: int, z: list[int], attempt: Attempt, tries: int) -> dict[int, int] | None:
        a, b = self.side("a", row), self.side("b", row)
        if self.circuit.label_of_row(row).startswith("S8") and row not in self.defined:
            return self._join_siblings(b, z, tries)
        if b == {0: 1}:
            return self._solve(row, a, z, attempt)
        inputs = [w for w in b if 0 < w <= self.circuit.n_inputs]
        if len(inputs) == 1 and b[inputs[0]] in (1, MODULUS - 1):
            rest = sum(c * z[w] for w, c in b.items() if w != inputs[0])
            return {inputs[0]: -rest * pow(b[inputs[0]], -1, MODULUS) % MODULUS}
        return None

    def _solve(self, row: int, a: dict[int, int], z: list[int], attempt: Attempt) -> dict[int, int] | None:
        """Makes a sum zero by one of its inputs, on which it may depend through other wires too."""

        def residue(values: list[int]) -> int:
            return sum(c * values[w] for w, c in a.items()) % MODULUS

        for wire in sorted(w for w in a if 0 < w <= self.circuit.n_inputs):
            now = residue(z)
            moved, _ = self.run(Attempt(attempt.inputs | {wire: z[wire] + 1}, attempt.forced))
            slope = (residue(moved) - now) % MODULUS
            if slope:
                return {wire: (z[wire] - now * pow(slope, -1, MODULUS)) % MODULUS}
        return None

    def _join_siblings(self, b: dict[int, int], z: list[int], tries: int) -> dict[int, int] | None:
        """Puts a node among the candidates it is compared with, in a place no other slot needs."""
        last = next(w for w in b if 0 < w <= self.circuit.n_inputs)
        node = next(w for w in b if w > self.circuit.n_inputs)
        if tries > 1:
            return {last: z[node]}
        for name in ("siblings0", "siblings1", "blocks"):
            first, count = self.circuit.input_names[name]
            if first <= last < first + count:
                width = 8 if name != "blocks" else 64
                start = first + (last - first) // width * width
                if name != "blocks":
                    home = next(
                        (w for w in range(start, start + width) if self.base[w] == self.base[node]), start
                    )
                    return {home: z[node]}
                return {start + 20 + node % 40: z[node]}
        return None


@cache
def mutants() -> tuple[Mutants, Mutants]:
    """The circuit under mutation with each book, built once."""
    return Mutants(HEDGED, 2), Mutants(CASH, 8)


def killed(row: int) -> bool:
    """Whether some witness breaks this row alone."""
    hedged, cash = mutants()
    is_cell = hedged.circuit.label_of_row(row).startswith("S6")
    return any(m.kill(row) for m in ((cash, hedged) if is_cell else (hedged, cash)))


def stratified(per_label: int, seed: int) -> dict[str, list[int]]:
    """Up to `per_label` rows of each equation."""
    circuit = mutants()[0].circuit
    rows: dict[str, list[int]] = {}
    for row in range(circuit.n_constraints):
        rows.setdefault(circuit.label_of_row(row), []).append(row)
    source = random.Random(seed)
    return {label: sorted(source.sample(found, min(per_label, len(found)))) for label, found in rows.items()}
