"""Kind `staked`: a staking token with a constant balance and a moving rate to what was staked.

The rate function is named in the network file because every protocol has its own (`stEthPerToken()`,
`getExchangeRate()`, `exchangeRate()`, ..); all of them answer the staked amount per whole token, scaled by 1e18.
"""

from __future__ import annotations

from collections.abc import Sequence

from aggregator.model.errors import ChainError
from chains.balances.erc20 import Erc20
from chains.multicall import Outcome
from chains.rpc.abi import encode_call


class Staked(Erc20):
    """Rate-bearing staking tokens."""

    kind = "staked"

    def rate_calls(self) -> tuple[bytes, ...]:
        """The protocol's rate."""
        return (encode_call(self.token.rate),)

    def rate_detail(self, rates: Sequence[Outcome]) -> dict[str, str]:
        """`rateE18`: staked asset per token."""
        rate = rates[0].unsigned(f"{self.token.rate} of {self.label}")
        if rate == 0:
            raise ChainError(f"the rate of {self.label} is zero; do not count it as collateral")
        return {"rateE18": str(rate)}
