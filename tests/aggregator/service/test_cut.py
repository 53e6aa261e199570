"""The cut of a snapshot: what one endpoint or one chain that lags can do to it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from aggregator.model.errors import ChainError
from aggregator.service.cut import MAX_CUT_AGE_S, settled_cut
from chains.balances import take_snapshot
from chains.devnet import Devnet, devnet
from chains.rpc.values import parse_quantity
from tests.chains.faults import faulty_node
from tests.chains.scenes import network

pytestmark = pytest.mark.anvil

ALICE = "0x00000000000000000000000000000000000a11ce"


async def head_time(net: Devnet) -> int:
    return parse_quantity((await net.head())["timestamp"], "the timestamp")


async def test_a_chain_that_lags_the_clock_has_no_say_and_is_named() -> None:
    """The other chain is read now; what left it meanwhile is not counted, and there is no total."""
    now = int(time.time())
    async with devnet(101, timestamp=now - 9) as moving, devnet(102, timestamp=now - 86_400) as stuck:
        await moving.set_balance(ALICE, 0)
        await moving.next_timestamp(now - 1)
        await moving.mine()
        networks = [network(moving), network(stuck)]
        cut = await settled_cut(networks)
        assert cut == await head_time(moving) - 1
        taken = await take_snapshot(networks, account_id=7, addresses=[ALICE], cut=cut, env={})
        assert not taken.complete
        assert [failed.chain for failed in taken.failed_chains] == ["eip155:102"]
        assert "is stuck" in taken.failed_chains[0].reason


async def test_a_chain_between_the_bound_and_the_cut_is_named_too() -> None:
    """It lags the clock too far and the cut not: it was left out of the choice, so it is left out of the sum."""
    now = int(time.time())
    async with devnet(101, timestamp=now - 910) as first, devnet(102, timestamp=now - 1300) as second:
        await first.next_timestamp(now - 900)
        await first.mine()
        networks = [network(first, max_lag_s=1000), network(second, max_lag_s=1000)]
        cut = await settled_cut(networks)
        assert cut == now - 901
        taken = await take_snapshot(networks, account_id=7, addresses=[ALICE], cut=cut, env={})
        assert [failed.chain for failed in taken.failed_chains] == ["eip155:102"]
        assert "before the clock" in taken.failed_chains[0].reason


async def test_one_endpoint_of_a_quorum_does_not_move_the_cut() -> None:
    async with devnet(101, timestamp=int(time.time()) - 50) as net:
        old = await net.endpoint.call("eth_getBlockByNumber", ["0x0", False])
        await net.mine(3)

        def stale(method: str, params: list[Any], answer: Any) -> Any:
            return old if params[:1] == ["latest"] else answer

        async with faulty_node(net.url) as slow, faulty_node(net.url) as third:
            slow.tamper = stale
            for urls in ((slow.url, net.url, third.url), (net.url, third.url, slow.url)):
                cut = await settled_cut([network(net, endpoints=urls, quorum=2)])
                assert cut == await head_time(net) - 1


async def test_a_cut_far_in_the_past_is_refused() -> None:
    """However much lag a network file allows."""
    now = int(time.time())
    async with devnet(101, timestamp=now - 7200) as net:
        slow = network(net, max_lag_s=7 * 86_400)
        assert await settled_cut([slow], now=now - 7201 + MAX_CUT_AGE_S) == now - 7201
        with pytest.raises(ChainError, match=r"block of local 101 is 21600 s old, .* name a cut yourself"):
            await settled_cut([slow], now=now - 7200 + MAX_CUT_AGE_S)


async def test_a_clock_that_is_behind_does_not_hide_a_chain_that_lags() -> None:
    """The latest final block of any chain is a clock as well."""
    now = int(time.time())
    async with devnet(101) as moving, devnet(102) as stuck:
        await stuck.mine()
        for at in (86_390, 86_400):
            await moving.next_timestamp(now + at)
            await moving.mine()
        networks = [network(moving), network(stuck)]
        cut = await settled_cut(networks)
        assert cut == now + 86_399
        taken = await take_snapshot(networks, account_id=7, addresses=[ALICE], cut=cut, env={})
        assert [failed.chain for failed in taken.failed_chains] == ["eip155:102"]


async def test_without_a_chain_that_keeps_up_the_cut_is_the_clock() -> None:
    async with devnet(101, timestamp=1_700_000_000) as net:
        assert await settled_cut([network(net)], now=1_800_000_000) == 1_799_999_999
