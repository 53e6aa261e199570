"""Stress and liquidation prices: exact attribution, roots found on both sides, markets rebuilt and not scaled."""

from __future__ import annotations

import pytest

from aggregator.model.errors import InputError
from aggregator.model.policy import Level
from aggregator.risk.desk import Desk, Moves
from aggregator.risk.liquidation import frontier, liquidation_prices
from aggregator.risk.stress import FACTORS, stress
from tests.aggregator.markets import AS_OF, E8, E12, policy, prices, rates, spec

CHAIN = "eip155:31337001"
ETH = f"ETH@{CHAIN}"
USDC = f"USDC@{CHAIN}"
DEBT = f"USDC-DEBT@{CHAIN}"
CALL, PUT = "ETH-20270214-3000-C", "ETH-20270214-3000-P"


def desk_of(positions: dict[str, float]) -> Desk:
    held = {symbol: round(quantity * E8) for symbol, quantity in positions.items()}
    return Desk(spec(), prices(), rates(), AS_OF, held)


MIXED = {ETH: 20.0, USDC: 30_000.0, CALL: -10.0, PUT: 5.0, "BTC-PERP": 0.5, "USD": -30_000.0}


def test_an_unmoved_market_is_the_policy_itself() -> None:
    """Building only what is held changes no mark, risk entry, line or add-on."""
    full, held = policy(), desk_of(MIXED).policy()
    for symbol in MIXED:
        ours, theirs = held.by_symbol[symbol], full.by_symbol[symbol]
        for name in ("mark_e12", "risk_e12", "addon_im", "addon_mm", "unit_e6", "class_id"):
            assert getattr(ours, name) == getattr(theirs, name)
    assert held.groups == full.groups


def test_attribution_adds_up_exactly() -> None:
    """By instrument, by factor and by class the sum is the change of equity, to 1e-20 USD."""
    moves = Moves(
        {"*": -300_000}, volatility_e6=500_000, skew_e6=-100_000, basis_e6=50_000, correlation_e6=500_000
    )
    result = stress(desk_of(MIXED), "crash", moves)
    assert result.pnl_e20 == sum(one.pnl_e20 for one in result.instruments)
    assert result.pnl_e20 == sum(result.by_factor().values()) == sum(result.by_class().values())
    assert set(result.by_factor()) == set(FACTORS)
    assert result.by_factor()["spot"] < 0
    assert result.by_factor()["correlation"] == 0
    assert result.by_class()["BTC"] == -round(0.3 * 60_000 * 0.5) * 10**20
    assert result.after_im.correlated_e6 != result.before_im.correlated_e6


def test_each_move_does_what_it_says() -> None:
    """Spot moves the coin alone; volatility moves options alone, up for their holder; a stable coin stays."""
    moved = desk_of(MIXED).policy(Moves({"ETH": 100_000}))
    assert moved.by_symbol[ETH].mark_e12 == 3300 * E12
    assert moved.by_symbol["BTC-PERP"].mark_e12 == 60_000 * E12
    assert moved.by_symbol[USDC].mark_e12 == E12
    still = desk_of(MIXED).policy()
    volatile = desk_of(MIXED).policy(Moves({}, volatility_e6=200_000))
    assert volatile.by_symbol[ETH].mark_e12 == still.by_symbol[ETH].mark_e12
    assert volatile.by_symbol[CALL].mark_e12 > still.by_symbol[CALL].mark_e12
    skewed = desk_of({"ETH-20270214-2500-P": 1.0, USDC: 1.0})
    down = skewed.policy(Moves({}, skew_e6=-100_000)).by_symbol["ETH-20270214-2500-P"].mark_e12
    assert down > skewed.policy().by_symbol["ETH-20270214-2500-P"].mark_e12


def test_the_liquidation_price_of_a_loan_is_that_of_its_formula() -> None:
    """10 ETH against 20,000 USDC: one root, below the price; a cent lower liquidates, at it the account stands."""
    loan = desk_of({ETH: 10.0, DEBT: -20_000.0})
    (root,) = liquidation_prices(loan, "ETH")
    assert root.falling
    assert 2000 * E12 < root.good_e12 < 3000 * E12
    assert (root.good_e12 - root.bad_e12) * 10**8 < root.good_e12
    for price, stands in ((root.good_e12, True), (root.bad_e12, False)):
        assert (loan.evaluate(loan.policy_at({"ETH": price}), Level.MM).excess_e6 >= 0) is stands


def test_a_short_straddle_has_a_root_on_each_side() -> None:
    """Both ways liquidate; a long coin without debt has no liquidation price."""
    short = desk_of({CALL: -10.0, PUT: -10.0, USDC: 18_000.0})
    low, high = liquidation_prices(short, "ETH")
    assert low.falling
    assert not high.falling
    assert low.good_e12 < 3000 * E12 < high.good_e12
    assert liquidation_prices(desk_of({ETH: 10.0}), "ETH") == ()


def test_the_frontier_bends_the_right_way() -> None:
    """A loan on ETH and BTC collateral: the lower ETH falls, the sooner BTC liquidates."""
    loan = desk_of({ETH: 10.0, "BTC-PERP": 1.0, "USD": -60_000.0, USDC: 20_000.0, DEBT: -15_000.0})
    points = frontier(
        loan, "ETH", "BTC", (800_000, 1_000_000, 1_200_000), scan_e6=(300_000, 1_000_000, 2_000_000)
    )
    roots = [next(root.good_e12 for root in point.second if root.falling) for point in points]
    assert roots == sorted(roots, reverse=True)
    assert [point.first_e12 for point in points] == [2400 * E12, 3000 * E12, 3600 * E12]


def test_bad_moves_are_refused_by_name() -> None:
    """A price nobody quotes, a price of nothing, no volatility left, an unknown holding."""
    with pytest.raises(InputError, match="DOGE"):
        desk_of(MIXED).policy(Moves({"DOGE": 1}))
    with pytest.raises(InputError, match="zero or below"):
        Moves({"ETH": -1_000_000})
    with pytest.raises(InputError, match="share"):
        Moves({}, correlation_e6=1_000_001)
    with pytest.raises(InputError, match="volatility"):
        Moves({}, volatility_e6=-1_000_000)
    with pytest.raises(InputError, match="not priced"):
        desk_of({"DOGE@eip155:1": 1.0}).policy()
    with pytest.raises(InputError, match="itself"):
        frontier(desk_of(MIXED), "ETH", "ETH", (1,))
    with pytest.raises(InputError, match="ascend"):
        liquidation_prices(desk_of({ETH: 1.0}), "ETH", scan_e6=(2, 1))
