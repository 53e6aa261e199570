"""What one liquidation did: closings, the steps they were made in, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aggregator.margin.native import Evaluation
from aggregator.model.units import E20_PER_USD_E6, PRICE_SCALE, QUANTITY_SCALE, USD_SCALE

E8_PER_USD_E6: Final = QUANTITY_SCALE // USD_SCALE


class State(StrEnum):
    """How a liquidation ended."""

    STANDS = "stands"
    """The account is at or above maintenance: nothing is done."""
    RESTORED = "restored"
    """Health is at or above the target."""
    CAPPED = "capped"
    """The close factor's share is closed and health is higher, below the target; another liquidation may follow."""
    STUCK = "stuck"
    """Health is at or above 1 and below the target, and no closing raises it further."""
    WOUND_DOWN = "wound-down"
    """Everything is closed."""


@dataclass(frozen=True, slots=True)
class Closing:
    """A quantity (1e-8, signed as the position) closed at its mark; `value_e20` has that sign too.

    The penalty (1e-6 USD) is the liquidator's and the fund's part; `dust_e20` is the rest below 1e-8 USD of the
    settlement, the liquidator's too.
    """

    symbol: str
    quantity_e8: int
    value_e20: int
    penalty_e6: int
    liquidator_e6: int
    dust_e20: int

    @property
    def fund_e6(self) -> int:
        """The insurance fund's part of the penalty."""
        return self.penalty_e6 - self.liquidator_e6

    @property
    def settled_e8(self) -> int:
        """What the account gets in USD (1e-8), the penalty paid; negative when it pays."""
        return (self.value_e20 - self.dust_e20) // PRICE_SCALE - self.penalty_e6 * E8_PER_USD_E6


@dataclass(frozen=True, slots=True)
class Step:
    """What is closed together, and the account's health (1e-6) before and after; None where nothing is required."""

    closings: tuple[Closing, ...]
    health_before_e6: int | None
    health_after_e6: int | None

    @property
    def value_e20(self) -> int:
        """Gross value closed."""
        return sum(abs(one.value_e20) for one in self.closings)


@dataclass(frozen=True)
class Liquidation:
    """One liquidation: rates at its start, steps in order, the account before and after at MM, positions afterwards."""

    state: State
    penalty_rate_e6: int
    close_factor_e6: int
    steps: tuple[Step, ...]
    before: Evaluation
    after: Evaluation
    positions: Mapping[int, int]

    @property
    def closings(self) -> tuple[Closing, ...]:
        """What is closed, one entry for each instrument, in the order in which each was first closed."""
        found: dict[str, Closing] = {}
        for one in (c for step in self.steps for c in step.closings):
            found[one.symbol] = _added(found[one.symbol], one) if one.symbol in found else one
        return tuple(found.values())

    @property
    def value_e20(self) -> int:
        """Gross value closed."""
        return sum(step.value_e20 for step in self.steps)

    @property
    def penalty_e6(self) -> int:
        """All penalties."""
        return sum(one.penalty_e6 for one in self.closings)

    @property
    def fund_e6(self) -> int:
        """The insurance fund's part."""
        return sum(one.fund_e6 for one in self.closings)

    @property
    def liquidator_e20(self) -> int:
        """What whoever closed gains at the marks."""
        return sum(one.liquidator_e6 * E20_PER_USD_E6 + one.dust_e20 for one in self.closings)


def _added(one: Closing, more: Closing) -> Closing:
    return Closing(
        one.symbol,
        one.quantity_e8 + more.quantity_e8,
        one.value_e20 + more.value_e20,
        one.penalty_e6 + more.penalty_e6,
        one.liquidator_e6 + more.liquidator_e6,
        one.dust_e20 + more.dust_e20,
    )


def joined(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Neighbouring steps in one instrument as one."""
    found: list[Step] = []
    for step in steps:
        last = found[-1] if found else None
        alike = last is not None and len(last.closings) == len(step.closings) == 1
        if last is not None and alike and last.closings[0].symbol == step.closings[0].symbol:
            merged = (_added(last.closings[0], step.closings[0]),)
            found[-1] = Step(merged, last.health_before_e6, step.health_after_e6)
        else:
            found.append(step)
    return tuple(found)
