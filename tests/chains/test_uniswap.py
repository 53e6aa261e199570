"""Uniswap v2 with its own contracts: shares proven with the pair's state, valued by the invariant."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.model.errors import ChainError, StateProofError
from aggregator.model.snapshot import Method, Reading, encode_snapshot, parse_snapshot
from chains.balances import take_snapshot_with_evidence, verify_evidence
from chains.balances.uniswap import PairState, fair_share_price_e12
from chains.devnet import Deployed, Devnet
from tests.chains.protocols import published
from tests.chains.scenes import network, token

ALICE = "0x00000000000000000000000000000000000a11ce"
GAS = 1_000_000
"""A pair that was idle for a second also writes its cumulative prices, which the node did not estimate."""
USD, ETH = 10**12, 2000 * 10**12


async def make_pair(net: Devnet, *, fee: bool = False) -> tuple[Deployed, Deployed, Deployed]:
    """1,000 WETH and 2,000,000 USDC deposited for Alice: the pair, then its tokens by the order of their addresses."""
    owner = net.accounts[0].address
    factory = await net.deploy_artifact(published("@uniswap/v2-core/build/UniswapV2Factory.json"), owner)
    if fee:
        await factory.send("setFeeTo", owner)
    usdc = await net.deploy("TestToken", "USDC", "USDC", 6)
    weth = await net.deploy("TestToken", "WETH", "WETH", 18)
    await factory.send("createPair", usdc, weth)
    (address,) = await factory.read("getPair", usdc, weth)
    pair = Deployed(net, address, published("@uniswap/v2-core/build/UniswapV2Pair.json"))
    await usdc.send("mint", pair, 2_000_000 * 10**6)
    await weth.send("mint", pair, 1_000 * 10**18)
    await pair.send("mint", ALICE, gas=GAS)
    return pair, usdc, weth


async def swap_in(pair: Deployed, usdc: Deployed, amount: int) -> None:
    """Someone sells `amount` USDC to the pair for all the WETH that this buys."""
    reserve0, reserve1, _ = await pair.read("getReserves")
    first = int(str((await pair.read("token0"))[0]), 16) == int(usdc.address, 16)
    given, other = (reserve0, reserve1) if first else (reserve1, reserve0)
    out = amount * 997 * other // (given * 1000 + amount * 997)
    await usdc.send("mint", pair, amount)
    amounts = (0, out) if first else (out, 0)
    await pair.send("swap", *amounts, pair.net.accounts[1].address, b"", gas=GAS)


async def read_pair(net: Devnet, pair: Deployed) -> tuple[Reading, Any, Any]:
    snapshot, evidence = await take_snapshot_with_evidence(
        [network(net, token(pair, "UNI-V2", 18, "uniswap-v2"))],
        account_id=7,
        addresses=(ALICE,),
        cut=int(time.time()) + 5,
        env={},
    )
    assert snapshot.complete, snapshot.missing
    verify_evidence(snapshot, evidence)
    return next(r for r in snapshot.readings if r.kind == "uniswap-v2"), snapshot, evidence


def fair(reading: Reading, usdc: Deployed) -> int:
    """USD of Alice's shares in 1e-12, at 2,000 USD for ETH."""
    first = reading.detail["token0"] == usdc.address.lower()
    prices, decimals = ((USD, ETH), (6, 18)) if first else ((ETH, USD), (18, 6))
    return reading.raw * fair_share_price_e12(PairState.of(reading.detail), *prices, *decimals) // 10**18


@pytest.mark.anvil
async def test_shares_and_the_state_of_the_pair_are_proven(net: Devnet) -> None:
    """A deposit of 4,000,000 USD is worth that; the evidence refuses other reserves."""
    pair, usdc, _ = await make_pair(net)
    reading, snapshot, evidence = await read_pair(net, pair)
    assert reading.method is Method.PROVEN
    assert reading.detail["layout"] == "solidity:1"
    assert {reading.detail["reserve0"], reading.detail["reserve1"]} == {str(2 * 10**12), str(10**21)}
    assert 4_000_000 * 10**12 - 10**8 <= fair(reading, usdc) <= 4_000_000 * 10**12
    forged = encode_snapshot(snapshot).replace(b'"2000000000000"', b'"3000000000000"')
    with pytest.raises(StateProofError, match="reserve"):
        verify_evidence(parse_snapshot(forged), evidence)


@pytest.mark.anvil
async def test_a_trade_that_skews_the_pair_hardly_moves_the_fair_value(net: Devnet) -> None:
    """100 million USDC sold into the pair: the reserves at the outside prices are worth 25 times as much, the shares
    by the fair price only the trading fee more.
    """
    pair, usdc, _ = await make_pair(net)
    before = fair((await read_pair(net, pair))[0], usdc)
    await swap_in(pair, usdc, 100_000_000 * 10**6)
    reading, *_ = await read_pair(net, pair)
    assert "102000000000000" in {reading.detail["reserve0"], reading.detail["reserve1"]}
    after = fair(reading, usdc)
    assert before <= after < before * 101 // 100


@pytest.mark.anvil
async def test_the_protocols_fee_that_is_not_minted_yet_is_subtracted(net: Devnet) -> None:
    """The diluted supply is what the supply becomes when the fee is minted, and never less."""
    pair, usdc, weth = await make_pair(net, fee=True)
    await swap_in(pair, usdc, 500_000 * 10**6)
    state = PairState.of((await read_pair(net, pair))[0].detail)
    assert state.k_last
    await usdc.send("mint", pair, 10**9)
    await weth.send("mint", pair, 10**18)
    await pair.send("mint", net.accounts[1].address, gas=GAS)
    (fee,) = await pair.read("balanceOf", net.accounts[0].address)
    assert fee > 0
    assert state.supply + fee <= state.diluted_supply <= state.supply + fee + 1


reserves = st.integers(10**6, 10**30)


@given(reserves, reserves, st.integers(1, 10**30), st.integers(1, 10**16), st.integers(1, 10**16))
def test_the_fair_price_is_never_above_the_worth_of_the_reserves(
    x: int, y: int, supply: int, p: int, q: int
) -> None:
    """The mean of two numbers is at least their root, so a share is never worth more than its part of the reserves."""
    price = fair_share_price_e12(PairState(x, y, supply, 0), p, q, 18, 18)
    assert price * supply <= x * p + y * q


def test_a_pair_without_shares_has_no_price() -> None:
    with pytest.raises(ChainError, match="without shares"):
        fair_share_price_e12(PairState(1, 1, 0, 0), 1, 1, 18, 18)
