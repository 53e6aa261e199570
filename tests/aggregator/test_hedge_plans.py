"""Hedge plans: what they promise, for any policy and account, and against searching by hand."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations
from math import ceil

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from aggregator.margin.native import evaluate, positions_by_id
from aggregator.model.errors import InputError
from aggregator.model.policy import Addon, Instrument, InstrumentKind, Level, Policy
from aggregator.optimise import Costs, HedgeRules, Plan, hedge, hedge_plan
from aggregator.optimise.hedge import LOT_E8, TRADED
from aggregator.optimise.plan import Account
from aggregator.policy.check import check_policy
from tests.aggregator.markets import E8, E12, policy
from tests.aggregator.strategies import accounts

DEMO = policy()
FUTURE = next(i.symbol for i in DEMO.instruments if i.kind is InstrumentKind.FUTURE)
A, B, C = (f"eip155:3133700{n}" for n in (1, 2, 3))
BOOK = {
    f"ETH@{A}": 20,
    f"WBTC@{A}": 0.5,
    f"USDC@{B}": 10_000,
    f"wstETH@{B}": 12,
    "ETH-PERP": -5,
    "USD": 15_250,
}
USD_E20 = 10**20
HELD = positions_by_id(DEMO, {s: round(q * E8) for s, q in BOOK.items()})


def with_cash(one: Policy) -> Policy:
    """The policy with USD in it, under the first id that is free."""
    used = {i.id for i in one.instruments}
    cash = Instrument(
        id=next(n for n in range(1, 4096) if n not in used),
        symbol="USD",
        kind=InstrumentKind.SPOT,
        underlying="USD",
        class_id=0,
        group_id=0,
        mark_e12=E12,
        unit_e6=0,
        max_quantity_e8=10**17,
        risk_e12=(0,) * 32,
        addon_im=Addon(0, 0),
        addon_mm=Addon(0, 0),
    )
    made = replace(one, instruments=tuple(sorted((*one.instruments, cash), key=lambda i: i.id)))
    check_policy(made)
    return made


@st.composite
def cases(draw: st.DrawFn) -> tuple[Policy, dict[int, int], HedgeRules]:
    """A random policy with USD, an account under it, and limits."""
    made, positions = draw(accounts())
    every = tuple(
        replace(i, kind=InstrumentKind.PERP) if n % 2 else i for n, i in enumerate(made.instruments)
    )
    made = with_cash(replace(made, instruments=every))
    names = [i.symbol for i in made.instruments if i.kind in TRADED]
    allowed = st.none() if not names else st.none() | st.lists(st.sampled_from(names), min_size=1).map(tuple)
    rules = HedgeRules(
        Costs(draw(st.sampled_from([0, 1, 500, 10**6])), draw(st.sampled_from([0, 10**6]))),
        draw(st.none() | st.integers(0, 10**7).map(lambda usd: usd * USD_E20)),
        draw(allowed),
        draw(st.sampled_from([1, LOT_E8, E8])),
    )
    return made, positions, rules


def applied(under: Policy, positions: dict[int, int], plan: Plan) -> dict[int, int]:
    """The account after the steps, by hand: what is bought is paid for at the mark, a part of 1e-8 USD as a whole."""
    after = dict(positions)
    cash = under.by_symbol["USD"].id
    for step in plan.steps:
        one = under.by_symbol[step.symbol]
        after[one.id] = after.get(one.id, 0) + step.quantity_e8
        paid = ceil(Fraction(step.quantity_e8 * one.mark_e12, E12)) + step.cost_e6 * 100
        after[cash] = after.get(cash, 0) - paid
    return {i: quantity for i, quantity in sorted(after.items()) if quantity}


@given(cases())
@settings(max_examples=150, deadline=None)
def test_a_plan_keeps_what_it_promises(case: tuple[Policy, dict[int, int], HedgeRules]) -> None:
    under, positions, rules = case
    plan = hedge_plan(under, positions, rules)
    assert plan.positions == applied(under, positions, plan)
    for level, before, after in (
        (Level.IM, plan.before_im, plan.after_im),
        (Level.MM, plan.before_mm, plan.after_mm),
    ):
        held = {i: q for i, q in positions.items() if q}
        assert evaluate(under, held, level) == before
        assert evaluate(under, plan.positions, level) == after
    assert plan.reason.endswith(".")
    event("has steps" if plan.steps else "is empty")
    assert (plan.gain_e6 > 0) if plan.steps else (plan.gain_e6 == plan.cost_e6 == 0)
    assert plan.after_mm.excess_e6 >= min(0, plan.before_mm.excess_e6)
    notional = 0
    for step in plan.steps:
        one = under.by_symbol[step.symbol]
        value = abs(step.quantity_e8) * one.mark_e12
        notional += value
        assert one.kind in TRADED
        assert step.quantity_e8 % rules.lot_e8 == 0
        assert rules.instruments is None or step.symbol in rules.instruments
        assert step.cost_e6 == rules.costs.fixed_e6 + ceil(Fraction(value * rules.costs.ppm, 10**20))
        rest = Plan(
            tuple(s for s in plan.steps if s != step),
            *("", {}, plan.before_im, plan.before_mm, plan.after_im, plan.after_mm),
        )
        without = evaluate(under, applied(under, positions, rest), Level.IM)
        assert without.excess_e6 < plan.after_im.excess_e6
    assert rules.limit_e20 is None or notional <= rules.limit_e20
    if rules.instruments is None:
        classes = {under.by_id[i].class_id for i, quantity in positions.items() if quantity}
        assert {under.by_symbol[step.symbol].class_id for step in plan.steps} <= classes


@given(cases(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_order_does_not_matter(case: tuple[Policy, dict[int, int], HedgeRules], shuffle: object) -> None:
    under, positions, rules = case
    other = dict(reversed(positions.items()))
    names = rules.instruments
    mirrored = replace(rules, instruments=None if names is None else (*reversed(names), names[0]))
    assert hedge_plan(under, positions, rules) == hedge_plan(under, other, mirrored)


def gain_of(quantity_e8: dict[str, int], costs: Costs) -> int:
    """The change of the IM excess of the book by trades in the demo's instruments, in 1e-6 USD."""
    after, cash = dict(HELD), DEMO.by_symbol["USD"].id
    for symbol, quantity in quantity_e8.items():
        one = DEMO.by_symbol[symbol]
        after[one.id] = after.get(one.id, 0) + quantity
        cost = costs.of(abs(quantity) * one.mark_e12) if quantity else 0
        after[cash] -= ceil(Fraction(quantity * one.mark_e12, E12)) + cost * 100
    return evaluate(DEMO, after, Level.IM).excess_e6 - evaluate(DEMO, HELD, Level.IM).excess_e6


@pytest.mark.parametrize("ppm", [0, 500, 20_000])
def test_no_other_quantity_of_one_instrument_is_better(ppm: int) -> None:
    """Every lot is tried."""
    costs = Costs(ppm)
    plan = hedge_plan(DEMO, HELD, HedgeRules(costs, None, ("ETH-PERP",), lot_e8=E8 // 10))
    best = max(gain_of({"ETH-PERP": lots * (E8 // 10)}, costs) for lots in range(-450, 100))
    assert plan.gain_e6 == best > 0


@pytest.mark.parametrize("lot_e8", [LOT_E8, 1])
def test_no_pair_of_quantities_on_a_grid_is_better(lot_e8: int) -> None:
    """The classes are correlated, so one trade changes what the other is worth. No lot is too small for the search."""
    costs = Costs(500)
    plan = hedge_plan(DEMO, HELD, HedgeRules(costs, None, ("ETH-PERP", "BTC-PERP"), lot_e8))
    best = max(
        gain_of({"ETH-PERP": eth * E8, "BTC-PERP": btc * E8 // 20}, costs)
        for eth in range(-40, -24)
        for btc in range(-14, 0)
    )
    assert {step.symbol for step in plan.steps} == {"ETH-PERP", "BTC-PERP"}
    assert plan.gain_e6 >= best > 0
    assert hedge_plan(DEMO, HELD, HedgeRules(costs)).gain_e6 >= plan.gain_e6


def test_a_fixed_fee_leaves_out_what_does_not_earn_it() -> None:
    """With every fee the plan is as good as the best of the plans that may use fewer instruments."""
    names = ("ETH-PERP", "BTC-PERP", FUTURE)
    counts = []
    for usd in (0, 100, 1_000, 5_000, 16_000, 50_000):
        costs = Costs(500, usd * 10**6)
        plan = hedge_plan(DEMO, HELD, HedgeRules(costs, None, names))
        fewer = [
            hedge_plan(DEMO, HELD, HedgeRules(costs, None, chosen)).gain_e6
            for size in (1, 2)
            for chosen in combinations(names, size)
        ]
        assert plan.gain_e6 >= max(fewer)
        counts.append(len(plan.steps))
    assert counts == sorted(counts, reverse=True)
    assert counts == [3, 3, 2, 1, 1, 0]


def test_a_trade_that_does_nothing_is_pruned() -> None:
    """Whatever the search proposes: without BTC, buying a BTC perp only adds to the requirement."""
    book = positions_by_id(DEMO, {f"ETH@{A}": 20 * E8})
    account = Account(DEMO, book)
    cash, eth, btc = (DEMO.by_symbol[symbol] for symbol in ("USD", "ETH-PERP", "BTC-PERP"))
    search = hedge._Search(account, cash, HedgeRules())
    assert search._pruned({eth.id: -10 * E8, btc.id: E8 // 100}) == {eth.id: -10 * E8}
    assert search._pruned({btc.id: E8 // 100}) == {}


def test_what_is_paid_is_rounded_against_the_account() -> None:
    plan = hedge_plan(DEMO, HELD, HedgeRules(instruments=(FUTURE,), lot_e8=1))
    (step,) = plan.steps
    assert step.quantity_e8 * DEMO.by_symbol[FUTURE].mark_e12 % E12
    assert plan.positions == applied(DEMO, HELD, plan)


def test_a_limit_is_spent_where_it_helps_most() -> None:
    full = hedge_plan(DEMO, HELD)
    gains = []
    for usd in (0, 1_000, 10_000, 50_000, 10**6):
        plan = hedge_plan(DEMO, HELD, HedgeRules(limit_e20=usd * USD_E20))
        notional = sum(abs(s.quantity_e8) * DEMO.by_symbol[s.symbol].mark_e12 for s in plan.steps)
        assert notional <= usd * USD_E20
        gains.append(plan.gain_e6)
    assert gains == sorted(gains)
    assert (gains[0], gains[-1]) == (0, full.gain_e6)
    assert 0 < gains[1] < gains[2] < gains[3]


def test_an_empty_plan_says_why() -> None:
    assert "more than it costs" in hedge_plan(DEMO, HELD, HedgeRules(Costs(10**6))).reason
    dear = hedge_plan(DEMO, HELD, HedgeRules(Costs(0, 10**12)))
    assert (dear.steps, dear.after_im) == ((), dear.before_im)
    dollars = positions_by_id(DEMO, {f"USDC@{A}": 100 * E8})
    assert "holds nothing of a class" in hedge_plan(DEMO, dollars).reason
    cashless = replace(DEMO, instruments=tuple(i for i in DEMO.instruments if i.symbol != "USD"))
    ether = positions_by_id(DEMO, {f"ETH@{A}": E8})
    assert hedge_plan(DEMO, ether).steps
    plan = hedge_plan(cashless, ether)
    assert (plan.steps, "no USD" in plan.reason) == ((), True)


@pytest.mark.parametrize(
    ("rules", "part"),
    [
        ({"instruments": ("ETH-NONE",)}, "prices no 'ETH-NONE'"),
        ({"instruments": (f"ETH@{A}",)}, "is of the kind spot"),
        ({"instruments": ("ETH-20270214-3000-P",)}, "is of the kind option"),
        ({"limit_e20": -1}, "below 0"),
        ({"lot_e8": 0}, "lot"),
    ],
)
def test_what_cannot_be_planned_is_refused(rules: dict[str, object], part: str) -> None:
    with pytest.raises(InputError, match=part):
        hedge_plan(DEMO, HELD, HedgeRules(**rules))  # type: ignore[arg-type]


@pytest.mark.parametrize(("ppm", "fixed"), [(-1, 0), (10**6 + 1, 0), (0, -1)])
def test_costs_out_of_range_are_refused(ppm: int, fixed: int) -> None:
    with pytest.raises(InputError, match="out of range"):
        Costs(ppm, fixed)
