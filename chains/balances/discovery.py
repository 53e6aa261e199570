"""Finds out how a token stores balances, by experiment: writes a number into a slot and asks for the balance.

1. balanceOf for an address nobody has: which slots of the token does the call touch (chains.balances.touched)?
2. Of the known layouts, those whose slot for that address was touched are candidates.
3. eth_call of balanceOf with that slot overridden by an arbitrary number under ones: only if the token answers the
   low bits of this word does the balance come from there, unscaled; how many bits says how wide the balance is. A
   rebasing token answers something else and stays unproven.

The address and the number depend on the block hash, so no contract can be prepared for them. Every proven balance is
compared with the contract's own answer afterwards, so a wrong layout refuses a reading and never invents one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from eth_utils.crypto import keccak

from aggregator.model.errors import ChainError
from chains.anchors import Anchored
from chains.balances.layouts import COMMON_SLOTS, SEARCHED_SLOTS, WORD_BITS, Layout, candidates
from chains.balances.touched import View, touched_slots
from chains.rpc import Chain, Request
from chains.rpc.abi import encode_call
from chains.rpc.values import encode_data, parse_data

BALANCE_OF: Final = "balanceOf(address)"
_NUMBER_BITS: Final = 88
"""A balance that shares its word has at least so many bits."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A view function of an address whose answer is looked for in the contract's storage."""

    contract: bytes
    question: str = BALANCE_OF

    @property
    def key(self) -> bytes:
        """Tells the questions to one contract apart; the contract alone for a balance."""
        return self.contract + (b"" if self.question == BALANCE_OF else self.question.encode("ascii"))


async def discover_layouts(chain: Chain, anchored: Anchored, tokens: Sequence[bytes]) -> dict[bytes, Layout]:
    """The layout of the balances of each token (20 bytes) that has a known one, as `discover`."""
    found = await discover(chain, anchored, [Probe(token) for token in tokens])
    return {probe.contract: layout for probe, layout in found.items()}


async def discover(chain: Chain, anchored: Anchored, probes: Sequence[Probe]) -> dict[Probe, Layout]:
    """The layout behind each probe that has a known one, in two HTTP round trips,
    four where the endpoints have to be asked for traces.

    Raises:
        ChainUnreachableError: no endpoint answers.
    """
    if not probes:
        return {}
    marks = {probe: _mark(anchored, probe.contract) for probe in probes}
    views = {probe: View(probe.contract, encode_call(probe.question, marks[probe][0])) for probe in probes}
    touched = await touched_slots(chain, anchored, list(dict.fromkeys(views.values())))
    found: dict[Probe, Layout] = {}
    trials = [
        (probe, layout) for probe in probes for layout in _matching(touched[views[probe]], marks[probe][0])
    ]
    requests = [_trial(anchored, probe, layout, *marks[probe]) for probe, layout in trials]
    for (probe, layout), answer in zip(trials, await chain.batch(requests) if requests else [], strict=True):
        bits = _answered_bits(answer, marks[probe][1])
        if probe not in found and bits:
            found[probe] = replace(layout, bits=bits)
    return found


def _mark(anchored: Anchored, token: bytes) -> tuple[bytes, int]:
    """An address nobody has, and a word: an odd number of up to 88 bits, and all bits above it set."""
    seed = keccak(b"counterfoil/probe" + token + bytes.fromhex(anchored.anchor.hash[2:]))
    number = int.from_bytes(seed[20:31], "big") | 1
    return seed[:20], number | ((1 << WORD_BITS) - (1 << _NUMBER_BITS))


def _matching(touched: set[bytes] | None, holder: bytes) -> list[Layout]:
    """Layouts worth a trial; without a hint the common ones."""
    if touched is None:
        return candidates(COMMON_SLOTS)
    return (
        [layout for layout in candidates(SEARCHED_SLOTS) if layout.key(holder) in touched] if touched else []
    )


def _asking(probe: Probe, holder: bytes) -> dict[str, str]:
    return {"to": encode_data(probe.contract), "data": encode_data(encode_call(probe.question, holder))}


def _trial(anchored: Anchored, probe: Probe, layout: Layout, holder: bytes, word: int) -> Request:
    """The question with the layout's slot for `holder` holding `word`."""
    value = encode_data(word.to_bytes(32, "big"))
    override = {encode_data(probe.contract): {"stateDiff": {encode_data(layout.key(holder)): value}}}
    return Request("eth_call", [_asking(probe, holder), anchored.ref, override])


def _answered_bits(answer: object, word: int) -> int:
    """How many low bits of `word` were answered, 0 when it was something else.

    A node without state overrides never answers any of them.
    """
    try:
        answered = int.from_bytes(parse_data(answer, "the answer of a trial", 32), "big")
    except ChainError:
        return 0
    bits = answered.bit_length()
    return bits if bits > _NUMBER_BITS and answered == word & ((1 << bits) - 1) else 0
