"""Hedge plans: the perps and futures to trade so that the IM excess rises most after the cost of trading.

A trade opens at the mark: a quantity q of the instrument and -q x mark in USD, so the equity falls by the cost alone
and the requirement decides. The search (`aggregator.optimise.search`) proposes quantities; they are cut to lots towards
zero, refined and pruned by the exact engine, and kept only where the exact IM excess rises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.fixed import div_ceil
from aggregator.model.errors import InputError
from aggregator.model.policy import Instrument, InstrumentKind, Policy
from aggregator.model.units import PRICE_SCALE, QUANTITY_SCALE
from aggregator.optimise.plan import Account, Costs, Plan, Step, amount, listed, price_down, usd_down, usd_up
from aggregator.optimise.search import least_requirement

TRADING: Final = Costs(ppm=500)
"""The default cost of a trade: 0.05 % of the notional, a taker's fee with half a spread."""
LOT_E8: Final = QUANTITY_SCALE // 100
TRADED: Final = (InstrumentKind.PERP, InstrumentKind.FUTURE)
MOST_INSTRUMENTS: Final = 64
_STEPS: Final = (64, 16, 4, 1)
_PASSES: Final = 8
_VALUE: Final = 10.0**20


@dataclass(frozen=True, slots=True)
class HedgeRules:
    """The owner's limits.

    `limit_e20` is the most notional to trade in all, in 1e-20 USD at the marks; None leaves the policy's position
    bounds. `instruments` are the symbols that may be traded; None allows the perps and futures of the classes held.
    `lot_e8` is what a quantity is a multiple of.
    """

    costs: Costs = TRADING
    limit_e20: int | None = None
    instruments: tuple[str, ...] | None = None
    lot_e8: int = LOT_E8

    def __post_init__(self) -> None:
        if self.lot_e8 <= 0:
            raise InputError(f"a lot of {self.lot_e8}e-8 is none; use a lot above 0")
        if self.limit_e20 is not None and self.limit_e20 < 0:
            raise InputError("the limit is below 0; use a limit of at least 0")


NO_LIMITS: Final = HedgeRules()


def hedge_plan(policy: Policy, positions: Mapping[int, int], rules: HedgeRules = NO_LIMITS) -> Plan:
    """The trades within `rules` that raise the IM excess of an account most, costs paid.

    `positions` maps instrument ids to quantities in 1e-8; their order and that of the instruments do not matter.
    No step can be left out without loss, and none leaves the account below maintenance margin that was above it.

    Raises InputError for an instrument that is no perp or future of the policy, and as `evaluate` does.
    """
    account = Account(policy, positions)
    traded = _instruments(account, rules)
    if account.cash is None:
        return account.nothing(f"The policy {policy.name} lists no USD that a trade could settle in.")
    if not traded:
        return account.nothing(
            "The account holds nothing of a class that the policy lists a perp or a future of."
        )
    search = _Search(account, account.cash, rules)
    found = search.best(traded)
    if found is None:
        return account.nothing(
            "The search finds no solution for these amounts; name fewer instruments or set a limit."
        )
    if not found:
        names = listed([one.symbol for one in traded])
        return account.nothing(
            f"No trade in {names} raises the IM excess by more than it costs, within the limit."
        )
    steps = [search.step(i, quantity) for i, quantity in found.items()]
    return _plan(account, steps, search.after(found))


def _plan(account: Account, steps: Sequence[Step], after: Mapping[int, int] | None) -> Plan:
    plan = account.plan(steps, "", account.positions if after is None else after)
    before, now = plan.before_im.requirement_e6, plan.after_im.requirement_e6
    reason = (
        f"The IM requirement falls from {usd_up(before)} to {usd_up(now)} USD; "
        f"after costs of {usd_up(plan.cost_e6)} USD the IM excess is {usd_down(plan.gain_e6)} USD higher."
    )
    return account.plan(steps, reason, plan.positions)


def _instruments(account: Account, rules: HedgeRules) -> list[Instrument]:
    policy = account.policy
    if rules.instruments is None:
        classes = {p.instrument.class_id for p in account.im.positions if p.instrument.class_id}
        chosen = [one for one in policy.instruments if one.kind in TRADED and one.class_id in classes]
    else:
        chosen = [_named(policy, symbol) for symbol in sorted(set(rules.instruments))]
    if len(chosen) > MOST_INSTRUMENTS:
        raise InputError(f"{len(chosen)} instruments may be traded; name at most {MOST_INSTRUMENTS} of them")
    return sorted((one for one in chosen if one.mark_e12 > 0), key=lambda one: one.id)


def _named(policy: Policy, symbol: str) -> Instrument:
    found = policy.by_symbol.get(symbol)
    if found is None:
        raise InputError(
            f"the policy {policy.name} prices no {symbol[:60]!r}; use one of its perps and futures"
        )
    if found.kind not in TRADED:
        raise InputError(
            f"{symbol} is of the kind {found.kind}; a hedge trades perps and futures, name one of them"
        )
    return found


def _towards_zero(units: float, lot_e8: int) -> int:
    lots = int(abs(units) * QUANTITY_SCALE / lot_e8 + 1e-6)
    return (1 if units > 0 else -1) * lots * lot_e8


class _Search:
    """Trades by instrument id, judged by the exact engine."""

    def __init__(self, account: Account, cash: Instrument, rules: HedgeRules) -> None:
        self.account, self.cash, self.rules = account, cash, rules
        self.by_id = account.policy.by_id

    def best(self, traded: Sequence[Instrument]) -> dict[int, int] | None:
        """The best trades in these instruments, empty when none pay, None when the search fails.

        The program knows no fixed fee. With one, instruments are left out one by one while the rest does better alone;
        where nothing pays together, each is tried alone.
        """
        found = self._near(traded)
        if found is None or not self.rules.costs.fixed_e6:
            return found
        if not found:
            return self._best_of([one] for one in traded)
        while True:
            used = [self.by_id[i] for i in found]
            better = self._best_of([one for one in used if one is not left_out] for left_out in used)
            if self._gain(better) <= self._gain(found):
                return found
            found = better

    def _best_of(self, choices: Iterable[Sequence[Instrument]]) -> dict[int, int]:
        """The best trades that use the instruments of one choice; empty when none pay."""
        nothing: dict[int, int] = {}
        return max((nothing, *(self._near(one) or nothing for one in choices)), key=self._gain)

    def _gain(self, trades: Mapping[int, int]) -> int:
        excess = self.excess(trades)
        return (0 if excess is None else excess - self.account.im.excess_e6) if trades else 0

    def _near(self, traded: Sequence[Instrument]) -> dict[int, int] | None:
        """The trades near the program's solution, without one that does not pay."""
        if not traded:
            return {}
        limit = None if self.rules.limit_e20 is None else self.rules.limit_e20 / _VALUE
        wanted = least_requirement(
            self.account.policy, self.account.im, traded, self.cash, self.rules.costs.ppm, limit
        )
        if wanted is None:
            return None
        cut = {i: _towards_zero(units, self.rules.lot_e8) for i, units in sorted(wanted.items()) if units}
        trades = self._pruned(self._refined(self._shrunk(cut)))
        return trades if self._gain(trades) > 0 else {}

    def excess(self, trades: Mapping[int, int]) -> int | None:
        """The exact IM excess after the trades and their costs; None when they may not be made."""
        return self.account.im_excess_e6(self.after(trades))

    def after(self, trades: Mapping[int, int]) -> dict[int, int] | None:
        """All quantities after the trades; None beyond the limit or a bound of the policy."""
        trades = {i: quantity for i, quantity in trades.items() if quantity}
        values = [abs(quantity) * self.by_id[i].mark_e12 for i, quantity in trades.items()]
        limit = self.rules.limit_e20
        if limit is not None and sum(values) > limit:
            return None
        paid = sum(div_ceil(q * self.by_id[i].mark_e12, PRICE_SCALE) for i, q in trades.items())
        cost = sum(self.rules.costs.of(value) for value in values)
        return self.account.changed(self.account.positions, {**trades, self.cash.id: -paid}, cost)

    def step(self, instrument_id: int, quantity: int) -> Step:
        """A trade as a step."""
        one = self.by_id[instrument_id]
        verb = "Buy" if quantity > 0 else "Sell"
        text = f"{verb} {amount(abs(quantity))} {one.symbol} at the mark of {price_down(one.mark_e12)} USD"
        cost = self.rules.costs.of(abs(quantity) * one.mark_e12)
        return Step(text, one.symbol, None, None, quantity, None, cost)

    def _shrunk(self, trades: dict[int, int]) -> dict[int, int]:
        """The trades cut by halves until they may be made: rounding can leave them a lot beyond a bound."""
        lot = self.rules.lot_e8
        while any(trades.values()) and self.excess(trades) is None:
            trades = {i: (q // lot // 2 if q > 0 else -(-q // lot // 2)) * lot for i, q in trades.items()}
        return trades

    def _refined(self, trades: dict[int, int]) -> dict[int, int]:
        """The trades changed by lots, one instrument at a time, while the exact excess rises."""
        best = self.excess(trades)
        for _ in range(_PASSES if trades else 0):
            improved = False
            for instrument_id in list(trades):
                for lots in (sign * size for size in _STEPS for sign in (1, -1)):
                    other = {**trades, instrument_id: trades[instrument_id] + lots * self.rules.lot_e8}
                    excess = self.excess(other)
                    if excess is not None and (best is None or excess > best):
                        trades, best, improved = other, excess, True
            if not improved:
                break
        return {i: quantity for i, quantity in trades.items() if quantity}

    def _pruned(self, trades: dict[int, int]) -> dict[int, int]:
        """The trades without those whose absence costs nothing."""
        best = self.excess(trades)
        while trades:
            shorter = [{j: q for j, q in trades.items() if j != i} for i in trades]
            scored = [(excess, other) for other in shorter if (excess := self.excess(other)) is not None]
            top = max(scored, key=lambda pair: pair[0], default=None)
            if top is None or (best is not None and top[0] < best):
                return trades
            best, trades = top
        return trades
