"""Cascades: liquidations whose sales move prices, which liquidate more, until nothing falls or a bound is reached.

One round, at fixed prices: every account below maintenance, in order of its number, is liquidated once (`settle`);
what the fund cannot pay is shared among the others by the rules, which may push them below in the next round. What was
sold moves the prices (`aggregator.liquidation.impact`), all accounts are valued again by the exact kernel of
`aggregator.margin.book`, and the next round begins. The same book, rules and shock give the same answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.fixed import div_floor
from aggregator.liquidation.closing import CASH
from aggregator.liquidation.impact import Market, deltas
from aggregator.liquidation.losses import socialise
from aggregator.liquidation.outcome import Outcome, settle
from aggregator.liquidation.rules import Among, Rules
from aggregator.liquidation.steps import E8_PER_USD_E6, State
from aggregator.margin.book import Book
from aggregator.margin.native import positions_by_id
from aggregator.model.errors import InputError
from aggregator.model.policy import Level, Policy
from aggregator.model.units import E20_PER_USD_E6, QUANTITY_SCALE
from aggregator.risk.desk import Desk, Moves

MAX_ROUNDS: Final = 100


@dataclass(frozen=True, slots=True)
class Round:
    """One round: prices at its start (1e-12 USD), account numbers, and amounts in 1e-20 or 1e-6 USD.

    `below` were below maintenance at its start; `wound_down` and `insolvent` are among them. `sold` are net units of
    each market's price sold in this round (a float: from deltas). `shared_e6` is what other accounts paid, `unpaid_e6`
    what nobody did.
    """

    prices_e12: Mapping[str, int]
    below: tuple[int, ...]
    wound_down: tuple[int, ...]
    insolvent: tuple[int, ...]
    value_e20: int
    penalty_e6: int
    liquidator_e20: int
    deficit_e6: int
    fund_paid_e6: int
    shared_e6: int
    unpaid_e6: int
    sold: Mapping[str, float]


@dataclass(frozen=True)
class Cascade:
    """All rounds, and the book before the shock, after it, and at the end.

    `equity_*_e20` are those of each account; `settled` says that nobody is below at the end. `closed_e20` is the gross
    value closed and `shared_e6` the losses paid by each account concerned.
    """

    rounds: tuple[Round, ...]
    settled: bool
    start_e12: Mapping[str, int]
    shocked_e12: Mapping[str, int]
    final_e12: Mapping[str, int]
    equity_before_e20: tuple[int, ...]
    equity_shocked_e20: tuple[int, ...]
    equity_after_e20: tuple[int, ...]
    closed_e20: Mapping[int, int]
    shared_e6: Mapping[int, int]
    fund_before_e6: int
    fund_after_e6: int

    @property
    def liquidated(self) -> tuple[int, ...]:
        """Every account that was below maintenance in some round."""
        return tuple(sorted({n for one in self.rounds for n in one.below}))

    @property
    def contagion(self) -> tuple[int, ...]:
        """The accounts that stood after the shock and were liquidated because of the others."""
        first = set(self.rounds[0].below) if self.rounds else set()
        return tuple(n for n in self.liquidated if n not in first)

    @property
    def insolvent(self) -> tuple[int, ...]:
        """The accounts that owed more than they had."""
        return tuple(sorted({n for one in self.rounds for n in one.insolvent}))

    @property
    def value_e20(self) -> int:
        """Gross value closed in all rounds."""
        return sum(one.value_e20 for one in self.rounds)

    def amplification_e6(self, price: str) -> int | None:
        """The whole move of a price over that of the shock, rounded to nearest; None where the shock left it."""
        start, shocked, final = (
            prices[price] for prices in (self.start_e12, self.shocked_e12, self.final_e12)
        )
        if shocked == start:
            return None
        return (2 * (final - start) * 10**6 + (shocked - start)) // (2 * (shocked - start))


class _Run:
    """The book while the cascade runs."""

    def __init__(self, desk: Desk, accounts: Iterable[Mapping[str, int]], rules: Rules) -> None:
        policy = desk.policy()
        self.book = Book(policy)
        self.book.add(positions_by_id(policy, positions) for positions in accounts)
        self.rules, self.fund = rules, rules.fund_e6
        self.closed: dict[int, int] = {}
        self.shared: dict[int, int] = {}
        self.start = self.equities()

    def equities(self) -> tuple[int, ...]:
        """Equity of every account; InputError when one has no value."""
        for n in self.book.unvalued():
            self.book.evaluation(int(n), Level.MM)
            raise InputError(f"account {n} of the book cannot be valued; take it out")
        return tuple(self.book.exact("equity_e20", Level.MM))

    def liquidate(self) -> list[tuple[int, Outcome]]:
        """Liquidate everybody below once."""
        found = []
        for n in (int(n) for n in self.book.below(Level.MM)):
            made = settle(self.book.policy, self.book.positions(n), self.rules, self.fund)
            self.fund = made.cover.fund_e6
            self.closed[n] = self.closed.get(n, 0) + made.liquidation.value_e20
            self.book.set_positions(n, made.positions)
            found.append((n, made))
        return found

    def share(self, loss_e6: int) -> int:
        """Share a loss among the others by the rules; returns what they paid."""
        if not loss_e6 or self.rules.among is Among.NOBODY:
            return 0
        weights = {}
        for n, (now, before) in enumerate(zip(self.equities(), self.start, strict=True)):
            weight = now if self.rules.among is Among.ALL else min(now, now - before)
            if weight > 0:
                weights[n] = div_floor(weight, E20_PER_USD_E6)
        paid = socialise(loss_e6, weights)
        cash = self.book.policy.by_symbol[CASH].id
        for n, amount in paid.items():
            self.book.trade(n, {cash: -amount * E8_PER_USD_E6})
            self.shared[n] = self.shared.get(n, 0) + amount
        return sum(paid.values())


def _sold(
    policy: Policy, made: Sequence[tuple[int, Outcome]], by_price: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    """Net units of each price sold; quantities are added up exactly before a delta is applied."""
    quantities: dict[str, int] = {}
    for _, outcome in made:
        for one in outcome.liquidation.closings:
            quantities[one.symbol] = quantities.get(one.symbol, 0) + one.quantity_e8
    return {
        price: sum(
            quantities[symbol] / QUANTITY_SCALE * delta
            for symbol, delta in found.items()
            if symbol in quantities
        )
        for price, found in by_price.items()
    }


def cascade(
    desk: Desk,
    accounts: Iterable[Mapping[str, int]],
    rules: Rules,
    markets: Sequence[Market],
    moves: Moves,
    max_rounds: int = MAX_ROUNDS,
) -> Cascade:
    """Shock the market of `desk` by `moves` and let liquidations run their course.

    `desk.positions` hold every symbol of the accounts (so that the moved markets price it); `accounts` are quantities
    in 1e-8 by symbol. Raises InputError for an account that the policy cannot value, and for a bound below 1.
    """
    if max_rounds < 1:
        raise InputError(f"a bound of {max_rounds} rounds allows none; use at least 1")
    run = _Run(desk, accounts, rules)
    shocked = desk.moved_prices(moves)
    start = {name: desk.price_e12(name) for name in {*shocked, *(n for m in markets for n in m.moves)}}
    shocked = start | shocked
    by_price = deltas(desk, markets, shocked, moves)
    run.book.tick(desk.policy_at(shocked, moves))
    after_shock = run.equities()
    prices, total = dict(shocked), {m.price: 0.0 for m in markets}
    rounds: list[Round] = []
    settled = not run.book.below(Level.MM).size
    while not settled and len(rounds) < max_rounds:
        made = run.liquidate()
        deficit = sum(one.deficit_e6 for _, one in made)
        uncovered = sum(one.cover.uncovered_e6 for _, one in made)
        shared = run.share(uncovered)
        sold = _sold(run.book.policy, made, by_price)
        rounds.append(
            Round(
                prices_e12=dict(prices),
                below=tuple(n for n, _ in made),
                wound_down=tuple(n for n, one in made if one.liquidation.state is State.WOUND_DOWN),
                insolvent=tuple(n for n, one in made if one.deficit_e6),
                value_e20=sum(one.liquidation.value_e20 for _, one in made),
                penalty_e6=sum(one.liquidation.penalty_e6 for _, one in made),
                liquidator_e20=sum(one.liquidation.liquidator_e20 for _, one in made),
                deficit_e6=deficit,
                fund_paid_e6=deficit - uncovered,
                shared_e6=shared,
                unpaid_e6=uncovered - shared,
                sold=sold,
            )
        )
        for market in markets:
            total[market.price] += sold[market.price]
            prices |= market.prices_after(shocked, total[market.price])
        run.book.tick(desk.policy_at(prices, moves))
        settled = not run.book.below(Level.MM).size
        if not any(one.liquidation.steps or one.deficit_e6 for _, one in made):
            break
    return Cascade(
        rounds=tuple(rounds),
        settled=settled,
        start_e12=start,
        shocked_e12=shocked,
        final_e12=prices,
        equity_before_e20=run.start,
        equity_shocked_e20=after_shock,
        equity_after_e20=run.equities(),
        closed_e20=run.closed,
        shared_e6=run.shared,
        fund_before_e6=rules.fund_e6,
        fund_after_e6=run.fund,
    )
