"""Networks over local chains, as a network file would describe them."""

from __future__ import annotations

from typing import Any

from aggregator.model.anchors import Finality
from chains.devnet import Deployed, Devnet
from chains.networks import Ledger, Native, Network, Token
from chains.rpc import RpcSettings

FAST = RpcSettings(timeout_s=3.0, attempts=1)


def token(deployed: Deployed, symbol: str, decimals: int, kind: str = "erc20", **options: str) -> Token:
    return Token(symbol, kind, deployed.address, decimals, **options)


def network(net: Devnet, *tokens: Token, **options: Any) -> Network:
    """A network file's content for `net`, anchored at the latest block."""
    settings: dict[str, Any] = {
        "name": f"local {net.chain_id}",
        "chain_id": net.chain_id,
        "endpoints": (net.url,),
        "native": Native("ETH"),
        "finality": Finality.LATEST,
        "deadline_s": 20,
        "rpc": FAST,
        "tokens": tokens,
        **options,
    }
    return Network(**settings)


def ledger(deployed: Deployed, *markets: str) -> Ledger:
    return Ledger("venue", deployed.address, markets)


def market(symbol: str) -> bytes:
    return symbol.encode().ljust(32, b"\x00")
