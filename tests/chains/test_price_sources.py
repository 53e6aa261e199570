"""Pyth, NAV, fixed prices and proofs of reserve, on Chainlink's and Pyth's own contracts, to the digit."""

from __future__ import annotations

import time
import tomllib
from dataclasses import replace
from typing import Any

import pytest

from aggregator.model.anchors import Finality
from aggregator.model.errors import ConfigError, PriceError
from aggregator.policy.build import build_policy
from aggregator.policy.quotes import PriceQuote
from aggregator.policy.spec import parse_spec
from chains.anchors import take_anchor
from chains.balances.uniswap import PairState, fair_share_price_e12
from chains.devnet import Devnet
from chains.network_feeds import DEFAULT_FINALITY_LAG_S, FixedPrice, NavFeed, PythFeed, ReserveProof
from chains.networks import Feed, Network, Sequencer, parse_network
from chains.oracles import (
    BadAnswerError,
    ConfidenceError,
    FeedPrice,
    FeedUnreadableError,
    Market,
    NavMoveError,
    ReserveError,
    StalePriceError,
    read_feeds,
    read_market,
)
from chains.rpc.values import parse_quantity
from tests.chains.feeds import PRICE_ID, aggregator, next_phase, push, pyth
from tests.chains.protocols import odd_tokens
from tests.chains.scenes import network, token
from tests.chains.test_uniswap import make_pair, swap_in

E12 = 10**12
DAY_S = 86_400


async def now(net: Devnet) -> int:
    return parse_quantity((await net.head())["timestamp"], "timestamp")


async def only(described: Network) -> FeedPrice | PriceError:
    """What the only source of the network says."""
    async with described.connect({}) as chain:
        anchored = await take_anchor(chain, cut=int(time.time()) + 5, finality=Finality.LATEST)
        found = await read_feeds(chain, anchored, described, cut=anchored.anchor.timestamp)
        ((answer,),) = found.answers.values()
        return answer


async def market_of(*networks: Network) -> Market:
    return await read_market(networks, cut=int(time.time()) + 5, env={})


@pytest.mark.anvil
async def test_chainlinks_own_aggregator_behind_its_proxy(net: Devnet) -> None:
    """The proxy's round ids carry a phase in their upper bits; price and staleness are those of the aggregator."""
    feed = await aggregator(net, "ETH / USD", 8, 2_999_00000000, 3_000_12345678)
    described = network(net, feeds=(Feed("ETH", "USD", feed.proxy.address, 8, 3600),))
    answer = await only(described)
    assert isinstance(answer, FeedPrice)
    assert answer.price_e12 == 3_000_123456780000
    unborn = await aggregator(net, "ETH / USD", 8)
    answer = await only(network(net, feeds=(Feed("ETH", "USD", unborn.proxy.address, 8, 3600),)))
    assert isinstance(answer, FeedUnreadableError)
    await net.next_timestamp(await now(net) + 3600 + 301)
    await net.mine()
    async with described.connect({}) as chain:
        anchored = await take_anchor(chain, cut=await now(net), finality=Finality.LATEST)
        found = await read_feeds(chain, anchored, described, cut=anchored.anchor.timestamp)
        ((stale,),) = found.answers.values()
    assert isinstance(stale, StalePriceError)
    assert stale.last is not None
    assert stale.last.price_e12 == 3_000_123456780000


@pytest.mark.anvil
async def test_a_pyth_price_its_confidence_and_its_publish_time(net: Devnet) -> None:
    """3,000 +- 3 x 10^-8 scaled: collateral at 2,997, debts at 3,003; each bound at its edge."""
    contract = await pyth(net)
    feed = PythFeed("ETH", "USD", contract.address, "0x" + PRICE_ID.hex(), 60, 1_000)
    described = network(net, feeds=(feed,))
    missing = await only(described)
    assert isinstance(missing, FeedUnreadableError)
    assert "check its address and id" in str(missing)

    at = await now(net) - 40
    await push(contract, 3_000_00000000, 3_00000000, -8, at)
    quote = (await market_of(described)).prices["ETH"]
    assert replace(quote, max_age_s=60) == PriceQuote(2_997 * E12, at, high_e12=3_003 * E12, max_age_s=60)
    assert 60 <= quote.max_age_s <= 60 + DEFAULT_FINALITY_LAG_S

    await push(contract, 3_000_00000000, 3_00000001, -8, at + 1)
    wide = await only(described)
    assert isinstance(wide, ConfidenceError)
    assert "300000000000 +- 300000001, wider than 1000e-6" in str(wide)
    quote = (await market_of(described)).prices["ETH"]
    assert (quote.stale, quote.debt_e12) == (True, 3_003 * E12 + 10**4)

    for price, exponent, words in (
        (-5, -8, "which is no price"),
        (5, -31, "the exponent -31"),
        (0, 0, "no price"),
    ):
        at += 2
        await push(contract, price, 0, exponent, at)
        bad = await only(described)
        assert isinstance(bad, BadAnswerError)
        assert words in str(bad)
    await push(contract, 7, 0, 2, at + 2)
    assert (await market_of(described)).prices["ETH"].price_e12 == 700 * E12

    ahead = await now(net) + 500
    await push(contract, 7, 0, 2, ahead)
    early = await only(described)
    assert isinstance(early, BadAnswerError)
    assert "after its own block" in str(early)


@pytest.mark.anvil
async def test_a_pyth_price_is_stale_after_its_heartbeat(net: Devnet) -> None:
    contract = await pyth(net)
    at = await now(net)
    await push(contract, 3_000, 0, 0, at)
    for age, stale in ((60, False), (61, True)):
        described = network(
            net, feeds=(PythFeed("ETH", "USD", contract.address, "0x" + PRICE_ID.hex(), 60, 1),)
        )
        await net.next_timestamp(at + age)
        await net.mine()
        async with described.connect({}) as chain:
            anchored = await take_anchor(chain, cut=at + age, finality=Finality.LATEST)
            found = await read_feeds(chain, anchored, described, cut=at + age)
            ((answer,),) = found.answers.values()
        assert isinstance(answer, StalePriceError) is stale


@pytest.mark.anvil
async def test_pyth_and_chainlink_stand_behind_one_price(net: Devnet) -> None:
    """Two kinds on one chain: the lower for collateral, the higher for debts; too far apart, neither."""
    contract = await pyth(net)
    at = await now(net)
    await push(contract, 3_010, 1, 0, at)
    link = await aggregator(net, "ETH / USD", 8, 3_000_00000000)
    feeds = (
        Feed("ETH", "USD", link.proxy.address, 8, 3600),
        PythFeed("ETH", "USD", contract.address, "0x" + PRICE_ID.hex(), 3600, 1_000),
    )
    quote = (await market_of(network(net, feeds=feeds))).prices["ETH"]
    assert (quote.price_e12, quote.debt_e12, quote.sources, quote.stale) == (
        3_000 * E12,
        3_011 * E12,
        2,
        False,
    )
    await push(contract, 3_062, 1, 0, at + 1)
    quote = (await market_of(network(net, feeds=feeds))).prices["ETH"]
    assert (quote.stale, quote.debt_e12) == (True, 3_063 * E12)


@pytest.mark.anvil
async def test_a_nav_may_move_no_further_than_its_bound(net: Devnet) -> None:
    """From 1.00 to 1.02 at 2 % is the edge; the first round, also of a new phase, has no known move."""
    feed = await aggregator(net, "TBILL / USD", 8, 1_00000000)
    nav = NavFeed(Feed("TBILL", "USD", feed.proxy.address, 8, 7 * DAY_S), 20_000)
    described = network(net, feeds=(nav,))
    first = await only(described)
    assert isinstance(first, NavMoveError)
    assert "no round before its last one" in str(first)
    await feed.answer(1_02000000)
    assert (await market_of(described)).prices["TBILL"].price_e12 == 1_020_000_000_000
    await feed.answer(1_04040001)
    far = await only(described)
    assert isinstance(far, NavMoveError)
    assert "went from 102000000 to 104040001 in one round, further than 20000e-6" in str(far)
    await feed.answer(90000000)
    quote = (await market_of(described)).prices["TBILL"]
    assert (quote.stale, quote.price_e12, quote.debt_e12) == (True, 900_000_000_000, 1_040_400_010_000)
    fresh = await next_phase(net, feed, "TBILL / USD", 8, 91000000)
    assert isinstance(await only(described), NavMoveError)
    await fresh.answer(91000000)
    quote = (await market_of(described)).prices["TBILL"]
    assert (quote.price_e12, quote.debt_e12, quote.stale) == (910_000_000_000, 910_000_000_000, False)
    assert quote.max_age_s >= 7 * DAY_S


@pytest.mark.anvil
async def test_a_fixed_price_goes_stale_and_is_never_from_the_future(net: Devnet) -> None:
    at = await now(net)
    fixed = FixedPrice("FUND", "USD", 1_234_567_890_123, at - 100, 1000)
    quote = (await market_of(network(net, feeds=(fixed,)))).prices["FUND"]
    assert (quote.price_e12, quote.as_of, quote.stale) == (1_234_567_890_123, at - 100, False)
    old = await only(network(net, feeds=(replace(fixed, as_of=at - 5000),)))
    assert isinstance(old, StalePriceError)
    early = await only(network(net, feeds=(replace(fixed, as_of=at + 5000),)))
    assert isinstance(early, BadAnswerError)


@pytest.mark.anvil
async def test_a_token_counts_only_while_its_reserve_covers_its_supply(net: Devnet) -> None:
    """100.5 tokens of 6 decimals and a reserve of 8: equal is enough, 1e-8 less is not; nor is a stale one."""
    fund = await net.deploy("TestToken", "TBILL", "TBILL", 6)
    await fund.send("mint", net.accounts[0].address, 100_500_000)
    nav = await aggregator(net, "TBILL / USD", 8, 1_00000000, 1_00000000)
    backing = await aggregator(net, "TBILL Reserves", 8, 100_50000000)
    described = network(
        net,
        token(fund, "TBILL", 6),
        feeds=(NavFeed(Feed("TBILL", "USD", nav.proxy.address, 8, DAY_S), 10_000),),
        reserve_proofs=(ReserveProof("TBILL", backing.proxy.address, 8, DAY_S),),
    )
    quote = (await market_of(described)).prices["TBILL"]
    assert (quote.price_e12, quote.reserved, quote.stale) == (E12, True, False)

    await backing.answer(100_49999999)
    market = await market_of(described)
    quote = market.prices["TBILL"]
    assert (quote.stale, quote.reserved, quote.debt_e12) == (True, False, E12)
    assert quote.reason == (
        "TBILL@eip155:101 is under-reserved: 100.49999999 back a supply of 100.5; it counts for nothing"
    )
    assert [type(p) for p in market.problems] == [ReserveError]

    await backing.answer(200_00000000)
    assert (await market_of(described)).prices["TBILL"].reserved
    proof = described.reserve_proofs[0]
    for wrong, words in (
        (replace(proof, address="0x" + "77" * 20), "cannot be read"),
        (replace(proof, descriptions=("Gold Reserves",)), "calls itself 'TBILL Reserves'"),
        (replace(proof, decimals=18), "has 8 decimals"),
    ):
        quote = (await market_of(replace(described, reserve_proofs=(wrong,)))).prices["TBILL"]
        assert quote.stale
        assert "has no good proof of reserve" in quote.reason
        assert words in quote.reason
    dead = network(net, chain_id=999, reserve_proofs=described.reserve_proofs)
    quote = (await market_of(described, dead)).prices["TBILL"]
    assert (quote.stale, quote.reason) == (True, "the reserve of TBILL@eip155:999 was not read")


@pytest.mark.anvil
async def test_shares_of_a_pair_are_priced_by_a_policy_build(net: Devnet) -> None:
    """4,000,000 USD of USDC and WETH: the share's mark is the fair price; a trade against the pair does not move it."""
    pair, usdc, weth = await make_pair(net)
    described = network(
        net, token(pair, "UNI", 18, "uniswap-v2"), token(usdc, "USDC", 6), token(weth, "WETH", 18)
    )
    text = POOL_SPEC.replace("CHAIN", described.chain)
    marks = []
    for sold in (0, 400_000 * 10**6):
        if sold:
            await swap_in(pair, usdc, sold)
        rates = (await market_of(described)).rates
        assert set(rates["UNI"].tokens) == {"USDC", "WETH"}
        at = rates["UNI"].as_of
        prices = {"USDC": PriceQuote(E12, at), "ETH": PriceQuote(2000 * E12, at)}
        built = build_policy(parse_spec(text), prices, rates, as_of=at, epoch=1)
        marks.append(built.by_symbol[f"UNI@{described.chain}"].mark_e12)
        reserve0, reserve1, _ = await pair.read("getReserves")
        (supply,) = await pair.read("totalSupply")
        first = int(str((await pair.read("token0"))[0]), 16) == int(usdc.address, 16)
        ours, decimals = ((E12, 2000 * E12), (6, 18)) if first else ((2000 * E12, E12), (18, 6))
        exact = fair_share_price_e12(PairState(reserve0, reserve1, supply, 0), *ours, *decimals)
        assert exact - 10**4 <= marks[-1] <= exact
        assert abs(marks[-1] * supply // 10**30 - 4_000_000) <= 400_000 * 3 // 1000
    assert 0 <= marks[1] - marks[0] < marks[0] * 3 // 10_000
    stranger = network(net, token(pair, "UNI", 18, "uniswap-v2"), token(usdc, "USDC", 6))
    market = await market_of(stranger)
    assert "UNI" not in market.rates
    assert "which the network file does not list" in str(market.problems[0])


@pytest.mark.anvil
async def test_a_vault_that_says_too_much_has_no_rate(net: Devnet) -> None:
    """A share that converts to more than its part of the vault's assets is not priced."""
    coin = await net.deploy("TestToken", "C", "C", 6)
    vault = await net.deploy_artifact(odd_tokens()["InflatedVault"], coin)
    funder = net.accounts[0].address
    await coin.send("mint", funder, 10**9)
    await coin.send("approve", vault, 10**9)
    await vault.send("deposit", 10**9, funder)
    described = network(net, token(vault, "V", 6, "erc4626"), token(coin, "C", 6))
    rate = (await market_of(described)).rates["V"]
    assert (rate.rate_e12, rate.debt_e12, rate.tokens) == (E12, E12, ("C",))
    stranger = await market_of(network(net, token(vault, "V", 6, "erc4626")))
    assert not stranger.rates
    assert "which the network file does not list" in str(stranger.problems[0])
    for inflation, words in ((10**18 + 10**13, "more than its part of the 1000000000"), (0, "it is 0e-12")):
        await vault.send("inflate", inflation)
        market = await market_of(described)
        assert "V" not in market.rates
        assert words in str(market.problems[0])


@pytest.mark.anvil
async def test_a_stale_reserve_holds_nothing(net: Devnet) -> None:
    fund = await net.deploy("TestToken", "TBILL", "TBILL", 6)
    price = await net.deploy("TestPriceFeed", "TBILL / USD", 8, 1_00000000)
    backing = await net.deploy("TestPriceFeed", "TBILL Reserves", 8, 10**16)
    await backing.send("setAnswerAt", 10**16, await now(net) - 2 * DAY_S)
    described = network(
        net,
        token(fund, "TBILL", 6),
        feeds=(Feed("TBILL", "USD", price.address, 8, DAY_S),),
        reserve_proofs=(ReserveProof("TBILL", backing.address, 8, DAY_S),),
    )
    quote = (await market_of(described)).prices["TBILL"]
    assert quote.stale
    assert "has no good proof of reserve: the feed TBILL/reserves on eip155:101 is stale" in quote.reason


@pytest.mark.anvil
async def test_a_sequencer_that_is_down_takes_every_kind_of_source_with_it(net: Devnet) -> None:
    """Prices stay for debts, with the highest last price; a reserve read meanwhile proves nothing."""
    fund = await net.deploy("TestToken", "TBILL", "TBILL", 6)
    feed = await net.deploy("TestPriceFeed", "TBILL / USD", 8, 1_00000000)
    backing = await net.deploy("TestPriceFeed", "TBILL PoR", 8, 10**16)
    uptime = await net.deploy("TestPriceFeed", "sequencer", 0, 1)
    described = network(
        net,
        token(fund, "TBILL", 6),
        feeds=(
            Feed("TBILL", "USD", feed.address, 8, DAY_S),
            FixedPrice("TBILL", "USD", 2 * E12, await now(net) - 100, DAY_S),
        ),
        reserve_proofs=(ReserveProof("TBILL", backing.address, 8, DAY_S),),
        sequencer=Sequencer(uptime.address, 0),
    )
    market = await market_of(described)
    quote = market.prices["TBILL"]
    assert (quote.stale, quote.reserved, quote.debt_e12) == (True, False, 2 * E12)
    assert all("is down since" in str(problem) for problem in market.problems)


POOL_SPEC = """
schema = "counterfoil/policy-spec/1"
name = "pools"
publisher = "tests"
lifetime_s = 60
scan_factor_im = 1.2
scan_factor_mm = 1.0
stale_debt_margin = 0.1
max_position_usd = 1_000_000_000
[chains."CHAIN"]
addon_im = 0
addon_mm = 0
[[assets]]
name = "USDC"
chains = ["CHAIN"]
long_tiers = [{ im = 0.01, mm = 0.01 }]
[[assets]]
name = "ETH"
chains = ["CHAIN"]
long_tiers = [{ im = 0.1, mm = 0.1 }]
[[wrappers]]
name = "WETH"
asset = "ETH"
fixed_rate = 1
chains = ["CHAIN"]
addon_im = 0
addon_mm = 0
[[pools]]
name = "UNI"
tokens = ["USDC", "WETH"]
chains = ["CHAIN"]
addon_im = 0.05
addon_mm = 0.05
"""
FILE: dict[str, Any] = {
    "name": "x",
    "chain_id": 5,
    "endpoints": ["http://127.0.0.1:1"],
    "native": {"symbol": "ETH"},
}
ADDRESS = "0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419"
PYTH: dict[str, Any] = {
    "kind": "pyth",
    "base": "ETH",
    "quote": "USD",
    "address": ADDRESS,
    "id": "0x" + PRICE_ID.hex(),
    "heartbeat_s": 60,
    "max_confidence": "0.01",
}


def test_a_file_lists_each_kind_of_source() -> None:
    text = f"""
[[tokens]]
symbol = "TBILL"
kind = "erc20"
address = "{ADDRESS}"
decimals = 6
[[feeds]]
kind = "pyth"
base = "ETH"
quote = "USD"
address = "{ADDRESS}"
id = "0x{PRICE_ID.hex()}"
heartbeat_s = 60
max_confidence = "0.01"
[[feeds]]
kind = "nav"
base = "TBILL"
quote = "USD"
address = "{ADDRESS}"
decimals = 8
heartbeat_s = 604800
max_move = "0.005"
[[feeds]]
kind = "fixed"
base = "FUND"
quote = "USD"
price = "1.05"
as_of = 2026-11-01T00:00:00Z
heartbeat_s = 2592000
[[reserve_proofs]]
symbol = "TBILL"
address = "{ADDRESS}"
decimals = 8
heartbeat_s = 86400
"""
    made = parse_network({**FILE, **tomllib.loads(text)}, "x.toml")
    assert made.feeds == (
        PythFeed("ETH", "USD", ADDRESS, "0x" + PRICE_ID.hex(), 60, 10_000),
        NavFeed(Feed("TBILL", "USD", ADDRESS, 8, 7 * DAY_S), 5_000),
        FixedPrice("FUND", "USD", 1_050_000_000_000, 1_793_491_200, 30 * DAY_S),
    )
    assert made.reserve_proofs == (ReserveProof("TBILL", ADDRESS, 8, DAY_S),)


@pytest.mark.parametrize(
    ("feed", "words"),
    [
        ({"kind": "oracle"}, "kind is 'oracle'; use one of chainlink, pyth, nav, fixed"),
        ({"kind": ["pyth"]}, "use one of chainlink"),
        (PYTH | {"max_confidence": 0.01}, "max_confidence is not a text"),
        (PYTH | {"max_confidence": "1.5"}, "out of range"),
        (PYTH | {"max_confidence": "0.0000001"}, "no exact number"),
        (PYTH | {"id": "0x12"}, "id is '0x12'"),
        (PYTH | {"decimals": 8}, "unknown field 'decimals'"),
        (
            {"kind": "fixed", "base": "A", "quote": "USD", "price": "1", "heartbeat_s": 1},
            "lacks the field 'as_of'",
        ),
        (
            {
                "kind": "fixed",
                "base": "A",
                "quote": "USD",
                "price": "1",
                "heartbeat_s": 1,
                "as_of": "2026-01-01",
            },
            "not a date-time",
        ),
        (
            {"kind": "fixed", "base": "A", "quote": "USD", "price": "0", "heartbeat_s": 1, "as_of": "x"},
            "out of range",
        ),
    ],
)
def test_a_bad_source_is_refused_by_key(feed: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_network({**FILE, "feeds": [feed]}, "x.toml")
    assert words in str(caught.value)


def test_sources_are_listed_once_and_reserves_need_their_token() -> None:
    with pytest.raises(ConfigError, match="'pyth ETH/USD' twice"):
        parse_network({**FILE, "feeds": [PYTH, PYTH]}, "x.toml")
    proof = {"symbol": "TBILL", "address": ADDRESS, "decimals": 8, "heartbeat_s": 1}
    with pytest.raises(ConfigError, match="'TBILL', which is not among the tokens"):
        parse_network({**FILE, "reserve_proofs": [proof]}, "x.toml")
