"""Kind `erc4626`: shares of a vault; the quantity is the shares, the rate goes along (EIP-4626).

The rate is `convertToAssets` of one whole share: what the vault accounts a share for, without fees and slippage. It
is evidence for whoever prices the share, and never turns the quantity into assets here. A vault that says more per
share than it has for all shares together is refused. What the holder could redeem now (`maxRedeem`, which has to
respect every lock and limit of the vault) goes along, and no more counts as collateral (aggregator.model.movable).
"""

from __future__ import annotations

from collections.abc import Sequence

from aggregator.model.errors import ChainError
from aggregator.model.movable import MAX_REDEEM, VAULT_KIND
from chains.balances.erc20 import Erc20
from chains.multicall import Outcome
from chains.rpc.abi import encode_call


class Erc4626(Erc20):
    """Vault shares."""

    kind = VAULT_KIND
    own_views = ("maxRedeem(address)",)

    def rate_calls(self) -> tuple[bytes, ...]:
        """The value of one share, the asset it is in, and what the vault has for all of them."""
        share = encode_call("convertToAssets(uint256)", 10**self.token.decimals)
        return share, *(encode_call(f"{name}()") for name in ("asset", "totalAssets", "totalSupply"))

    def rate_detail(self, rates: Sequence[Outcome]) -> dict[str, str]:
        """`assetsPerShare` in base units of `asset`."""
        per_share = rates[0].unsigned(f"convertToAssets of {self.label}")
        if per_share == 0:
            raise ChainError(f"a share of {self.label} converts to nothing; do not count it as collateral")
        assets = rates[2].unsigned(f"totalAssets of {self.label}")
        supply = rates[3].unsigned(f"totalSupply of {self.label}")
        if per_share * supply > (assets + 1) * 10**self.token.decimals:
            raise ChainError(
                f"a share of {self.label} converts to {per_share}, more than its part of the {assets} the vault has; "
                "do not count it as collateral"
            )
        (asset,) = rates[1].decode(["address"], f"asset of {self.label}")
        return {"assetsPerShare": str(per_share), "asset": str(asset).lower()}

    def own_detail(self, own: Sequence[Outcome]) -> dict[str, str]:
        """`maxRedeem` in shares."""
        return {MAX_REDEEM: str(own[0].unsigned(f"maxRedeem of {self.label}"))}
