"""Several endpoints: failover, quorum, and endpoints of the wrong chain."""

from __future__ import annotations

from typing import Any

import pytest

from aggregator.model.errors import ChainError, ChainUnreachableError, ConfigError, QuorumError
from chains.rpc import Chain, Endpoint, EndpointError, RpcError, RpcSettings
from tests.chains.faults import ScriptedTransport, result

ONCE = RpcSettings(attempts=1, backoff_s=0.0)
DEAD = EndpointError("x", "cannot be reached", transient=True)


def node(host: str, *script: Any) -> Endpoint:
    return Endpoint(f"http://{host}", settings=ONCE, transport=ScriptedTransport(*script))


def refusal(code: int, message: str) -> Any:
    return lambda body: {"jsonrpc": "2.0", "id": body["id"], "error": {"code": code, "message": message}}


async def test_an_endpoint_of_another_chain_is_refused_by_name() -> None:
    chain = Chain(1, [node("good", result("0x1")), node("wrong", result("0x89"))])
    async with chain:
        assert [e.name for e in chain.active] == ["http://good"]
        assert "http://wrong serves chain 137, not 1" in chain.refused["http://wrong"]


async def test_too_few_endpoints_of_the_right_chain_is_a_quorum_error() -> None:
    chain = Chain(1, [node("good", result("0x1")), node("wrong", result("0x89"))], quorum=2)
    with pytest.raises(QuorumError, match="http://wrong serves chain 137"):
        await chain.open()


@pytest.mark.parametrize("answer", ["1", 1, None, "0x", "0xzz", {"a": 1}])
async def test_a_chain_id_that_is_no_quantity_is_refused(answer: object) -> None:
    with pytest.raises(QuorumError, match="not a hex quantity"):
        await Chain(1, [node("odd", result(answer))]).open()


async def test_a_dead_chain_is_unreachable_and_names_its_endpoints() -> None:
    with pytest.raises(ChainUnreachableError, match="no endpoint of eip155:1 answers"):
        await Chain(1, [node("a", DEAD), node("b", DEAD)]).open()


def test_one_host_is_one_voice() -> None:
    with pytest.raises(ConfigError, match="one host is one voice"):
        Chain(1, [node("same/a", result(1)), node("same/b", result(1))], quorum=2)


def test_a_quorum_beyond_the_endpoints_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="asks for 2 agreeing endpoints and has 1"):
        Chain(1, [node("a", result(1))], quorum=2)


async def test_reads_fail_over_and_reverts_do_not() -> None:
    chain = Chain(1, [node("a", DEAD), node("b", refusal(-32000, "pruned")), node("c", result("0x5"))])
    assert await chain.call("eth_getBalance") == "0x5"
    chain = Chain(1, [node("a", refusal(3, "execution reverted")), node("b", result("0x5"))])
    with pytest.raises(RpcError, match="reverted"):
        await chain.call("eth_call")


async def test_the_healthiest_endpoint_is_asked_first() -> None:
    dead, good = node("dead", DEAD), node("good", result("0x5"))
    chain = Chain(1, [dead, good])
    await chain.call("a")
    await chain.call("b")
    assert dead.stats.round_trips == 1


async def test_a_quorum_outvotes_one_liar_and_keeps_the_dissent() -> None:
    liar = node("liar", result("0xbad"))
    chain = Chain(1, [liar, node("b", result("0x5")), node("c", result("0x5"))], quorum=2)
    assert await chain.call_agreed("eth_call") == "0x5"
    assert "disagrees with 2 other endpoints" in liar.problems[-1]


async def test_two_against_two_is_a_disagreement_even_when_both_reach_the_quorum() -> None:
    nodes = [node(h, result(v)) for h, v in (("a", 1), ("b", 1), ("c", 2), ("d", 2))]
    chain = Chain(1, nodes, quorum=2)
    with pytest.raises(QuorumError, match="disagree on a block"):
        await chain.agree(lambda e: e.call("m"), what="a block", everyone=True)


async def test_one_against_one_is_a_disagreement() -> None:
    chain = Chain(1, [node("a", result(1)), node("b", result(2))], quorum=2)
    with pytest.raises(QuorumError, match=r"http://a against http://b|http://b against http://a"):
        await chain.call_agreed("eth_call")


async def test_a_missing_voice_is_named() -> None:
    chain = Chain(1, [node("a", result(1)), node("b", DEAD)], quorum=2)
    with pytest.raises(ChainUnreachableError, match=r"1 of the 2 endpoints .* cannot be reached"):
        await chain.call_agreed("eth_call")


async def test_a_faulty_answer_counts_as_no_voice() -> None:
    def key(answer: object) -> object:
        if answer == "garbage":
            raise ChainError("garbage")
        return answer

    nodes = [node("a", result("garbage")), node("b", result("0x1")), node("c", result("0x1"))]
    agreement = await Chain(1, nodes, quorum=2).agree(lambda e: e.call("m"), what="m", key=key, everyone=True)
    assert agreement.voices == 2
