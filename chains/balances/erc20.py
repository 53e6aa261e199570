"""Kind `erc20`: a token whose balance is a stored number of base units (EIP-20)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aggregator.model.errors import ChainError
from aggregator.model.movable import BLOCKED
from chains.balances.asset import Amount, Asset
from chains.balances.discovery import Probe
from chains.multicall import Call, Outcome
from chains.networks import Network, Token
from chains.rpc import clean_text
from chains.rpc.abi import encode_call

WORD_BYTES: Final = 32
MARKET_VIEWS: Final[Mapping[str, str]] = {
    "UNDERLYING_ASSET_ADDRESS()": "a market of Aave",
    "baseTokenPriceFeed()": "a market of Compound v3",
    "isCToken()": "a market of Compound v2",
    "isVToken()": "a market of Venus",
}
"""Views that only tokens of a lending market have: deposits that encumber each other, or what is owed.

Sources: aave-v3-core and aave protocol-v2, IAToken.sol and ICreditDelegationToken.sol's VariableDebtToken;
compound-finance/comet, Comet.sol; compound-protocol, CTokenInterfaces.sol; VenusProtocol, VTokenInterfaces.sol.
"""
_SYMBOL_LENGTH: Final = 32


class Erc20(Asset):
    """A token balance, proven from the token's storage when the layout of its balances is known."""

    kind = "erc20"
    form = "storage"
    own_views: tuple[str, ...] = ()
    """View functions of the holder's address that a derived kind needs."""

    def __init__(self, network: Network, token: Token) -> None:
        self.label = network.instrument(token.symbol)
        self.address = self.balance_of = bytes.fromhex(token.address[2:])
        self.probe = Probe(self.address)
        self.token = token

    def layouts(self) -> Mapping[Probe, str]:
        """The balances."""
        return {self.probe: self.token.layout}

    def shared_calls(self) -> tuple[Call, ...]:
        """Decimals and symbol, whether a lending market made it, then what the kind needs."""
        names = ("decimals()", "symbol()", *MARKET_VIEWS)
        calls = *(encode_call(name) for name in names), *self.rate_calls()
        return tuple(Call(self.address, data) for data in calls)

    def rate_calls(self) -> tuple[bytes, ...]:
        """Call data of the further reads of a derived kind."""
        return ()

    def holder_calls(self, holder: bytes) -> tuple[Call, ...]:
        """balanceOf, what the kind needs of the holder, then whether the token blocks it."""
        views = ("balanceOf(address)", *self.own_views, *filter(None, [self.token.blocked]))
        return tuple(Call(self.address, encode_call(view, holder)) for view in views)

    def amounts(self, shared: Sequence[Outcome], own: Sequence[Outcome]) -> list[Amount]:
        """One amount in base units; the contract's decimals have to be the configured ones."""
        decimals = shared[0].unsigned(f"decimals of {self.label}")
        if decimals != self.token.decimals:
            raise ChainError(
                f"{self.label} has {decimals} decimals on chain and {self.token.decimals} in its network file; "
                "correct the file"
            )
        rates = shared[2 + len(MARKET_VIEWS) :]
        self._refuse_market(shared[2 : 2 + len(MARKET_VIEWS)])
        raw = own[0].unsigned(f"the balance of {self.label}")
        detail = {
            "symbolOnChain": symbol_text(shared[1]),
            **self.rate_detail(rates),
            **self.own_detail(own[1:]),
            **self._blocked(own),
        }
        token = "0x" + self.address.hex()
        return [Amount(self.label, self.kind, token, raw, decimals, detail, self.form, self.probe)]

    def rate_detail(self, rates: Sequence[Outcome]) -> dict[str, str]:
        """What the further reads say, for the reading's detail."""
        return {}

    def own_detail(self, own: Sequence[Outcome]) -> dict[str, str]:
        """What `own_views` say of the holder, for the reading's detail."""
        return {}

    def _refuse_market(self, answers: Sequence[Outcome]) -> None:
        """Raises ChainError for a token of a lending market, whose debt would not be read beside it."""
        for view, answer in zip(MARKET_VIEWS, answers, strict=True):
            if answer.ok and len(answer.data) == WORD_BYTES and any(answer.data):
                raise ChainError(
                    f"{self.label} belongs to {MARKET_VIEWS[view]} (it answers {view}), and what is owed there is "
                    "only read with the market; take it out of the tokens and list the market"
                )

    def _blocked(self, own: Sequence[Outcome]) -> dict[str, str]:
        view = self.token.blocked
        if not view:
            return {}
        blocked = own[-1].unsigned(f"{view} of {self.label}") != 0
        return {BLOCKED: str(blocked).lower(), "blockedBy": view}


def symbol_text(outcome: Outcome) -> str:
    """A token's own symbol, harmless to print; "" when it has none. Some early tokens answer a bytes32."""
    try:
        if len(outcome.data) == 32:
            text = outcome.data.rstrip(b"\x00").decode("utf-8", errors="replace")
        else:
            (text,) = (str(v) for v in outcome.decode(["string"], "symbol"))
    except ChainError:
        return ""
    return clean_text(text, _SYMBOL_LENGTH)
