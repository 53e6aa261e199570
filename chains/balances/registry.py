"""The kinds of holding, by the name a network file uses."""

from __future__ import annotations

from typing import Final

from chains.balances.asset import Asset
from chains.balances.erc20 import Erc20
from chains.balances.erc4626 import Erc4626
from chains.balances.ledger import LedgerBook
from chains.balances.native import NativeCoin
from chains.balances.staked import Staked
from chains.networks import Network

TOKEN_ASSETS: Final[dict[str, type[Erc20]]] = {asset.kind: asset for asset in (Erc20, Erc4626, Staked)}


def assets_of(network: Network) -> list[Asset]:
    """Everything `network` says an address can hold there."""
    tokens = [TOKEN_ASSETS[token.kind](network, token) for token in network.tokens]
    return [NativeCoin(network), *tokens, *(LedgerBook(network, ledger) for ledger in network.ledgers)]
