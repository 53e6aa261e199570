"""Liquidating an account: just enough, nothing lost, nothing invented, and the laws hold for random accounts."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, Phase, assume, find, given, settings
from hypothesis import strategies as st

from aggregator.liquidation.closing import SLICE_STEPS, liquidate
from aggregator.liquidation.outcome import settle
from aggregator.liquidation.rules import Order, Rules
from aggregator.liquidation.steps import Liquidation, State
from aggregator.margin.native import evaluate, positions_by_id
from aggregator.model.errors import InputError
from aggregator.model.policy import Level
from aggregator.model.units import E20_PER_USD_E6
from tests.aggregator.liquidation.rules import any_rules, flat, rules, shipped
from tests.aggregator.markets import E8, policy

CHAIN = "eip155:31337001"
ETH, BTC, USDC, DEBT = (f"{name}@{CHAIN}" for name in ("ETH", "WBTC", "USDC", "USDC-DEBT"))
CALL = "ETH-20270214-3000-C"
USD_ID = 1


def ids(positions: dict[str, float]) -> dict[int, int]:
    return positions_by_id(policy(), {symbol: round(q * E8) for symbol, q in positions.items()})


LOAN = ids({ETH: 10.0, DEBT: -25_000.0})


@st.composite
def accounts(draw: st.DrawFn) -> dict[int, int]:
    """Accounts of the demo policy around the line: some stand, most are below it, some owe more than they have."""
    held = {
        ETH: draw(st.integers(0, 20 * E8)),
        BTC: draw(st.integers(0, E8)),
        "ETH-PERP": draw(st.integers(-20 * E8, 20 * E8)),
        CALL: draw(st.integers(-30 * E8, 30 * E8)),
        DEBT: -draw(st.integers(0, 40_000 * E8)),
    }
    positions = {i: q for i, q in positions_by_id(policy(), held).items() if q}
    bare = evaluate(policy(), positions, Level.MM)
    if bare.requirement_e6:
        health_e6 = draw(st.integers(-200_000, 1_050_000))
        wanted = bare.requirement_e6 * health_e6 // 10**6 - bare.equity_e20 // E20_PER_USD_E6
        positions[USD_ID] = wanted * 100
    return {i: q for i, q in positions.items() if q}


def equity(positions: dict[int, int]) -> int:
    return evaluate(policy(), positions, Level.MM).equity_e20


def test_a_loan_is_cut_to_the_target_by_hand() -> None:
    """10 ETH at 3,000 against 25,000 USDC, rates 5 %, all of it may be closed, the target is 1.1.

    MM: 16.8 % scan (0.35 of three ranges of 16 %) and 2 % haircut of the ETH, 0.55 % of the debt: 5,640 + 137.5.
    Selling x USD of ETH costs 0.05 x and frees 0.188 x: 5,000 - 0.05 x = 1.1 (5,777.5 - 0.188 x), so x = 8,643.17.
    """
    made = liquidate(policy(), LOAN, rules(penalty=flat(50_000), close_factor=flat(1_000_000)))
    (sold,) = made.closings
    assert (made.state, sold.symbol) == (State.RESTORED, ETH)
    assert 8_643.17 <= sold.value_e20 / 10**20 <= 8_643.17 + 10
    assert sold.penalty_e6 == -(-sold.value_e20 * 50_000 // 10**20)
    assert 0 <= sold.penalty_e6 * 8 // 10 - sold.liquidator_e6 <= 16, "rounded down at each of the parts"
    assert made.after.health_e6 is not None
    assert 1_100_000 <= made.after.health_e6 <= 1_103_000


def test_nothing_is_done_to_an_account_that_stands() -> None:
    made = liquidate(policy(), ids({ETH: 10.0}), shipped())
    assert (made.state, made.steps, made.positions) == (State.STANDS, (), ids({ETH: 10.0}))


def test_the_close_factor_caps_what_is_closed() -> None:
    """A tenth of the gross value of 55,000 USD, although more would be needed."""
    made = liquidate(policy(), LOAN, rules(close_factor=flat(100_000)))
    assert made.state is State.CAPPED
    assert 5_500 - 10 <= made.value_e20 / 10**20 <= 5_500
    assert (made.after.health_e6 or 0) > (made.before.health_e6 or 0)


def test_orders_choose_differently() -> None:
    """By relief the ETH with its 16 % scan goes before USDC; by liquidity what has no add-on goes first."""
    account = ids({ETH: 6.0, f"wstETH@{CHAIN}": 4.0, DEBT: -28_300.0})
    relief, liquid, part = (
        liquidate(policy(), account, rules(order=order, penalty=flat(20_000), close_factor=flat(300_000)))
        for order in Order
    )
    assert relief.closings[0].symbol == f"wstETH@{CHAIN}", "1.2 % more relief by its add-on"
    assert liquid.closings[0].symbol == ETH, "the wrapper is less liquid, so it goes last"
    assert {one.symbol for one in part.closings} == {ETH, f"wstETH@{CHAIN}", DEBT}


def test_a_debt_is_not_closed_alone() -> None:
    """It is cheaper to close than ETH on a chain with an add-on, but repaying takes money that only a sale brings."""
    far = ETH.replace("31337001", "31337002")
    made = liquidate(
        policy(), ids({far: 10.0, DEBT: -25_000.0}), rules(order=Order.LIQUID, penalty=flat(1_000))
    )
    assert (made.state, [one.symbol for one in made.closings]) == (State.RESTORED, [far])


def test_what_does_not_help_is_passed_over() -> None:
    """USDC is cheaper to sell than the perp to close, but it frees half a per cent for a penalty of two."""
    account = ids({USDC: 3_000.0, "ETH-PERP": 10.0, "USD": -30_000.0})
    made = liquidate(policy(), account, rules(order=Order.LIQUID, penalty=flat(20_000)))
    assert (made.state, [one.symbol for one in made.closings]) == (State.RESTORED, ["ETH-PERP"])


def test_a_hedge_is_closed_on_both_sides() -> None:
    """Either leg of 10 ETH against 10 short perps alone would raise the requirement: slices of both are closed."""
    made = liquidate(policy(), ids({ETH: 10.0, "ETH-PERP": -10.0, "USD": 900.0}), rules(penalty=flat(1_000)))
    assert made.state is State.RESTORED
    assert {one.symbol for one in made.closings} == {ETH, "ETH-PERP"}
    assert all(len(step.closings) == 2 for step in made.steps)


def test_an_account_above_the_line_may_be_stuck_below_the_target() -> None:
    """With the BTC sold, USDC against a debt in it is left: what that requires is less than its penalty."""
    account = ids({BTC: 0.1, USDC: 100_000.0, DEBT: -100_000.0, "USD": -5_000.0})
    made = liquidate(policy(), account, rules(target_e6=20_000_000, penalty=flat(20_000)))
    assert made.state is State.STUCK
    assert made.after.excess_e6 >= 0
    assert {one.symbol for one in made.closings} == {BTC}


def test_a_penalty_that_eats_what_it_frees_winds_the_account_down() -> None:
    """Health far below the penalty: no closing helps, all is closed, and the penalty takes no more than the equity."""
    made = liquidate(
        policy(), ids({ETH: 10.0, DEBT: -29_900.0}), rules(full_below_e6=0, penalty=flat(50_000))
    )
    assert made.state is State.WOUND_DOWN
    assert made.penalty_e6 == 100 * 10**6
    assert made.after.equity_e20 == 0


def test_a_bankrupt_account_is_paid_by_the_fund_and_then_by_nobody_yet() -> None:
    """31,000 owed against 30,000: a deficit of 1,000, no penalty; the fund pays 400 and 600 stay open."""
    found = settle(policy(), ids({ETH: 10.0, DEBT: -31_000.0}), shipped(), 400 * 10**6)
    assert found.liquidation.state is State.WOUND_DOWN
    assert (found.liquidation.penalty_e6, found.deficit_e6) == (0, 1_000 * 10**6)
    assert (found.cover.paid_e6, found.cover.fund_e6, found.cover.uncovered_e6) == (4 * 10**8, 0, 6 * 10**8)
    assert found.positions == {}


def test_what_is_marked_at_zero_is_never_given_away() -> None:
    stale = replace(
        policy(),
        instruments=tuple(replace(i, mark_e12=0) if i.symbol == ETH else i for i in policy().instruments),
    )
    made = liquidate(stale, ids({ETH: 10.0, "ETH-PERP": 5.0, "USD": -16_000.0}), shipped())
    assert made.state is State.WOUND_DOWN
    assert [one.symbol for one in made.closings] == ["ETH-PERP"]
    assert made.positions[stale.by_symbol[ETH].id] == 10 * E8


def test_a_policy_without_usd_is_refused() -> None:
    bare = replace(policy(), instruments=tuple(i for i in policy().instruments if i.symbol != "USD"))
    with pytest.raises(InputError, match="lists no USD"):
        liquidate(bare, {i: q for i, q in LOAN.items() if i != USD_ID}, shipped())


@settings(max_examples=80, deadline=None)
@given(accounts(), any_rules(), st.integers(0, 10**10))
def test_value_is_conserved(account: dict[int, int], by: Rules, fund: int) -> None:
    """Account, liquidator, fund and what is left to share add up to the equity before, to 1e-20 USD."""
    found = settle(policy(), account, by, fund)
    made = found.liquidation
    assert found.cover.fund_e6 >= 0
    assert found.cover.paid_e6 + found.cover.uncovered_e6 == found.deficit_e6
    parts = (
        equity(dict(found.positions))
        + made.liquidator_e20
        + (found.cover.fund_e6 - fund - found.cover.uncovered_e6) * E20_PER_USD_E6
    )
    assert parts == equity(account)
    assert all(0 <= one.liquidator_e6 <= one.penalty_e6 for one in made.closings)
    if made.before.equity_e20 >= 0:
        assert found.deficit_e6 <= 1, "a penalty makes no deficit"


@settings(max_examples=80, deadline=None)
@given(accounts(), any_rules())
def test_every_partial_step_raises_health(account: dict[int, int], by: Rules) -> None:
    """Exactly, from step to step, and the last state is what the state says."""
    made = liquidate(policy(), account, by)
    if made.state is State.WOUND_DOWN:
        return
    healths = [
        Fraction(made.before.equity_e20, made.before.requirement_e20 or 1),
        *(
            [Fraction(made.after.equity_e20, made.after.requirement_e20)]
            if made.after.requirement_e20
            else []
        ),
    ]
    assert healths == sorted(healths)
    for step in made.steps:
        assert step.health_before_e6 is not None
        assert step.health_after_e6 is None or step.health_after_e6 >= step.health_before_e6
    match made.state:
        case State.STANDS:
            assert made.before.excess_e6 >= 0
        case State.RESTORED:
            assert made.after.equity_e20 * 10**6 >= by.target_e6 * made.after.requirement_e20
        case State.STUCK:
            assert made.after.excess_e6 >= 0
        case State.CAPPED:
            gross = sum(abs(q) * policy().by_id[i].mark_e12 for i, q in account.items() if i != USD_ID)
            assert made.value_e20 * 10**6 <= gross * made.close_factor_e6 + 10**6


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(accounts(), any_rules())
def test_no_account_is_liquidated_beyond_the_target_by_more_than_a_step(
    account: dict[int, int], by: Rules
) -> None:
    """With one step of the last closing given back at its price, the target is missed."""
    made = liquidate(policy(), account, by)
    assume(made.state is State.RESTORED)
    last = made.steps[-1]
    back = dict(made.positions)
    for one in last.closings:
        instrument = policy().by_symbol[one.symbol]
        unit = max(1, by.step_e6 * E20_PER_USD_E6 // instrument.mark_e12)
        if len(last.closings) > 1:
            unit = -(-abs(account[instrument.id]) // (16 * SLICE_STEPS)) + 1
        quantity = min(unit, abs(one.quantity_e8)) * (1 if one.quantity_e8 > 0 else -1)
        value = quantity * instrument.mark_e12
        refund = abs(value) * made.penalty_rate_e6 // (10**6 * 10**12)
        back[instrument.id] = back.get(instrument.id, 0) + quantity
        back[USD_ID] = back.get(USD_ID, 0) - value // 10**12 + refund - 100
    less = evaluate(policy(), back, Level.MM)
    assert less.equity_e20 * 10**6 < by.target_e6 * less.requirement_e20 + 10**24


@settings(max_examples=60, deadline=None)
@given(accounts(), any_rules(), st.integers(1, 5_000 * E8))
def test_more_collateral_never_leads_to_more_liquidated(
    account: dict[int, int], by: Rules, more: int
) -> None:
    """More USD, the same rules: less or the same is closed, but where a penalty stopped the poorer account early."""
    assume(by.order is not Order.LIQUID)
    poorer = liquidate(policy(), account, by)
    richer = liquidate(policy(), account | {USD_ID: account.get(USD_ID, 0) + more}, by)
    assume(poorer.state is not State.STUCK)
    slack = _step_value(poorer) if richer.state is State.CAPPED else 0
    assert richer.value_e20 <= poorer.value_e20 + slack


@settings(max_examples=30, deadline=None)
@given(accounts(), any_rules())
def test_the_order_of_positions_has_no_effect(account: dict[int, int], by: Rules) -> None:
    turned = dict(reversed(list(account.items())))
    assert liquidate(policy(), account, by) == liquidate(policy(), turned, by)


def _step_value(made: Liquidation) -> int:
    """What the last closing of a capped account may be off by: one step in another instrument."""
    return 1000 * 10**20 if made.steps else 0


@pytest.mark.parametrize("state", [s for s in State if s is not State.STUCK])
def test_random_accounts_reach_every_state(state: State) -> None:
    """Otherwise the laws above would hold of nothing."""
    found = find(
        st.tuples(accounts(), any_rules()),
        lambda case: liquidate(policy(), *case).state is state,
        settings=settings(max_examples=2_000, deadline=None, phases=[Phase.generate]),
    )
    assert liquidate(policy(), *found).state is state
