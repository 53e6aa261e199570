"""Guards of an endpoint: pace, circuit breaker, private addresses, heights, and probes of what reading needs."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from typing import Any

import pytest

from aggregator.model.anchors import BlockAnchor, Finality, Trust, eip155
from aggregator.model.errors import ChainUnreachableError, ConfigError, ReorgError
from chains.anchors import take_anchor
from chains.balances import LayoutBook
from chains.devnet import Devnet
from chains.rpc import (
    Chain,
    Endpoint,
    EndpointError,
    PrivateHosts,
    Request,
    RpcSettings,
    probe_endpoints,
)
from chains.rpc.hosts import PublicResolver, is_public
from chains.rpc.pace import Breaker, Pacer
from chains.rpc.transport import HttpTransport, Reply
from tests.chains.faults import ScriptedTransport, faulty_node, result

DEAD = EndpointError("x", "cannot be reached", transient=True)


def test_a_pacer_lets_a_second_of_requests_through_and_then_spaces_them() -> None:
    """10 a second: ten at once are free, the next waits 0.1 s, a batch of 30 makes the one behind it wait 3 s."""
    pacer = Pacer(10)
    assert [pacer.delay_s(0.0, 1) for _ in range(10)] == [0.0] * 10
    assert pacer.delay_s(0.0, 1) == pytest.approx(0.1)
    assert pacer.delay_s(1.1, 1) == 0.0
    assert pacer.delay_s(100.0, 30) == pytest.approx(2.0)
    assert pacer.delay_s(102.0, 10) == pytest.approx(1.0)
    assert Pacer(0).delay_s(0.0, 10**9) == 0.0


async def test_an_endpoint_keeps_to_its_rate() -> None:
    settings = RpcSettings(requests_per_s=50)
    e = Endpoint("http://a", settings=settings, transport=ScriptedTransport(result("0x1")))
    started = time.monotonic()
    await e.batch([Request("m")] * 50)
    assert time.monotonic() - started < 0.1
    await asyncio.gather(*(e.call("m") for _ in range(10)))
    assert time.monotonic() - started > 0.18


def test_a_breaker_opens_rests_tries_once_and_closes() -> None:
    breaker = Breaker(3, 10.0)
    for _ in range(2):
        breaker.failed(0.0)
    assert breaker.resting_s(0.0) == 0.0
    breaker.failed(0.0)
    assert breaker.resting_s(4.0) == 6.0
    assert breaker.resting_s(10.0) == 0.0
    assert breaker.resting_s(10.0) == 10.0, "only one request tries"
    breaker.failed(11.0)
    assert breaker.resting_s(20.9) > 0.0
    assert breaker.resting_s(21.0) == 0.0
    breaker.succeeded()
    assert breaker.resting_s(21.0) == breaker.resting_s(21.0) == 0.0
    never = Breaker(0, 10.0)
    for _ in range(99):
        never.failed(0.0)
    assert never.resting_s(0.0) == 0.0


async def test_a_failing_endpoint_is_left_alone_and_says_so_and_the_next_is_asked() -> None:
    settings = RpcSettings(attempts=1, breaker_failures=2, breaker_rest_s=60.0)
    transport = ScriptedTransport(DEAD)
    e = Endpoint("http://a", settings=settings, transport=transport)
    for _ in range(5):
        with pytest.raises(EndpointError):
            await e.call("m")
    assert len(transport.bodies) == 2
    with pytest.raises(EndpointError, match="left alone for 60 s after 2 failures"):
        await e.call("m")
    other = Endpoint("http://b", transport=ScriptedTransport(result("0x5")))
    assert await Chain(1, [e, other]).call("m") == "0x5"


async def test_after_its_rest_one_answer_brings_an_endpoint_back() -> None:
    settings = RpcSettings(attempts=1, breaker_failures=1, breaker_rest_s=0.05)
    e = Endpoint("http://a", settings=settings, transport=ScriptedTransport(DEAD, DEAD, result("0x5")))
    for _ in range(2):
        with pytest.raises(EndpointError, match="cannot be reached"):
            await e.call("m")
        with pytest.raises(EndpointError, match="left alone"):
            await e.call("m")
        await asyncio.sleep(0.06)
    assert await e.call("m") == "0x5"
    assert await e.call("m") == "0x5"


async def test_a_refusal_is_no_failure_of_the_endpoint() -> None:
    """Only silence opens the breaker: an HTTP 401 is an answer, and named as such each time."""
    settings = RpcSettings(attempts=1, breaker_failures=1)
    e = Endpoint("http://a", settings=settings, transport=ScriptedTransport(Reply(401, b"no", 0.0)))
    for _ in range(3):
        with pytest.raises(EndpointError, match="HTTP 401"):
            await e.call("m")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "255.255.255.255", "224.0.0.1", "[::1]", "[::]", "[fe80::1]", "[fd00::1]", "[::ffff:10.0.0.1]",  # noqa: S104
        "[64:ff9b::a00:1]", "[2002:a00:1::1]", "localhost", "x.localhost", "localhost.",
    ],
)  # fmt: skip
def test_private_addresses_are_refused_where_urls_come_from_strangers(host: str) -> None:
    with pytest.raises(ConfigError, match="private network"):
        Endpoint(f"http://{host}:8545/s3cr3t", settings=RpcSettings(private=PrivateHosts.REFUSE))
    Endpoint(f"http://{host}:8545", settings=RpcSettings(private=PrivateHosts.ALLOW))


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_this_machine_can_be_named_and_no_other(host: str) -> None:
    own = RpcSettings(private=PrivateHosts.LOOPBACK)
    Endpoint(f"http://{host}:8545", settings=own)
    for other in ("10.0.0.1", "169.254.169.254", "0.0.0.0"):  # noqa: S104
        with pytest.raises(ConfigError, match="private network"):
            Endpoint(f"http://{other}", settings=own)


def test_public_addresses_are_public() -> None:
    for text in ("1.1.1.1", "8.8.8.8", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1"):
        assert is_public(ipaddress.ip_address(text)), text


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.1"])
async def test_a_name_that_resolves_inside_is_refused_when_it_is_resolved(host: str) -> None:
    """Rebinding, and the spellings of an address that only the resolver understands: no connection is made."""
    with pytest.raises(OSError, match="private network"):
        await PublicResolver().resolve(host, 80)
    url = f"http://{host}:9"
    transport = HttpTransport(url, timeout_s=2.0, max_bytes=100, private=PrivateHosts.REFUSE)
    with pytest.raises(EndpointError, match=r"private network|not a canonical"):
        await transport.post(b"{}")
    await transport.close()


def test_an_endpoint_does_not_go_back_in_height() -> None:
    e = Endpoint("http://a", transport=ScriptedTransport(result("0x1")))
    for number in (5, 5, 7):
        e.climb("latest", number)
    e.climb("finalized", 3)
    with pytest.raises(EndpointError, match="went back from latest block 7 to 6"):
        e.climb("latest", 6)
    assert "went back" in e.problems[-1]


@pytest.mark.anvil
async def test_an_endpoint_that_goes_back_is_not_used(net: Devnet) -> None:
    """The same open chain is anchored twice, and its only endpoint then answers an older block."""
    await net.mine(5)
    older: Any = await net.head()
    await net.mine(3)
    async with faulty_node(net.url) as node, Chain(101, [Endpoint(node.url)]) as chain:
        cut = int(time.time()) + 60
        anchored = await take_anchor(chain, cut=cut, finality=Finality.LATEST)
        assert anchored.anchor.number == 8

        def go_back(method: str, params: list[Any], answer: Any) -> Any:
            return older if params and params[0] == "latest" else answer

        node.tamper = go_back
        with pytest.raises(ChainUnreachableError, match="went back from latest block 8 to 5"):
            await take_anchor(chain, cut=cut, finality=Finality.LATEST)


def anchor(number: int, fork: int = 0) -> BlockAnchor:
    return BlockAnchor(
        chain=eip155(1),
        number=number,
        hash="0x" + f"{number:032x}{fork:032x}",
        state_root="0x" + "11" * 32,
        timestamp=1000 + number,
        finality=Finality.FINALIZED,
        trust=Trust.SINGLE_RPC,
    )


def test_snapshots_of_one_book_do_not_go_back_in_height() -> None:
    """A lower block for a cut not before the last, or another block at its height, is refused."""
    book = LayoutBook()
    book.climb(1, anchor(50), 2000)
    book.climb(1, anchor(50), 2001)
    book.climb(2, anchor(10), 2000)
    with pytest.raises(ReorgError, match="went back from block 50"):
        book.climb(1, anchor(49), 2000)
    with pytest.raises(ReorgError, match="went back from block 50"):
        book.climb(1, anchor(50, fork=1), 2000)
    book.climb(1, anchor(30), 1035)
    book.climb(1, anchor(51), 2002)
    book.forget_heights()
    book.climb(1, anchor(40), 2002)


@pytest.mark.anvil
async def test_probes_try_the_very_methods_that_reading_needs(net: Devnet) -> None:
    async with faulty_node(net.url) as node, Chain(101, [Endpoint(net.url), Endpoint(node.url)]) as chain:
        rows = await probe_endpoints(chain)
        assert len(rows) == 10
        assert [r.problem for r in rows] == [""] * 10
        node.refused = {"eth_getProof": "the method eth_getProof does not exist"}
        node.forced = {"eth_createAccessList": None}
        bad = {r.method: r.problem for r in await probe_endpoints(chain) if r.problem}
        assert set(bad) == {"eth_getProof", "eth_createAccessList"}
        assert "does not exist" in bad["eth_getProof"]
        node.forced = {"eth_call": "0x" + "00" * 32}
        bad = {r.method: r.problem for r in await probe_endpoints(chain) if r.problem}
        assert "the override was ignored" in bad["eth_call with overrides"]
