"""One balance under two addresses is counted once, and a token of a lending market never without its debt."""

from __future__ import annotations

import time
from typing import Any

import pytest
from eth_utils.address import to_checksum_address

from aggregator.model.errors import ConfigError
from aggregator.model.snapshot import Method, Snapshot
from chains.balances import take_snapshot
from chains.balances.erc20 import MARKET_VIEWS
from chains.devnet import Deployed, Devnet
from chains.native_coins import NATIVE_CONTRACTS
from chains.networks import Native, Token, parse_network
from tests.chains.faults import faulty_node
from tests.chains.protocols import odd_tokens, published
from tests.chains.scenes import network, token

pytestmark = [pytest.mark.anvil, pytest.mark.node]

ALICE = "0x00000000000000000000000000000000000a11ce"
COINS = 123_456_789 * 10**12


async def snap(net: Devnet, *tokens: Token, **options: Any) -> Snapshot:
    described = network(net, *tokens, native=Native("POL"), **options)
    return await take_snapshot(
        [described], account_id=7, addresses=(ALICE,), cut=int(time.time()) + 5, env={}
    )


async def odd(net: Devnet, name: str, *arguments: object) -> Deployed:
    return await net.deploy_artifact(odd_tokens()[name], *arguments)


@pytest.mark.parametrize("chain_id", NATIVE_CONTRACTS)
def test_a_known_contract_of_the_coin_is_refused_by_the_network_file(chain_id: int) -> None:
    for address in NATIVE_CONTRACTS[chain_id]:
        listed = {"symbol": "COIN2", "kind": "erc20", "address": to_checksum_address(address), "decimals": 18}
        raw = {
            "name": "n",
            "chain_id": chain_id,
            "endpoints": ["http://127.0.0.1:1"],
            "native": {"symbol": "COIN"},
            "tokens": [listed],
        }
        with pytest.raises(ConfigError, match="shows the balance of COIN itself"):
            parse_network(raw, "x.toml")
        assert parse_network({**raw, "chain_id": 99}, "x.toml").tokens[0].symbol == "COIN2"


async def test_the_coin_under_a_second_address_is_missing(net: Devnet) -> None:
    """Also with other decimals; wrapped coins are a holding of their own."""
    await net.set_balance(ALICE, COINS)
    alias = await odd(net, "CoinAsToken")
    wrapped = await net.deploy_artifact(
        published("@aave/core-v3/artifacts/contracts/dependencies/weth/WETH9.sol/WETH9.json")
    )
    await wrapped.send("deposit", value=5 * 10**17)
    await wrapped.send("transfer", ALICE, 5 * 10**17)
    taken = await snap(net, token(alias, "COIN", 6), token(wrapped, "WETH", 18))
    assert taken.positions == {"POL@eip155:101": COINS // 10**10, "WETH@eip155:101": 5 * 10**7}
    assert not taken.complete
    assert "COIN@eip155:101 of" in taken.missing[0]
    assert "it shows the balance of the chain's own coin, which is counted already" in taken.missing[0]
    assert len(taken.missing) == 1


async def test_a_second_entry_to_one_token_is_missing(net: Devnet) -> None:
    """Whichever of them stores the balances, or neither."""
    state = await odd(net, "TokenState")
    await state.send("mint", ALICE, 7 * 10**18)
    first, second = await odd(net, "EntryToken", state), await odd(net, "EntryToken", state)
    taken = await snap(net, token(first, "SNX", 18), token(second, "SNX2", 18))
    assert taken.positions == {"SNX@eip155:101": 7 * 10**8}
    assert f"it shows the balance of {first.address.lower()}" in taken.missing[0]
    plain = await net.deploy("TestToken", "C", "C", 18)
    await plain.send("mint", ALICE, 10**18)
    entry = await odd(net, "EntryToken", plain)
    taken = await snap(net, token(plain, "C", 18), token(entry, "C2", 18))
    assert taken.positions["C@eip155:101"] == 10**8
    assert [m.split(" of ")[0] for m in taken.missing] == ["C2@eip155:101"]


async def test_tokens_that_share_no_balance_are_all_counted(net: Devnet) -> None:
    """Equal amounts, and a switch that both ask, make no alias."""
    state = await odd(net, "TokenState")
    made = [await odd(net, "SwitchedToken", state) for _ in range(2)]
    for one in made:
        await one.send("mint", ALICE, COINS)
    await net.set_balance(ALICE, COINS)
    taken = await snap(net, *(token(one, f"S{n}", 18) for n, one in enumerate(made)))
    assert taken.complete, taken.missing
    assert set(taken.positions.values()) == {COINS // 10**10}
    assert all("repeats" not in reading.detail for reading in taken.readings)


async def test_without_overrides_the_reading_says_so_and_an_equal_amount_is_refused(net: Devnet) -> None:
    await net.set_balance(ALICE, COINS)
    alias, plain = await odd(net, "CoinAsToken"), await net.deploy("TestToken", "C", "C", 18)
    await plain.send("mint", ALICE, 10**18)
    described = (token(alias, "COIN", 6), token(plain, "C", 18, layout="solidity:0"))
    async with faulty_node(net.url) as bare:
        bare.strip_overrides = True
        taken = await snap(net, *described, endpoints=(bare.url,))
    assert taken.positions == {"POL@eip155:101": COINS // 10**10, "C@eip155:101": 10**8}
    assert "exactly as much as there is of POL@eip155:101" in taken.missing[0]
    (kept,) = (r for r in taken.readings if r.instrument == "C@eip155:101")
    assert kept.method is Method.PROVEN
    assert "takes no state overrides" in kept.detail["repeats"]


async def test_where_no_node_tells_what_is_read_the_coin_is_still_looked_for(net: Devnet) -> None:
    await net.set_balance(ALICE, COINS)
    alias, plain = await odd(net, "CoinAsToken"), await net.deploy("TestToken", "C", "C", 18)
    async with faulty_node(net.url) as bare:
        bare.refused = dict.fromkeys(("eth_createAccessList", "debug_traceCall"), "not offered")
        taken = await snap(net, token(alias, "COIN", 6), token(plain, "C", 18), endpoints=(bare.url,))
    assert "shows the balance of the chain's own coin" in taken.missing[0]
    (kept,) = (r for r in taken.readings if r.instrument == "C@eip155:101")
    assert "another token's balance could not be asked" in kept.detail["repeats"]


@pytest.mark.parametrize("view", MARKET_VIEWS)
async def test_a_token_of_a_lending_market_is_not_a_plain_token(net: Devnet, view: str) -> None:
    coin = await odd(net, "MarketToken", view)
    await coin.send("mint", ALICE, 10**18)
    taken = await snap(net, token(coin, "aUSDC", 18))
    assert "aUSDC@eip155:101" not in taken.positions
    assert f"belongs to {MARKET_VIEWS[view]}" in taken.missing[0]
