"""Anchors on a real node: the right block for a cut, agreed by hash, and a reorganisation noticed."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from aggregator.model.anchors import Finality, Trust
from aggregator.model.errors import ChainError, ChainUnreachableError, QuorumError, ReorgError
from chains.anchors import check_anchor, take_anchor
from chains.devnet import Devnet, devnet
from chains.rpc import Chain, Endpoint
from chains.rpc.values import encode_quantity, parse_quantity
from tests.chains.faults import FaultyNode, faulty_node, honest

pytestmark = pytest.mark.anvil

START = 1_700_000_000
GAPS = [12, 1, 0, 0, 5, 30, 12, 0, 12, 12, 2, 2, 2, 60, 12, 12, 0, 1, 1, 40]


@pytest.fixture
async def history() -> AsyncIterator[tuple[Devnet, list[int]]]:
    """A chain whose blocks have known times, some of them equal."""
    async with devnet(101, timestamp=START) as net:
        times = [START]
        for gap in GAPS:
            times.append(times[-1] + gap)
            await net.next_timestamp(times[-1])
            await net.mine()
        yield net, times


async def test_every_cut_gives_the_last_block_at_or_before_it(history: tuple[Devnet, list[int]]) -> None:
    """Against a linear search, for each second of the chain's life, under each finality policy."""
    net, times = history
    async with Chain(101, [Endpoint(net.url)]) as chain:
        for finality, behind in ((Finality.LATEST, 0), (Finality.SAFE, 1), (Finality.FINALIZED, 2)):
            allowed = times[: len(times) - behind]
            for cut in [*range(START, times[-1] + 3, 3), *times]:
                expected = max(n for n, t in enumerate(allowed) if t <= cut)
                anchored = await take_anchor(chain, cut=cut, finality=finality, max_lag_s=10**6, now=cut)
                assert anchored.anchor.number == expected
                assert anchored.anchor.timestamp == times[expected]
                assert anchored.provable
                assert anchored.anchor.trust is Trust.SINGLE_RPC
        with pytest.raises(ChainError, match="no block at or before the cut"):
            await take_anchor(chain, cut=START - 1, finality=Finality.LATEST)


async def test_a_stuck_chain_is_refused(history: tuple[Devnet, list[int]]) -> None:
    net, times = history
    latest: dict[str, Any] = {"finality": Finality.LATEST, "max_lag_s": 600}
    async with Chain(101, [Endpoint(net.url)]) as chain:
        with pytest.raises(ChainError, match="is stuck: its last latest block 20 is 601 s before the cut"):
            await take_anchor(chain, cut=times[-1] + 601, now=times[-1], **latest)
        await take_anchor(chain, cut=times[-1] + 600, now=times[-1], **latest)


async def test_the_last_block_may_not_lag_the_clock_and_an_earlier_one_may(
    history: tuple[Devnet, list[int]],
) -> None:
    """What is behind the last final block until the cut nobody knows yet; what is before an earlier one is known."""
    net, times = history
    latest: dict[str, Any] = {"finality": Finality.LATEST, "max_lag_s": 600}
    async with Chain(101, [Endpoint(net.url)]) as chain:
        with pytest.raises(ChainError, match="block 20 is 601 s before the clock and 600 s are allowed"):
            await take_anchor(chain, cut=times[-1] + 1, now=times[-1] + 601, **latest)
        await take_anchor(chain, cut=times[-1] + 1, now=times[-1] + 600, **latest)
        anchored = await take_anchor(chain, cut=times[-1] - 1, now=times[-1] + 10**6, **latest)
        assert anchored.anchor.number == 19


def lie_about(field: str, value: str) -> Any:
    def tamper(method: str, params: list[Any], answer: Any) -> Any:
        return {**answer, field: value} if method == "eth_getBlockByNumber" and answer else answer

    return tamper


async def test_endpoints_that_disagree_on_the_hash_are_refused(net: Devnet) -> None:
    """One against one is no quorum; two against one is, and the dissenter is remembered."""
    await net.mine(4)
    async with faulty_node(net.url) as liar, faulty_node(net.url) as third:
        liar.tamper = lie_about("hash", "0x" + "11" * 32)
        two = [Endpoint(net.url), Endpoint(liar.url)]
        async with Chain(101, two, quorum=2) as chain:
            with pytest.raises(QuorumError, match="disagree on the hash of block"):
                await take_anchor(chain, cut=int(time.time()) + 5)
        three = [Endpoint(net.url), Endpoint(liar.url), Endpoint(third.url)]
        async with Chain(101, three, quorum=2) as chain:
            anchored = await take_anchor(chain, cut=int(time.time()) + 5)
            assert anchored.anchor.trust is Trust.RPC_QUORUM
            assert any("disagrees with 2" in p for p in three[1].problems)


@pytest.mark.parametrize(("field", "value"), [("stateRoot", "0x" + "11" * 32), ("timestamp", "0x1")])
async def test_a_false_field_under_the_right_hash_is_seen_through(
    net: Devnet, field: str, value: str
) -> None:
    """The hash vouches for the fields, so the honest endpoint's are used; alone, the liar's prove nothing."""
    await net.mine(4)
    honest = (await net.head())[field]
    async with faulty_node(net.url) as liar:
        liar.tamper = lie_about(field, value)
        async with Chain(101, [Endpoint(liar.url), Endpoint(net.url)], quorum=2) as chain:
            anchored = await take_anchor(chain, cut=int(time.time()) + 5, finality=Finality.LATEST)
            assert anchored.provable
            anchor = anchored.anchor
            assert honest in (anchor.state_root, encode_quantity(anchor.timestamp))
        async with Chain(101, [Endpoint(liar.url)]) as chain:
            cut = int(time.time()) + 5
            anchored = await take_anchor(chain, cut=cut, finality=Finality.LATEST, max_lag_s=2**40)
            assert not anchored.provable


async def test_headers_that_cannot_be_rebuilt_need_agreement_on_their_fields(net: Devnet) -> None:
    """On a chain with another header, hash agreement alone does not fix the state root."""

    def foreign(root: str | None) -> Any:
        def tamper(method: str, params: list[Any], answer: Any) -> Any:
            if method != "eth_getBlockByNumber":
                return answer
            return {**answer, "mixHash": "0x" + "22" * 32, "stateRoot": root or answer["stateRoot"]}

        return tamper

    await net.mine(4)
    async with faulty_node(net.url) as a, faulty_node(net.url) as b:
        a.tamper, b.tamper = foreign(None), foreign(None)
        async with Chain(101, [Endpoint(a.url), Endpoint(b.url)], quorum=2) as chain:
            assert not (await take_anchor(chain, cut=int(time.time()) + 5)).provable
            b.tamper = foreign("0x" + "33" * 32)
            with pytest.raises(QuorumError, match="not on its state root"):
                await take_anchor(chain, cut=int(time.time()) + 5)


async def test_an_endpoint_that_lags_does_not_hold_the_others_back(net: Devnet) -> None:
    await net.mine(9)

    def stuck(method: str, params: list[Any], answer: Any) -> Any:
        if method != "eth_getBlockByNumber":
            return answer
        return answer if params[0] not in ("latest",) and parse_quantity(params[0], "n") < 3 else old

    old = await net.endpoint.call("eth_getBlockByNumber", ["0x2", False])
    async with faulty_node(net.url) as slow, faulty_node(net.url) as third:
        slow.tamper = stuck
        endpoints = [Endpoint(slow.url), Endpoint(net.url), Endpoint(third.url)]
        async with Chain(101, endpoints, quorum=2) as chain:
            anchored = await take_anchor(chain, cut=int(time.time()) + 5, finality=Finality.LATEST)
            assert anchored.anchor.number == 9
        async with Chain(101, endpoints[:2], quorum=2) as chain:
            anchored = await take_anchor(chain, cut=int(time.time()) + 5, finality=Finality.LATEST)
            assert anchored.anchor.number == 2


async def test_a_reorganisation_is_noticed(net: Devnet) -> None:
    """Blocks replaced under an anchor by a real reorganisation of the node, and blocks taken away."""
    await net.mine(3)
    checkpoint = await net.checkpoint()
    await net.mine(5)
    async with Chain(101, [Endpoint(net.url)]) as chain:
        taken = (await take_anchor(chain, cut=int(time.time()) + 5, finality=Finality.LATEST)).anchor
        assert taken.number == 8
        await check_anchor(chain, taken)
        await net.endpoint.call("anvil_reorg", [3, [[{"from": net.accounts[0].address, "value": "0x1"}, 0]]])
        with pytest.raises(ReorgError, match=r"block 8 .* is no longer"):
            await check_anchor(chain, taken)
        again = (await take_anchor(chain, cut=int(time.time()) + 5, finality=Finality.LATEST)).anchor
        assert (again.number, again.hash == taken.hash) == (8, False)
        await net.revert(checkpoint)
        with pytest.raises(ReorgError):
            await check_anchor(chain, again)


async def test_one_endpoint_on_a_fork_does_not_unsettle_a_quorum_and_silence_is_not_consent(
    net: Devnet,
) -> None:
    await net.mine(4)
    async with faulty_node(net.url) as liar, faulty_node(net.url) as third:
        endpoints = [Endpoint(net.url), Endpoint(liar.url), Endpoint(third.url)]
        async with Chain(101, endpoints, quorum=2) as chain:
            anchor = (await take_anchor(chain, cut=int(time.time()) + 5)).anchor
            liar.tamper = lie_about("hash", "0x" + "11" * 32)
            await check_anchor(chain, anchor)
            silence(third)
            with pytest.raises(ReorgError):
                await check_anchor(chain, anchor)
            silence(liar)
            with pytest.raises(ChainUnreachableError, match="1 of the 2 endpoints"):
                await check_anchor(chain, anchor)


async def test_the_anchor_has_to_stay_under_the_head(net: Devnet) -> None:
    """The block above on another parent, a head below the anchor, an earlier anchor replaced: each is named.

    All of it is asked in one exchange.
    """
    await net.mine(4)
    async with faulty_node(net.url) as node, Chain(101, [Endpoint(node.url)]) as chain:
        cut = int(time.time()) + 5
        earlier = (await take_anchor(chain, cut=cut, finality=Finality.FINALIZED)).anchor
        await net.mine(4)
        anchor = (await take_anchor(chain, cut=cut, finality=Finality.FINALIZED)).anchor
        node.posts.clear()
        await check_anchor(chain, anchor, earlier)
        assert [len(post) for post in node.posts] == [4]

        def other_parent(method: str, params: list[Any], answer: Any) -> Any:
            above = method == "eth_getBlockByNumber" and params[0] == hex(anchor.number + 1)
            return answer | {"parentHash": "0x" + "11" * 32} if above else answer

        node.tamper = other_parent
        with pytest.raises(ReorgError, match=f"has block {anchor.number + 1} on another parent"):
            await check_anchor(chain, anchor, earlier)
        old = await net.endpoint.call("eth_getBlockByNumber", ["0x1", False])

        def low_head(method: str, params: list[Any], answer: Any) -> Any:
            return old if params[:1] == ["latest"] else answer

        node.tamper = low_head
        with pytest.raises(ReorgError, match=f"is at the head 1, below block {anchor.number}"):
            await check_anchor(chain, anchor, earlier)
        node.tamper = honest
        replaced = replace(earlier, hash="0x" + "22" * 32)
        with pytest.raises(ReorgError, match=f"instead of block {earlier.number} 0x2222"):
            await check_anchor(chain, anchor, replaced)


async def test_a_slow_endpoint_does_not_hold_a_quorum_up(
    net: Devnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third of three is given a moment and then counts as silent; where it is needed it is waited for."""
    monkeypatch.setattr("chains.rpc.chain._STRAGGLER_PATIENCE_S", 0.1)
    await net.mine(4)
    async with faulty_node(net.url) as slow, faulty_node(net.url) as second:
        endpoints = [Endpoint(net.url), Endpoint(second.url), Endpoint(slow.url)]
        async with Chain(101, endpoints, quorum=2) as chain:
            slow.delay_s = 0.5
            answers = dict(await chain.ask_all(lambda e: e.call("eth_blockNumber")))
            assert "is much slower than the others" in str(answers[endpoints[2]])
            anchor = (await take_anchor(chain, cut=int(time.time()) + 5)).anchor
            await check_anchor(chain, anchor)
            silence(second)
            await check_anchor(chain, anchor)


def silence(node: FaultyNode) -> None:
    node.status = 403
