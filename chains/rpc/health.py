"""Whether endpoints do what reading needs: each method is tried as it will be used, on a recent block."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from aggregator.model.errors import ChainError
from chains.rpc.chain import Chain
from chains.rpc.endpoint import Endpoint
from chains.rpc.values import encode_data, parse_array, parse_data, parse_object

_NOBODY: Final = encode_data(b"\xc0\xff\xee" + bytes(15) + b"\xc0\x1a")
_ANSWER_42: Final = "0x602a5f5260205ff3"
"""Code that returns the word 42."""


@dataclass(frozen=True, slots=True)
class Probed:
    """One method of one endpoint: how long it took, and why it cannot be used ("" when it can)."""

    endpoint: str
    method: str
    seconds: float
    problem: str


async def probe_endpoints(chain: Chain, tag: str = "latest") -> list[Probed]:
    """Try every method that reading needs on every active endpoint, at the block `tag`.

    `eth_call` is tried pinned by hash, and with overridden code as layout discovery does; without the latter, without
    `eth_createAccessList` or `eth_getProof`, balances are called and not proven.
    """
    rows = await asyncio.gather(*(_probe(endpoint, tag) for endpoint in chain.active))
    return [row for part in rows for row in part]


async def _probe(endpoint: Endpoint, tag: str) -> list[Probed]:
    started = time.monotonic()
    try:
        block = parse_object(await endpoint.call("eth_getBlockByNumber", [tag, False]), f"the {tag} block")
        block_hash = encode_data(parse_data(block.get("hash"), "the block hash", 32))
    except ChainError as error:
        return [Probed(endpoint.name, "eth_getBlockByNumber", time.monotonic() - started, str(error))]
    rows = [Probed(endpoint.name, "eth_getBlockByNumber", time.monotonic() - started, "")]
    pinned = {"blockHash": block_hash, "requireCanonical": True}
    call = {"to": _NOBODY, "data": "0x"}
    trials: list[tuple[str, str, list[object]]] = [
        ("eth_call", "eth_call", [call, pinned]),
        ("eth_call with overrides", "eth_call", [call, pinned, {_NOBODY: {"code": _ANSWER_42}}]),
        ("eth_createAccessList", "eth_createAccessList", [call, pinned]),
        ("eth_getProof", "eth_getProof", [_NOBODY, ["0x" + "00" * 32], pinned]),
    ]
    for name, method, params in trials:
        started = time.monotonic()
        try:
            _check(name, await endpoint.call(method, params))
            problem = ""
        except ChainError as error:
            problem = str(error)
        rows.append(Probed(endpoint.name, name, time.monotonic() - started, problem))
    return rows


def _check(name: str, answer: object) -> None:
    """Raise ChainError when the answer is not what the method is needed for."""
    if name == "eth_call with overrides":
        if int.from_bytes(parse_data(answer, "the answer", 32), "big") != 42:
            raise ChainError("the override was ignored; use another endpoint for discovery")
    elif name == "eth_call":
        parse_data(answer, "the answer")
    elif name == "eth_createAccessList":
        parse_array(parse_object(answer, "the access list").get("accessList"), "the access list")
    else:
        parse_array(parse_object(answer, "the proof").get("accountProof"), "the account proof")
