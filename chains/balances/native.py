"""Kind `native`: the chain's own coin."""

from __future__ import annotations

from collections.abc import Sequence

from chains.balances.asset import Amount, Asset
from chains.balances.forms import COIN
from chains.multicall import Call, Outcome
from chains.networks import Network


class NativeCoin(Asset):
    """The native balance of an account, proven from the account's entry in the state trie."""

    def __init__(self, network: Network) -> None:
        self.label = network.instrument(network.native.symbol)
        self._decimals = network.native.decimals

    def holder_calls(self, holder: bytes) -> tuple[Call, ...]:
        """The balance opcode."""
        return (Call(holder),)

    def amounts(self, shared: Sequence[Outcome], own: Sequence[Outcome]) -> list[Amount]:
        """One amount, in wei."""
        raw = own[0].unsigned(f"the balance of {self.label}")
        return [Amount(self.label, "native", COIN, raw, self._decimals, form="account")]
