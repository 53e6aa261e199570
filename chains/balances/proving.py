"""Proves any set of words of the state in one HTTP round trip per chain, and keeps the nodes that prove them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from aggregator.model.errors import ChainError
from chains.anchors import Anchored
from chains.balances.forms import Word
from chains.balances.proofs import ProofRequest, fetch_proofs
from chains.rpc import Chain
from chains.verified import Account, ProvenState

SLOTS_PER_REQUEST: Final = 256


@dataclass
class Proven:
    """What was asked and proven. A value that is an error says why the word was not."""

    values: dict[Word, int | ChainError] = field(default_factory=dict)
    accounts: dict[bytes, Account] = field(default_factory=dict)
    nodes: dict[bytes, None] = field(default_factory=dict)
    """Every trie node seen, in order, once."""

    def join(self, other: Proven) -> None:
        """Add what `other` has."""
        self.values |= other.values
        self.accounts |= other.accounts
        self.nodes |= other.nodes


async def prove_words(chain: Chain, anchored: Anchored, words: Iterable[Word]) -> Proven:
    """Ask for a proof of each of `words` under the anchor."""
    slots: dict[bytes, list[bytes]] = {}
    balances: list[bytes] = []
    for address, slot in dict.fromkeys(words):
        if slot is None:
            balances.append(address)
        else:
            slots.setdefault(address, []).append(slot)
    requests = [ProofRequest(address) for address in balances]
    for contract, keys in slots.items():
        starts = range(0, len(keys), SLOTS_PER_REQUEST)
        requests += [ProofRequest(contract, tuple(keys[n : n + SLOTS_PER_REQUEST])) for n in starts]
    proven = Proven()
    if not requests:
        return proven
    for request, state in zip(requests, await fetch_proofs(chain, anchored, requests), strict=True):
        asked: list[Word] = [(request.address, slot) for slot in request.slots] or [(request.address, None)]
        if not isinstance(state, ProvenState):
            proven.values |= dict.fromkeys(asked, state)
            continue
        values = state.words if request.slots else (state.account.balance,)
        proven.values |= dict(zip(asked, values, strict=True))
        proven.accounts[request.address] = state.account
        proven.nodes |= dict.fromkeys(state.nodes)
    return proven
