"""Compound v3: one market's base position and the collateral behind it, always together, from one block.

What is lent or deposited is read as a quantity of the underlying asset under the instrument `c<SYMBOL>`, what is owed
as `<SYMBOL>-DEBT`, negative. The base position is two readings. The principal times the index of the last accrual is
proven. The interest since then depends on rates that are part of the market's code and not of its storage: it is
`called`, and both add up to what the market itself answers.

The user's bitmap says in which assets collateral lies: one that the network file does not list makes the market
missing.

Source: compound-finance/comet, `CometStorage`, `CometCore`, `Comet` and `CometWithExtendedAssetList`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from eth_utils.crypto import keccak

from aggregator.model.errors import ChainError
from aggregator.model.snapshot import DEBT_KIND
from chains.balances.asset import Amount, Asset
from chains.balances.forms import Form, Stated, Word, contract_of
from chains.multicall import Call, Outcome
from chains.networks import Coin, Comet, Network
from chains.rpc.abi import encode_call

PROTOCOL: Final = "compound-v3"
INDEX_SCALE: Final = 10**15
_USER_BASIC, _USER_COLLATERAL = 5, 6
"""Slots of the market's mappings; its totals are the words 0 and 1."""
_TOTALS_TYPES: Final = ["uint64", "uint64", "uint64", "uint64", "uint104", "uint104", "uint40", "uint8"]
_USER_TYPES: Final = ["int104", "uint64", "uint64", "uint16", "uint8"]
_INFO_TYPES: Final = ["uint8", "address", "address", *["uint64"] * 4, "uint128"]
_SHARED, _OWN = 3, 3
"""Reads before those of each collateral."""
_SINCE: Final = {"part": "interest since the last accrual"}


class _State(NamedTuple):
    """The totals and the user's word: indices in 1e-15, principal negative when owed."""

    supply_index: int
    borrow_index: int
    accrued_at: int
    paused: int
    principal: int
    assets_in: int

    @property
    def supplied(self) -> int:
        """Base units lent at the last accrual, rounded down."""
        return max(self.principal, 0) * self.supply_index // INDEX_SCALE

    @property
    def owed(self) -> int:
        """Base units owed at the last accrual, as the market counts them."""
        return max(-self.principal, 0) * self.borrow_index // INDEX_SCALE

    def remarks(self) -> dict[str, str]:
        """For the detail of every reading of the market: the collateral says what is owed against it."""
        return {
            "principal": str(self.principal),
            "accruedAt": str(self.accrued_at),
            "pauseFlags": str(self.paused),
            "assetsIn": str(self.assets_in),
        }


class CometMarket(Asset):
    """One market."""

    def __init__(self, network: Network, market: Comet) -> None:
        self.label = f"the base position and the collateral in {market.name}"
        self._network = network
        self._market = market
        self._address = bytes.fromhex(market.address[2:])

    def shared_calls(self) -> tuple[Call, ...]:
        """Base token, decimals and totals, then the entry of each collateral."""
        names = (encode_call(f"{name}()") for name in ("baseToken", "decimals", "totalsBasic"))
        question = "getAssetInfoByAddress(address)"
        assets = (encode_call(question, coin.asset) for coin in self._market.collateral)
        return tuple(Call(self._address, data) for data in (*names, *assets))

    def holder_calls(self, holder: bytes) -> tuple[Call, ...]:
        """The user's word, what is lent and owed, then each collateral."""
        names = ("userBasic(address)", "balanceOf(address)", "borrowBalanceOf(address)")
        question = "userCollateral(address,address)"
        assets = (encode_call(question, holder, coin.asset) for coin in self._market.collateral)
        data = (*(encode_call(name, holder) for name in names), *assets)
        return tuple(Call(self._address, call) for call in data)

    def amounts(self, shared: Sequence[Outcome], own: Sequence[Outcome]) -> list[Amount]:
        """Lent and owed, each as proven and since the last accrual; then every collateral."""
        name = self._market.name
        self._check_base(shared)
        offsets = [
            self._offset(coin, outcome)
            for coin, outcome in zip(self._market.collateral, shared[_SHARED:], strict=True)
        ]
        totals = _integers(shared[2], _TOTALS_TYPES, f"the totals of {name}")
        user = _integers(own[0], _USER_TYPES, f"the position of the user in {name}")
        state = _State(totals[0], totals[1], totals[6], totals[7], user[0], user[3] | user[4] << 16)
        unlisted = state.assets_in & ~sum(1 << offset for offset in offsets)
        if unlisted:
            raise ChainError(
                f"collateral lies in asset {unlisted.bit_length() - 1} of {name}, which the network file does not "
                "list; add it"
            )
        lent = own[1].unsigned(f"what is lent to {name}")
        owed = own[2].unsigned(f"what is owed to {name}")
        return [
            *self._base(f"c{self._market.base.symbol}", PROTOCOL, state.supplied, lent, 1, state),
            *self._base(f"{self._market.base.symbol}-DEBT", DEBT_KIND, state.owed, owed, -1, state),
            *(
                self._collateral(coin, outcome, state)
                for coin, outcome in zip(self._market.collateral, own[_OWN:], strict=True)
            ),
        ]

    def _base(
        self, symbol: str, kind: str, accrued: int, total: int, sign: int, state: _State
    ) -> tuple[Amount, Amount]:
        if total < accrued:
            raise ChainError(
                f"{self._market.name} answers {total} for {symbol}, less than principal and index give; check the "
                "endpoint"
            )
        base, instrument = self._market.base, self._network.instrument(symbol)
        form = SUPPLY_FORM if sign > 0 else DEBT_FORM
        detail = self._detail(base, state)
        token, asset = self._market.address.lower(), base.asset.lower()
        since = sign * (total - accrued)
        return (
            Amount(instrument, kind, token, sign * accrued, base.decimals, detail, form),
            Amount(instrument, kind, asset, since, base.decimals, {**detail, **_SINCE}),
        )

    def _collateral(self, coin: Coin, outcome: Outcome, state: _State) -> Amount:
        what = f"the collateral {coin.symbol} in {self._market.name}"
        raw = _integers(outcome, ["uint128", "uint128"], what)[0]
        instrument = self._network.instrument(f"c{coin.symbol}")
        token, detail = self._market.address.lower(), self._detail(coin, state)
        return Amount(instrument, PROTOCOL, token, raw, coin.decimals, detail, COLLATERAL_FORM)

    def _detail(self, coin: Coin, state: _State) -> dict[str, str]:
        place = {
            "market": self._market.name,
            "comet": self._market.address.lower(),
            "asset": coin.asset.lower(),
        }
        return {**place, **state.remarks()}

    def _check_base(self, shared: Sequence[Outcome]) -> None:
        """Raises ChainError when the market names another base token or number of decimals."""
        name, base = self._market.name, self._market.base
        (token,) = shared[0].decode(["address"], f"the base token of {name}")
        decimals = shared[1].unsigned(f"the decimals of {name}")
        if int(str(token), 16) != int(base.asset, 16) or decimals != base.decimals:
            raise ChainError(
                f"{name} has the base token {token} with {decimals} decimals and the network file {base.asset} with "
                f"{base.decimals}; correct the file"
            )

    def _offset(self, coin: Coin, outcome: Outcome) -> int:
        """The bit of the collateral in the user's bitmap; raises ChainError when the decimals are others."""
        info = outcome.decode(_INFO_TYPES, f"the entry of {coin.symbol} in {self._market.name}")
        if int(str(info[3])) != 10**coin.decimals:
            raise ChainError(
                f"{self._market.name} counts {coin.symbol} in 1/{info[3]} and the network file says {coin.decimals} "
                "decimals; correct the file"
            )
        return int(str(info[0]))


class _BaseForm:
    """Principal times the index of the last accrual."""

    _owed: bool

    def words(self, stated: Stated) -> tuple[Word, ...]:
        """The user's word and the totals."""
        market = _market(stated)
        return (market, _mapped(stated.holder, _USER_BASIC)), (market, _slot(0)), (market, _slot(1))

    def raw(self, stated: Stated, words: Sequence[int]) -> frozenset[int]:
        """What is lent, or minus what is owed."""
        state = _state(words)
        return frozenset({-state.owed if self._owed else state.supplied})

    def remarks(self, stated: Stated, words: Sequence[int]) -> Mapping[str, str]:
        """The principal, when interest was added last, what is paused, and where collateral lies."""
        return _state(words).remarks()


class _SupplyForm(_BaseForm):
    _owed = False


class _DebtForm(_BaseForm):
    _owed = True


class _CollateralForm(_BaseForm):
    """The user's balance of one asset, with the principal that it may stand for."""

    def words(self, stated: Stated) -> tuple[Word, ...]:
        """Behind the others the balance: a mapping of users to mappings of assets."""
        outer = _mapped(stated.holder, _USER_COLLATERAL)
        asset = contract_of(stated.detail.get("asset", ""))
        return *super().words(stated), (_market(stated), keccak(asset.rjust(32, b"\x00") + outer))

    def raw(self, stated: Stated, words: Sequence[int]) -> frozenset[int]:
        """The balance is the low half."""
        return frozenset({words[3] & (1 << 128) - 1})


SUPPLY_FORM, DEBT_FORM, COLLATERAL_FORM = (f"{PROTOCOL}-{part}" for part in ("supply", "debt", "collateral"))
COMPOUND_FORMS: Final[dict[str, Form]] = {
    SUPPLY_FORM: _SupplyForm(),
    DEBT_FORM: _DebtForm(),
    COLLATERAL_FORM: _CollateralForm(),
}


def _market(stated: Stated) -> bytes:
    return contract_of(stated.detail.get("comet", ""))


def _state(words: Sequence[int]) -> _State:
    user, first, second = words[:3]
    half, number = (1 << 64) - 1, user & (1 << 104) - 1
    principal = number - (number >> 103 << 104)
    return _State(
        first & half, first >> 64 & half, second >> 208 & (1 << 40) - 1, second >> 248, principal, user >> 232
    )


def _integers(outcome: Outcome, types: Sequence[str], what: str) -> list[int]:
    return [int(str(value)) for value in outcome.decode(types, what)]


def _slot(number: int) -> bytes:
    return number.to_bytes(32, "big")


def _mapped(key: bytes, mapping: int) -> bytes:
    return keccak(key.rjust(32, b"\x00") + _slot(mapping))
