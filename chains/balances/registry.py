"""The kinds of holding, by the name a network file uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from chains.balances.aave import AAVE_FORMS, AaveMarket
from chains.balances.asset import Asset
from chains.balances.compound import COMPOUND_FORMS, CometMarket
from chains.balances.erc20 import Erc20
from chains.balances.erc4626 import Erc4626
from chains.balances.forms import FORMS, Form
from chains.balances.ledger import LedgerBook
from chains.balances.lido import LIDO_FORMS, StEth, staked_or_wsteth
from chains.balances.native import NativeCoin
from chains.balances.uniswap import UNISWAP_FORMS, UniswapPair
from chains.balances.uniswap_v3 import UNISWAP_V3_FORMS, PositionBook
from chains.networks import Lending, Network, PositionManager, Token

TOKEN_ASSETS: Final[dict[str, Callable[[Network, Token], Asset]]] = {
    "erc20": Erc20,
    "erc4626": Erc4626,
    "staked": staked_or_wsteth,
    "steth": StEth,
    "uniswap-v2": UniswapPair,
}
LENDING_ASSETS: Final[dict[str, Callable[[Network, Lending], Asset]]] = {"aave-v3": AaveMarket}
POSITION_ASSETS: Final[dict[str, Callable[[Network, PositionManager], Asset]]] = {"uniswap-v3": PositionBook}
PROTOCOL_FORMS: Final[dict[str, Form]] = {
    **AAVE_FORMS,
    **COMPOUND_FORMS,
    **LIDO_FORMS,
    **UNISWAP_FORMS,
    **UNISWAP_V3_FORMS,
}

FORMS.update(PROTOCOL_FORMS)


def assets_of(network: Network) -> list[Asset]:
    """Everything `network` says an address can hold there."""
    tokens = [TOKEN_ASSETS[token.kind](network, token) for token in network.tokens]
    ledgers = [LedgerBook(network, ledger) for ledger in network.ledgers]
    lending = [LENDING_ASSETS[market.protocol](network, market) for market in network.lending]
    comets = [CometMarket(network, market) for market in network.comets]
    positions = [POSITION_ASSETS[manager.protocol](network, manager) for manager in network.positions]
    return [NativeCoin(network), *tokens, *ledgers, *lending, *comets, *positions]
