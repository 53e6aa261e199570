"""What a plan is: steps with their costs, and the account before and after, both by the exact engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.fixed import div_ceil, format_decimal, format_down, format_up
from aggregator.margin.native import Evaluation, evaluate
from aggregator.model.errors import InputError
from aggregator.model.policy import Instrument, Level, Policy
from aggregator.model.units import E20_PER_USD_E6, PRICE_SCALE, QUANTITY_SCALE, RATE_SCALE, USD_SCALE

CASH: Final = "USD"
"""The instrument in which trades settle and costs are paid."""
MOST_PPM: Final = RATE_SCALE
_E8_PER_USD_E6: Final = QUANTITY_SCALE // USD_SCALE


@dataclass(frozen=True, slots=True)
class Costs:
    """What a step costs: `ppm` (1e-6) of the value that it moves at its mark, and `fixed_e6` (1e-6 USD) for each step.

    Raises InputError for a negative cost or more than the value itself.
    """

    ppm: int
    fixed_e6: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.ppm <= MOST_PPM or self.fixed_e6 < 0:
            raise InputError(
                f"a cost of {self.ppm}e-6 of the value and {self.fixed_e6}e-6 USD for each step is out of range; "
                f"use 0..{MOST_PPM} and at least 0"
            )

    def of(self, value_e20: int) -> int:
        """The cost of a step that moves `value_e20` (1e-20 USD, not negative), in 1e-6 USD rounded up."""
        return self.fixed_e6 + div_ceil(value_e20 * self.ppm, RATE_SCALE * E20_PER_USD_E6)


@dataclass(frozen=True, slots=True)
class Step:
    """One trade or move.

    A trade has the instrument as `symbol`, a signed quantity (negative: sell) and neither `source` nor `target`. A
    move has a token's name as `symbol`, both instruments by symbol, the quantity that leaves and the one that arrives.
    Quantities are in 1e-8 units, the cost in 1e-6 USD.
    """

    text: str
    symbol: str
    source: str | None
    target: str | None
    quantity_e8: int
    received_e8: int | None
    cost_e6: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order to take them, why there are these or none, and the account before and after.

    `positions` are the quantities afterwards (1e-8 by instrument id, without zeros), the costs paid in USD.
    """

    steps: tuple[Step, ...]
    reason: str
    positions: Mapping[int, int]
    before_im: Evaluation
    before_mm: Evaluation
    after_im: Evaluation
    after_mm: Evaluation

    @property
    def cost_e6(self) -> int:
        """The cost of all steps in 1e-6 USD."""
        return sum(step.cost_e6 for step in self.steps)

    @property
    def gain_e6(self) -> int:
        """By how much the IM excess rises, costs paid, in 1e-6 USD."""
        return self.after_im.excess_e6 - self.before_im.excess_e6


class Account:
    """An account under a policy, and whether other quantities would be better for it."""

    def __init__(self, policy: Policy, positions: Mapping[int, int]) -> None:
        """Raises InputError as `evaluate` does."""
        self.policy = policy
        self.positions = {i: quantity for i, quantity in sorted(positions.items()) if quantity}
        self.im, self.mm = (evaluate(policy, self.positions, level) for level in (Level.IM, Level.MM))

    @property
    def cash(self) -> Instrument | None:
        """USD as the policy lists it, None when it does not."""
        found = self.policy.by_symbol.get(CASH)
        return found if found is not None and found.mark_e12 == PRICE_SCALE else None

    def changed(
        self, held: Mapping[int, int], changes: Mapping[int, int], cost_e6: int
    ) -> dict[int, int] | None:
        """`held` with quantities added and the cost paid in USD; None without USD or beyond an instrument's bound."""
        cash = self.cash
        if cash is None:
            return None
        after = dict(held)
        for instrument_id, quantity in (*changes.items(), (cash.id, -cost_e6 * _E8_PER_USD_E6)):
            after[instrument_id] = after.get(instrument_id, 0) + quantity
        for instrument_id in {*changes, cash.id}:
            if abs(after[instrument_id]) > self.policy.by_id[instrument_id].max_quantity_e8:
                return None
        return {i: quantity for i, quantity in sorted(after.items()) if quantity}

    def im_excess_e6(self, positions: Mapping[int, int] | None) -> int | None:
        """The IM excess with other quantities; None when they cannot be had.

        They cannot when they are beyond a bound of the engine, or leave the account below maintenance margin and
        lower there than it is.
        """
        if positions is None:
            return None
        try:
            mm = evaluate(self.policy, positions, Level.MM).excess_e6
            if mm < 0 and mm < self.mm.excess_e6:
                return None
            return evaluate(self.policy, positions, Level.IM).excess_e6
        except InputError:
            return None

    def plan(self, steps: Sequence[Step], reason: str, after: Mapping[int, int]) -> Plan:
        """The plan that ends with the quantities `after`."""
        im, mm = (evaluate(self.policy, after, level) for level in (Level.IM, Level.MM))
        return Plan(tuple(steps), reason, dict(after), self.im, self.mm, im, mm)

    def nothing(self, reason: str) -> Plan:
        """The plan to leave all as it is."""
        return self.plan((), reason, self.positions)


def amount(quantity_e8: int) -> str:
    """A quantity as a decimal string."""
    return format_decimal(quantity_e8, 8)


def usd_down(amount_e6: int) -> str:
    """1e-6 USD rounded down to cents."""
    return format_down(amount_e6, 6, 2)


def usd_up(amount_e6: int) -> str:
    """1e-6 USD rounded up to cents."""
    return format_up(amount_e6, 6, 2)


def price_down(price_e12: int) -> str:
    """1e-12 USD rounded down to four decimals, of which the last two are left out when they are 0."""
    return format_down(price_e12, 12, 4).removesuffix("00")


def listed(names: Sequence[str], most: int = 6) -> str:
    """Names for a sentence, cut after `most`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
