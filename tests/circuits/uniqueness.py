"""Shows that the rows of a circuit leave one value to every wire, given its private inputs; or which wires are free.

A wire is determined when one of these rules says so, and the rules hold for every witness, not for one:

    linear   a row whose other wires are determined, in which the wire stands once with a coefficient that is not 0:
             A and B determined and the wire on the C side, or one of A and B a constant
    bits     a row as above with several open wires, each shown to be 0 or 1 by a row b (b - 1) = 0 of its own, with
             coefficients that, divided by one of them, are integers of which each passes the sum of the smaller ones,
             and all together stay below r: then no two choices of the bits have the same sum

With the values of a witness (`values`), a product with one determined side counts as linear too, its coefficient being
that side's value: this says that the witness is the only one for these inputs.

Each determined wire carries its support: the names of the inputs that it is a function of.

The idea is that of Ecne (Franklin Wang, 2022) and Picus (Pailoor et al., PLDI 2023); their rules for other gadgets, and
the solver behind them, are not needed here. python -m tests.circuits.uniqueness [circuit] prints the result.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from circuits.artifacts import ready
from circuits.field import MODULUS
from circuits.r1cs import CompiledCircuit, Matrix

Row = list[tuple[int, int]]


@dataclass
class Verdict:
    """`free` are the wires with more than one possible value as far as the rules see; `support` names per wire."""

    free: list[int]
    support: dict[int, frozenset[str]]
    by_rule: dict[str, int] = field(default_factory=dict)

    @property
    def unique(self) -> bool:
        """Whether every wire is determined."""
        return not self.free


class Propagation:
    """The rows of one circuit, and the search over them."""

    def __init__(self, circuit: CompiledCircuit) -> None:
        self.circuit = circuit
        self.sides = [self._rows(matrix) for matrix in (circuit.a, circuit.b, circuit.c)]
        self.booleans = {}
        for row in range(circuit.n_constraints):
            wire = self._shown_boolean(row)
            if wire is not None:
                self.booleans.setdefault(wire, []).append(row)
        self.rows_of: list[list[int]] = [[] for _ in range(circuit.n_wires)]
        for row in range(circuit.n_constraints):
            for wire in {w for side in self.sides for w, _ in side[row]}:
                self.rows_of[wire].append(row)

    def _rows(self, matrix: Matrix) -> list[Row]:
        coefs = self.circuit.coefs
        ptr, idx, coef = matrix.ptr.tolist(), matrix.idx.tolist(), matrix.coef.tolist()
        return [
            [(idx[i], coefs[coef[i]]) for i in range(ptr[row], ptr[row + 1])] for row in range(matrix.rows)
        ]

    def _shown_boolean(self, row: int) -> int | None:
        """The wire w of a row k w (w - 1) = 0, the factors in any order."""
        a, b, c = (side[row] for side in self.sides)
        if c:
            return None
        for one, two in ((a, b), (b, a)):
            if len(one) == 1 and len(two) == 2 and one[0][0] != 0:
                wire = one[0][0]
                parts = dict(two)
                if parts.keys() == {0, wire} and (parts[0] + parts[wire]) % MODULUS == 0:
                    return wire
        return None

    def run(
        self,
        given: Collection[str],
        values: Sequence[int] | None = None,
        without: Collection[int] = (),
    ) -> Verdict:
        """What follows from the inputs named in `given`, with the rows `without` left out.

        `values` is a witness of the circuit: then the verdict is about this instance only.
        """
        circuit = self.circuit
        dropped = frozenset(without)
        booleans = {w for w, rows in self.booleans.items() if not dropped.issuperset(rows)}
        names = list(circuit.input_names)
        known: dict[int, int] = {0: 0}
        for bit, name in enumerate(names):
            if name in given:
                first, count = circuit.input_names[name]
                known.update(dict.fromkeys(range(first, first + count), 1 << bit))
        by_rule = {"linear": 0, "bits": 0}
        queue = [row for row in range(circuit.n_constraints) if row not in dropped]
        waiting = set(queue)
        queue.reverse()
        while queue:
            row = queue.pop()
            waiting.discard(row)
            open_wires = self._linear(row, known, values)
            if not open_wires:
                continue
            if len(open_wires) == 1:
                rule = "linear"
            elif open_wires.keys() <= booleans and _one_sum_each(open_wires.values()):
                rule = "bits"
            else:
                continue
            by_rule[rule] += len(open_wires)
            support = 0
            for side in self.sides:
                for wire, _ in side[row]:
                    support |= known.get(wire, 0)
            for wire in open_wires:
                known[wire] = support
                for other in self.rows_of[wire]:
                    if other not in waiting and other not in dropped:
                        waiting.add(other)
                        queue.append(other)
        free = [wire for wire in range(circuit.n_wires) if wire not in known]
        named = {
            mask: frozenset(n for bit, n in enumerate(names) if mask >> bit & 1)
            for mask in set(known.values())
        }
        return Verdict(free, {wire: named[mask] for wire, mask in known.items()}, by_rule)

    def _linear(self, row: int, known: dict[int, int], values: Sequence[int] | None) -> dict[int, int] | None:
        """The open wires of a row with their constant coefficients; None while the row is not linear in them."""
        a, b, c = (side[row] for side in self.sides)
        open_a = [w for w, _ in a if w not in known]
        open_b = [w for w, _ in b if w not in known]
        if open_a and open_b:
            return None
        totals: dict[int, int] = {}
        if open_a or open_b:
            factor, product = (b, a) if open_a else (a, b)
            if values is not None:
                scale = sum(k * values[w] for w, k in factor)
            elif all(w == 0 for w, _ in factor):
                scale = sum(k for _, k in factor)
            else:
                return None
            for wire, k in product:
                if wire not in known:
                    totals[wire] = totals.get(wire, 0) + scale * k
        for wire, k in c:
            if wire not in known:
                totals[wire] = totals.get(wire, 0) - k
        return {wire: k % MODULUS for wire, k in totals.items() if k % MODULUS}


def _one_sum_each(coefficients: Collection[int]) -> bool:
    """Whether no two choices of bits have the same sum mod r."""
    ordered = list(coefficients)
    for unit in (ordered[0], ordered[-1]):
        inverse = pow(unit, -1, MODULUS)
        total = 0
        for weight in sorted(k * inverse % MODULUS for k in ordered):
            if weight <= total:
                break
            total += weight
        else:
            if total < MODULUS:
                return True
    return False


def private_names(circuit: CompiledCircuit) -> list[str]:
    """The private inputs."""
    return [name for name, (first, _) in circuit.input_names.items() if first > circuit.n_public]


def main() -> None:
    """Prints which wires are free and what each public signal is a function of."""
    circuit = ready(sys.argv[1] if len(sys.argv) > 1 else "solvency-16").compiled
    verdict = Propagation(circuit).run(private_names(circuit))
    print(f"{circuit.name}: {circuit.n_wires} wires, {circuit.n_constraints} rows")
    print(f"free given the private inputs: {len(verdict.free)} wires; determined by rule: {verdict.by_rule}")
    for name, (wire, _) in list(circuit.input_names.items())[: circuit.n_public]:
        print(
            f"  {name}: " + (", ".join(sorted(verdict.support[wire])) if wire in verdict.support else "free")
        )


if __name__ == "__main__":
    main()
