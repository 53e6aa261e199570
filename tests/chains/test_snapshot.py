"""Snapshots over real local chains: every kind, every failure named, every lie refused."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from aggregator.model.anchors import Finality, Trust
from aggregator.model.errors import FormatError, IncompleteSnapshotError, InputError, StateProofError
from aggregator.model.snapshot import Method, Reading, Snapshot, encode_snapshot, parse_snapshot
from chains.balances import Layout, LayoutBook, parse_holder, require_described, take_snapshot
from chains.balances.book import KnownLayout
from chains.devnet import Devnet, devnet
from chains.networks import Native, Network
from tests.chains.faults import faulty_node
from tests.chains.scenes import ledger, market, network, token

pytestmark = pytest.mark.anvil

ALICE = "0x00000000000000000000000000000000000a11ce"
BOB = "0x0000000000000000000000000000000000000b0b"


async def snap(*networks: Network, addresses: tuple[str, ...] = (ALICE, BOB), **options: Any) -> Snapshot:
    return await take_snapshot(
        networks, account_id=7, addresses=addresses, cut=int(time.time()) + 5, env={}, **options
    )


def by_key(snapshot: Snapshot) -> dict[tuple[str, str], Reading]:
    return {(r.instrument, r.address): r for r in snapshot.readings}


@pytest.fixture
async def scene(net: Devnet) -> tuple[Devnet, Network]:
    """Coin, token, vault, staked token and positions of Alice, nothing of Bob, on one chain."""
    usdc = await net.deploy("TestToken", "USD Coin", "US\x1b[2JDC", 6)
    vault = await net.deploy("TestVault", usdc, "Vault", "vUSDC")
    staked = await net.deploy("TestStakedToken", "Staked", "stk", 18, 1_170_000_000_000_000_000)
    book = await net.deploy("DerivativesLedger", net.accounts[0].address)
    funder = net.accounts[0].address
    await usdc.send("mint", ALICE, 123_456_789)
    await usdc.send("mint", funder, 1_000_000_000)
    await usdc.send("approve", vault, 1_000_000_000)
    await vault.send("deposit", 1_000_000_000, ALICE)
    await vault.send("donateYield", 50_000_000)
    await staked.send("mint", ALICE, 10**18 + 1)
    await book.send("setPosition", ALICE, market("ETH-PERP"), -2_50000000, 8_000_00000000)
    await book.send("setPosition", ALICE, market("BTC-PERP"), 10000000, -6_500_00000000)
    await net.send(ALICE, value=10**18 + 9)
    tokens = [
        token(usdc, "USDC", 6),
        token(vault, "vUSDC", 6, "erc4626"),
        token(staked, "stkETH", 18, "staked", rate="rate()"),
    ]
    return net, network(net, *tokens, ledgers=(ledger(book, "ETH-PERP", "BTC-PERP"),))


async def test_every_kind_is_read_and_balances_are_proven(scene: tuple[Devnet, Network]) -> None:
    """Quantities to the last digit, rounded down; coin, token, vault shares and staked token proven."""
    _, described = scene
    snapshot = await snap(described)
    assert snapshot.complete, snapshot.missing
    assert snapshot.positions == {
        "BTC-PERP": 10000000,
        "ETH-PERP": -250000000,
        "ETH@eip155:101": 10**8,
        "USD": 150000000000,
        "USDC@eip155:101": 12345678900,
        "stkETH@eip155:101": 10**8,
        "vUSDC@eip155:101": 100000000000,
    }
    readings = by_key(snapshot)
    for (instrument, address), reading in readings.items():
        on_ledger = "@" not in instrument
        assert reading.method is (Method.CALLED if on_ledger else Method.PROVEN), (instrument, address)
        assert reading.trust is Trust.SINGLE_RPC
    coin, share = readings["ETH@eip155:101", ALICE], readings["vUSDC@eip155:101", ALICE]
    assert (coin.raw, coin.token, coin.detail) == (10**18 + 9, "native", {"proof": "account"})
    assert share.detail["assetsPerShare"] == "1049999"
    assert share.detail["layout"] == "solidity:0"
    assert readings["stkETH@eip155:101", ALICE].detail["rateE18"] == "1170000000000000000"
    assert readings["USDC@eip155:101", BOB].raw == 0
    assert readings["USDC@eip155:101", BOB].method is Method.PROVEN
    assert readings["USDC@eip155:101", ALICE].detail["symbolOnChain"] == "US [2JDC"
    assert {r.kind for (i, _), r in readings.items() if "@" not in i} == {"ledger"}
    assert parse_snapshot(encode_snapshot(snapshot)) == snapshot


async def test_a_snapshot_is_held_against_the_readers_own_network_file(scene: tuple[Devnet, Network]) -> None:
    """Another kind, other decimals, another layout, another token under the symbol: each is refused by name."""
    _, described = scene
    snapshot = await snap(described)
    require_described(snapshot, [described])
    usdc, *others = described.tokens
    for changes, reason in (
        ({"kind": "erc4626"}, "with kind 'erc20'"),
        ({"decimals": 8}, "with decimals '6'"),
        ({"layout": "solidity:5"}, "with layout 'solidity:0'"),
        ({"address": others[0].address}, "which no network file of eip155:101 describes"),
    ):
        other = replace(described, tokens=(replace(usdc, **changes), *others[1:]))
        with pytest.raises(StateProofError, match=reason):
            require_described(snapshot, [other])


async def test_five_hundred_balances_take_a_handful_of_round_trips(net: Devnet) -> None:
    """25 holders x (19 tokens + coin) = 500 balances, all proven: one eth_call, one batch of proofs.

    The first time also 19 layouts are tried, and two calls and a batch look for tokens that are one.
    """
    coins = [await net.deploy("TestToken", f"T{n}", f"T{n}", 18) for n in range(19)]
    holders = tuple(f"0x{n:040x}" for n in range(0x9000, 0x9019))
    for n, coin in enumerate(coins):
        await coin.send("mint", holders[n], 10**18 * (n + 1))
    tokens = [token(c, f"T{n}", 18) for n, c in enumerate(coins)]
    async with faulty_node(net.url) as node:
        described = network(net, *tokens, endpoints=(node.url,))
        book = LayoutBook()
        for trips, calls in ((11, 1 + 19 + 2), (6, 1)):
            node.posts.clear()
            snapshot = await snap(described, addresses=holders, book=book)
            assert snapshot.complete
            assert len(snapshot.readings) == 500
            assert {r.method for r in snapshot.readings} == {Method.PROVEN}
            assert len(node.posts) == trips, node.posts
            assert sum(p.count("eth_call") for p in node.posts) == calls
            assert sum("eth_getProof" in p for p in node.posts) == 1
    assert snapshot.positions == {f"T{n}@eip155:101": 10**8 * (n + 1) for n in range(19)}


async def test_the_same_holdings_split_over_more_chains_sum_up(net: Devnet) -> None:
    async with devnet(102) as second:
        one, two = await net.deploy("TestToken", "A", "A", 6), await second.deploy("TestToken", "A", "A", 18)
        await one.send("mint", ALICE, 3_000_000)
        await two.send("mint", BOB, 5 * 10**18)
        snapshot = await snap(network(net, token(one, "A", 6)), network(second, token(two, "A", 18)))
        assert snapshot.positions == {"A@eip155:101": 3 * 10**8, "A@eip155:102": 5 * 10**8}
        assert [a.chain for a in snapshot.anchors] == ["eip155:101", "eip155:102"]


@pytest.mark.parametrize("decimals", [0, 2, 8, 18, 30])
async def test_decimals_are_scaled_down_to_1e8(net: Devnet, decimals: int) -> None:
    coin = await net.deploy("TestToken", "C", "C", decimals)
    raw = 7 * 10**decimals + (10**decimals - 1 if decimals > 8 else 0)
    await coin.send("mint", ALICE, raw)
    snapshot = await snap(network(net, token(coin, "C", decimals)))
    assert snapshot.positions == {"C@eip155:101": raw * 10**8 // 10**decimals}


async def test_wrong_decimals_dead_contracts_and_huge_amounts_are_missing_not_zero(net: Devnet) -> None:
    """Each names itself, the holder and the reason; the good token beside them is read."""
    good = await net.deploy("TestToken", "G", "G", 6)
    wrong, huge = await net.deploy("TestToken", "W", "W", 8), await net.deploy("TestToken", "H", "H", 0)
    stopped = await net.deploy("TestStakedToken", "S", "S", 18, 0)
    await good.send("mint", ALICE, 5_000_000)
    await huge.send("mint", ALICE, 2**80 // 10**8 + 1)
    nothing = token(good, "N", 6)
    tokens = [
        token(good, "G", 6),
        token(wrong, "W", 6),
        token(huge, "H", 0),
        token(stopped, "S", 18, "staked", rate="rate()"),
        type(nothing)("N", "erc20", "0x" + "77" * 20, 6),
    ]
    snapshot = await snap(network(net, *tokens), addresses=(ALICE,))
    assert snapshot.positions == {"G@eip155:101": 5 * 10**8}
    assert not snapshot.complete
    assert [m.split(" of ")[0] for m in snapshot.missing] == [f"{s}@eip155:101" for s in "HNSW"]
    for reason, text in zip(
        ("not below 2^80", "no contract", "rate of", "8 decimals on chain"), snapshot.missing, strict=True
    ):
        assert reason in text
        assert ALICE in text
    with pytest.raises(IncompleteSnapshotError, match="H@eip155:101"):
        snapshot.require_complete()


async def test_a_dead_chain_is_named_and_the_others_are_read(net: Devnet) -> None:
    """A closed port, an endpoint of another chain, a variable that is not set, a slow node and a stuck node."""
    coin = await net.deploy("TestToken", "C", "C", 6)
    await coin.send("mint", ALICE, 1_000_000)
    live = network(net, token(coin, "C", 6))
    async with faulty_node(net.url) as slow:
        slow.delay_s = 2.0
        broken = [
            (network(net, chain_id=901, endpoints=("http://127.0.0.1:9/s3cret-k3y",)), "cannot be reached"),
            (network(net, chain_id=902), "serves chain 101, not 902"),
            (network(net, chain_id=903, endpoints=("https://${NO_SUCH_KEY}",)), "set NO_SUCH_KEY"),
            (network(net, chain_id=904, endpoints=(slow.url,), deadline_s=1), "deadline of 1 s"),
        ]
        snapshot = await snap(live, *(b for b, _ in broken))
    assert snapshot.positions == {"C@eip155:101": 10**8}
    assert not snapshot.complete
    assert [f.chain for f in snapshot.failed_chains] == [f"eip155:{n}" for n in (901, 902, 903, 904)]
    for (_, reason), failed in zip(broken, snapshot.failed_chains, strict=True):
        assert reason in failed.reason
        assert "s3cret-k3y" not in failed.reason
    with pytest.raises(IncompleteSnapshotError, match="eip155:901"):
        snapshot.require_complete()


async def test_a_stuck_chain_fails(net: Devnet) -> None:
    snapshot = await take_snapshot(
        [network(net, max_lag_s=60)], account_id=7, addresses=[ALICE], cut=int(time.time()) + 600, env={}
    )
    assert "is stuck" in snapshot.failed_chains[0].reason
    assert not snapshot.anchors


def add_one(method: str, params: list[Any], answer: Any) -> Any:
    """The batched read's last balance, one unit higher."""
    return (
        answer[:-2] + f"{(int(answer[-2:], 16) + 1) % 256:02x}"
        if method == "eth_call" and len(params) == 2 and "to" not in params[0]
        else answer
    )


async def test_a_lying_balance_is_caught_by_the_proof(net: Devnet) -> None:
    """One endpoint adds a unit to a balance: refused by name, and not counted in either amount."""
    coin = await net.deploy("TestToken", "C", "C", 6)
    await coin.send("mint", BOB, 77_000_077)
    async with faulty_node(net.url) as liar:
        liar.tamper = add_one
        snapshot = await snap(network(net, token(coin, "C", 6), endpoints=(liar.url,)), addresses=(BOB,))
    assert snapshot.positions == {}
    (missing,) = snapshot.missing
    assert "C@eip155:101" in missing
    assert "answer is 77000078 and the proven storage is 77000077" in missing


async def test_a_lying_balance_is_outvoted_by_a_quorum_or_stops_the_chain(net: Devnet) -> None:
    coin = await net.deploy("TestToken", "C", "C", 6)
    await coin.send("mint", BOB, 77_000_077)
    async with faulty_node(net.url) as liar, faulty_node(net.url) as third:
        liar.tamper = add_one
        two = network(net, token(coin, "C", 6), endpoints=(liar.url, net.url), quorum=2)
        snapshot = await snap(two, addresses=(BOB,))
        assert "disagree on eth_call" in snapshot.failed_chains[0].reason
        three = network(net, token(coin, "C", 6), endpoints=(liar.url, net.url, third.url), quorum=2)
        snapshot = await snap(three, addresses=(BOB,))
        assert snapshot.complete
        assert snapshot.positions == {"C@eip155:101": 7700007700}
        assert {r.trust for r in snapshot.readings} == {Trust.RPC_QUORUM}


async def test_a_truncated_proof_is_refused_and_an_honest_endpoint_is_asked_instead(net: Devnet) -> None:
    """A proof without its last node proves nothing: not the balance, and not that there is none."""
    coin = await net.deploy("TestToken", "C", "C", 6)
    for n in range(20):
        await coin.send("mint", f"0x{n + 1:040x}", 1)
    await coin.send("mint", BOB, 77)

    def truncate(method: str, params: list[Any], answer: Any) -> Any:
        if method != "eth_getProof" or not params[1]:
            return answer
        entry, *others = answer["storageProof"]
        return {**answer, "storageProof": [{**entry, "value": "0x0", "proof": entry["proof"][:-1]}, *others]}

    async with faulty_node(net.url) as liar:
        liar.tamper = truncate
        alone = await snap(network(net, token(coin, "C", 6), endpoints=(liar.url,)), addresses=(BOB,))
        assert "the proof is cut short" in alone.missing[0]
        both = network(net, token(coin, "C", 6), endpoints=(liar.url, net.url))
        snapshot = await snap(both, addresses=(BOB,))
        assert snapshot.complete
        assert by_key(snapshot)["C@eip155:101", BOB].method is Method.PROVEN


async def test_an_endpoint_without_proofs_leaves_balances_called(net: Devnet) -> None:
    coin = await net.deploy("TestToken", "C", "C", 6)
    await coin.send("mint", ALICE, 5)
    async with faulty_node(net.url) as plain:
        plain.refused = {"eth_getProof": "the method eth_getProof does not exist"}
        snapshot = await snap(network(net, token(coin, "C", 6), endpoints=(plain.url,)), addresses=(ALICE,))
    assert snapshot.complete
    for reading in snapshot.readings:
        assert reading.method is Method.CALLED
        assert "does not exist" in reading.detail["unproven"]


async def test_a_header_that_does_not_rebuild_leaves_balances_called(net: Devnet) -> None:
    def foreign(method: str, params: list[Any], answer: Any) -> Any:
        changed = method == "eth_getBlockByNumber" and answer is not None
        return {**answer, "mixHash": "0x" + "22" * 32} if changed else answer

    async with faulty_node(net.url) as node:
        node.tamper = foreign
        snapshot = await snap(network(net, endpoints=(node.url,)), addresses=(ALICE,))
    assert snapshot.complete
    assert snapshot.readings[0].method is Method.CALLED
    assert "does not rebuild" in snapshot.readings[0].detail["unproven"]


async def test_a_reorganisation_under_a_snapshot_is_noticed(net: Devnet) -> None:
    """The chain replaces its last blocks while the proofs are fetched; nothing of it is used."""
    coin = await net.deploy("TestToken", "C", "C", 6)
    await coin.send("mint", ALICE, 5)
    checkpoint = await net.checkpoint()
    await net.mine(2)

    async with faulty_node(net.url) as node:

        async def reorganise() -> None:
            await net.revert(checkpoint)
            await net.send(BOB, value=1)
            await net.mine(3)

        node.before = {"eth_getProof": reorganise}
        snapshot = await snap(network(net, token(coin, "C", 6), endpoints=(node.url,)), addresses=(ALICE,))
    assert not snapshot.readings
    reason = snapshot.failed_chains[0].reason
    assert "is no longer 0x" in reason


async def test_a_reorganisation_below_an_earlier_snapshot_is_noticed(net: Devnet) -> None:
    """A later, higher block that does not descend from the one read before: the chain fails and says so."""
    book = LayoutBook()
    await net.mine(2)
    checkpoint = await net.checkpoint()
    await net.mine(3)
    assert (await snap(network(net), book=book)).complete
    await net.revert(checkpoint)
    await net.send(BOB, value=1)
    await net.mine(6)
    snapshot = await snap(network(net), book=book)
    assert [f.chain for f in snapshot.failed_chains] == ["eip155:101"]
    assert "is no longer" in snapshot.failed_chains[0].reason
    assert "instead of block 5" in snapshot.failed_chains[0].reason


async def test_a_remembered_layout_is_given_up_when_the_code_changes(net: Devnet) -> None:
    """A wrong layout remembered for other code is replaced; one for the same code refuses the reading."""
    coin = await net.deploy("TestToken", "C", "C", 6)
    await coin.send("mint", ALICE, 5)
    raw = bytes.fromhex(coin.address[2:])
    described = network(net, token(coin, "C", 6))
    book = LayoutBook()
    book.put(101, raw, KnownLayout(Layout("solidity", 9), "probe", b"\x11" * 32))
    snapshot = await snap(described, addresses=(ALICE,), book=book)
    assert snapshot.complete
    assert by_key(snapshot)["C@eip155:101", ALICE].detail["layout"] == "solidity:0"
    known = book.get(101, raw)
    assert known is not None
    assert known.layout == Layout("solidity", 0)
    book.put(101, raw, KnownLayout(Layout("solidity", 9), "probe", known.code_hash))
    snapshot = await snap(described, addresses=(ALICE,), book=book)
    assert "answer is 5 and the proven storage is 0" in snapshot.missing[0]


async def test_a_configured_layout_is_used_and_a_wrong_one_refuses(net: Devnet) -> None:
    coin = await net.deploy("TestToken", "C", "C", 6)
    await coin.send("mint", ALICE, 5)
    good = await snap(network(net, token(coin, "C", 6, layout="solidity:0")), addresses=(ALICE,))
    assert by_key(good)["C@eip155:101", ALICE].detail["layoutFrom"] == "config"
    bad = await snap(network(net, token(coin, "C", 6, layout="vyper:3")), addresses=(ALICE,))
    assert "neither is used" in bad.missing[0]


async def test_an_address_on_one_chain_is_read_on_that_chain_only(net: Devnet) -> None:
    async with devnet(102) as second:
        for chain in (net, second):
            await chain.send(ALICE, value=10**18)
            await chain.send(BOB, value=10**18)
        addresses = (f"eip155:101:{ALICE}", BOB)
        snapshot = await snap(network(net), network(second), addresses=addresses)
        assert snapshot.positions == {"ETH@eip155:101": 2 * 10**8, "ETH@eip155:102": 10**8}
        only = await snap(network(net), network(second), addresses=(f"eip155:101:{ALICE}",))
        assert [a.chain for a in only.anchors] == ["eip155:101", "eip155:102"]
        assert only.complete
        assert {r.chain for r in only.readings} == {"eip155:101"}
        with pytest.raises(InputError, match="eip155:103"):
            await snap(network(net), addresses=(f"eip155:103:{ALICE}",))


@pytest.mark.parametrize(
    "text", ["", "0x12", "alice.eth", "0xF39fd6e51aad88F6F4ce6aB8827279cffFb92266", "1:2:0x" + "00" * 20]
)
def test_malformed_addresses_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse_holder(text)


async def test_finality_holds_back_unfinal_balances(net: Devnet) -> None:
    """What the last two blocks brought is not there yet under `finalized`."""
    await net.mine(3)
    await net.send(ALICE, value=10**18)
    described = network(net, finality=Finality.FINALIZED, native=Native("POL"))
    assert (await snap(described)).positions == {}
    await net.mine(2)
    assert (await snap(described)).positions == {"POL@eip155:101": 10**8}


async def test_a_ledger_reading_is_signed_and_documents_from_before_the_kind_still_parse(net: Devnet) -> None:
    """Short and long are one kind, so coverage hides the direction; `debt` for a short position stays readable."""
    book = await net.deploy("DerivativesLedger", net.accounts[0].address)
    await book.send("setPosition", ALICE, market("ETH-PERP"), -2_50000000, 8_000_00000000)
    taken = await snap(network(net, ledgers=(ledger(book, "ETH-PERP"),)), addresses=(ALICE,))
    short = by_key(taken)["ETH-PERP", ALICE]
    assert (short.kind, short.quantity_e8) == ("ledger", -250000000)
    document = encode_snapshot(taken)
    old = document.replace(
        b'"instrument":"ETH-PERP","kind":"ledger"', b'"instrument":"ETH-PERP","kind":"debt"'
    )
    assert old != document
    assert parse_snapshot(old).positions == taken.positions
    with pytest.raises(FormatError, match="only a debt or a ledger position"):
        parse_snapshot(old.replace(b'"ETH-PERP","kind":"debt"', b'"ETH-PERP","kind":"erc20"'))
