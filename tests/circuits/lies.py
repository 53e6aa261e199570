"""False and malformed statements about an account, each refused by one decomposition or by one row, and its repairs.

A lie is the inputs of a dishonest prover. `settle` finds the public signals that fit them, as that prover would.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aggregator.model.units import E20_PER_USD_E6, E26_PER_USD_E6, MAX_INSTRUMENTS, RATE_SCALE
from circuits.assignment import LEVEL_SHIFT, Inputs
from circuits.field import MODULUS
from circuits.hashing import POLICY_ARITY, chain, hash_one
from circuits.solvency import BLOCKS, FANOUT, LANE_BITS, RISK_WORDS
from tests.circuits.attack_books import Books
from tests.circuits.rerun import Reruns
from tests.circuits.rows import Rows, Run

PER_SLOT = ("leaf", "siblings", "classPointers", "classNone", "groupPointers", "groupNone")
LEAF_FIELDS = ("leafId", "leafClass", "leafGroup", "leafMark", "leafUnit", "leafMax", "leafLong", "leafShort")
MAX_SETTLING = 4


@dataclass(frozen=True)
class Lie:
    """What is claimed, as inputs; by how much the decomposed value has to grow to make it pass."""

    what: str
    inputs: Inputs
    need: int = 0


def with_slot(inputs: Inputs, slot: int, slots: int, **changes: int) -> Inputs:
    """The inputs with some of a slot's single values changed."""
    out = copy.deepcopy(inputs)
    for name, value in changes.items():
        assert len(out[name]) == slots
        out[name][slot] = value
    return out


class Liar:
    """Every lie of one circuit, made when asked for."""

    def __init__(self, rows: Rows, runs: Reruns, books: Books) -> None:
        self.rows, self.runs, self.books, self.size = rows, runs, books, books.size

    # The public signals and the policy's tree follow the lie

    def settle(
        self, inputs: Inputs, forced: Mapping[int, int], spare: int | None = None
    ) -> tuple[Inputs, Run]:
        """Sets public signals, and the tree over the blocks, until only what is no equation of theirs refuses."""
        for _ in range(MAX_SETTLING):
            run = self.runs.run(inputs, forced)
            changed = False
            for row in run.broken:
                change = None if row == spare else self._solved(row, run)
                if change is not None:
                    name, index, value = change
                    inputs = {
                        **inputs,
                        name: [value if i == index else v for i, v in enumerate(inputs[name])],
                    }
                    changed = True
            if not changed:
                break
        return inputs, run

    def _solved(self, row: int, run: Run) -> tuple[str, int, int] | None:
        """The public signal or tree that makes an equation hold."""
        a = self.rows.side("a", row)
        if self.rows.side("b", row) != {0: 1} or row in self.rows.defined or row in self.rows.op_of:
            return None
        public = self.rows.circuit.n_public
        trees, _ = self.rows.circuit.input_names["trees"]
        for wire, coef in a.items():
            if 0 < wire <= public or wire == trees + 1:
                name, index = self.rows.input_of(wire) or ("", 0)
                return name, index, (run[wire] - run.value(a) * pow(coef, -1, MODULUS)) % MODULUS
        return None

    def leaf(self, inputs: Inputs, slot: int) -> int:
        """The leaf that a slot's inputs hash to."""
        risk = inputs["leafRisk"][slot * RISK_WORDS : (slot + 1) * RISK_WORDS]
        return hash_one([hash_one(risk), *(inputs[name][slot] for name in LEAF_FIELDS)])

    def rejoin(self, inputs: Inputs, slot: int, level: int, node: int) -> Inputs:
        """A path of the prover's own for a node at `level`, through an unused block, up to another policy root."""
        out = copy.deepcopy(inputs)
        ident = inputs["leafId"][slot] % MAX_INSTRUMENTS
        for below in range(level, 2):
            start = slot * FANOUT
            siblings = out[f"siblings{below}"][start : start + FANOUT]
            siblings[ident // FANOUT**below % FANOUT] = node
            out[f"siblings{below}"][start : start + FANOUT] = siblings
            node = hash_one(siblings)
        out["blocks"][BLOCKS - 1] = node
        return self.reroot(out)

    def reroot(self, inputs: Inputs) -> Inputs:
        """The policy root of the blocks, at the level MM."""
        nodes = inputs["blocks"]
        while len(nodes) > 1:
            nodes = [hash_one(nodes[i : i + FANOUT]) for i in range(0, len(nodes), FANOUT)]
        out = {**inputs, "trees": [inputs["trees"][0], nodes[0]]}
        header = ("documentHash", "trees", "scanFactors", "correlations")
        return {**out, "policyRoot": [chain(POLICY_ARITY, [v for name in header for v in out[name]])]}

    def twice(self, slot: int) -> Inputs:
        """The slot before, once more in this one."""
        out = copy.deepcopy(self.books.true(self.books.full()))
        for name, values in out.items():
            if name.startswith(PER_SLOT) or name in ("quantity", "short", "unused"):
                width = len(values) // self.size.slots
                values[slot * width : (slot + 1) * width] = values[(slot - 1) * width : slot * width]
        return out

    # Lies about a decomposed value

    def about(self, label: str, place: int) -> Lie:
        """A lie that only the decomposition with this label refuses; `place` is its slot, class or group."""
        for pattern, make in self._makers().items():
            found = re.fullmatch(pattern, label)
            if found:
                return make(
                    *(map(int, found.groups()) if found.groups() else ([place] if "order" in label else []))
                )
        raise KeyError(label)

    def _makers(self) -> dict[str, Callable[..., Lie]]:
        return {
            "S1 amount": self.negative_amount,
            r"S6 order of class cell (\d+)": self.class_twice,
            "S7 group order": self.group_twice,
            r"S9 quantity of slot (\d+)": self.negative_size,
            r"S9 position limit of slot (\d+)": self.above_limit,
            r"S10 order of slot (\d+)": self.slot_twice,
            r"M2 scan risk claim (\d+)": self.negative_scan_risk,
            r"M2 scan risk (\d+) scenarios (\d+) and \d+": self.scan_risk_too_small,
            "M3 total risk claim": self.negative_total,
            "M3 total risk": self.total_too_small,
            r"M4 contingency claim (\d+)": self.negative_contingency,
            r"M4 contingency (\d+) line (\d+)": self.contingency_too_small,
            "M7 excess": self.amount_too_large,
        }

    def _full(self) -> Inputs:
        return self.books.true(self.books.full())

    def negative_amount(self) -> Lie:
        """An amount below zero, which leaves an excess that is not there."""
        return Lie("a negative amount", {**self._full(), "amount": [-1], "requirementAndLevel": [-1]})

    def class_twice(self, cell: int) -> Lie:
        """Two cells of one class."""
        ids = [k + 2 if k == cell - 1 else k + 1 for k in range(self.size.classes)]
        flags = [int(c == ids[k]) for k in range(self.size.classes) for c in self.size.cell_ids(k)]
        return Lie("one class in two cells", {**self.books.exact({}), "classCells": flags})

    def group_twice(self, cell: int) -> Lie:
        """A cell with the id of the cell before it."""
        gaps = [-1 if g == cell else 0 for g in range(self.size.groups)]
        return Lie("one group in two cells", {**self.books.exact({}), "groupGaps": gaps})

    def negative_size(self, slot: int) -> Lie:
        """t = -abs(q): the add-on is paid to the holder."""
        inputs = self._full()
        t, short = inputs["quantity"][slot], inputs["short"][slot]
        lie = with_slot(inputs, slot, self.size.slots, quantity=-t, short=1 - short)
        return Lie("a size below zero", lie)

    def above_limit(self, slot: int) -> Lie:
        """A position one unit above the policy's limit."""
        inputs = self._full()
        lie = with_slot(inputs, slot, self.size.slots, leafMax=inputs["quantity"][slot] - 1)
        return Lie("a position above its limit", self.rejoin(lie, slot, 0, self.leaf(lie, slot)))

    def slot_twice(self, slot: int) -> Lie:
        """The same holding counted twice; in the first slot, an id of 0 that is not marked as unused."""
        if slot:
            return Lie("a holding counted twice", self.settle(self.twice(slot), {})[0])
        lie = with_slot(self.books.exact({}), 0, self.size.slots, unused=0)
        return Lie("an empty slot called used", lie)

    def negative_scan_risk(self, cell: int) -> Lie:
        """L_k < 0 in a class that loses nowhere, which hedges the other classes."""
        inputs = self.books.true(self.books.gains())
        inputs["scanRisk"][cell] = -(10**6)
        return Lie("a negative scan risk", inputs)

    def scan_risk_too_small(self, cell: int, scenario: int, odd: bool | None = None) -> Lie:
        """L_k one unit too small for one scenario."""
        lane = scenario // 2 % 2 if odd is None else int(odd)
        inputs = self.books.exact(self.books.dips(cell, scenario + lane))
        claims = inputs["scanRisk"]
        inputs["scanRisk"] = [claim - 1 if k == cell else claim + 10**6 for k, claim in enumerate(claims)]
        inputs["totalRisk"] = [sum(inputs["scanRisk"])]
        return Lie("a scan risk one unit too small", inputs, E20_PER_USD_E6 << LANE_BITS * lane)

    def full_scan_risk_too_small(self, cell: int) -> Lie:
        """The same in the account that fills every slot; `need` is for the scenario alone."""
        exact, inputs = self.books.exact(self.books.full()), self._full()
        inputs["scanRisk"][cell] = exact["scanRisk"][cell] - 1
        return Lie("a scan risk one unit too small", inputs, E20_PER_USD_E6)

    def negative_total(self) -> Lie:
        """R below zero: its square dominates and its charge is a credit."""
        inputs = self._full()
        return Lie("a negative total risk", {**inputs, "totalRisk": [-inputs["totalRisk"][0]]})

    def total_too_small(self, classes: tuple[int, ...] | None = None) -> Lie:
        """R one unit too small, over the usual classes or others."""
        inputs = self.books.exact(self.books.full() if classes is None else self.books.spread(classes))
        total = inputs["totalRisk"][0]
        lie = {**inputs, "totalRisk": [total - 1]}
        return Lie("a total risk one unit too small", lie, 2 * total * RATE_SCALE)

    def negative_contingency(self, cell: int) -> Lie:
        """C_g below zero where every line is."""
        inputs = self.books.true(self.books.credits())
        inputs["contingency"][cell] = -(10**6)
        return Lie("a negative contingency", inputs)

    def contingency_too_small(self, cell: int, tier: int) -> Lie:
        """C_g one unit below its dearest line."""
        return self._cheaper(self.books.exact(self.books.tiers(cell, tier)), cell)

    def full_contingency_too_small(self, cell: int) -> Lie:
        """The same in the account that fills every slot."""
        return self._cheaper(self.books.exact(self.books.full()), cell)

    def _cheaper(self, inputs: Inputs, cell: int) -> Lie:
        inputs["contingency"][cell] -= 1
        return Lie("a contingency one unit too small", inputs, E26_PER_USD_E6)

    def amount_too_large(self) -> Lie:
        """An amount one unit above the excess."""
        book = self.books.full()
        excess = self.books.evaluate(book).excess_e6
        return Lie("an amount above the excess", self.books.exact(book, excess + 1), E20_PER_USD_E6)

    # Lies about other rows

    def wrong_level(self) -> Lie:
        """The rules of MM, shown as IM."""
        inputs = {**self._full(), "level": [1], "requirementAndLevel": [1 << LEVEL_SHIFT]}
        return Lie("the rules of another level", inputs)

    def third_level(self) -> Lie:
        """A level that is none, under a policy whose levels have one tree."""
        inputs = self._full()
        one_tree = self.reroot({**inputs, "trees": [inputs["trees"][1]] * 2})
        lie = {**one_tree, "level": [2], "requirementAndLevel": [2 << LEVEL_SHIFT]}
        return Lie("a level that is none", lie)

    def other_leaf(self, slot: int, level: int) -> Lie:
        """What no list of the policy has: at level 1 a leaf with a better mark, above it a node with another child."""
        inputs = copy.deepcopy(self._full())
        if level == 1:
            inputs["leafMark"][slot] += 1
            return Lie("a leaf of no policy", inputs)
        if level == 4:
            inputs["blocks"][BLOCKS - 1] += 1
        else:
            own = inputs["leafId"][slot] // FANOUT ** (level - 2) % FANOUT
            inputs[f"siblings{level - 2}"][slot * FANOUT + (own + 1) % FANOUT] += 1
        return Lie("a node of no policy", inputs)

    def third_direction(self, slot: int) -> Lie:
        """A holding that is neither long nor short, so that it counts three times."""
        inputs = self._full()
        part = inputs["quantity"][slot] * 2 // 5
        lie = with_slot(inputs, slot, self.size.slots, quantity=part, short=-1)
        return Lie("a holding counted three times", self.settle(lie, {})[0])

    def half_used(self, slot: int) -> Lie:
        """An empty slot with another flag than 0 or 1, after which ids may begin again."""
        lie = with_slot(self.books.exact({}), slot, self.size.slots, unused=2)
        return Lie("an unused flag that is none", lie)

    def used_and_unused(self, slot: int) -> Lie:
        """The same holding counted twice, the second time as a slot that is not used."""
        inputs = self.twice(slot) if slot else self._full()
        lie = with_slot(inputs, slot, self.size.slots, unused=1)
        return Lie("a holding in an unused slot", self.settle(lie, {})[0])
