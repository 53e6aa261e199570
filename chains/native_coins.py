"""Contracts that show a chain's own coin as a token: the same balance under another address.

`balanceOf` of such a contract is the native balance, so listing one beside the coin would count it twice. A contract
that wraps the coin (WETH) holds it instead, and is none of these. The list is what is publicly documented; a contract
that is not on it is found by experiment where the endpoint allows it (chains.balances.aliases).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_OVM: Final = "0xdeaddeaddeaddeaddeaddeaddeaddeaddead0000"
_BALANCES_PALLET: Final = "0x0000000000000000000000000000000000000802"
_POLYGON: Final = "0x0000000000000000000000000000000000001010"
_ZK_STACK: Final = "0x000000000000000000000000000000000000800a"

NATIVE_CONTRACTS: Final[Mapping[int, frozenset[str]]] = {
    # OP Mainnet, Metis, Mantle: the coin's predeploy of the OVM. Sources: ethereum-optimism/optimism, Predeploys.sol
    # (LegacyERC20ETH); docs.mantle.xyz, "Canonical Token Addresses"; docs.metis.io, "Metis token".
    10: frozenset({_OVM}),
    1088: frozenset({_OVM}),
    5000: frozenset({_OVM}),
    # Polygon PoS and Amoy: the system contract MRC20. Source: docs.polygon.technology, "Native token".
    137: frozenset({_POLYGON}),
    80002: frozenset({_POLYGON}),
    # ZKsync Era, its Sepolia, Abstract: L2BaseToken. Source: docs.zksync.io, "System contracts".
    300: frozenset({_ZK_STACK}),
    324: frozenset({_ZK_STACK}),
    2741: frozenset({_ZK_STACK}),
    # Moonbeam, Moonriver, Moonbase Alpha. Source: docs.moonbeam.network, "Native Token ERC-20 Precompile".
    1284: frozenset({_BALANCES_PALLET}),
    1285: frozenset({_BALANCES_PALLET}),
    1287: frozenset({_BALANCES_PALLET}),
    # Celo and Alfajores: the CELO token (GoldToken). Source: docs.celo.org, "Token Duality".
    42220: frozenset({"0x471ece3750da237f93b8e339c536989b8978a438"}),
    44787: frozenset({"0xf194afdf50b03e69bd7d057c1aa9e10c9954e4c9"}),
    # Arc testnet: USDC is the coin, with 6 decimals as a token. Source: docs.arc.network, "EVM compatibility".
    5042002: frozenset({"0x3600000000000000000000000000000000000000"}),
}
"""By EIP-155 chain id, lower-case addresses."""


def is_native_contract(chain_id: int, address: str) -> bool:
    """Whether `address` (0x hex) is known to show the coin of that chain as a token."""
    return address.lower() in NATIVE_CONTRACTS.get(chain_id, ())
