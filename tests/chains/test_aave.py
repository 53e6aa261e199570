"""Aave v3 with its own contracts: deposits and debts together, proven as scaled balance times index."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aggregator.model.errors import StateProofError
from aggregator.model.snapshot import Method, Reading, Snapshot, encode_snapshot, parse_snapshot
from chains.balances import (
    require_described,
    take_snapshot,
    take_snapshot_with_evidence,
    verify_evidence,
)
from chains.devnet import Devnet
from chains.networks import Lending, Token
from tests.chains.aave_market import STABLE, Market, deploy_market
from tests.chains.faults import faulty_node
from tests.chains.scenes import network

pytestmark = [pytest.mark.anvil, pytest.mark.node]

_YEAR_S = 365 * 86_400


@pytest.fixture
async def market(net: Devnet) -> Market:
    """The first account lends 10 WETH against which it owes USDC; the second lends 100,000 USDC."""
    deployed = await deploy_market(net)
    await deployed.supply(net.accounts[1].address, "USDC", 100_000_000_000)
    await deployed.supply(net.accounts[0].address, "WETH", 10 * 10**18)
    await deployed.borrow(net.accounts[0].address, "USDC", 12_345_678_901)
    return deployed


async def snap(market: Market, *, described: Lending | None = None, **options: Any) -> Snapshot:
    """The first account's snapshot at the head; its proven readings are proven again offline."""
    head = await market.net.head()
    snapshot, evidence = await take_snapshot_with_evidence(
        [network(market.net, lending=(described or market.described,), **options)],
        account_id=7,
        addresses=(market.net.accounts[0].address.lower(),),
        cut=int(str(head["timestamp"]), 16) + 1,
        env={},
    )
    verify_evidence(snapshot, evidence)
    return snapshot


def lent(snapshot: Snapshot) -> dict[tuple[str, bool], Reading]:
    """By instrument without its chain, and whether the rate is stable."""
    return {
        (r.instrument.partition("@")[0], "rate" in r.detail): r
        for r in snapshot.readings
        if "pool" in r.detail
    }


async def balance(market: Market, token: str) -> int:
    data = "0x70a08231" + market.net.accounts[0].address[2:].lower().rjust(64, "0")
    answer = await market.net.endpoint.call("eth_call", [{"to": token, "data": data}, "latest"])
    return int(str(answer), 16)


@pytest.mark.parametrize("seconds", [0, 1, 2, 86_400, 10 * _YEAR_S])
async def test_deposits_and_debts_are_proven_to_the_last_unit(market: Market, seconds: int) -> None:
    """What the contracts answer at once and after ten years follows from four words of storage."""
    if seconds:
        await market.pass_time(seconds)
    snapshot = await snap(market)
    assert snapshot.complete, snapshot.missing
    readings = lent(snapshot)
    usdc, weth = market.described.reserves
    deposit, debt = readings["aWETH", False], readings["USDC-DEBT", False]
    assert deposit.raw == await balance(market, weth.deposit) >= 10 * 10**18 - 1
    assert -debt.raw == await balance(market, usdc.debt) >= 12_345_678_901
    assert (deposit.kind, debt.kind) == ("aave-v3", "debt")
    for name in ("aWETH", "aUSDC", "WETH-DEBT", "USDC-DEBT"):
        assert readings[name, False].method is Method.PROVEN
    assert deposit.detail["usedAsCollateral"] == "true"
    assert deposit.detail["owesInReserves"] == "0"
    assert deposit.detail["eMode"] == "0"
    assert deposit.detail["layout"] == "solidity:52/128"
    if seconds > 2:
        assert -debt.raw > 12_345_678_901


async def test_a_deposit_is_not_read_as_a_plain_token(market: Market) -> None:
    """Its debt would stay unseen; listed without its market it is missing, and so are both debt tokens."""
    usdc, weth = market.described.reserves
    listed = {"aWETH": weth.deposit, "vUSDC": usdc.debt, "sUSDC": usdc.stable_debt}
    tokens = (Token(symbol, "erc20", address, 18) for symbol, address in listed.items())
    head = await market.net.head()
    taken = await take_snapshot(
        [network(market.net, *tokens)],
        account_id=7,
        addresses=(market.net.accounts[0].address.lower(),),
        cut=int(str(head["timestamp"]), 16) + 1,
        env={},
    )
    assert set(taken.positions) == {"ETH@eip155:101"}
    assert len(taken.missing) == 3
    refused = [line for line in taken.missing if "belongs to a market of Aave" in line]
    assert "aWETH@eip155:101" in refused[0]


async def test_a_stable_debt_is_read_beside_the_others(market: Market) -> None:
    user = market.net.accounts[0].address
    await market.supply(market.net.accounts[1].address, "WETH", 10**18)
    await market.borrow(user, "USDC", 1_000_000, STABLE)
    await market.pass_time(86_400)
    readings = lent(await snap(market))
    stable = readings["USDC-DEBT", True]
    assert -stable.raw == await balance(market, market.described.reserves[0].stable_debt) > 1_000_000
    assert (stable.kind, stable.method, stable.detail["proof"]) == ("debt", Method.PROVEN, "aave-v3-stable")
    owed = -stable.raw
    await market.pass_time(10 * _YEAR_S)
    later = lent(await snap(market))["USDC-DEBT", True]
    assert -later.raw == await balance(market, market.described.reserves[0].stable_debt) > owed
    assert later.method is Method.PROVEN


async def test_the_users_e_mode_is_proven(market: Market) -> None:
    await market.configurator.send("setEModeCategory", 1, 9000, 9300, 10100, "0x" + "00" * 20, "one")
    for asset in market.assets.values():
        await market.configurator.send("setAssetEModeCategory", asset, 1)
    await market.pool.send("setUserEMode", 1, gas=1_000_000)
    deposit = lent(await snap(market))["aWETH", False]
    assert (deposit.detail["eMode"], deposit.method) == ("1", Method.PROVEN)


async def test_a_debt_in_a_reserve_that_is_not_listed_makes_the_market_missing(market: Market) -> None:
    """The deposit alone would be a lie."""
    only_weth = replace(market.described, reserves=market.described.reserves[1:])
    snapshot = await snap(market, described=only_weth)
    assert not lent(snapshot)
    assert "owed in the reserve with id 0, which the network file does not list" in snapshot.missing[0]


async def test_addresses_and_decimals_that_the_pool_does_not_know_are_refused(market: Market) -> None:
    usdc, weth = market.described.reserves
    for wrong, reason in (
        (replace(usdc, debt=weth.debt), "names the token"),
        (replace(usdc, stable_debt=""), "and not none"),
        (replace(usdc, decimals=18), "says 6 decimals"),
        (replace(usdc, asset="0x" + "77" * 20), "names the token 0x000000"),
    ):
        snapshot = await snap(market, described=replace(market.described, reserves=(wrong, weth)))
        assert reason in snapshot.missing[0]
        assert not lent(snapshot)


async def test_an_endpoint_that_hides_a_debt_is_refuted_by_the_proof(market: Market) -> None:
    """One answer of the batched read is changed: the debt of 12,345.678901 USDC becomes a little less."""
    owed = (await balance(market, market.described.reserves[0].debt)).to_bytes(5, "big").hex()

    def less(method: str, params: list[Any], answer: Any) -> Any:
        if method == "eth_call" and "to" not in params[0]:
            return answer.replace(owed, (int(owed, 16) - 1).to_bytes(5, "big").hex())
        return answer

    async with faulty_node(market.net.url) as liar:
        liar.tamper = less
        snapshot = await snap(market, endpoints=(liar.url,))
    assert "neither is used" in snapshot.missing[0]
    assert not lent(snapshot)


async def test_evidence_refuses_a_debt_made_smaller_and_a_bitmap_left_out(market: Market) -> None:
    head = await market.net.head()
    snapshot, evidence = await take_snapshot_with_evidence(
        [network(market.net, lending=(market.described,))],
        account_id=7,
        addresses=(market.net.accounts[0].address.lower(),),
        cut=int(str(head["timestamp"]), 16) + 1,
        env={},
    )
    text = encode_snapshot(snapshot).decode()
    assert verify_evidence(parse_snapshot(text), evidence).proven == 7
    forged = text.replace('"owesInReserves":"0"', '"owesInReserves":""')
    with pytest.raises(StateProofError, match="owesInReserves"):
        verify_evidence(parse_snapshot(forged), evidence)
    forged = text.replace("12345678901", "11345678901").replace("1234567890100", "1134567890100")
    with pytest.raises(StateProofError, match="in the state of eip155:101"):
        verify_evidence(parse_snapshot(forged), evidence)


async def test_another_pool_or_asset_than_the_network_file_names_is_not_described(market: Market) -> None:
    """A pool of one's own would give any index; the reader's network file knows the real one."""
    taken = await snap(market)
    own = network(market.net, lending=(market.described,))
    require_described(taken, [own])
    pool = replace(market.described, address="0x" + "77" * 20)
    with pytest.raises(StateProofError, match="with pool"):
        require_described(taken, [network(market.net, lending=(pool,))])
    with pytest.raises(StateProofError, match="which no network file"):
        require_described(taken, [network(market.net)])


async def test_a_snapshot_without_a_debt_of_the_market_is_refused(market: Market) -> None:
    taken = await snap(market)
    own = [network(market.net, lending=(market.described,))]
    require_described(taken, own)
    for gone in lent(taken).values():
        left = replace(taken, readings=tuple(r for r in taken.readings if r is not gone))
        with pytest.raises(StateProofError, match="which is read with them"):
            require_described(left, own)
