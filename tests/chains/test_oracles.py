"""Feeds on a real chain: the exact price, and each way a feed can be wrong refused in its own words."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from aggregator.model.anchors import Finality
from aggregator.model.errors import PriceError
from chains.anchors import take_anchor
from chains.devnet import Deployed, Devnet, devnet
from chains.networks import Feed, Network, Sequencer
from chains.oracles import (
    BadAnswerError,
    DeviationError,
    FeedMismatchError,
    FeedPrice,
    FeedUnreadableError,
    SequencerError,
    StalePriceError,
    UnfinishedRoundError,
    read_feeds,
    read_market,
)
from chains.rpc.values import parse_quantity
from tests.chains.scenes import network, token

HEARTBEAT_S = 3600


def feed(deployed: Deployed, base: str, quote: str = "USD", decimals: int = 8) -> Feed:
    return Feed(base, quote, deployed.address, decimals, HEARTBEAT_S)


async def now(net: Devnet) -> int:
    return parse_quantity((await net.head())["timestamp"], "timestamp")


async def feeds_of(described: Network) -> dict[str, FeedPrice | PriceError]:
    async with described.connect({}) as chain:
        anchored = await take_anchor(chain, cut=int(time.time()) + 5, finality=Finality.LATEST)
        found = await read_feeds(chain, anchored, described, cut=anchored.anchor.timestamp)
        return {pair: answer for pair, (answer,) in found.answers.items()}


async def market_of(*networks: Network, **options: Any) -> Any:
    return await read_market(networks, cut=int(time.time()) + 5, env={}, **options)


@pytest.mark.anvil
@pytest.mark.parametrize(
    ("decimals", "answer", "price_e12"),
    [
        (8, 3_000_12345678, 3_000_123456780000),
        (18, 1, None),
        (18, 1_999_999, 1),
        (0, 7, 7 * 10**12),
        (12, 5, 5),
    ],
)
async def test_prices_are_exact_or_rounded_down(
    net: Devnet, decimals: int, answer: int, price_e12: int | None
) -> None:
    deployed = await net.deploy("TestPriceFeed", "ETH / USD", decimals, answer)
    price = (await feeds_of(network(net, feeds=(feed(deployed, "ETH", decimals=decimals),))))["ETH/USD"]
    if price_e12 is None:
        assert "out of range" in str(price)
    else:
        assert isinstance(price, FeedPrice)
        assert price.price_e12 == price_e12


@pytest.mark.anvil
async def test_each_fault_of_a_feed_has_its_own_words(net: Devnet) -> None:
    deployed = await net.deploy("TestPriceFeed", "ETH / USD", 8, 3_000_00000000)
    at = await now(net)
    described = network(net, feeds=(feed(deployed, "ETH"),))
    faults: list[tuple[tuple[int, int, int, int, int], type[PriceError], str]] = [
        ((9, -1, at, at, 9), BadAnswerError, "answers -1, which is no price"),
        ((9, 0, at, at, 9), BadAnswerError, "answers 0, which is no price"),
        ((9, 5, at, 0, 9), UnfinishedRoundError, "no finished round"),
        ((0, 5, at, at, 0), UnfinishedRoundError, "no finished round"),
        ((9, 5, at, at, 8), UnfinishedRoundError, "carries its answer over from round 8 into 9"),
        ((9, 5, at, at + 10**6, 9), BadAnswerError, "after its own block"),
        ((9, 2**100, at, at, 9), BadAnswerError, "out of range"),
        ((9, 3_000_00000000, at - 5000, at - 5000, 9), StalePriceError, "is stale: its price is 50"),
    ]
    for round_, kind, words in faults:
        await deployed.send("setRound", *round_)
        price = (await feeds_of(described))["ETH/USD"]
        assert type(price) is kind, round_
        assert words in str(price)
        assert "ETH/USD on eip155:101" in str(price)
    wrongs = [
        (feed(deployed, "ETH", decimals=18), FeedMismatchError, "has 8 decimals"),
        (feed(deployed, "BTC"), FeedMismatchError, "calls itself 'ETH / USD'"),
        (Feed("ETH", "USD", "0x" + "77" * 20, 8, 60), FeedUnreadableError, "no contract"),
    ]
    for wrong, kind, words in wrongs:
        price = (await feeds_of(network(net, feeds=(wrong,))))[wrong.pair]
        assert type(price) is kind
        assert words in str(price)


@pytest.mark.anvil
async def test_a_renamed_feed_is_accepted_under_its_listed_names(net: Devnet) -> None:
    deployed = await net.deploy("TestPriceFeed", "MATIC / USD", 8, 100)
    plain = feed(deployed, "POL")
    listed = replace(plain, descriptions=("POL / USD", "matic/usd"))
    assert isinstance((await feeds_of(network(net, feeds=(plain,))))["POL/USD"], PriceError)
    assert isinstance((await feeds_of(network(net, feeds=(listed,))))["POL/USD"], FeedPrice)


@pytest.mark.anvil
async def test_staleness_begins_after_the_heartbeat(net: Devnet) -> None:
    """Up to the heartbeat and the delay of an update it is fresh; a stale price is a quote for debts only."""
    deployed = await net.deploy("TestPriceFeed", "ETH / USD", 8, 1)
    described = network(net, feeds=(feed(deployed, "ETH"),))
    for age, stale in ((0, False), (HEARTBEAT_S + 200, False), (HEARTBEAT_S + 400, True)):
        await deployed.send("setAnswerAt", 3_000_00000000, await now(net) - age)
        market = await market_of(described)
        assert market.prices["ETH"].price_e12 == 3_000 * 10**12
        assert market.prices["ETH"].stale is stale
        assert bool(market.problems) is stale


@pytest.mark.anvil
async def test_prices_are_read_at_the_anchored_block(net: Devnet) -> None:
    deployed = await net.deploy("TestPriceFeed", "ETH / USD", 8, 100)
    described = network(net, feeds=(feed(deployed, "ETH"),))
    async with described.connect({}) as chain:
        anchored = await take_anchor(chain, cut=int(time.time()) + 5, finality=Finality.LATEST)
        await deployed.send("setAnswer", 200)
        found = await read_feeds(chain, anchored, described, cut=anchored.anchor.timestamp)
        (price,) = found.answers["ETH/USD"]
    assert isinstance(price, FeedPrice)
    assert price.answer == 100


@pytest.mark.anvil
async def test_a_roll_ups_prices_wait_for_its_sequencer(net: Devnet) -> None:
    """Down, just back, back for long enough, and an uptime feed that says nothing."""
    deployed = await net.deploy("TestPriceFeed", "ETH / USD", 8, 100)
    uptime = await net.deploy("TestPriceFeed", "sequencer", 0, 0)
    described = network(net, feeds=(feed(deployed, "ETH"),), sequencer=Sequencer(uptime.address, grace_s=600))
    at = await now(net)
    for answer, since, words in (
        (1, at - 5000, "is down since"),
        (0, at - 30, "prices are used after 600 s"),
        (0, 0, "not initialised"),
    ):
        await uptime.send("setRound", 3, answer, since, at, 3)
        market = await market_of(described)
        quote = market.prices["ETH"]
        assert (quote.stale, quote.debt_e12) == (True, 10**6)
        assert words in quote.reason
        assert [type(problem) for problem in market.problems] == [SequencerError]
        assert words in str(market.problems[0])
    await uptime.send("setRound", 4, 0, at - 5000, at, 4)
    assert (await market_of(described)).prices["ETH"].price_e12 == 10**6
    nowhere = network(net, feeds=described.feeds, sequencer=Sequencer("0x" + "77" * 20, 600))
    assert "no readable uptime feed" in str((await market_of(nowhere)).problems[0])


@pytest.mark.anvil
async def test_sources_on_two_chains_are_compared(net: Devnet) -> None:
    """Within the bound the lower middle is taken; beyond it there is no price; a dead chain is one problem."""
    async with devnet(102) as second:
        one = await net.deploy("TestPriceFeed", "ETH / USD", 8, 3_000_00000000)
        two = await second.deploy("TestPriceFeed", "ETH / USD", 18, 3_030 * 10**18)
        nets = (
            network(net, feeds=(feed(one, "ETH"),)),
            network(second, feeds=(feed(two, "ETH", decimals=18),)),
        )
        market = await market_of(*nets)
        assert market.prices["ETH"].price_e12 == 3_000 * 10**12
        await two.send("setAnswer", 3_090 * 10**18)
        market = await market_of(*nets)
        quote = market.prices["ETH"]
        assert (quote.stale, quote.debt_e12) == (True, 3_090 * 10**12)
        assert isinstance(market.problems[0], DeviationError)
        assert "the prices of ETH deviate by 30000e-6" in str(market.problems[0])
        assert "eip155:102" in str(market.problems[0])
        assert (await market_of(*nets, max_deviation_e6=30_000)).prices["ETH"].price_e12 == 3_000 * 10**12
        dead = network(second, chain_id=109, feeds=(feed(two, "ETH"),))
        market = await market_of(nets[0], dead)
        assert market.prices["ETH"].price_e12 == 3_000 * 10**12
        assert "serves chain 102, not 109" in str(market.problems[0])


@pytest.mark.anvil
async def test_rates_come_from_the_contracts(net: Devnet) -> None:
    asset = await net.deploy("TestToken", "A", "A", 6)
    vault = await net.deploy("TestVault", asset, "V", "V")
    staked = await net.deploy("TestStakedToken", "S", "S", 18, 1_170_000_000_000_000_001)
    zero = await net.deploy("TestStakedToken", "Z", "Z", 18, 0)
    await asset.send("mint", net.accounts[0].address, 10**9)
    await asset.send("approve", vault, 10**9)
    await vault.send("deposit", 10**9, net.accounts[0].address)
    await vault.send("donateYield", 5 * 10**7)
    tokens = [
        token(vault, "V", 6, "erc4626"),
        token(staked, "S", 18, "staked", rate="rate()"),
        token(zero, "Z", 18, "staked", rate="rate()"),
        token(asset, "N", 6, "erc4626"),
    ]
    market = await market_of(network(net, *tokens))
    assert {k: r.rate_e12 for k, r in market.rates.items()} == {
        "V": 1_049_999_000_000,
        "S": 1_170_000_000_000,
    }
    assert len(market.problems) == 2
    assert "the rate of Z@eip155:101 cannot be used" in str(market.problems[0])
    assert "the rate of N@eip155:101 cannot be used" in str(market.problems[1])


@pytest.mark.anvil
async def test_a_roll_up_far_behind_the_cut_values_no_collateral(net: Devnet) -> None:
    """The last block is some 120 s before the cut: with 60 s for finality its price and its rate are for debts only."""
    deployed = await net.deploy("TestPriceFeed", "ETH / USD", 8, 3_000_00000000)
    uptime = await net.deploy("TestPriceFeed", "sequencer", 0, 0)
    await uptime.send("setRound", 3, 0, await now(net) - 5000, await now(net), 3)
    staked = await net.deploy("TestStakedToken", "S", "S", 18, 1_200_000_000_000_000_001)
    described = network(
        net,
        token(staked, "S", 18, "staked", rate="rate()"),
        feeds=(feed(deployed, "ETH"),),
        sequencer=Sequencer(uptime.address, grace_s=0),
    )
    cut = await now(net) + 120
    market = await read_market([described], cut=cut, env={})
    assert (market.prices["ETH"].stale, market.rates["S"].stale) == (False, False)
    assert (market.rates["S"].rate_e12, market.rates["S"].debt_e12) == (1_200_000_000_000, 1_200_000_000_001)
    market = await read_market([replace(described, finality_lag_s=60)], cut=cut, env={})
    assert (market.prices["ETH"].stale, market.rates["S"].stale) == (True, True)
    assert market.prices["ETH"].reason == market.rates["S"].reason
    assert "finality_lag_s allows 60 s" in market.rates["S"].reason
