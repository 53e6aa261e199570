"""What `doctor` says of endpoints that do less than reading and proving need."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from aggregator.cli.doctor import examine
from chains.devnet import Devnet, devnet
from tests.chains.faults import faulty_node
from tests.chains.scenes import network

pytestmark = pytest.mark.anvil


@pytest.fixture
async def net() -> AsyncIterator[Devnet]:
    async with devnet(101) as running:
        yield running


async def test_every_method_is_tried_and_what_fails_is_named(net: Devnet) -> None:
    """All good; no proofs; no pinned calls, with and without another endpoint; an endpoint of another chain."""
    async with faulty_node(net.url) as node, devnet(102) as other:
        both = network(net, endpoints=(net.url, node.url))
        (whole,) = await examine(both)
        assert (whole.state, whole.name) == ("ok", "local 101")
        assert "2 endpoints of eip155:101" in whole.found
        assert "2 do all that reading and proving need" in whole.found

        node.refused = {"eth_getProof": "the method eth_getProof does not exist"}
        summary, limited = await examine(both)
        assert summary.state == "ok"
        assert "1 do all" in summary.found
        assert (limited.state, limited.name) == ("limited", f"local 101: {node.url}")
        assert "eth_getProof" in limited.found
        assert "called and not proven" in limited.advice

        node.refused = {"eth_call": "hash and requireCanonical are not supported"}
        states = {f.name: f.state for f in await examine(both)}
        assert states == {"local 101": "ok", f"local 101: {node.url}": "limited"}
        alone = await examine(network(net, endpoints=(node.url,)))
        assert alone[0].state == "unreachable"
        assert "add endpoints" in alone[0].advice

        summary, stranger = await examine(network(net, endpoints=(net.url, other.url)))
        assert (summary.state, stranger.state) == ("ok", "limited")
        assert "serves chain 102, not 101" in stranger.found
