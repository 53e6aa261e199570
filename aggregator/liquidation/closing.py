"""One liquidation of one account: what is closed, for whom, and what is left, in exact integers.

Closing a quantity dq (with the sign of the position) of an instrument at its mark m takes it out of the account and
settles in USD:

    USD after = USD + floor(dq x m) - penalty,    penalty = ceil(abs(dq x m) x rate)

so the equity falls by the penalty and by less than 1e-8 USD, which whoever closes gets. A part is closed first, by the
rules' order, until health is back at the target or the close factor's share of the gross value is closed. Where the
penalty takes more health than closing frees, going on in parts would only make it worse; the account is then wound down
whole. Source: J. Warmuz, A. Chaudhary, D. Pinna, "Toxic liquidation spirals", arXiv 2212.07306 (2022).

What is not closed: USD itself, what the policy marks at zero, and debts on their own. A debt is repaid out of a sale,
so it is closed with a slice of everything or when the account is wound down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from aggregator.fixed import div_ceil, div_floor, mul_div_down
from aggregator.liquidation.rules import Order, Rules
from aggregator.liquidation.running import Running
from aggregator.liquidation.steps import Closing, Liquidation, State, Step, joined
from aggregator.margin.native import evaluate
from aggregator.model.errors import InputError
from aggregator.model.policy import Instrument, InstrumentKind, Level, Policy
from aggregator.model.units import (
    E20_PER_USD_E6,
    PRICE_SCALE,
    RATE_SCALE,
)

CASH: Final = "USD"
PARTS: Final = 16
"""A position is closed in so many parts, the best first each time; the last part is cut to what is needed."""
SLICE_STEPS: Final = 10_000
"""The last slice of everything is cut to a multiple of one part in this."""
DERIVATIVES: Final = (InstrumentKind.PERP, InstrumentKind.FUTURE, InstrumentKind.OPTION)


def _health_rises(before: Running, after: Running) -> bool:
    """Whether equity over requirement is higher, compared exactly."""
    if after.requirement_e20 == 0:
        return after.equity_e20 >= 0
    return after.equity_e20 * before.requirement_e20 > before.equity_e20 * after.requirement_e20


@dataclass(frozen=True)
class _Candidate:
    """Quantities to close together, in `units` equal parts of which fewer may be taken."""

    key: tuple[int, str]
    quantities: Mapping[int, int]
    units: int

    def of(self, units: int) -> dict[int, int]:
        """The quantities of so many parts, rounded away from zero: all parts are exactly `quantities`."""
        return {
            i: (1 if q > 0 else -1) * div_ceil(abs(q) * units, self.units) for i, q in self.quantities.items()
        }


class _Account:
    """The account while it is liquidated."""

    def __init__(self, policy: Policy, positions: Mapping[int, int], rules: Rules) -> None:
        cash = policy.by_symbol.get(CASH)
        if cash is None or cash.mark_e12 != PRICE_SCALE:
            raise InputError(
                f"the policy {policy.name} lists no USD that a liquidation could settle in; use one that does"
            )
        self.policy, self.rules, self.cash = policy, rules, cash
        self.start = positions
        self.now = Running.of(policy, self.start)
        self.rate_e6 = 0
        self.steps: list[Step] = []

    @property
    def held(self) -> dict[int, int]:
        """The quantities that are left."""
        return {i: quantity for i, quantity in sorted(self.now.held.items()) if quantity}

    def closable(self) -> Iterator[tuple[Instrument, int]]:
        """What can be closed: not USD, and not what is marked at zero."""
        for i, quantity in self.now.held.items():
            one = self.policy.by_id[i]
            if quantity and i != self.cash.id and one.mark_e12 > 0:
                yield one, quantity

    def gross_e20(self) -> int:
        """Gross value of what can be closed."""
        return sum(abs(quantity) * one.mark_e12 for one, quantity in self.closable())

    def closing(self, instrument_id: int, quantity: int, most_e6: int | None = None) -> Closing:
        """One closing with its penalty, of `most_e6` at most."""
        one = self.policy.by_id[instrument_id]
        value = quantity * one.mark_e12
        penalty = div_ceil(abs(value) * self.rate_e6, RATE_SCALE * E20_PER_USD_E6)
        penalty = penalty if most_e6 is None else min(penalty, most_e6)
        share = mul_div_down(penalty, self.rules.liquidator_share_e6, RATE_SCALE)
        return Closing(one.symbol, quantity, value, penalty, share, value % PRICE_SCALE)

    def after(self, closings: Sequence[Closing]) -> Running:
        """The account after closings."""
        changes = {self.policy.by_symbol[one.symbol].id: -one.quantity_e8 for one in closings}
        return self.now.after(changes | {self.cash.id: sum(one.settled_e8 for one in closings)})

    def tried(self, quantities: Mapping[int, int]) -> tuple[list[Closing], Running]:
        """Closings of these quantities and the account after them."""
        closings = [self.closing(i, q) for i, q in quantities.items() if q]
        return closings, self.after(closings)

    def take(self, closings: Sequence[Closing], after: Running) -> None:
        """Make the closings."""
        self.steps.append(Step(tuple(closings), self.now.health_e6, after.health_e6))
        self.now = after

    def at_target(self, found: Running) -> bool:
        """Whether health is at or above the target, exactly."""
        return found.equity_e20 * RATE_SCALE >= self.rules.target_e6 * found.requirement_e20

    def candidates(self) -> Iterator[_Candidate]:
        """What may be closed next: a part of one position, or of all. Which there are does not depend on USD."""
        step_e20 = self.rules.step_e6 * E20_PER_USD_E6
        for one, quantity in self.closable() if self.rules.order is not Order.SLICE else ():
            if quantity < 0 and one.kind not in DERIVATIVES:
                continue
            unit = max(1, step_e20 // one.mark_e12)
            part = div_ceil(div_ceil(abs(self.start[one.id]), PARTS), unit) * unit
            size = min(part, abs(quantity))
            liquidity = 0
            if self.rules.order is Order.LIQUID:
                addon = one.addon_mm.long_e12 if quantity > 0 else one.addon_mm.short_e12
                liquidity = div_floor(addon * RATE_SCALE, one.mark_e12)
            signed = size if quantity > 0 else -size
            yield _Candidate((liquidity, one.symbol), {one.id: signed}, div_ceil(size, unit))
        sliced = {
            one.id: (1 if q > 0 else -1) * min(abs(q), div_ceil(abs(self.start[one.id]), PARTS))
            for one, q in self.closable()
        }
        if sliced:
            last = RATE_SCALE if self.rules.order is Order.LIQUID else 0
            yield _Candidate((last, "~"), sliced, SLICE_STEPS)

    def best(self) -> _Candidate | None:
        """The candidate that comes first by the order and raises health; None when there is none."""
        ranked = []
        for one in self.candidates():
            closings, after = self.tried(one.quantities)
            relief = self.now.requirement_e20 - after.requirement_e20
            if relief > 0:
                per_usd = Fraction(relief, sum(abs(c.value_e20) for c in closings))
                ranked.append(((one.key[0], -per_usd, one.key[1]), one, after))
        for _, one, after in sorted(ranked, key=lambda entry: entry[0]):
            if _health_rises(self.now, after):
                return one
        return None

    def fitting(self, one: _Candidate, left_e20: int) -> int:
        """The most units of a candidate whose gross value is within `left_e20`."""
        units = one.units
        while units:
            value = sum(abs(q) * self.policy.by_id[i].mark_e12 for i, q in one.of(units).items())
            if value <= left_e20:
                break
            units = min(units - 1, units * left_e20 // value)
        return units

    def least(self, one: _Candidate, units: int) -> int:
        """The fewest units that reach the target, when `units` do: the requirement is convex in what is closed."""
        low, high = 0, units
        while high - low > 1:
            middle = (low + high) // 2
            if self.at_target(self.tried(one.of(middle))[1]):
                high = middle
            else:
                low = middle
        return high

    def partly(self, cap_e20: int) -> State:
        """Close parts until the target, the cap, or until none helps."""
        left = cap_e20
        while (one := self.best()) is not None:
            units = self.fitting(one, left)
            if units == 0:
                return State.CAPPED
            closings, after = self.tried(one.of(units))
            if self.at_target(after):
                self.take(*self.tried(one.of(self.least(one, units))))
                return State.RESTORED
            if not _health_rises(self.now, after):
                return State.STUCK if units == one.units else State.CAPPED
            self.take(closings, after)
            left -= self.steps[-1].value_e20
        return State.STUCK

    def wind_down(self) -> State:
        """Close everything at the marks. Penalties are paid out of the equity there is, and never make a deficit."""
        left = max(0, div_floor(self.now.equity_e20, E20_PER_USD_E6))
        closings = []
        for one, quantity in self.closable():
            closings.append(self.closing(one.id, quantity, left))
            left -= closings[-1].penalty_e6
        if closings:
            self.take(closings, self.after(closings))
        return State.WOUND_DOWN


def liquidate(policy: Policy, positions: Mapping[int, int], rules: Rules) -> Liquidation:
    """One liquidation of an account under `rules`, at the policy's marks.

    `positions` maps instrument ids to quantities in 1e-8; their order does not matter. Penalty and close factor are
    those of the health at the start, both rounded up. Each step of a partial liquidation raises health; the last one
    is cut to the least that reaches the target, to one `step_usd` (of a slice: to one part in 160,000 of the account).

    Raises InputError as `evaluate` does, and for a policy without USD.
    """
    held = {i: quantity for i, quantity in sorted(positions.items()) if quantity}
    before = evaluate(policy, held, Level.MM)
    account = _Account(policy, held, rules)
    health = before.health_e6
    if before.excess_e6 >= 0:
        return Liquidation(State.STANDS, 0, 0, (), before, before, held)
    account.rate_e6 = rules.penalty.at(health or 0)
    factor = rules.close_factor.at(health or 0)
    if health is None or before.equity_e20 <= 0 or health < rules.full_below_e6:
        state = account.wind_down()
    else:
        state = account.partly(div_ceil(account.gross_e20() * factor, RATE_SCALE))
        if state is State.STUCK and account.now.equity_e20 < account.now.requirement_e20:
            state = account.wind_down()
    return Liquidation(
        state=state,
        penalty_rate_e6=account.rate_e6,
        close_factor_e6=factor,
        steps=joined(account.steps),
        before=before,
        after=evaluate(policy, account.held, Level.MM),
        positions=account.held,
    )
