"""Rebalance plans: collateral changes its place and nothing else, and only where that pays or a target asks for it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import ceil

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from aggregator.margin.native import evaluate, positions_by_id
from aggregator.model.errors import InputError
from aggregator.model.policy import Level, Policy
from aggregator.optimise import Costs, Plan, RebalanceRules, rebalance_plan
from aggregator.optimise.rebalance import is_token
from tests.aggregator.markets import E8, policy

DEMO = policy()
A, B, C = (f"eip155:3133700{n}" for n in (1, 2, 3))
USD_E20 = 10**20
FREE = Costs(0)
TOKENS = sorted(i.symbol for i in DEMO.instruments if is_token(i))
OTHERS = ("USD", "ETH-PERP", f"USDC-DEBT@{A}", f"USDC-DEBT@{C}")


def ids(book: dict[str, float]) -> dict[int, int]:
    """Whole units by symbol as quantities by id."""
    return positions_by_id(DEMO, {symbol: round(quantity * E8) for symbol, quantity in book.items()})


BOOK = ids(
    {
        f"ETH@{A}": 20,
        f"ETH@{B}": 8,
        f"ETH@{C}": 3,
        f"wstETH@{B}": 12,
        f"USDC@{B}": 10_000,
        f"sUSDC@{C}": 10_000,
    }
)

quantities = st.sampled_from([1, 99, E8]) | st.integers(1, 10**6 * E8) | st.integers(1, 100 * E8)


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[int, int], RebalanceRules, dict[int, int] | None]:
    """Tokens over the demo's chains, with debts and a perp beside them; limits; and what is free."""
    held = draw(st.dictionaries(st.sampled_from(TOKENS), quantities, max_size=6))
    for symbol in draw(st.sets(st.sampled_from(OTHERS))):
        held[symbol] = -draw(st.integers(1, 1000 * E8))
    positions = positions_by_id(DEMO, held)
    ceiling = {i: DEMO.by_id[i].max_quantity_e8 for i in positions}
    positions = {i: max(-ceiling[i], min(ceiling[i], quantity)) for i, quantity in positions.items()}
    targets = draw(st.dictionaries(st.sampled_from(TOKENS), st.integers(0, 100 * E8), max_size=2))
    rules = RebalanceRules(
        Costs(draw(st.sampled_from([0, 100, 10**6])), draw(st.sampled_from([0, 5 * 10**6]))),
        draw(st.none() | st.integers(0, 10**6).map(lambda usd: usd * USD_E20)),
        draw(st.none() | st.lists(st.sampled_from(TOKENS), min_size=2).map(tuple)),
        draw(st.booleans()),
        tuple(targets.items()) if draw(st.booleans()) else (),
    )
    free = draw(st.none() | st.just({i: quantity // 2 for i, quantity in positions.items()}))
    return positions, rules, free


def replayed(positions: dict[int, int], plan: Plan) -> tuple[list[dict[int, int]], dict[int, int]]:
    """The account after each step by hand, and at the end, without zeros."""
    held, seen = dict(positions), []
    cash = DEMO.by_symbol["USD"].id
    for step in plan.steps:
        assert step.source is not None
        assert step.target is not None
        assert step.received_e8 is not None
        source, target = DEMO.by_symbol[step.source].id, DEMO.by_symbol[step.target].id
        held[source] = held.get(source, 0) - step.quantity_e8
        held[target] = held.get(target, 0) + step.received_e8
        held[cash] = held.get(cash, 0) - step.cost_e6 * 100
        seen.append(dict(held))
    return seen, {i: quantity for i, quantity in held.items() if quantity}


def by_name(positions: dict[int, int]) -> dict[str, int]:
    """Quantities summed over chains, by the token's name."""
    sums: dict[str, int] = {}
    for i, quantity in positions.items():
        name = DEMO.by_id[i].symbol.partition("@")[0]
        sums[name] = sums.get(name, 0) + quantity
    return {name: quantity for name, quantity in sums.items() if quantity}


def nets(positions: dict[int, int]) -> dict[int, int]:
    """What nets in each group, in 1e-14 of its asset."""
    return {g.group_id: g.net_e14 for g in evaluate(DEMO, positions, Level.IM).groups}


@given(cases())
@settings(max_examples=200, deadline=None)
def test_a_plan_keeps_what_it_promises(
    case: tuple[dict[int, int], RebalanceRules, dict[int, int] | None],
) -> None:
    positions, rules, free = case
    plan = rebalance_plan(DEMO, positions, rules, free)
    event("has steps" if plan.steps else "is empty")
    seen, after = replayed(positions, plan)
    assert dict(plan.positions) == after
    assert plan.after_im == evaluate(DEMO, after, Level.IM)
    assert plan.after_mm == evaluate(DEMO, after, Level.MM)
    assert plan.after_mm.excess_e6 >= min(0, plan.before_mm.excess_e6)
    assert plan.reason.endswith(".")
    for held in seen:
        assert all(held[i] >= min(0, positions.get(i, 0)) for i in held if is_token(DEMO.by_id[i]))
    if not rules.targets:
        excesses = [plan.before_im.excess_e6, *(evaluate(DEMO, h, Level.IM).excess_e6 for h in seen)]
        assert all(late > early for early, late in pairwise(excesses))
    value = 0
    for step in plan.steps:
        source, target = DEMO.by_symbol[step.source or ""], DEMO.by_symbol[step.target or ""]
        moved = step.quantity_e8 * source.mark_e12
        value += moved
        assert step.quantity_e8 > 0
        assert source.group_id == target.group_id
        assert step.cost_e6 == rules.costs.fixed_e6 + ceil(Fraction(moved * rules.costs.ppm, 10**20))
        assert rules.instruments is None or step.source in rules.instruments
    assert rules.limit_e20 is None or value <= rules.limit_e20
    spent = by_name(positions).get("USD", 0) - by_name(after).get("USD", 0)
    assert spent == plan.cost_e6 * 100
    if rules.wrappers:
        before, now = nets(positions), nets(after)
        for group_id, net in before.items():
            loss = sum(DEMO.by_symbol[s.target or ""].unit_e6 for s in plan.steps) * 2
            assert 0 <= net - now[group_id] <= loss + abs(net) // 10**6
    else:
        without_usd = [
            {name: q for name, q in by_name(book).items() if name != "USD"} for book in (positions, after)
        ]
        assert without_usd[0] == without_usd[1]
    if free is not None:
        left: dict[str, int] = {}
        for step in plan.steps:
            left[step.source or ""] = left.get(step.source or "", 0) + step.quantity_e8
            left[step.target or ""] = left.get(step.target or "", 0) - (step.received_e8 or 0)
        assert all(out <= max(0, free.get(DEMO.by_symbol[s].id, 0)) for s, out in left.items())
    for symbol, wanted in rules.targets:
        i = DEMO.by_symbol[symbol].id
        short = wanted - after.get(i, 0)
        assert after.get(i, 0) >= min(wanted, positions.get(i, 0))
        assert (f" {symbol} stays" in f" {plan.reason}") is (short > 0)


@given(cases())
@settings(max_examples=40, deadline=None)
def test_order_does_not_matter(
    case: tuple[dict[int, int], RebalanceRules, dict[int, int] | None],
) -> None:
    positions, rules, free = case
    names = rules.instruments
    mirrored = replace(
        rules,
        instruments=None if names is None else tuple(reversed(names)),
        targets=tuple(reversed(rules.targets)),
    )
    other = dict(reversed(positions.items()))
    assert rebalance_plan(DEMO, positions, rules, free) == rebalance_plan(DEMO, other, mirrored, free)


def test_without_costs_everything_ends_where_it_is_cheapest() -> None:
    plan = rebalance_plan(DEMO, BOOK, RebalanceRules(FREE))
    assert {DEMO.by_id[i].symbol.partition("@")[2] for i in plan.positions} == {A}
    assert plan.cost_e6 == 0
    unwrapped = rebalance_plan(DEMO, BOOK, RebalanceRules(FREE, wrappers=True))
    assert {DEMO.by_id[i].symbol for i in unwrapped.positions} == {f"ETH@{A}", f"USDC@{A}"}
    assert unwrapped.gain_e6 > plan.gain_e6 > 0


def test_only_moves_that_pay_are_made() -> None:
    """8 ETH of 3,000 USD at 0.4 % of add-on save 96 USD; a fee of 95 leaves one, a fee of 97 does not."""
    held = ids({f"ETH@{B}": 8})
    paid = rebalance_plan(DEMO, held, RebalanceRules(Costs(0, 95 * 10**6)))
    assert [step.text for step in paid.steps] == [f"Move 8 ETH from {B} to {A}"]
    assert (paid.gain_e6, paid.cost_e6) == (10**6, 95 * 10**6)
    dear = rebalance_plan(DEMO, held, RebalanceRules(Costs(0, 97 * 10**6)))
    assert (dear.steps, dear.after_im) == ((), dear.before_im)
    assert "No move saves more" in dear.reason
    by_amount = rebalance_plan(DEMO, held, RebalanceRules(Costs(4000)))
    assert by_amount.steps == ()


def test_a_limit_goes_to_what_saves_most() -> None:
    """Three ETH on C save 0.6 % each, those on B 0.4 %: 12,000 USD are three of C and one of B."""
    held = ids({f"ETH@{B}": 8, f"ETH@{C}": 3})
    plan = rebalance_plan(DEMO, held, RebalanceRules(FREE, 12_000 * USD_E20))
    assert [(step.source, step.quantity_e8) for step in plan.steps] == [
        (f"ETH@{C}", 3 * E8),
        (f"ETH@{B}", E8),
    ]


def test_a_target_is_reached_and_kept_at_its_cost() -> None:
    plan = rebalance_plan(DEMO, BOOK, RebalanceRules(targets=((f"ETH@{C}", 10 * E8),)))
    assert plan.positions[DEMO.by_symbol[f"ETH@{C}"].id] == 10 * E8
    assert plan.steps[0].text == f"Move 7 ETH from {B} to {C}"
    only = rebalance_plan(DEMO, ids({f"ETH@{A}": 5}), RebalanceRules(targets=((f"ETH@{C}", E8),)))
    assert (len(only.steps), only.gain_e6) == (1, -(18_000_000 + 5_300_000))
    assert "rises by 18.00 USD" in only.reason
    short = rebalance_plan(DEMO, ids({f"ETH@{A}": 5}), RebalanceRules(targets=((f"ETH@{C}", 7 * E8),)))
    assert f"ETH@{C} stays 2 short of 7" in short.reason


def test_what_is_not_free_stays() -> None:
    lent = {DEMO.by_symbol[f"ETH@{B}"].id: 2 * E8}
    plan = rebalance_plan(DEMO, BOOK, movable=lent)
    assert [(step.source, step.quantity_e8) for step in plan.steps] == [(f"ETH@{B}", 2 * E8)]
    nothing = rebalance_plan(DEMO, BOOK, movable={})
    assert nothing.reason == "The account holds no token that is free to be moved."


def test_a_move_may_not_end_in_liquidation() -> None:
    """The account is one dollar above maintenance margin, and the target's move costs five."""
    held = ids({f"ETH@{A}": 1})
    spare = evaluate(DEMO, held, Level.MM).excess_e6 - 10**6
    held[DEMO.by_symbol["USD"].id] = -spare * 100
    plan = rebalance_plan(DEMO, held, RebalanceRules(targets=((f"ETH@{C}", E8),)))
    assert plan.steps == ()
    assert "stays 1 short" in plan.reason


def test_a_policy_without_usd_gives_no_plan() -> None:
    cashless: Policy = replace(DEMO, instruments=tuple(i for i in DEMO.instruments if i.symbol != "USD"))
    plan = rebalance_plan(cashless, BOOK)
    assert (plan.steps, "no USD" in plan.reason) == ((), True)


@pytest.mark.parametrize(
    ("rules", "part"),
    [
        ({"instruments": ("ETH-PERP",)}, "'ETH-PERP' is no token"),
        ({"instruments": (f"USDC-DEBT@{A}",)}, "is no token"),
        ({"targets": ((f"NONE@{A}", 1),)}, "is no token"),
        ({"targets": ((f"ETH@{A}", 1), (f"ETH@{A}", 2))}, "twice"),
        ({"targets": ((f"ETH@{A}", -1),)}, "below 0"),
        ({"limit_e20": -1}, "below 0"),
    ],
)
def test_what_cannot_be_planned_is_refused(rules: dict[str, object], part: str) -> None:
    with pytest.raises(InputError, match=part):
        rebalance_plan(DEMO, BOOK, RebalanceRules(**rules))  # type: ignore[arg-type]
