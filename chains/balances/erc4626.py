"""Kind `erc4626`: shares of a vault; the quantity is the shares, the rate goes along (EIP-4626).

The rate is `convertToAssets` of one whole share: what the vault accounts a share for, without fees and slippage. It
is evidence for whoever prices the share, and never turns the quantity into assets here.
"""

from __future__ import annotations

from collections.abc import Sequence

from aggregator.model.errors import ChainError
from chains.balances.erc20 import Erc20
from chains.multicall import Outcome
from chains.rpc.abi import encode_call


class Erc4626(Erc20):
    """Vault shares."""

    kind = "erc4626"

    def rate_calls(self) -> tuple[bytes, ...]:
        """The value of one share, and the asset it is in."""
        return encode_call("convertToAssets(uint256)", 10**self.token.decimals), encode_call("asset()")

    def rate_detail(self, rates: Sequence[Outcome]) -> dict[str, str]:
        """`assetsPerShare` in base units of `asset`."""
        per_share = rates[0].unsigned(f"convertToAssets of {self.label}")
        if per_share == 0:
            raise ChainError(f"a share of {self.label} converts to nothing; do not count it as collateral")
        (asset,) = rates[1].decode(["address"], f"asset of {self.label}")
        return {"assetsPerShare": str(per_share), "asset": str(asset).lower()}
