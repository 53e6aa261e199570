"""Aave v3: deposits and debts of one market, always together, each the scaled balance times the index of its reserve.

A deposit is read as a quantity of the underlying asset under the instrument `a<SYMBOL>`, a debt as `<SYMBOL>-DEBT`,
negative. The user's configuration bitmap says in which reserves something is owed: a debt in a reserve that the network
file does not list makes the whole market missing.

A debt at a stable rate is a principal, compounded at the holder's own rate since it was last counted.

Source: aave/aave-v3-core, `PoolStorage`, `DataTypes`, `MathUtils`, `WadRayMath`, `IncentivizedERC20`,
`StableDebtToken`; the storage of later releases is compatible. Up to 3.4 products are rounded half up, from 3.5 on
deposits down and debts up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from eth_utils.crypto import keccak

from aggregator.model.errors import ChainError
from aggregator.model.snapshot import DEBT_KIND
from chains.balances.asset import Amount, Asset
from chains.balances.discovery import Probe
from chains.balances.forms import Form, Stated, Word, contract_of, holder_slot, layout_of
from chains.balances.layouts import Layout
from chains.multicall import Call, Outcome
from chains.networks import Lending, Network, Reserve
from chains.rpc.abi import encode_call

PROTOCOL: Final = "aave-v3"
RAY: Final = 10**27
YEAR_S: Final = 365 * 86_400
_SCALED: Final = "scaledBalanceOf(address)"
_PRINCIPAL: Final = "principalBalanceOf(address)"
_TIMES_BEHIND_BALANCES: Final = 6
"""Slots from a stable debt token's balances to the times at which its holders' debts were last counted."""
_RESERVES, _USERS_CONFIG, _USERS_EMODE = 52, 53, 56
"""Slots of the pool's mappings."""
_HALF_WORD: Final = (1 << 128) - 1
_DATA_WORDS: Final = 15
_ID, _DEPOSIT, _STABLE, _DEBT = 7, 8, 9, 10
"""Places in the answer of getReserveData; place 0 is the configuration."""


class AaveMarket(Asset):
    """Every listed reserve of one pool."""

    def __init__(self, network: Network, market: Lending) -> None:
        self.label = f"deposits and debts in {market.name}"
        self._network = network
        self._market = market
        self._pool = bytes.fromhex(market.address[2:])

    def layouts(self) -> Mapping[Probe, str]:
        """The scaled balances of each deposit and variable debt token, the principals of stable debts."""
        scaled = {_probe(token): "" for r in self._market.reserves for token in (r.deposit, r.debt)}
        stable = (r.stable_debt for r in self._market.reserves if r.stable_debt)
        return scaled | {_probe(token, _PRINCIPAL): "" for token in stable}

    def shared_calls(self) -> tuple[Call, ...]:
        """The data of each reserve."""
        asset = "getReserveData(address)"
        return tuple(Call(self._pool, encode_call(asset, r.asset)) for r in self._market.reserves)

    def holder_calls(self, holder: bytes) -> tuple[Call, ...]:
        """Configuration and e-mode of the user, then the balance of each token."""
        user = (encode_call(f"{name}(address)", holder) for name in ("getUserConfiguration", "getUserEMode"))
        balance = encode_call("balanceOf(address)", holder)
        tokens = [token for reserve in self._market.reserves for token in _tokens(reserve)]
        return (
            *(Call(self._pool, data) for data in user),
            *(Call(bytes.fromhex(token[2:]), balance) for token in tokens),
        )

    def amounts(self, shared: Sequence[Outcome], own: Sequence[Outcome]) -> list[Amount]:
        """Deposit, variable and stable debt of every reserve."""
        ids = [self._reserve_id(r, outcome) for r, outcome in zip(self._market.reserves, shared, strict=True)]
        config = own[0].unsigned(f"the configuration of the user in {self._market.name}")
        e_mode = own[1].unsigned(f"the e-mode of the user in {self._market.name}")
        borrowed = _borrowed(config)
        if unlisted := sorted(set(borrowed) - set(ids)):
            raise ChainError(
                f"something is owed in the reserve with id {unlisted[0]}, which the network file does not list; add it"
            )
        balances = iter(own[2:])
        amounts: list[Amount] = []
        for reserve, number in zip(self._market.reserves, ids, strict=True):
            detail = {
                "market": self._market.name,
                "pool": self._market.address.lower(),
                "asset": reserve.asset.lower(),
                "reserve": str(number),
            }
            user = _user_remarks(config, number, e_mode)
            for token in _tokens(reserve):
                raw = next(balances).unsigned(f"the balance of {token} in {self._market.name}")
                amounts.append(self._amount(reserve, token, raw, detail, user))
        return amounts

    def _amount(
        self, reserve: Reserve, token: str, raw: int, detail: Mapping[str, str], user: Mapping[str, str]
    ) -> Amount:
        address = token.lower()
        if token == reserve.deposit:
            symbol = self._network.instrument(f"a{reserve.symbol}")
            full = {**detail, **user}
            return Amount(symbol, PROTOCOL, address, raw, reserve.decimals, full, DEPOSIT_FORM, _probe(token))
        symbol = self._network.instrument(f"{reserve.symbol}-DEBT")
        if token == reserve.debt:
            return Amount(
                symbol, DEBT_KIND, address, -raw, reserve.decimals, detail, DEBT_FORM, _probe(token)
            )
        stable = {**detail, "rate": "stable"}
        probe = _probe(token, _PRINCIPAL)
        return Amount(symbol, DEBT_KIND, address, -raw, reserve.decimals, stable, STABLE_FORM, probe)

    def _reserve_id(self, reserve: Reserve, outcome: Outcome) -> int:
        """The id, when the pool names the tokens and decimals that the network file does; raises ChainError."""
        what = f"the data of the reserve {reserve.symbol} in {self._market.name}"
        words = [int(str(v)) for v in outcome.decode(["uint256"] * _DATA_WORDS, what)]
        stated = {_DEPOSIT: reserve.deposit, _STABLE: reserve.stable_debt, _DEBT: reserve.debt}
        for place, token in stated.items():
            if words[place] != int(token or "0x0", 16):
                raise ChainError(f"{what} names the token 0x{words[place]:040x} and not {token or 'none'}")
        if (decimals := words[0] >> 48 & 0xFF) != reserve.decimals:
            raise ChainError(f"{what} says {decimals} decimals and the network file {reserve.decimals}")
        return words[_ID]


def _probe(token: str, question: str = _SCALED) -> Probe:
    return Probe(bytes.fromhex(token[2:]), question)


def _tokens(reserve: Reserve) -> list[str]:
    return [token for token in (reserve.deposit, reserve.debt, reserve.stable_debt) if token]


def _borrowed(config: int) -> list[int]:
    """Ids of the reserves in which something is owed: the even bits (UserConfiguration)."""
    return [n for n in range(128) if config >> 2 * n & 1]


def _user_remarks(config: int, reserve: int, e_mode: int) -> dict[str, str]:
    return {
        "usedAsCollateral": "true" if config >> (2 * reserve + 1) & 1 else "false",
        "owesInReserves": ",".join(str(n) for n in _borrowed(config)),
        "eMode": str(e_mode),
    }


class _ScaledForm:
    """A scaled balance times the index that a reserve has at the block's time."""

    _index_word: int

    def words(self, stated: Stated) -> tuple[Word, ...]:
        """The holder's word of the token, then the reserve's index with its rate, and its last update."""
        pool = contract_of(stated.detail.get("pool", ""))
        reserve = _slot(contract_of(stated.detail.get("asset", "")), _RESERVES)
        token: Word = (contract_of(stated.token), holder_slot(stated))
        return token, (pool, _plus(reserve, self._index_word)), (pool, _plus(reserve, 3))

    def remarks(self, stated: Stated, words: Sequence[int]) -> Mapping[str, str]:
        """Nothing."""
        return {}


class _DepositForm(_ScaledForm):
    _index_word = 1

    def words(self, stated: Stated) -> tuple[Word, ...]:
        """Also the user's configuration and e-mode."""
        pool = contract_of(stated.detail.get("pool", ""))
        user: tuple[Word, ...] = tuple((pool, _slot(stated.holder, n)) for n in (_USERS_CONFIG, _USERS_EMODE))
        return (*super().words(stated), *user)

    def raw(self, stated: Stated, words: Sequence[int]) -> frozenset[int]:
        """Linear interest since the last update."""
        scaled, index, rate, elapsed = _parts(stated, words)
        product = scaled * ray_mul(index, RAY + rate * elapsed // YEAR_S)
        return frozenset({_half_up(product), product // RAY})

    def remarks(self, stated: Stated, words: Sequence[int]) -> Mapping[str, str]:
        """Whether it is collateral, where something is owed, and the e-mode."""
        return _user_remarks(words[3], words[2] >> 168 & 0xFFFF, words[4] & 0xFF)


class _DebtForm(_ScaledForm):
    _index_word = 2

    def raw(self, stated: Stated, words: Sequence[int]) -> frozenset[int]:
        """Compounded interest since the last update, negative."""
        scaled, index, rate, elapsed = _parts(stated, words)
        product = scaled * ray_mul(index, compounded(rate, elapsed))
        return frozenset({-_half_up(product), -product // RAY})


class _StableForm:
    """A principal at the holder's own rate, which lies beside it in the holder's word."""

    def words(self, stated: Stated) -> tuple[Word, ...]:
        """The holder's word, and when the debt was last counted."""
        token, layout = contract_of(stated.token), layout_of(stated)
        times = Layout(layout.form, (layout.slot + _TIMES_BEHIND_BALANCES) % (1 << 256))
        return (token, holder_slot(stated)), (token, times.key(stated.holder))

    def raw(self, stated: Stated, words: Sequence[int]) -> frozenset[int]:
        """Compounded interest since then, negative."""
        layout = layout_of(stated)
        elapsed = max(stated.time - words[1], 0)
        principal, rate = layout.balance(words[0]), layout.beside(words[0])
        return frozenset({-ray_mul(principal, compounded(rate, elapsed)) if principal else 0})

    def remarks(self, stated: Stated, words: Sequence[int]) -> Mapping[str, str]:
        """Nothing."""
        return {}


DEPOSIT_FORM, DEBT_FORM, STABLE_FORM = "aave-v3-deposit", "aave-v3-debt", "aave-v3-stable"
AAVE_FORMS: Final[dict[str, Form]] = {
    DEPOSIT_FORM: _DepositForm(),
    DEBT_FORM: _DebtForm(),
    STABLE_FORM: _StableForm(),
}


def ray_mul(a: int, b: int) -> int:
    """WadRayMath.rayMul: the product of two numbers in 1e-27, rounded half up."""
    return _half_up(a * b)


def compounded(rate: int, elapsed_s: int) -> int:
    """MathUtils.calculateCompoundedInterest: three terms of the binomial series, in 1e-27."""
    if elapsed_s == 0:
        return RAY
    power_two = ray_mul(rate, rate) // (YEAR_S * YEAR_S)
    power_three = ray_mul(power_two, rate) // YEAR_S
    second = elapsed_s * (elapsed_s - 1) * power_two // 2
    third = elapsed_s * (elapsed_s - 1) * max(elapsed_s - 2, 0) * power_three // 6
    return RAY + rate * elapsed_s // YEAR_S + second + third


def _half_up(product: int) -> int:
    return (product + RAY // 2) // RAY


def _parts(stated: Stated, words: Sequence[int]) -> tuple[int, int, int, int]:
    """Scaled balance, index, rate, and the seconds since the index was updated."""
    updated = words[2] >> 128 & ((1 << 40) - 1)
    balance = layout_of(stated).balance(words[0])
    return balance, words[1] & _HALF_WORD, words[1] >> 128, max(stated.time - updated, 0)


def _slot(key: bytes, mapping: int) -> bytes:
    return keccak(key.rjust(32, b"\x00") + mapping.to_bytes(32, "big"))


def _plus(slot: bytes, words: int) -> bytes:
    return ((int.from_bytes(slot, "big") + words) % (1 << 256)).to_bytes(32, "big")
