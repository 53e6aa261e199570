"""Ring-fenced sub-accounts: all of one holder side by side, and what moving a position does to both sides.

Netting ends at a sub-account's border, so a hedge that moves away can lower one account's margin need or raise it, and
what one sub-account has too much of does not help another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aggregator.margin.native import Evaluation, evaluate
from aggregator.margin.report import Status, status_of
from aggregator.model.errors import InputError
from aggregator.model.policy import Level, Policy


@dataclass(frozen=True, slots=True)
class SubAccount:
    """One sub-account at both levels."""

    name: str
    number: int
    im: Evaluation
    mm: Evaluation

    @property
    def status(self) -> Status:
        """What it may do."""
        return status_of(self.im, self.mm)


@dataclass(frozen=True)
class SideBySide:
    """All sub-accounts of a holder, and the account that the same positions would be if nothing were fenced off."""

    parts: tuple[SubAccount, ...]
    joined_im: Evaluation
    joined_mm: Evaluation

    def added(self, level: Level) -> tuple[int, int]:
        """Equity (1e-20 USD) and requirement (1e-6 USD) of all parts, added up: nothing nets across."""
        found = [part.im if level is Level.IM else part.mm for part in self.parts]
        return sum(one.equity_e20 for one in found), sum(one.requirement_e6 for one in found)

    def fence_e6(self, level: Level) -> int:
        """What the fences cost: the requirements added up less that of the joined account.

        Negative where size tiers charge the joint quantity more than the parts.
        """
        joined = self.joined_im if level is Level.IM else self.joined_mm
        return self.added(level)[1] - joined.requirement_e6

    def short_e6(self, level: Level) -> int:
        """What the parts below their requirement lack together; the excess of the others does not lower it."""
        found = [part.im if level is Level.IM else part.mm for part in self.parts]
        return sum(max(0, -one.excess_e6) for one in found)


def side_by_side(policy: Policy, accounts: Iterable[tuple[str, int, Mapping[int, int]]]) -> SideBySide:
    """Each of (name, sub-account number, positions) by itself, in order of number, and all of them joined.

    Raises InputError as `evaluate` does.
    """
    given = sorted(accounts, key=lambda one: (one[1], one[0]))
    parts = tuple(
        SubAccount(name, number, evaluate(policy, positions, Level.IM), evaluate(policy, positions, Level.MM))
        for name, number, positions in given
    )
    joined: dict[int, int] = {}
    for _, _, positions in given:
        for i, quantity in positions.items():
            joined[i] = joined.get(i, 0) + quantity
    return SideBySide(parts, evaluate(policy, joined, Level.IM), evaluate(policy, joined, Level.MM))


@dataclass(frozen=True, slots=True)
class Effect:
    """One sub-account before and after; excess changes in 1e-6 USD."""

    before_im: Evaluation
    before_mm: Evaluation
    after_im: Evaluation
    after_mm: Evaluation

    @property
    def status(self) -> Status:
        """What the sub-account may do afterwards."""
        return status_of(self.after_im, self.after_mm)

    def excess_change_e6(self, level: Level) -> int:
        """Excess after less excess before at `level`."""
        before, after = (
            (self.before_im, self.after_im) if level is Level.IM else (self.before_mm, self.after_mm)
        )
        return after.excess_e6 - before.excess_e6


@dataclass(frozen=True, slots=True)
class Move:
    """Both sides of a transfer; the sum of the equities does not change."""

    giver: Effect
    taker: Effect

    @property
    def allowed(self) -> bool:
        """Whether neither side is left below initial margin, or both are no worse off than before."""
        return all(
            effect.after_im.excess_e6 >= 0 or effect.excess_change_e6(Level.IM) >= 0
            for effect in (self.giver, self.taker)
        )


def _effect(policy: Policy, before: Mapping[int, int], after: Mapping[int, int]) -> Effect:
    results = [evaluate(policy, held, level) for held in (before, after) for level in (Level.IM, Level.MM)]
    return Effect(*results)


def move_position(
    policy: Policy, giver: Mapping[int, int], taker: Mapping[int, int], instrument_id: int, quantity_e8: int
) -> Move:
    """The effect of moving a signed quantity (1e-8) of an instrument from one sub-account to the other.

    The quantity has the sign of the giver's position and is at most all of it; InputError otherwise.
    """
    held = giver.get(instrument_id, 0)
    if quantity_e8 == 0 or held * quantity_e8 < 0 or abs(quantity_e8) > abs(held):
        raise InputError(
            f"{quantity_e8}e-8 of instrument {instrument_id} cannot be moved, the sub-account holds {held}e-8; "
            "move a part of the position, with its sign"
        )
    less = dict(giver) | {instrument_id: held - quantity_e8}
    more = dict(taker) | {instrument_id: taker.get(instrument_id, 0) + quantity_e8}
    return Move(_effect(policy, giver, less), _effect(policy, taker, more))
