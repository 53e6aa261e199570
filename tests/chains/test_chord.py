"""Liquidity as fixed amounts: never worth more than the position at any price of the range, and close to it."""

from __future__ import annotations

from dataclasses import replace
from math import isqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.margin.native import positions_by_id
from aggregator.model.anchors import Trust
from aggregator.model.errors import InputError
from aggregator.model.policy import Acceptance
from aggregator.model.snapshot import Method, Reading, Snapshot
from aggregator.service.accepting import accept
from chains.balances.chord import chord_amounts
from chains.balances.concentrated import Position, amounts_of, fair_sqrt_price, sqrt_price_at
from tests.aggregator.service.scene import reading as read_of
from tests.aggregator.service.scene import snapshot as snapshot_of
from tests.circuits.books import fixed_policy

Q192 = 1 << 192
SPAN = 2_000
E6 = 10**6


@given(
    ticks=st.tuples(st.integers(-60_000, 60_000), st.integers(-60_000, 60_000)).filter(lambda t: t[0] < t[1]),
    tick=st.integers(-60_000, 60_000),
    liquidity=st.integers(10**6, 10**24),
    range_e6=st.integers(1_000, 990_000),
    where=st.integers(0, SPAN),
)
def test_the_amounts_never_outgrow_the_position(
    ticks: tuple[int, int], tick: int, liquidity: int, range_e6: int, where: int
) -> None:
    """At every price from p (1 - r) to p / (1 - r) they are worth at most the liquidity, rounded up."""
    position = Position(liquidity, *ticks, 0, 0)
    root = sqrt_price_at(tick)
    amount0, amount1 = chord_amounts(position, root, range_e6)
    low, high = (isqrt(root * root * up // down) for up, down in ((E6 - range_e6, E6), (E6, E6 - range_e6)))
    low += 1
    at = low + (high - low) * where // SPAN
    held0, held1 = amounts_of(liquidity, at, *ticks)
    assert amount0 * at * at + amount1 * Q192 <= (held0 + 1) * at * at + (held1 + 1) * Q192


@given(
    st.integers(-50_000, 50_000), st.integers(10**9, 10**24), st.integers(0, 10**12), st.integers(0, 10**12)
)
def test_without_a_range_it_is_the_position_itself(tick: int, liquidity: int, owed0: int, owed1: int) -> None:
    position = Position(liquidity, -60_000, 60_000, owed0, owed1)
    root = sqrt_price_at(tick)
    assert chord_amounts(position, root, 0) == position.amounts(root)
    wide = chord_amounts(position, root, 500_000)
    assert wide[0] >= owed0
    assert wide[1] >= owed1


def test_over_the_whole_curve_a_halving_of_either_token_costs_under_six_per_cent() -> None:
    """V = 2 sqrt(p): from 1/2 to 2 the chord is 0.9428 p + 0.9428, 1.8856 at the price itself, 5.72 % below 2."""
    position = Position(10**18, -887_220, 887_220, 0, 0)
    amount0, amount1 = chord_amounts(position, sqrt_price_at(0), 500_000)
    assert amount0 / 10**18 == pytest.approx(0.9428090416, abs=1e-9)
    assert amount1 / 10**18 == pytest.approx(0.9428090416, abs=1e-9)


@pytest.mark.parametrize("ticks", [(-887_220, 887_220), (-2_000, 2_000), (1_000, 3_000), (-9_000, -7_000)])
def test_a_fall_of_either_token_by_the_whole_range_is_covered(ticks: tuple[int, int]) -> None:
    """To half and to twice the price, whichever token is token0, the amounts are worth no more than the position."""
    position, root = Position(10**18, *ticks, 0, 0), sqrt_price_at(0)
    amount0, amount1 = chord_amounts(position, root, 500_000)
    for wrong in (-1, E6):
        with pytest.raises(InputError, match="use a share from 0 to below 1"):
            chord_amounts(position, root, wrong)
    for factor in (0.5, 0.6, 2 / 3, 1, 1.5, 1.9, 2):
        at = int(root * factor**0.5)
        held0, held1 = amounts_of(10**18, at, *ticks)
        assert amount0 * factor + amount1 <= (held0 * factor + held1) * (1 + 1e-12) + 2


ETH, USDC = "ETH@eip155:1", "USDC@eip155:8453"
NFT = "UNI3-7@eip155:1"


def position_of(liquidity: int, **detail: str) -> Reading:
    whole = {
        "token0": "0x" + "0a" * 20,
        "token1": "0x" + "0b" * 20,
        "instrument0": ETH,
        "decimals0": "18",
        "instrument1": USDC,
        "decimals1": "6",
        "liquidity": str(liquidity),
        "tickLower": "-887220",
        "tickUpper": "887220",
        "owed0": "0",
        "owed1": "5000000",
        **detail,
    }
    made = replace(read_of(1, NFT, 1), kind="uniswap-v3", raw=1, decimals=0, quantity_e8=10**8)
    return replace(made, detail={key: text for key, text in whole.items() if text})


def with_position(reading: Reading) -> Snapshot:
    return snapshot_of(readings=[read_of(1, ETH, 2), reading])


def test_a_position_counts_as_its_tokens_under_a_policy() -> None:
    """Two ETH beside it: both tokens under their instruments, 5.72 % below the fair amounts, the fees in full."""
    policy = fixed_policy()
    marks = {i.symbol: i.mark_e12 for i in policy.instruments}
    snapshot = with_position(position_of(10**15))
    with pytest.raises(InputError, match="UNI3-7@eip155:1 is not priced"):
        positions_by_id(policy, snapshot.positions)
    found = accept(policy, snapshot)
    assert positions_by_id(policy, found.positions)
    assert not found.notes
    fair0, fair1 = amounts_of(10**15, fair_sqrt_price(marks[ETH], marks[USDC], 18, 6), -887_220, 887_220)
    assert (found.positions[ETH] - 2 * 10**8) / (fair0 / 10**10) == pytest.approx(0.9428090416, rel=1e-5)
    assert (found.positions[USDC] - 5 * 10**8) / (fair1 * 100) == pytest.approx(0.9428090416, rel=1e-5)
    exact = accept(replace(policy, acceptance=Acceptance(pool_range_e6=0)), snapshot)
    assert exact.positions == {ETH: 2 * 10**8 + fair0 // 10**10, USDC: 5 * 10**8 + fair1 * 100}


def test_a_position_is_cut_like_any_reading_and_a_strange_one_counts_for_nothing() -> None:
    strict = replace(fixed_policy(), acceptance=Acceptance(least_method=Method.PROVEN))
    called = replace(position_of(10**15), method=Method.CALLED)
    found = accept(strict, with_position(called))
    assert found.positions == {ETH: 2 * 10**8}
    assert len(found.notes) == 2
    doubted = replace(strict, acceptance=Acceptance(least_trust=Trust.CONSENSUS_VERIFIED))
    assert accept(doubted, with_position(position_of(10**15))).positions == {}
    for strange, words in (
        (position_of(10**15, instrument0=""), "is in no network file"),
        (position_of(10**15, instrument1="XYZ@eip155:1"), "XYZ@eip155:1 has no price"),
    ):
        found = accept(fixed_policy(), with_position(strange))
        assert found.positions == {ETH: 2 * 10**8}
        assert words in found.notes[0]
