"""Cascades: sales move prices as the law says, nothing is lost on the way, and a worse shock is never better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.liquidation.cascade import Cascade, cascade
from aggregator.liquidation.drivers import drivers
from aggregator.liquidation.impact import LinearImpact, Market, deltas, markets
from aggregator.liquidation.rules import Among, Law, MarketRules
from aggregator.model.errors import InputError
from aggregator.model.units import E20_PER_USD_E6
from aggregator.policy.spec import parse_spec
from aggregator.risk.depth import DepthLevel, DepthProfile, SquareRootImpact
from aggregator.risk.desk import Desk, Moves
from tests.aggregator.estimated import spec_text
from tests.aggregator.liquidation.rules import flat, rules
from tests.aggregator.markets import AS_OF, E8, E12, prices, rates, spec

CHAIN = "eip155:31337001"
ETH, BTC, DEBT = (f"{name}@{CHAIN}" for name in ("ETH", "WBTC", "USDC-DEBT"))
CALL = "ETH-20270214-3000-C"
LINEAR = Market("ETH", ("ETH",), LinearImpact(1.0, 100_000.0), 0.05, "a test")

Positions = dict[str, int]


def loan(units: float, share: float) -> Positions:
    """ETH against a debt of a share of its value at 3,000."""
    return {ETH: round(units * E8), DEBT: -round(units * share * 3_000 * E8)}


def run(
    accounts: Sequence[Positions], move_e6: int, found: Sequence[Market] = (LINEAR,), **changes: object
) -> Cascade:
    held = dict.fromkeys((s for one in accounts for s in one), 1)
    desk = Desk(spec(), prices(), rates(), AS_OF, held)
    rounds = changes.pop("max_rounds", 50)
    return cascade(desk, accounts, rules(**changes), found, Moves({"ETH": move_e6}), rounds)  # type: ignore[arg-type]


BOOK = [loan(50 + 10 * n, 0.50 + 0.03 * n) for n in range(12)]


def test_a_calm_market_liquidates_nobody() -> None:
    found = run(BOOK[:5], 0)
    assert (found.rounds, found.settled, found.liquidated) == ((), True, ())
    assert found.equity_before_e20 == found.equity_after_e20
    assert found.amplification_e6("ETH") is None


def test_what_is_sold_moves_the_price_by_the_law() -> None:
    """One account: the price after is the shocked one x exp(-0.05 x sold / 100,000)."""
    found = run([loan(1000, 0.75)], -100_000)
    (first,) = found.rounds
    sold = first.sold["ETH"]
    assert sold == pytest.approx(first.value_e20 / 1e20 / 2_700)
    assert found.shocked_e12["ETH"] == 2_700 * E12
    assert found.final_e12["ETH"] == round(2_700 * E12 * math.exp(-0.05 * sold / 100_000))
    amplified = found.amplification_e6("ETH")
    assert amplified is not None
    assert amplified == pytest.approx(1e6 * (3_000 - found.final_e12["ETH"] / E12) / 300, abs=1)


def test_without_impact_there_is_no_cascade() -> None:
    found = run(BOOK, -250_000, ())
    assert found.contagion == ()
    assert found.amplification_e6("ETH") == 10**6


def test_thin_markets_take_more_accounts_down() -> None:
    """The same book and shock: what the sales of some do to the price liquidates others, in later rounds."""
    thin = replace(LINEAR, depth=LinearImpact(1.0, 1_000.0))
    calm, wild = run(BOOK, -150_000), run(BOOK, -150_000, (thin,))
    assert wild.contagion
    assert set(calm.liquidated) < set(wild.liquidated)
    assert len(wild.rounds) > len(calm.rounds)
    assert (calm.amplification_e6("ETH") or 0) < 1_010_000 < 1_100_000 < (wild.amplification_e6("ETH") or 0)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 500), st.integers(300, 900)), min_size=1, max_size=6),
    st.integers(-600_000, 0),
    st.sampled_from(list(Among)),
    st.integers(0, 10**11),
)
def test_value_is_conserved_at_fixed_prices(
    loans: list[tuple[int, int]], move: int, among: Among, fund: int
) -> None:
    """Accounts, fund and liquidators have after all rounds what they had after the shock, but for what nobody paid."""
    accounts = [loan(units, share / 1000) for units, share in loans]
    accounts.append({"ETH-PERP": -10 * E8, "USD": 60_000 * E8})
    found = run(accounts, move, (), among=among, fund_e6=fund)
    before = sum(found.equity_shocked_e20) + fund * E20_PER_USD_E6
    after = sum(found.equity_after_e20) + found.fund_after_e6 * E20_PER_USD_E6
    after += sum(one.liquidator_e20 for one in found.rounds)
    after -= sum(one.unpaid_e6 for one in found.rounds) * E20_PER_USD_E6
    assert before == after
    assert found.fund_after_e6 >= 0
    assert sum(found.shared_e6.values()) == sum(one.shared_e6 for one in found.rounds)
    for one in found.rounds:
        assert one.fund_paid_e6 + one.shared_e6 + one.unpaid_e6 == one.deficit_e6
    assert found.settled


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(300, 800)), min_size=1, max_size=6),
    st.integers(-500_000, -10_000),
    st.integers(10_000, 200_000),
)
def test_a_worse_shock_is_never_better(loans: list[tuple[int, int]], move: int, more: int) -> None:
    """Loans against ETH: more of a fall liquidates at least the same accounts and ends at a lower price."""
    accounts = [loan(units, share / 1000) for units, share in loans]
    by = {"penalty": flat(20_000), "close_factor": flat(1_000_000)}
    mild, hard = (run(accounts, m, **by) for m in (move, max(move - more, -900_000)))
    assert set(mild.liquidated) <= set(hard.liquidated)
    assert set(mild.insolvent) <= set(hard.insolvent)
    assert hard.final_e12["ETH"] <= mild.final_e12["ETH"]
    assert sum(hard.equity_after_e20) <= sum(mild.equity_after_e20)


def test_a_shared_loss_can_push_another_account_below() -> None:
    """No fund: the insolvent account's loss goes to all, and the thin one that stood falls in the next round."""
    broken, thin = loan(1_000, 0.95), loan(1, 0.50)
    found = run([broken, thin], -300_000, (), fund_e6=0, among=Among.ALL)
    assert found.insolvent == (0,)
    assert found.contagion == (1,)
    assert found.shared_e6[1] > 0
    assert found.rounds[0].unpaid_e6 > 0, "the loss is larger than all that the others have"
    alone = run([broken, thin], -300_000, (), fund_e6=0, among=Among.NOBODY)
    assert alone.contagion == ()


def test_only_those_who_gained_share_a_loss() -> None:
    """The short gained 300 x 900 on the fall and pays; the long, with equity left, does not."""
    short = {"ETH-PERP": -300 * E8, "USD": 2_000_000 * E8}
    found = run([loan(1_000, 0.75), {ETH: 100 * E8}, short], -300_000, (), fund_e6=0)
    assert list(found.shared_e6) == [2]
    assert found.shared_e6[2] == found.rounds[0].deficit_e6 == 150_000 * 10**6


def test_nobody_shares_more_than_it_has() -> None:
    """The short was 5,000 under water before the fall that gained it 90,000: it can pay 85,000."""
    short = {"ETH-PERP": -100 * E8, "USD": 295_000 * E8}
    found = run([loan(1_000, 0.95), short], -300_000, (), fund_e6=0)
    assert found.shared_e6[1] == 85_000 * 10**6
    assert found.rounds[0].unpaid_e6 == found.rounds[0].deficit_e6 - 85_000 * 10**6


def test_the_same_book_gives_the_same_answer() -> None:
    assert run(BOOK, -200_000) == run(BOOK, -200_000)


def test_a_bound_on_rounds_is_kept_and_said() -> None:
    thin = replace(LINEAR, depth=LinearImpact(1.0, 1_000.0))
    found = run(BOOK, -150_000, (thin,), max_rounds=1)
    assert len(found.rounds) == 1
    assert not found.settled
    with pytest.raises(InputError, match="allows none"):
        run(BOOK, 0, max_rounds=0)


def test_options_and_wrappers_count_by_their_delta() -> None:
    """A wrapper counts as its rate, a call as its delta, a debt in dollars as nothing."""
    wrapper = f"wstETH@{CHAIN}"
    held = dict.fromkeys((ETH, wrapper, CALL, DEBT, "ETH-PERP", BTC), 1)
    desk = Desk(spec(), prices(), rates(), AS_OF, held)
    found = deltas(desk, (LINEAR,), {}, Moves({}))["ETH"]
    assert found[ETH] == found["ETH-PERP"] == 1
    assert found[wrapper] == pytest.approx(1.23456789)
    assert 0.45 < found[CALL] < 0.65
    assert not {DEBT, BTC} & set(found)


def test_depth_comes_from_the_rules_then_the_spec_and_is_otherwise_named() -> None:
    written = parse_spec(spec_text(), "spec")
    desk = Desk(spec(), prices(), rates(), AS_OF, {ETH: 1})
    every = drivers(desk, 1 / 365)
    of_spec, unknown = markets(desk, every, (), written.estimates)
    assert {one.price: type(one.depth) for one in of_spec}["ETH"] is type(
        written.estimates.haircuts["ETH"].depth
    )
    assert unknown == tuple(one.price for one in every if one.price not in {m.price for m in of_spec})
    ruled, _ = markets(desk, every, (MarketRules("ETH", Law.LINEAR, 2.0, 1e5, None),), written.estimates)
    assert ruled[0].depth == LinearImpact(2.0, 1e5)
    assert ruled[0].daily_volatility == pytest.approx(0.68 / 365**0.5)
    assert markets(desk, every, (), spec().estimates) == ((), ("ETH", "BTC"))


def test_laws_of_impact() -> None:
    """Four times the size: twice the move by the square root, four times by the line; buying is the mirror."""
    root = replace(LINEAR, depth=SquareRootImpact(1.0, 100_000.0))
    assert root.log_move(400) == pytest.approx(2 * root.log_move(100))
    assert LINEAR.log_move(400) == pytest.approx(4 * LINEAR.log_move(100))
    assert root.log_move(-100) == -root.log_move(100) > 0 == root.log_move(0)
    profile = replace(LINEAR, depth=DepthProfile((DepthLevel(100, 0.01), DepthLevel(100, 0.03))))
    assert profile.log_move(200) == pytest.approx(-0.02)
    assert LINEAR.log_move(1e12) == -3


def test_an_account_that_cannot_be_valued_is_refused() -> None:
    with pytest.raises(InputError, match="is not priced"):
        run([{"XYZ@eip155:1": 1}], -100_000)
