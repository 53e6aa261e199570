"""The known list of odd tokens: each is read exactly, and proven wherever its balance is a stored number."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from aggregator.model.errors import StateProofError
from aggregator.model.policy import Acceptance
from aggregator.model.snapshot import Method, Reading, Snapshot
from aggregator.policy.acceptance import accept_readings
from chains.balances import (
    Evidence,
    LayoutBook,
    require_described,
    take_snapshot_with_evidence,
    verify_evidence,
)
from chains.balances.book import IMPLEMENTATION_SLOTS
from chains.devnet import Deployed, Devnet
from chains.devnet.local import encode_function
from chains.networks import Token
from tests.chains.protocols import odd_tokens, published
from tests.chains.scenes import network, token

pytestmark = [pytest.mark.anvil, pytest.mark.node]

ALICE = "0x00000000000000000000000000000000000a11ce"


async def snap(net: Devnet, *tokens: Token, **options: Any) -> tuple[Snapshot, Evidence]:
    """Alice's snapshot; whatever it calls proven is proven again offline."""
    snapshot, evidence = await take_snapshot_with_evidence(
        [network(net, *tokens)],
        account_id=7,
        addresses=(ALICE,),
        cut=int(time.time()) + 5,
        env={},
        **options,
    )
    verify_evidence(snapshot, evidence)
    return snapshot, evidence


def reading_of(snapshot: Snapshot, symbol: str) -> Reading:
    return next(r for r in snapshot.readings if r.instrument == f"{symbol}@eip155:101")


async def odd(net: Devnet, name: str, *arguments: object) -> Deployed:
    return await net.deploy_artifact(odd_tokens()[name], *arguments)


async def test_the_table_of_odd_tokens(net: Devnet) -> None:
    """0 and 30 decimals, bytes32 names, no return values, packed and narrow words, fees, a rebasing token."""
    amount = 5_000_000
    rows: list[tuple[str, Deployed, int, str, str]] = [
        ("D0", await net.deploy("TestToken", "D0", "D0", 0), 0, "solidity:0", "D0"),
        ("D30", await net.deploy("TestToken", "D30", "D30", 30), 30, "solidity:0", "D30"),
        ("MKR", await odd(net, "Bytes32Token"), 18, "solidity:2", "MKR"),
        ("USDT", await odd(net, "NoReturnToken"), 6, "solidity:0", "USDT"),
        ("UNI", await odd(net, "NarrowToken"), 18, "solidity:0/96", "UNI"),
        ("USDC", await odd(net, "BlocklistToken"), 6, "solidity:9/255", "USDC"),
        ("SLDY", await odd(net, "SoladyToken"), 18, "solady", "SLDY"),
        ("FEE", await odd(net, "FeeToken"), 18, "solidity:0", "FEE"),
        ("stETH", await odd(net, "RebasingToken"), 18, "", "stETH"),
    ]
    for _, coin, *_ in rows:
        await coin.send("mint", ALICE, amount)
    await rows[-1][1].send("rebase", 11 * 10**17)
    snapshot, _ = await snap(net, *(token(coin, symbol, decimals) for symbol, coin, decimals, *_ in rows))
    assert snapshot.complete, snapshot.missing
    for symbol, _, decimals, layout, on_chain in rows:
        reading = reading_of(snapshot, symbol)
        raw = 5_500_000 if symbol == "stETH" else amount
        assert (reading.raw, reading.quantity_e8) == (raw, raw * 10**8 // 10**decimals), symbol
        assert reading.detail.get("layout", "") == layout, symbol
        assert reading.method is (Method.PROVEN if layout else Method.CALLED), symbol
        assert reading.detail["symbolOnChain"] == on_chain
    assert "no known storage layout" in reading_of(snapshot, "stETH").detail["unproven"]


async def test_a_token_without_decimals_is_missing_and_not_guessed(net: Devnet) -> None:
    bare = await odd(net, "BareToken")
    await bare.send("mint", ALICE, 7)
    snapshot, _ = await snap(net, token(bare, "BARE", 18))
    assert "decimals of BARE@eip155:101 failed" in snapshot.missing[0]


async def test_a_blocklisted_balance_is_proven_and_says_so(net: Devnet) -> None:
    """The bit that shares the balance's word is in the reading, and the evidence refuses a snapshot without it."""
    coin = await odd(net, "BlocklistToken")
    await coin.send("mint", ALICE, 9_000_000)
    assert "besideBalance" not in reading_of((await snap(net, token(coin, "USDC", 6)))[0], "USDC").detail
    await coin.send("blocklist", ALICE)
    for options in ({}, {"layout": "solidity:9/255"}):
        snapshot, _ = await snap(net, token(coin, "USDC", 6, **options))
        reading = reading_of(snapshot, "USDC")
        assert (reading.raw, reading.method) == (9_000_000, Method.PROVEN)
        assert reading.detail["besideBalance"] == "0x1"
    whole, _ = await snap(net, token(coin, "USDC", 6, layout="solidity:9"))
    assert "neither is used" in whole.missing[0]


async def test_what_its_holder_cannot_move_is_read_and_counts_for_nothing(net: Devnet) -> None:
    """By the flag beside the balance, and by the function that the network file names, proven or not."""
    coin = await odd(net, "BlocklistToken")
    view = {"blocked": "isBlacklisted(address)"}
    await coin.send("mint", ALICE, 9_000_000)
    free, _ = await snap(net, token(coin, "USDC", 6, **view))
    assert accept_readings(Acceptance(), free.readings).positions["USDC@eip155:101"] == 9 * 10**8
    assert reading_of(free, "USDC").detail["blocked"] == "false"
    await coin.send("blocklist", ALICE)
    for options in ({}, view):
        snapshot, _ = await snap(net, token(coin, "USDC", 6, **options))
        reading = reading_of(snapshot, "USDC")
        assert (reading.quantity_e8, reading.method) == (9 * 10**8, Method.PROVEN)
        found = accept_readings(Acceptance(), snapshot.readings)
        assert found.positions.get("USDC@eip155:101", 0) == 0
        assert "counts for nothing: the token lets its holder move nothing" in found.notes[0]
    called = replace(reading, method=Method.CALLED, detail={"blocked": reading.detail["blocked"]})
    assert not any(accept_readings(Acceptance(), [called]).positions.values())
    unasked, _ = await snap(net, token(coin, "USDC", 6))
    with pytest.raises(StateProofError, match="blockedBy"):
        require_described(unasked, [network(net, token(coin, "USDC", 6, **view))])
    absent, _ = await snap(net, token(coin, "USDC", 6, blocked="isFrozen(address)"))
    assert "isFrozen(address) of USDC@eip155:101 failed" in absent.missing[0]


async def test_a_vault_counts_for_what_it_redeems_now(net: Devnet) -> None:
    """All shares, a part, none; without an answer the reading is missing."""
    coin = await net.deploy("TestToken", "C", "C", 6)
    vault = await odd(net, "LockedVault", coin)
    await coin.send("mint", net.accounts[0].address, 10**9)
    await coin.send("approve", vault, 10**9)
    await vault.send("deposit", 10**9, ALICE)
    for part, note in ((2**256 - 1, ""), (10**9, ""), (4 * 10**8 + 1, "counts in part"), (0, "for nothing")):
        await vault.send("openUpTo", part)
        snapshot, _ = await snap(net, token(vault, "V", 6, "erc4626"))
        assert (reading_of(snapshot, "V").raw, reading_of(snapshot, "V").method) == (10**9, Method.PROVEN)
        found = accept_readings(Acceptance(), snapshot.readings)
        assert found.positions.get("V@eip155:101", 0) == 100 * min(10**9, part)
        assert [note in line for line in found.notes] == [True] * bool(note)
    await vault.send("fallSilent")
    snapshot, _ = await snap(net, token(vault, "V", 6, "erc4626"))
    assert "maxRedeem of V@eip155:101 failed" in snapshot.missing[0]


async def test_a_vault_cannot_say_more_per_share_than_it_has(net: Devnet) -> None:
    """A real gain counts; a rate above what the vault has, a rate that reverts and a rate of zero do not."""
    coin = await net.deploy("TestToken", "C", "C", 6)
    vault = await odd(net, "InflatedVault", coin)
    funder = net.accounts[0].address
    await coin.send("mint", funder, 10**9)
    await coin.send("approve", vault, 10**9)
    await vault.send("deposit", 10**9, ALICE)
    await coin.send("mint", vault, 5 * 10**8)
    snapshot, _ = await snap(net, token(vault, "V", 6, "erc4626"))
    assert reading_of(snapshot, "V").detail["assetsPerShare"] == "1499999"
    for inflation, reason in ((10**18 + 10**13, "more than its part of the 1500000000"), (0, "nothing")):
        await vault.send("inflate", inflation)
        snapshot, _ = await snap(net, token(vault, "V", 6, "erc4626"))
        assert reason in snapshot.missing[0]
    await vault.send("stop")
    snapshot, _ = await snap(net, token(vault, "V", 6, "erc4626"))
    assert "convertToAssets of V@eip155:101 failed" in snapshot.missing[0]


async def test_a_fee_on_transfer_leaves_what_arrived(net: Devnet) -> None:
    coin = await odd(net, "FeeToken")
    funder = net.accounts[0].address
    await coin.send("mint", funder, 10**18)
    await coin.send("transfer", ALICE, 10**18)
    snapshot, _ = await snap(net, token(coin, "FEE", 18))
    assert reading_of(snapshot, "FEE").raw == 99 * 10**16


@pytest.mark.parametrize(
    "symbol",
    [
        "\x1b]0;owned\x07\x1b[2JUSDC",
        "US\r\nDC",
        "\u202eCDSU",
        "<b>USDC</b>",
        "[red]USDC[/red]",
        "",
        "é" * 200,
    ],
)
async def test_names_of_strangers_are_harmless_and_never_name_the_asset(net: Devnet, symbol: str) -> None:
    """No control or bidirectional character and at most 32 in all; the instrument is the network file's."""
    coin = await net.deploy("TestToken", symbol, symbol, 6)
    await coin.send("mint", ALICE, 1)
    snapshot, _ = await snap(net, token(coin, "C", 6))
    assert snapshot.complete
    shown = reading_of(snapshot, "C").detail["symbolOnChain"]
    assert shown.isprintable()
    assert len(shown) <= 32


async def test_wrapped_ether_of_three_sources_is_proven(net: Devnet) -> None:
    """The canonical WETH9 of 2017, Aave's copy, and Solady's, which keeps balances in its own layout."""
    sources = {
        "WETH": (published("canonical-weth/build/contracts/WETH9.json"), "solidity:3"),
        "WETHa": (
            published("@aave/core-v3/artifacts/contracts/dependencies/weth/WETH9.sol/WETH9.json"),
            "solidity:3",
        ),
        "WETHs": (odd_tokens()["WrappedBySolady"], "solady"),
    }
    coins = {}
    for n, (symbol, (artifact, _)) in enumerate(sources.items()):
        coins[symbol] = await net.deploy_artifact(artifact)
        await net.send(coins[symbol].address, encode_function(artifact.abi, "deposit", ()), value=n + 1)
        await coins[symbol].send("transfer", ALICE, n + 1)
    snapshot, _ = await snap(net, *(token(c, s, 18) for s, c in coins.items()))
    assert snapshot.complete, snapshot.missing
    for n, (symbol, (_, layout)) in enumerate(sources.items()):
        reading = reading_of(snapshot, symbol)
        assert (reading.raw, reading.method) == (n + 1, Method.PROVEN)
        assert reading.detail["layout"] == layout


async def test_an_upgrade_behind_a_proxy_is_noticed(net: Devnet) -> None:
    """The namespace of an upgradeable token is found, and given up when its implementation changes."""
    implementation = await odd(net, "UpgradeableToken")
    start = encode_function(implementation.artifact.abi, "initialize", ("Up", "UP"))
    proxy = await odd(net, "Proxy", implementation, start)
    coin = Deployed(net, proxy.address, implementation.artifact)
    await coin.send("mint", ALICE, 4 * 10**18)
    book = LayoutBook()
    snapshot, _ = await snap(net, token(coin, "UP", 18), book=book)
    reading = reading_of(snapshot, "UP")
    assert (reading.raw, reading.method) == (4 * 10**18, Method.PROVEN)
    assert reading.detail["layout"] == "openzeppelin-7201"
    before = book.get(101, bytes.fromhex(coin.address[2:]))

    plain = await net.deploy("TestToken", "Other", "OTH", 18)
    slot = int.from_bytes(IMPLEMENTATION_SLOTS[0], "big")
    await net.set_storage(proxy.address, slot, int(plain.address, 16))
    await coin.send("mint", ALICE, 10**18)
    snapshot, _ = await snap(net, token(coin, "UP", 18), book=book)
    reading = reading_of(snapshot, "UP")
    assert (reading.raw, reading.method) == (10**18, Method.PROVEN)
    assert reading.detail["layout"] == "solidity:0"
    after = book.get(101, bytes.fromhex(coin.address[2:]))
    assert before is not None
    assert after is not None
    assert before.code_hash != after.code_hash


async def test_an_upgrade_behind_a_beacon_refuses_one_reading_and_is_followed(net: Devnet) -> None:
    """The proxy keeps its code and its words, so an upgrade shows only as a contradiction: named, then healed."""
    implementation = await odd(net, "UpgradeableToken")
    start = encode_function(implementation.artifact.abi, "initialize", ("Up", "UP"))
    beacon = await odd(net, "Beacon", implementation)
    proxy = await odd(net, "ProxyOfBeacon", beacon, start)
    coin = Deployed(net, proxy.address, implementation.artifact)
    await coin.send("mint", ALICE, 4 * 10**18)
    book = LayoutBook()
    reading = reading_of((await snap(net, token(coin, "UP", 18), book=book))[0], "UP")
    assert (reading.raw, reading.detail["layout"]) == (4 * 10**18, "openzeppelin-7201")

    plain = await net.deploy("TestToken", "Other", "OTH", 18)
    await beacon.send("upgradeTo", plain)
    await coin.send("mint", ALICE, 10**18)
    snapshot, _ = await snap(net, token(coin, "UP", 18), book=book)
    assert "neither is used" in snapshot.missing[0]
    assert not [r for r in snapshot.readings if r.kind == "erc20"]
    reading = reading_of((await snap(net, token(coin, "UP", 18), book=book))[0], "UP")
    assert (reading.raw, reading.method) == (10**18, Method.PROVEN)
    assert reading.detail["layout"] == "solidity:0"
