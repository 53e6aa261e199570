"""What a trading desk expects of the shipped policy: hedges are seen, short gamma is charged, sizes cost."""

from __future__ import annotations

import pytest

from aggregator.model.policy import InstrumentKind, Level
from tests.aggregator.markets import health, policy

NEAR = "ETH-20270214"
FAR = "ETH-20270415"
ETH = "ETH@eip155:31337001"


def scan(positions: dict[str, float]) -> int:
    """Scan risk of the ETH class in 1e-6 USD."""
    return health(positions).classes[0].scan_risk_e6


def requirement(positions: dict[str, float]) -> int:
    return health(positions).requirement_e6


def test_a_covered_call_needs_less_scan_than_the_coin_and_than_the_naked_call() -> None:
    """Long ETH covers the short call: jointly below either side alone."""
    coin, call = {ETH: 1.0}, {f"{NEAR}-3500-C": -1.0}
    assert scan({**coin, **call}) < min(scan(coin), scan(call) + scan(coin))
    assert scan({**coin, **call}) < scan(coin)


def test_a_long_straddle_risks_at_most_its_premium() -> None:
    """What was paid can be lost, not more."""
    long = health({f"{NEAR}-3000-C": 1.0, f"{NEAR}-3000-P": 1.0})
    assert 0 < long.classes[0].scan_risk_e6 * 10**14 <= long.equity_e20


def test_a_short_straddle_loses_both_ways_and_is_margined_as_one() -> None:
    """Short gamma and short vega: either large move and a rise of volatility alone hurt; the legs offset in part."""
    call, put = f"{NEAR}-3000-C", f"{NEAR}-3000-P"
    risk = health({call: -1.0, put: -1.0}).classes[0]
    pnl = dict(zip(policy().scenarios, risk.pnl_e20, strict=True))
    for name in (
        "spot +3/3, vol up",
        "spot -3/3, vol up",
        "spot 0, vol up",
        "extreme -3 scan ranges, vol up",
    ):
        assert pnl[name] < 0
    assert pnl["spot 0, vol down"] > 0
    assert risk.scan_risk_e6 < scan({call: -1.0}) + scan({put: -1.0})


def test_a_long_option_never_risks_more_than_its_value() -> None:
    """Every option of the policy, each scenario: the loss stays within the mark, and so does the long add-on."""
    options = [i for i in policy().instruments if i.kind is InstrumentKind.OPTION]
    assert len(options) == 20
    for option in options:
        assert -min(option.risk_e12) <= option.mark_e12
        assert option.addon_im.long_e12 <= option.mark_e12


def test_a_box_carries_no_market_risk() -> None:
    """Long 2500/3500 call spread and put spread of one expiry: worth 1000, whatever happens."""
    box = {f"{NEAR}-2500-C": 1.0, f"{NEAR}-3500-C": -1.0, f"{NEAR}-3500-P": 1.0, f"{NEAR}-2500-P": -1.0}
    result = health(box)
    assert result.equity_e20 == pytest.approx(1000 * 10**20, rel=1e-9)
    assert result.classes[0].scan_risk_e6 <= 1


def test_a_butterfly_risks_at_most_what_it_costs() -> None:
    """Long 2500 and 3500, short two 3000: the loss is bounded by the premium."""
    butterfly = health({f"{NEAR}-2500-C": 1.0, f"{NEAR}-3000-C": -2.0, f"{NEAR}-3500-C": 1.0})
    assert butterfly.equity_e20 > 0
    assert butterfly.classes[0].scan_risk_e6 * 10**14 <= butterfly.equity_e20 * 1001 // 1000


def test_a_vertical_risks_at_most_its_width() -> None:
    """Short the 3000 call, long the 3500: scan risk and the value owed are at most the 500 between the strikes."""
    spread = health({f"{NEAR}-3000-C": -1.0, f"{NEAR}-3500-C": 1.0})
    assert spread.classes[0].scan_risk_e6 * 10**14 - spread.equity_e20 <= 500 * 10**20
    assert spread.classes[0].scan_risk_e6 < scan({f"{NEAR}-3000-C": -1.0})


def test_a_short_strangle_needs_less_than_the_straddle_and_than_its_legs() -> None:
    """Strikes further apart lose less, and one move cannot hurt both legs."""
    strangle = {f"{NEAR}-3500-C": -1.0, f"{NEAR}-2500-P": -1.0}
    straddle = {f"{NEAR}-3000-C": -1.0, f"{NEAR}-3000-P": -1.0}
    assert scan(strangle) < scan(straddle)
    assert scan(strangle) < sum(scan({leg: -1.0}) for leg in strangle)


def test_a_calendar_spread_nets_but_is_not_free() -> None:
    """Near and far volatility move by different amounts, so some risk stays, far below that of one leg."""
    spread = scan({f"{NEAR}-3000-C": -1.0, f"{FAR}-3000-C": 1.0})
    assert 0 < spread < scan({f"{NEAR}-3000-C": -1.0}) // 2


def test_a_worthless_short_option_still_pays_the_minimum() -> None:
    """1 % of the index plus liquidity on each short option, however far out; buying it back ends it."""
    far_out = f"{NEAR}-4000-C"
    result = health({far_out: -10.0})
    assert result.addon_e20 == 10 * 36 * 10**20
    assert health({far_out: -10.0}, Level.MM).addon_e20 == 10 * 21 * 10**20
    assert result.requirement_e6 >= 360 * 10**6


def test_coins_against_a_short_perp_leave_the_basis() -> None:
    """Ten ETH on three chains against ten short perps: only the 1 % perp basis is left of the scan risk."""
    hedged = {ETH: 5.0, "ETH@eip155:31337002": 3.0, "ETH@eip155:31337003": 2.0, "ETH-PERP": -10.0}
    assert 10 * 30 * 10**6 <= scan(hedged) <= 10 * 35 * 10**6
    assert scan(hedged) < scan({ETH: 10.0}) // 10


def test_correlation_credits_opposite_classes_nothing_and_equal_ones_little() -> None:
    """R lies between the larger class and the sum of both."""
    result = health({ETH: 20.0, "WBTC@eip155:31337001": 1.0})
    parts = [c.scan_risk_e6 for c in result.classes]
    assert max(parts) < result.correlated_e6 < sum(parts)


def test_size_costs_more_per_unit() -> None:
    """1000 ETH pay a higher haircut rate than 100, on one chain or spread over three."""
    small, large = health({ETH: 100.0}), health({ETH: 1000.0})
    assert large.contingency_e6 > 10 * small.contingency_e6
    spread = {f"ETH@eip155:3133700{n}": 1000.0 / 4 * (2 if n == 1 else 1) for n in (1, 2, 3)}
    assert health(spread).contingency_e6 == large.contingency_e6


def test_debt_nets_against_collateral_of_the_same_asset_across_chains() -> None:
    """50 000 USDC on one chain against 50 000 owed on another: no equity, no haircut, only the chains' add-ons."""
    result = health({"USDC@eip155:31337002": 50_000.0, "USDC-DEBT@eip155:31337001": -50_000.0})
    assert result.equity_e20 == 0
    assert result.contingency_e6 == 0
    assert result.requirement_e6 == (250 + 50) * 10**6


def test_a_positive_debt_is_worth_nothing() -> None:
    """Whoever writes a debt with the wrong sign gains no excess by it."""
    for level in Level:
        assert health({"USDC-DEBT@eip155:31337001": 1_000_000.0}, level).excess_e6 <= 0


def test_a_wrapper_nets_with_its_asset_at_its_rate() -> None:
    """10 wstETH count as 12.34568 ETH in the haircut and are marked at the rate, rounded down."""
    result = health({"wstETH@eip155:31337001": 10.0, ETH: 1.0})
    assert [g.name for g in result.groups] == ["ETH"]
    assert result.groups[0].net_e14 == 1_334_568 * 10**9
    assert result.positions[1].value_e20 == 10 * 3_703_703_670_369_000 * 10**8


def test_maintenance_is_never_above_initial_margin() -> None:
    """For books of every kind in the policy."""
    books: list[dict[str, float]] = [
        {ETH: 3000.0},
        {f"{NEAR}-3000-C": -5.0, f"{FAR}-2000-P": -3.0},
        {"ETH-PERP": 4.0, "BTC-PERP": -1.0, "ETH-20270415": -2.0},
        {"sUSDC@eip155:31337003": 10_000.0, "USDC-DEBT@eip155:31337002": -9_000.0},
    ]
    for book in books:
        assert health(book, Level.MM).requirement_e6 < health(book, Level.IM).requirement_e6


def test_joining_a_hedge_never_needs_more_than_the_parts() -> None:
    """Within the first size tier one account needs at most what two would."""
    one: dict[str, float] = {ETH: 30.0, f"{NEAR}-3500-C": -10.0}
    two: dict[str, float] = {"ETH-PERP": -15.0, "WBTC@eip155:31337002": 0.5}
    assert requirement({**one, **two}) <= requirement(one) + requirement(two)
