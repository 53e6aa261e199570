"""Kind `uniswap-v2`: shares of a Uniswap v2 pair. The quantity is the shares; what they are shares of goes along.

Balance, reserves, supply and the last invariant are all words of the pair, so all of them are proven, and
`fair_share_price_e12` values a share from them. It takes the invariant at outside prices: a trade moves the reserves
along the invariant, so nobody can raise the value of a share by trading against the pair for one block, as they can
with the spot price.

Source: Uniswap/v2-core, `UniswapV2ERC20`, `UniswapV2Pair` (`_mintFee`); the fair price 2 sqrt(x y p q) / supply is
Alpha Homora's, "Fair Uniswap's LP Token Pricing".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Final

from aggregator.model.errors import ChainError
from chains.balances.erc20 import Erc20
from chains.balances.forms import Form, Stated, StorageForm, Word, contract_of
from chains.multicall import Outcome
from chains.rpc.abi import encode_call

FORM: Final = "uniswap-v2"
_SUPPLY, _RESERVES, _K_LAST = (n.to_bytes(32, "big") for n in (0, 8, 11))
"""Slots of a pair."""
_RESERVE: Final = (1 << 112) - 1


class UniswapPair(Erc20):
    """Shares of a pair."""

    kind = "uniswap-v2"
    form = FORM

    def rate_calls(self) -> tuple[bytes, ...]:
        """The two tokens, and the pair's state."""
        names = ("token0()", "token1()", "getReserves()", "totalSupply()", "kLast()")
        return tuple(encode_call(name) for name in names)

    def rate_detail(self, rates: Sequence[Outcome]) -> dict[str, str]:
        """Tokens, reserves in their base units, supply of shares, and the invariant at the last fee."""
        first, second = (outcome.decode(["address"], f"a token of {self.label}")[0] for outcome in rates[:2])
        reserves = rates[2].decode(["uint112", "uint112", "uint32"], f"the reserves of {self.label}")
        supply = rates[3].unsigned(f"the supply of {self.label}")
        if not supply:
            raise ChainError(f"{self.label} has no shares at all; do not count it as collateral")
        k_last = rates[4].unsigned(f"kLast of {self.label}")
        tokens = {"token0": str(first).lower(), "token1": str(second).lower()}
        return {**tokens, **_state(int(str(reserves[0])), int(str(reserves[1])), supply, k_last)}


class _PairForm(StorageForm):
    """The balance, and the state of the pair beside it."""

    def words(self, stated: Stated) -> tuple[Word, ...]:
        """The holder's word, supply, reserves, last invariant."""
        pair = contract_of(stated.token)
        return (*super().words(stated), *((pair, slot) for slot in (_SUPPLY, _RESERVES, _K_LAST)))

    def remarks(self, stated: Stated, words: Sequence[int]) -> Mapping[str, str]:
        """The state of the pair."""
        packed = words[2]
        return _state(packed & _RESERVE, packed >> 112 & _RESERVE, words[1], words[3])


UNISWAP_FORMS: Final[dict[str, Form]] = {FORM: _PairForm()}


@dataclass(frozen=True, slots=True)
class PairState:
    """Reserves, supply of shares and kLast as the pair stores them."""

    reserve0: int
    reserve1: int
    supply: int
    k_last: int

    @classmethod
    def of(cls, detail: Mapping[str, str]) -> PairState:
        """From the detail of a reading."""
        return cls(*(int(detail[key]) for key in ("reserve0", "reserve1", "totalSupply", "kLast")))

    @property
    def diluted_supply(self) -> int:
        """The supply after the protocol's fee is minted, which the next deposit or withdrawal does (`_mintFee`)."""
        root, root_last = isqrt(self.reserve0 * self.reserve1), isqrt(self.k_last)
        if not self.k_last or root <= root_last:
            return self.supply
        return self.supply + self.supply * (root - root_last) // (5 * root + root_last) + 1


def fair_share_price_e12(
    state: PairState,
    price0_e12: int,
    price1_e12: int,
    decimals0: int,
    decimals1: int,
    share_decimals: int = 18,
) -> int:
    """USD of one share in 1e-12, rounded down: twice the root of the invariant at these prices, over the supply.

    Parameters:
        price0_e12, price1_e12: USD of one whole token in 1e-12, from outside the pair.

    Raises:
        ChainError: the pair has no shares.
    """
    if not state.supply:
        raise ChainError("a pair without shares has no share price; do not count it")
    value_e24 = state.reserve0 * price0_e12 * state.reserve1 * price1_e12
    scale = 10 ** (decimals0 + decimals1)
    return isqrt(4 * value_e24 * 10 ** (2 * share_decimals) // scale) // state.diluted_supply


def _state(reserve0: int, reserve1: int, supply: int, k_last: int) -> dict[str, str]:
    return {
        "reserve0": str(reserve0),
        "reserve1": str(reserve1),
        "totalSupply": str(supply),
        "kLast": str(k_last),
    }
