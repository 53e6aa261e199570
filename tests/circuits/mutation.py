"""Kills mutants of the statement: for a row, a false statement that every other row accepts and that row alone refuses.

The criterion is strict. A row counts as killed when there are inputs and a witness such that

    the witness satisfies every row but this one, and
    the honest witness program, run on the same inputs, is refused:

without the row a statement gets through that is false or malformed. A changed helper wire of a true statement is no
kill. Because no second witness exists for given inputs (tests/circuits/uniqueness.py), these inputs have none at all.

Each row has its attack by what it does: a decomposition is given a value outside its range, and the bit or the sum
that the row no longer checks takes the difference; a product is given the value that makes the false claim pass; a hash
is given another output, and the prover goes on with a tree or a public signal of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise, product

from aggregator.model.units import MAX_CLASSES
from circuits.artifacts import ready
from circuits.assignment import Inputs
from circuits.field import MODULUS, signed
from circuits.r1cs import CompiledCircuit
from circuits.solvency import RISK_WORDS, SIZES, Size, build
from tests.circuits.attack_books import Books
from tests.circuits.lies import Liar, Lie
from tests.circuits.rerun import Reruns
from tests.circuits.rows import BitsOp, Rows, Run

PUBLIC = ("accountId", "commitment", "policyRoot", "requirementAndLevel")
EXPLAINED = {
    "S2 context": "binds the context by a row of the statement; no other row has it, so no statement gets through "
    "without it, but its column of the key would rest on the row that a setup adds for each public input",
}
"""Equations whose rows refuse no statement, and why they stay (docs/protocol.md, section 8)."""


@dataclass(frozen=True)
class Attempt:
    """Inputs, and the wires that the dishonest witness holds instead of what the program computes."""

    what: str
    inputs: Inputs
    forced: dict[int, int]
    refused: bool = False
    """Whether an honest run of these inputs is known to be refused."""


class Mutants:
    """The search over the rows of one circuit."""

    def __init__(self, size: Size, circuit: CompiledCircuit | None = None) -> None:
        known = ready(size.name) if circuit is None and SIZES.get(size.name) == size else None
        self.rows = Rows(circuit or build(size)) if known is None else Rows(known.compiled, known.native)
        self.size = size
        self.books = Books(size)
        self.runs = Reruns(self.rows)
        self.liar = Liar(self.rows, self.runs, self.books)
        self._base = lru_cache(maxsize=4)(self._run_lie)
        self._honest = lru_cache(maxsize=2)(self._run_honest)

    def _run_honest(self, tiers: bool) -> tuple[Inputs, Run]:
        """A true statement over every slot, or over every group, and its run."""
        inputs = self.books.true(self.books.tiers(), 10**6) if tiers else self.books.true(self.books.full())
        run = self.runs.run(inputs)
        if run.broken:
            raise AssertionError(f"a true statement breaks {self.rows.label(run.broken[0])}")
        return inputs, run

    def _run_lie(self, make: object, arguments: tuple[int, ...]) -> tuple[Lie, Run]:
        lie: Lie = make(*arguments)  # type: ignore[operator]
        return lie, self.runs.run(lie.inputs)

    def kill(self, row: int, confirm: bool = False) -> str | None:
        """The lie that gets through without the row, or None. `confirm` runs it in the native core once more."""
        for attempt in self._attempts(row):
            inputs, run = self.liar.settle(attempt.inputs, attempt.forced, spare=row)
            honest_is_refused = not attempt.forced or (attempt.refused and inputs is attempt.inputs)
            if run.broken == [row] and (honest_is_refused or self.runs.run(inputs).broken):
                if confirm and self.rows.native_run(inputs, attempt.forced).broken != [row]:
                    raise AssertionError(f"row {row}: the native core disagrees")
                if confirm and not self.rows.native_run(inputs).broken:
                    raise AssertionError(f"row {row}: the native core accepts an honest run")
                return attempt.what
        return None

    def _attempts(self, row: int) -> Iterable[Attempt]:
        if row in self.rows.op_of:
            return self._out_of_range(row, self.rows.op_of[row])
        if row in self.rows.defined:
            return self._wrong_wire(row, self.rows.defined[row])
        return self._refused_inputs(row)

    # Decompositions

    def _out_of_range(self, row: int, op: BitsOp) -> Iterator[Attempt]:
        lie, base = self._base(self.liar.about, (op.label, self.rows.place(row)))
        value = base.value(self.rows.side("h", op.value))
        bits = dict.fromkeys(range(op.first, op.first + op.count), 0)
        if row != op.sum_row:
            place = row - op.row_of_bit(0)
            bits[op.first + place] = value * pow(2, -place, MODULUS)
        yield Attempt(lie.what, lie.inputs, bits, bool(base.broken))

    # Rows that define a wire

    def _wrong_wire(self, row: int, wire: int) -> Iterator[Attempt]:
        label, place = self.rows.label(row), self.rows.place(row)
        match label.split()[0], label:
            case (("M1" | "M5" | "M7"), _):
                yield from self._moved(wire, "M7 excess", self.liar.amount_too_large)
            case "M3", _:
                yield from self._moved(wire, "M3 total risk", self.liar.total_too_small)
                most = range(1, self.size.classes)
                for last in range(self.size.classes, MAX_CLASSES + 1) if self.size.classes > 1 else ():
                    yield from self._moved(wire, "M3 total risk", self.liar.total_too_small, ((*most, last),))
            case _, "M2 class sums":
                yield from self._class_sum(row, wire, place)
            case _, "M4 group sums":
                yield from self._group_sum(row, wire, place)
            case _, "M4 contingency":
                ((_, index),) = self.rows.inputs_of(self.rows.side("a", row))
                yield from self._line(wire, *divmod(index, self.books.lines))
            case _, "S8 policy path" if self._candidates(row):
                lie = self.liar.other_leaf(place, self._candidates(row))
                yield Attempt(lie.what, lie.inputs, {wire: 0})
            case _, "S8 policy path" | "S8 policy leaf":
                yield from self._other_path(wire, place)
            case "S7", _:
                yield from self._other_group(wire, place)
            case "S4", _ if self.rows.inputs_of(self.rows.side("a", row)) == [("level", 0)]:
                lie = self.liar.wrong_level()
                yield Attempt(lie.what, lie.inputs, {wire: 0})
                yield from self._moved(wire, "M7 excess", self.liar.amount_too_large)
            case _:
                inputs, honest = self._honest(False)
                yield Attempt("another public signal", inputs, {wire: honest[wire] - 1})

    def _moved(
        self, wire: int, op: str, make: object, arguments: tuple[object, ...] = ()
    ) -> Iterator[Attempt]:
        """The wire moved as far as a decomposed value needs, by the slope of the one in the other."""
        lie, base = self._base(make, arguments)  # type: ignore[arg-type]
        side = self.rows.side("h", self.rows.ops[op].value)
        moved = self.runs.run(lie.inputs, {wire: base[wire] + 1})
        slope = signed(moved.value(side) - base.value(side))
        if slope:
            step = -(-lie.need // abs(slope)) * (1 if slope > 0 else -1)
            yield Attempt(lie.what, lie.inputs, {wire: base[wire] + step}, bool(base.broken))

    def _line(self, wire: int, cell: int, line: int) -> Iterator[Attempt]:
        yield from self._moved(
            wire, f"M4 contingency {cell} line {line}", self.liar.contingency_too_small, (cell, line)
        )

    def _class_sum(self, row: int, wire: int, slot: int) -> Iterator[Attempt]:
        a = self.rows.side("a", row)
        found = self.rows.inputs_of(a)
        if found:
            cell = found[0][1] % self.size.classes
            lie, base = self._base(self.liar.full_scan_risk_too_small, (cell,))
            scenario = self.books.worst_scenario(cell)
            risk = self.books.policy.by_id[lie.inputs["leafId"][slot]].risk_e12[scenario]
            step = -(-lie.need // abs(risk)) * (1 if risk > 0 else -1)
            yield Attempt(lie.what, lie.inputs, {wire: base[wire] + step}, bool(base.broken))
            return
        (share,) = a
        ((_, pointer),) = self.rows.inputs_of(self.rows.side("a", self.rows.definer[share]))
        ((_, word),) = self.rows.inputs_of(self.rows.side("b", row))
        arguments = (pointer % self.size.classes, 2 * (word % RISK_WORDS))
        lie, base = self._base(self.liar.scan_risk_too_small, arguments)
        yield Attempt(lie.what, lie.inputs, {wire: base[wire] + lie.need}, bool(base.broken))

    def _group_sum(self, row: int, wire: int, slot: int) -> Iterator[Attempt]:
        found = self.rows.inputs_of(self.rows.side("a", row))
        if found and found[0][0] == "groupPointers":
            yield from self._line(wire, found[0][1] % self.size.groups, 0)
            return
        pointers = self.books.exact(self.books.full())["groupPointers"]
        cell = pointers[slot * self.size.groups : (slot + 1) * self.size.groups].index(1)
        _, base = self._base(self.liar.full_contingency_too_small, (cell,))
        for op in {self.rows.op_of[broken].label for broken in base.broken}:
            yield from self._moved(wire, op, self.liar.full_contingency_too_small, (cell,))

    def _candidates(self, row: int) -> int:
        """1, 2 or 3 for a row that compares a node with a sibling of a leaf, of a node above it or a block; else 0."""
        b = self.rows.side("b", row)
        names = [name for name, _ in self.rows.inputs_of(b)]
        if len(b) != 2 or 0 in b or len(names) != 1:
            return 0
        return {"siblings0": 1, "siblings1": 2, "blocks": 3}.get(names[0], 0)

    def _other_path(self, wire: int, slot: int) -> Iterator[Attempt]:
        """The hash of another node, and from there a path of the prover's own to another root."""
        inputs, before = self._honest(False)
        forced = {wire: before[wire] + 1}
        after = self.runs.run(inputs, forced)
        nodes = self._nodes(slot)
        level = next((n for n, node in enumerate(nodes) if before[node] != after[node]), None)
        if level is None:
            return
        if level == 2:
            inputs = self.liar.other_leaf(slot, 3).inputs
            after = self.runs.run(inputs, forced)
        rejoined = self.liar.rejoin(inputs, slot, level, after[nodes[level]])
        yield Attempt("a path to another root", rejoined, forced)

    def _nodes(self, slot: int) -> list[int]:
        """The wires of a slot's leaf and of the two nodes above it."""
        nodes: dict[int, int] = {}
        for row in self.rows.segment("S8 policy path", slot):
            level = self._candidates(row)
            if level:
                nodes[level] = next(w for w in self.rows.side("b", row) if w > self.rows.circuit.n_inputs)
        return [nodes[level] for level in sorted(nodes)]

    def _other_group(self, wire: int, cell: int) -> Iterator[Attempt]:
        inputs, honest = self._honest(True)
        forced = {wire: honest[wire] + 1}
        run = self.runs.run(inputs, forced)
        for row in run.broken:
            found = [(n, i) for n, i in self.rows.inputs_of(self.rows.side("b", row)) if n == "leafGroup"]
            if not found:
                continue
            ((name, slot),) = found
            group = next(w for w in self.rows.side("b", row) if w > self.rows.circuit.n_inputs)
            inputs = {**inputs, name: [run[group] if i == slot else v for i, v in enumerate(inputs[name])]}
            inputs = self.liar.rejoin(inputs, slot, 0, self.liar.leaf(inputs, slot))
        yield Attempt("the lines of another group", inputs, forced)

    # Rows that only refuse inputs

    def _refused_inputs(self, row: int) -> Iterator[Attempt]:
        label, place = self.rows.label(row), self.rows.place(row)
        public = [name for name, _ in self.rows.inputs_of(self.rows.side("a", row)) if name in PUBLIC]
        if public:
            inputs = self.books.true(self.books.full())
            yield Attempt("another public signal", {**inputs, public[0]: [inputs[public[0]][0] + 1]}, {})
            return
        match label:
            case "S1 amount and level":
                lies = [self.liar.third_level()]
            case "S5 policy blocks":
                lies = [self.liar.other_leaf(self.size.slots - 1, 4)]
            case "S6 class cells":
                lies = list(self._odd_cells(row))
            case "S8 policy path":
                lies = [self.liar.other_leaf(place, self._candidates(row))]
            case "S9 quantity":
                lies = [self.liar.third_direction(place)]
            case "S10 slot order":
                is_flag = self.rows.inputs_of(self.rows.side("b", row)) == [("unused", place)]
                lies = [self.liar.half_used(place) if is_flag else self.liar.used_and_unused(place)]
            case "M2 class sums" | "M4 group sums":
                lies = list(self._odd_pointers(row, place))
            case _:
                lies = []
        for lie in lies:
            yield Attempt(lie.what, lie.inputs, {})

    def _odd_cells(self, row: int) -> Iterator[Lie]:
        """Flags of a cell of which one is no bit, or which are two; the other cells leave room."""
        empty, found = self.books.exact({}), self.rows.inputs_of(self.rows.side("a", row))
        width = len(self.size.cell_ids(0))
        cell = found[0][1] // width
        ids = list(self.size.cell_ids(cell))
        for pair in combinations(range(width), 2):
            flags = [int(c in pair) for c in range(width)]
            if len(found) == 1:
                odd = found[0][1] % width
                if odd in pair:
                    continue
                flags[odd] = -1
            own = sum(c * flag for c, flag in zip(ids, flags, strict=True))
            for others in product(*(self.size.cell_ids(k) for k in range(self.size.classes) if k != cell)):
                chosen = [*others[:cell], own, *others[cell:]]
                if all(0 <= after - before - 1 < 8 for before, after in pairwise(chosen)):
                    rest = [[int(c == x) for c in self.size.cell_ids(k)] for k, x in enumerate(chosen)]
                    rest[cell] = flags
                    yield Lie(
                        "a cell of no class", {**empty, "classCells": [f for cell in rest for f in cell]}
                    )
                    break

    def _odd_pointers(self, row: int, slot: int) -> Iterator[Lie]:
        """A slot's pointer moved to another cell, to none, or away from all."""
        (name, index), *more = self.rows.inputs_of(self.rows.side("a", row))
        kind = name.removesuffix("Pointers").removesuffix("None")
        width = self.size.classes if kind == "class" else self.size.groups
        for book in (self.books.full(), self.books.full(1), self.books.gains(), self.books.credits()):
            inputs = dict(self.books.true(book)) if len(book) <= self.size.slots else None
            if inputs is None:
                continue
            to = None if more else index % width if name.endswith("Pointers") else -1
            pointers, none = list(inputs[f"{kind}Pointers"]), list(inputs[f"{kind}None"])
            pointers[slot * width : (slot + 1) * width] = [int(cell == to) for cell in range(width)]
            none[slot] = int(to == -1)
            yield Lie(
                f"a slot in another {kind}", {**inputs, f"{kind}Pointers": pointers, f"{kind}None": none}
            )
