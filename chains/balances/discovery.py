"""Finds out how a token stores balances, by experiment: writes a number into a slot and asks for the balance.

1. eth_createAccessList of balanceOf for an address nobody has: which slots of the token does the call touch?
2. Of the known layouts, those whose slot for that address was touched are candidates.
3. eth_call of balanceOf with that slot overridden by an arbitrary number: only if the token answers this number does
   the balance come from there, unscaled. A rebasing token answers another one and stays unproven.

The address and the number depend on the block hash, so no contract can be prepared for them. Every proven balance is
compared with the contract's own answer afterwards, so a wrong layout refuses a reading and never invents one.
"""

from __future__ import annotations

from collections.abc import Sequence

from eth_utils.crypto import keccak

from aggregator.model.errors import ChainError
from chains.anchors import Anchored
from chains.balances.layouts import COMMON_SLOTS, SEARCHED_SLOTS, Layout, candidates
from chains.rpc import Chain, Request, RpcError
from chains.rpc.abi import encode_call
from chains.rpc.values import encode_data, parse_array, parse_data, parse_object


async def discover_layouts(chain: Chain, anchored: Anchored, tokens: Sequence[bytes]) -> dict[bytes, Layout]:
    """The layout of each token (20 bytes) that has a known one, in two HTTP round trips.

    Raises:
        ChainUnreachableError: no endpoint answers.
    """
    if not tokens:
        return {}
    probes = {token: _probe(anchored, token) for token in tokens}
    touched = await _touched_slots(chain, anchored, probes)
    found: dict[bytes, Layout] = {}
    trials = [(token, layout) for token in tokens for layout in _matching(touched[token], probes[token][0])]
    requests = [_trial(anchored, token, layout, *probes[token]) for token, layout in trials]
    for (token, layout), answer in zip(trials, await chain.batch(requests) if requests else [], strict=True):
        if token not in found and _answers(answer, probes[token][1]):
            found[token] = layout
    return found


def _probe(anchored: Anchored, token: bytes) -> tuple[bytes, int]:
    """An address nobody has, and a number of 1 to 88 bits, so that it fits packed balances."""
    seed = keccak(b"counterfoil/probe" + token + bytes.fromhex(anchored.anchor.hash[2:]))
    return seed[:20], int.from_bytes(seed[20:31], "big") | 1


async def _touched_slots(
    chain: Chain, anchored: Anchored, probes: dict[bytes, tuple[bytes, int]]
) -> dict[bytes, set[bytes] | None]:
    """The storage slots of each token that its balanceOf reads; None where the node does not say."""
    requests = [
        Request("eth_createAccessList", [_balance_of(token, holder), anchored.ref])
        for token, (holder, _) in probes.items()
    ]
    answers = await chain.batch(requests)
    return {token: _parse_access(token, answer) for token, answer in zip(probes, answers, strict=True)}


def _parse_access(token: bytes, answer: object) -> set[bytes] | None:
    if isinstance(answer, RpcError):
        return None
    try:
        entries = parse_array(parse_object(answer, "an access list").get("accessList"), "an access list")
        slots: set[bytes] = set()
        for item in entries:
            entry = parse_object(item, "an access list entry")
            if parse_data(entry.get("address"), "an address", 20) == token:
                keys = parse_array(entry.get("storageKeys"), "storage keys")
                slots |= {parse_data(key, "a storage key", 32) for key in keys}
    except ChainError:
        return None
    return slots


def _matching(touched: set[bytes] | None, holder: bytes) -> list[Layout]:
    """Layouts worth a trial."""
    if touched is None:
        return candidates(COMMON_SLOTS)
    return (
        [layout for layout in candidates(SEARCHED_SLOTS) if layout.key(holder) in touched] if touched else []
    )


def _balance_of(token: bytes, holder: bytes) -> dict[str, str]:
    return {"to": encode_data(token), "data": encode_data(encode_call("balanceOf(address)", holder))}


def _trial(anchored: Anchored, token: bytes, layout: Layout, holder: bytes, number: int) -> Request:
    """balanceOf with the layout's slot for `holder` holding `number`."""
    word = encode_data(number.to_bytes(32, "big"))
    override = {encode_data(token): {"stateDiff": {encode_data(layout.key(holder)): word}}}
    return Request("eth_call", [_balance_of(token, holder), anchored.ref, override])


def _answers(answer: object, number: int) -> bool:
    """True when the token answered exactly `number`. A node without state overrides never does."""
    return isinstance(answer, str) and answer == encode_data(number.to_bytes(32, "big"))
