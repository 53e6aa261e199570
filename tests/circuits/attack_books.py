"""A policy and accounts under which every claim of the statement can be told to be one unit too good, on its own.

Each class has an instrument for each scenario that loses in that scenario only, and one that never loses; each netting
group has tiers, each the dearest somewhere, and other groups would pay the holder if a charge could be negative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from aggregator.margin.native import Evaluation, evaluate
from aggregator.model.policy import Addon, Instrument, InstrumentKind, Level, Line, NettingGroup, Policy
from aggregator.model.units import LINES_PER_GROUP, MAX_CLASSES, SCENARIOS
from circuits.assignment import Holder, Inputs, assign
from circuits.policy_tree import PolicyTree, build_tree
from circuits.solvency import Size

E6, E8, E12 = 10**6, 10**8, 10**12
MARK = 3000 * E12
TIER = 100
"""Units of an asset to a tier."""
HOLDER = Holder(5, 0, 6)
CONTEXT = 7

Book = dict[int, int]


def _instrument(ident: int, name: str, class_id: int, group_id: int, risk: Sequence[int]) -> Instrument:
    return Instrument(
        id=ident,
        symbol=name,
        kind=InstrumentKind.SPOT,
        underlying=name,
        class_id=class_id,
        group_id=group_id,
        mark_e12=MARK,
        unit_e6=E6 if group_id else 0,
        max_quantity_e8=10**6 * E8,
        risk_e12=tuple(risk),
        addon_im=Addon(MARK // 100, MARK // 50),
        addon_mm=Addon(MARK // 200, MARK // 100),
    )


def _group(ident: int, sign: int, share: int) -> NettingGroup:
    """Tiers that begin every 100 units for a long (`sign` 1), or lines that are below zero for every long (-1)."""

    def lines(base: int) -> tuple[Line, ...]:
        out, intercept = [], 0
        for t in range(LINES_PER_GROUP):
            if sign > 0:
                intercept -= base * t * TIER * E8 * E6 if t else 0
            out.append(Line(sign * base * (t + 1), intercept))
        return tuple(out)

    return NettingGroup(ident, f"group {ident}", lines(MARK // share), lines(MARK // share // 2))


def attack_policy(groups: int) -> Policy:
    """The policy, with `groups` groups of tiers and as many of the other kind."""
    instruments = []
    for s in range(SCENARIOS):
        for c in range(1, MAX_CLASSES + 1):
            risk = [-MARK // 5 if other == s else MARK // 100 for other in range(SCENARIOS)]
            instruments.append(_instrument(dip(c, s), f"dip {c} {s}", c, group_of(c, s, groups), risk))
    instruments += [
        _instrument(gain(c), f"gain {c}", c, 0, [MARK // 100] * SCENARIOS) for c in range(1, MAX_CLASSES + 1)
    ]
    instruments += [
        _instrument(credit(g), f"credit {g}", 0, groups + g, [0] * SCENARIOS) for g in range(1, groups + 1)
    ]
    one = 10**6
    return Policy(
        name="attacked",
        publisher="tests",
        epoch=1,
        as_of=1_790_000_000,
        expires=1_800_000_000,
        classes=tuple(f"class {c}" for c in range(1, MAX_CLASSES + 1)),
        scenarios=tuple(f"scenario {s}" for s in range(SCENARIOS)),
        scan_factor_im_e6=1_300_000,
        scan_factor_mm_e6=1_000_000,
        correlation_e6=tuple(
            tuple(one if a == b else 500_000 + 1000 * (a + b) for b in range(MAX_CLASSES))
            for a in range(MAX_CLASSES)
        ),
        groups=tuple(
            _group(g, 1 if g <= groups else -1, 25 if g <= groups else 50) for g in range(1, 2 * groups + 1)
        ),
        instruments=tuple(instruments),
    )


def dip(class_id: int, scenario: int) -> int:
    """The instrument of a class that loses in one scenario."""
    return 1 + scenario * MAX_CLASSES + class_id - 1


def gain(class_id: int) -> int:
    """The instrument of a class that loses in none, in no group."""
    return SCENARIOS * MAX_CLASSES + class_id


def credit(g: int) -> int:
    """The instrument of no class whose group is the g-th of those that charge shorts only."""
    return (SCENARIOS + 1) * MAX_CLASSES + g


def group_of(class_id: int, scenario: int, groups: int) -> int:
    """The group of an instrument that dips."""
    return 1 + (scenario + class_id) % groups


@dataclass(frozen=True)
class Books:
    """Accounts of one size under the policy."""

    size: Size

    @cached_property
    def policy(self) -> Policy:
        """The policy."""
        return attack_policy(self.size.groups)

    @cached_property
    def tree(self) -> PolicyTree:
        """The commitment to it."""
        return build_tree(self.policy)

    @cached_property
    def classes(self) -> tuple[int, ...]:
        """The class that each cell stands for, spread over the policy's."""
        return tuple(
            1 + k * (MAX_CLASSES - 1) // max(1, self.size.classes - 1) for k in range(self.size.classes)
        )

    def full(self, shift: int = 0) -> Book:
        """A position in every slot, over all cells; `shift` gives slots other classes and groups."""
        n, cells = self.size.slots, self.classes
        book = {}
        for i in range(n):
            if n <= SCENARIOS:
                c = cells[(i + shift) % len(cells)]
            else:
                half = len(cells) // 2
                c = cells[(i // 2 + shift) % half + i % 2 * half]
            book[dip(c, i * SCENARIOS // n)] = (10 + i) * E8
        return book

    def gains(self, but: int | None = None) -> Book:
        """The instrument that never loses, of every class that has a cell, but one."""
        return {gain(c): 10 * E8 for k, c in enumerate(self.classes) if k != but}

    def credits(self) -> Book:
        """The instruments whose groups charge shorts only, one to a cell."""
        return {credit(g): 10 * E8 for g in range(1, self.size.groups + 1)}

    def dips(self, cell: int, scenario: int) -> Book:
        """An account whose class in `cell` is worst off in one scenario, and the others in none."""
        return self.gains(cell) | {dip(self.classes[cell], scenario): 10 * E8}

    def spread(self, classes: Sequence[int]) -> Book:
        """A losing position in each of other classes than the usual."""
        return {dip(c, 0): 10 * E8 for c in classes}

    def tiers(self, cell: int = 0, tier: int = 0) -> Book:
        """One position to a group; that of group cell `cell` is in the middle of a tier."""
        book = {}
        for g in range(self.size.groups):
            c = self.classes[g % len(self.classes)]
            units = tier * TIER + TIER // 2 if g == cell else 10
            book[dip(c, (g - c) % self.size.groups)] = units * E8
        return book

    @property
    def lines(self) -> int:
        """Lines to a group."""
        return LINES_PER_GROUP

    def worst_scenario(self, cell: int) -> int:
        """Where the class in a cell loses most, in the account that fills every slot."""
        (risk,) = (c for c in self.evaluate(self.full()).classes if c.class_id == self.classes[cell])
        return risk.pnl_e20.index(min(risk.pnl_e20))

    def evaluate(self, book: Book) -> Evaluation:
        """The engine's account."""
        return self._account(tuple(sorted(book.items())))[0]

    def exact(self, book: Book, amount_e6: int = 0) -> Inputs:
        """A true statement with the smallest claims."""
        inputs = {
            name: list(values) for name, values in self._account(tuple(sorted(book.items())))[1].items()
        }
        return {**inputs, "amount": [amount_e6], "requirementAndLevel": [amount_e6]}

    @cached_property
    def _account(self) -> Callable[[tuple[tuple[int, int], ...]], tuple[Evaluation, Inputs]]:
        @lru_cache(maxsize=32)
        def account(positions: tuple[tuple[int, int], ...]) -> tuple[Evaluation, Inputs]:
            found = evaluate(self.policy, dict(positions), Level.MM)
            return found, assign(self.size, self.policy, self.tree, found, HOLDER, 0, CONTEXT)

        return account

    def true(self, book: Book, room: int | None = None) -> Inputs:
        """A true statement whose claims leave room, by default for any position of the book to be counted once more."""
        inputs = self.exact(book)
        if room is None:
            room = 10**6 + max(book.values(), default=0) * MARK // 10**14 // 4
        inputs["scanRisk"] = [claim + room for claim in inputs["scanRisk"]]
        inputs["contingency"] = [claim + room for claim in inputs["contingency"]]
        inputs["totalRisk"] = [sum(inputs["scanRisk"])]
        return inputs
