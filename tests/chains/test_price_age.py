"""The age of a price is counted at the cut; finality explains a lag up to a point. Answers are made by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi.abi import encode

from aggregator.model.errors import ConfigError
from chains.multicall import Outcome
from chains.network_feeds import DEFAULT_FINALITY_LAG_S, Feed, FixedPrice, PythFeed, Sequencer
from chains.networks import Native, Network, parse_network
from chains.oracles import ConfidenceError, FeedPrice, Moment, SequencerError, StalePriceError
from chains.oracles.feeds import UPDATE_DELAY_S, ChainlinkSource, check_sequencer
from chains.oracles.nav import FixedSource
from chains.oracles.pyth import PythSource

CUT = 1_800_000_000
HEARTBEAT_S = 3600
ROLLUP = Network("Rollup", 42161, ("http://127.0.0.1:1",), Native("ETH"))
ROUND = ["uint80", "int256", "uint256", "uint256", "uint80"]


def outcome(types: list[str], values: list[object]) -> Outcome:
    return Outcome(True, encode(types, values))


def chainlink(updated_at: int, at: Moment) -> FeedPrice:
    feed = Feed("ETH", "USD", "0x" + "11" * 20, 8, HEARTBEAT_S)
    answers = [
        outcome(ROUND, [5, 3000 * 10**8, updated_at, updated_at, 5]),
        outcome(["uint8"], [8]),
        outcome(["string"], ["ETH / USD"]),
    ]
    return ChainlinkSource(ROLLUP, feed).price(answers, at)


def pyth(
    answer: int, confidence: int, published: int, at: Moment, exponent: int = -8, widest_e6: int = 20_000
) -> FeedPrice:
    feed = PythFeed("ETH", "USD", "0x" + "33" * 20, "0x" + "44" * 32, 60, widest_e6)
    values = [answer, confidence, exponent, published]
    return PythSource(ROLLUP, feed).price([outcome(["int64", "uint64", "int32", "uint256"], values)], at)


def uptime(answer: int, since: int) -> Outcome:
    return outcome(ROUND, [1, answer, since, since, 1])


@pytest.mark.parametrize(
    ("lag", "age_at_block", "stale"),
    [
        (0, HEARTBEAT_S + UPDATE_DELAY_S, False),
        (0, HEARTBEAT_S + UPDATE_DELAY_S + 1, True),
        (DEFAULT_FINALITY_LAG_S, HEARTBEAT_S + UPDATE_DELAY_S, False),
        (DEFAULT_FINALITY_LAG_S, HEARTBEAT_S + UPDATE_DELAY_S + 1, True),
        (DEFAULT_FINALITY_LAG_S + 1, HEARTBEAT_S + UPDATE_DELAY_S, True),
        (DEFAULT_FINALITY_LAG_S + 1, HEARTBEAT_S + UPDATE_DELAY_S - 1, False),
    ],
)
def test_age_counts_at_the_cut_less_what_finality_takes(lag: int, age_at_block: int, stale: bool) -> None:
    """What a block lags behind the cut is age, but for the seconds that finality takes."""
    at = Moment(CUT - lag, CUT, DEFAULT_FINALITY_LAG_S)
    updated = at.block_time - age_at_block
    if not stale:
        price = chainlink(updated, at)
        assert price.updated_at + price.max_age_s >= CUT
        return
    with pytest.raises(StalePriceError) as caught:
        chainlink(updated, at)
    assert f"is {CUT - updated} s old at the cut" in str(caught.value)
    assert f"{at.forgiven_s} s for finality (finality_lag_s)" in str(caught.value)
    assert caught.value.last is not None


def test_every_kind_of_source_counts_at_the_cut() -> None:
    """A block an hour before the cut: Pyth and a fixed price that were fresh in it are stale."""
    late = Moment(CUT - HEARTBEAT_S, CUT, 0)
    fixed = FixedPrice("FUND", "USD", 10**12, CUT - HEARTBEAT_S, 60)
    for read in (
        lambda at: pyth(3000, 1, CUT - HEARTBEAT_S, at, 0),
        lambda at: FixedSource(ROLLUP, fixed).price([], at),
    ):
        with pytest.raises(StalePriceError):
            read(late)
        assert read(replace(late, cut=CUT - HEARTBEAT_S)).max_age_s == 60


def test_a_roll_up_far_behind_the_cut_counts_as_down() -> None:
    """Its uptime feed, read in a block of an hour ago, still says that it is up."""
    sequencer = Sequencer("0x" + "22" * 20, 3600)
    up = uptime(0, 1000)
    check_sequencer(ROLLUP, sequencer, up, Moment(CUT - DEFAULT_FINALITY_LAG_S, CUT, DEFAULT_FINALITY_LAG_S))
    with pytest.raises(SequencerError) as caught:
        check_sequencer(ROLLUP, sequencer, up, Moment(CUT - 3600, CUT, DEFAULT_FINALITY_LAG_S))
    assert str(caught.value) == (
        "the sequencer of Rollup counts as down: its last finalized block is 3600 s before the cut and finality_lag_s "
        "allows 1800 s; no price of it is used until it is back"
    )


def test_pyth_values_collateral_below_and_debts_above_its_price() -> None:
    """3,000 +- 60: 2,940 and 3,060; an interval that reaches zero leaves a price for debts only."""
    now = Moment(1000, 1000, 0)
    price = pyth(3000 * 10**8, 60 * 10**8, 1000, now)
    assert (price.price_e12, price.high_answer) == (2_940 * 10**12, 3_060 * 10**8)
    for answer, confidence, widest in ((3000, 61, 20_000), (3000, 3000, 10**6), (3000, 2**64 - 1, 10**6)):
        with pytest.raises(ConfidenceError) as caught:
            pyth(answer, confidence, 1000, now, 0, widest)
        assert caught.value.last is not None
        assert caught.value.last.high_answer == answer + confidence


def test_a_network_file_states_what_finality_takes() -> None:
    file = {"name": "x", "chain_id": 5, "endpoints": ["http://127.0.0.1:1"], "native": {"symbol": "ETH"}}
    assert parse_network(file, "x.toml").finality_lag_s == DEFAULT_FINALITY_LAG_S
    assert parse_network({**file, "finality_lag_s": 60}, "x.toml").finality_lag_s == 60
    with pytest.raises(ConfigError, match="finality_lag_s"):
        parse_network({**file, "finality_lag_s": -1}, "x.toml")
