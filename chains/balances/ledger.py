"""Kind `ledger`: positions on a derivatives venue that keeps its book in a contract.

The contract answers `positionOf(address,bytes32)` with a signed size in 1e-8 units and a signed cash leg in 1e-8 USD
(minus size times entry price for a perp). Both signs are of one kind, so what an attestation covers does not tell
whether a position is long or short.
"""

from __future__ import annotations

from collections.abc import Sequence

from aggregator.model.snapshot import LEDGER_KIND
from chains.balances.asset import Amount, Asset
from chains.multicall import Call, Outcome
from chains.networks import CASH, Ledger, Network
from chains.rpc.abi import encode_call

_DECIMALS = 8


class LedgerBook(Asset):
    """All markets of one position book, and the cash leg summed over them."""

    def __init__(self, network: Network, ledger: Ledger) -> None:
        self.label = f"{ledger.name} positions on {network.chain}"
        self.address = bytes.fromhex(ledger.address[2:])
        self._ledger = ledger

    def holder_calls(self, holder: bytes) -> tuple[Call, ...]:
        """positionOf for each market."""
        return tuple(
            Call(self.address, encode_call("positionOf(address,bytes32)", holder, market.encode("ascii")))
            for market in self._ledger.markets
        )

    def amounts(self, shared: Sequence[Outcome], own: Sequence[Outcome]) -> list[Amount]:
        """One amount per market and one of cash; a market that cannot be read fails them all."""
        amounts: list[Amount] = []
        cash = 0
        for market, outcome in zip(self._ledger.markets, own, strict=True):
            size, leg = (
                int(str(v)) for v in outcome.decode(["int256", "int256"], f"{market} in {self.label}")
            )
            amounts.append(self._amount(market, size, {"cashE8": str(leg)}))
            cash += leg
        return [*amounts, self._amount(CASH, cash, {"markets": ",".join(self._ledger.markets)})]

    def _amount(self, instrument: str, raw: int, detail: dict[str, str]) -> Amount:
        token = "0x" + self.address.hex()
        return Amount(instrument, LEDGER_KIND, token, raw, _DECIMALS, {"venue": self._ledger.name, **detail})
