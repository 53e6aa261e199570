"""Lido: kind `steth`, whose balance is a share of the pooled ether, and the rate of wstETH, which is made of shares.

Both follow from the words in which Lido keeps the shares and the ether, and those are others in each version of its
accounting. The version is a word too, read and proven with the rest; under a version that is not known here, a balance
and a rate are only called.

Source: lidofinance/core, `Lido`, `StETH`, `Versioned` and `WstETH` at v2.2.0, v3.0.2 and v3.1.0-rc.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from eth_utils.crypto import keccak

from aggregator.model.errors import ChainError, StateProofError
from chains.balances.asset import Amount
from chains.balances.discovery import Probe
from chains.balances.erc20 import Erc20
from chains.balances.forms import Form, Stated, StorageForm, Word, contract_of, layout_of
from chains.balances.staked import Staked
from chains.multicall import Call, Outcome
from chains.networks import Network, Token
from chains.rpc.abi import encode_call

SHARE: Final = 10**18
DEPOSIT_WEI: Final = 32 * 10**18
"""What a validator is sent that is not seen on the consensus layer yet, up to version 3."""
_SHARES_OF: Final = "sharesOf(address)"
_STETH_WORD: Final = (7).to_bytes(32, "big")
"""Slot in wstETH of the address of stETH."""
_HALF: Final = (1 << 128) - 1


class _Version(NamedTuple):
    """One way of keeping the accounts: the names of its words, and the ether and the shares that they say."""

    names: tuple[str, ...]
    rate: Callable[[Sequence[int]], tuple[int, int]]

    def slots(self) -> tuple[bytes, ...]:
        """Where the words are: the hashes of their names."""
        return tuple(keccak(name.encode("ascii")) for name in self.names)


def _second(words: Sequence[int]) -> tuple[int, int]:
    shares, buffered, balance, deposited, seen = words
    return buffered + balance + (deposited - seen) * DEPOSIT_WEI, shares


def _third(words: Sequence[int]) -> tuple[int, int]:
    (shares, external), (buffered, deposited), (balance, seen) = (_halves(word) for word in words)
    return buffered + balance + (deposited - seen) * DEPOSIT_WEI, shares - external


def _fourth(words: Sequence[int]) -> tuple[int, int]:
    (shares, external), ether, more = (_halves(word) for word in words)
    return sum(ether) + sum(more), shares - external


VERSIONS: Final[dict[str, _Version]] = {
    "2": _Version(
        (
            "lido.StETH.totalShares",
            *(f"lido.Lido.{name}" for name in ("bufferedEther", "beaconBalance", "depositedValidators")),
            "lido.Lido.beaconValidators",
        ),
        _second,
    ),
    "3": _Version(
        (
            "lido.StETH.totalAndExternalShares",
            "lido.Lido.bufferedEtherAndDepositedValidators",
            "lido.Lido.clBalanceAndClValidators",
        ),
        _third,
    ),
    "4": _Version(
        (
            "lido.StETH.totalAndExternalShares",
            "lido.Lido.bufferedEtherAndDepositedPostReport",
            "lido.Lido.clValidatorsBalanceAndClPendingBalance",
        ),
        _fourth,
    ),
}
"""By the version that the contract states. External shares stand for ether that is not in these words."""
_VERSION_WORD: Final = keccak(b"lido.Versioned.contractVersion")


class StEth(Erc20):
    """stETH: the quantity is the ether that the holder's shares stand for."""

    kind = "steth"
    form = "steth"
    own_views = (_SHARES_OF,)

    def __init__(self, network: Network, token: Token) -> None:
        super().__init__(network, token)
        self.probe = Probe(self.address, _SHARES_OF)

    def rate_calls(self) -> tuple[bytes, ...]:
        """The version of the accounting, and the ether of one share."""
        return encode_call("getContractVersion()"), encode_call("getPooledEthByShares(uint256)", SHARE)

    def rate_detail(self, rates: Sequence[Outcome]) -> dict[str, str]:
        """`contractVersion`, and `rateE18`: wei per whole share."""
        version = rates[0].unsigned(f"the version of {self.label}")
        rate = rates[1].unsigned(f"the rate of {self.label}")
        return {"contractVersion": str(version), "rateE18": str(rate)}

    def amounts(self, shared: Sequence[Outcome], own: Sequence[Outcome]) -> list[Amount]:
        """One amount of ether, with the shares beside it."""
        shares = own[1].unsigned(f"the shares of {self.label}")
        return [_known(amount, {"shares": str(shares)}) for amount in super().amounts(shared, own)]


class WstEth(Staked):
    """wstETH: a staked token whose rate is proven with the words of stETH, which the network file names."""

    form = "wsteth"

    def shared_calls(self) -> tuple[Call, ...]:
        """As for any staked token, then what wstETH says stETH is, and the version of stETH."""
        steth = bytes.fromhex(self.token.steth[2:])
        return (
            *super().shared_calls(),
            Call(self.address, encode_call("stETH()")),
            Call(steth, encode_call("getContractVersion()")),
        )

    def rate_detail(self, rates: Sequence[Outcome]) -> dict[str, str]:
        """`rateE18`, `steth` and `contractVersion`."""
        (steth,) = rates[1].decode(["address"], f"stETH of {self.label}")
        if int(str(steth), 16) != int(self.token.steth, 16):
            raise ChainError(
                f"{self.label} is made of {steth} and the network file says {self.token.steth}; correct the file"
            )
        version = rates[2].unsigned(f"the version of stETH behind {self.label}")
        place = {"steth": self.token.steth.lower(), "contractVersion": str(version)}
        return {**super().rate_detail(rates[:1]), **place}

    def amounts(self, shared: Sequence[Outcome], own: Sequence[Outcome]) -> list[Amount]:
        """As for any staked token; without a known version the balance is proven and the rate is called."""
        amounts = super().amounts(shared, own)
        return [a if a.detail["contractVersion"] in VERSIONS else replace(a, form="storage") for a in amounts]


def staked_or_wsteth(network: Network, token: Token) -> Erc20:
    """The reader of a staked token: its rate is proven when the network file names stETH."""
    return WstEth(network, token) if token.steth else Staked(network, token)


def _known(amount: Amount, detail: Mapping[str, str]) -> Amount:
    """The amount with `detail`, and without a form when the version is not known."""
    full = {**amount.detail, **detail}
    if full["contractVersion"] in VERSIONS:
        return replace(amount, detail=full)
    reason = f"version {full['contractVersion']} of its accounting is not known"
    return replace(amount, detail={**full, "unproven": reason}, form="", probe=None)


class _SharesForm(StorageForm):
    """The holder's word, the version, and the words of this version."""

    def words(self, stated: Stated) -> tuple[Word, ...]:
        """The holder's word first."""
        steth = self._steth(stated)
        slots = (_VERSION_WORD, *_version(stated).slots())
        return (*super().words(stated), *self._more(stated), *((steth, slot) for slot in slots))

    def _steth(self, stated: Stated) -> bytes:
        return contract_of(stated.token)

    def _more(self, stated: Stated) -> tuple[Word, ...]:
        return ()

    def raw(self, stated: Stated, words: Sequence[int]) -> frozenset[int]:
        """The ether of the shares, rounded down."""
        return frozenset({_ether(layout_of(stated).balance(words[0]), stated, words[1:])})

    def remarks(self, stated: Stated, words: Sequence[int]) -> Mapping[str, str]:
        """Shares, rate and version."""
        shares = layout_of(stated).balance(words[0])
        return {"shares": str(shares), **_rate_remarks(stated, words[1:])}


class _WrappedForm(_SharesForm):
    """A balance of wstETH, and the rate from stETH."""

    def _steth(self, stated: Stated) -> bytes:
        return contract_of(stated.detail.get("steth", ""))

    def _more(self, stated: Stated) -> tuple[Word, ...]:
        return ((contract_of(stated.token), _STETH_WORD),)

    def raw(self, stated: Stated, words: Sequence[int]) -> frozenset[int]:
        """The balance itself."""
        return frozenset({layout_of(stated).balance(words[0])})

    def remarks(self, stated: Stated, words: Sequence[int]) -> Mapping[str, str]:
        """Rate, version, and what the balance is made of."""
        return {"steth": f"0x{words[1]:040x}", **_rate_remarks(stated, words[2:])}


LIDO_FORMS: Final[dict[str, Form]] = {StEth.form: _SharesForm(), WstEth.form: _WrappedForm()}


def _version(stated: Stated) -> _Version:
    version = VERSIONS.get(stated.detail.get("contractVersion", ""))
    if version is None:
        raise StateProofError(
            "the detail's contractVersion is not a known version of Lido; nothing follows from it"
        )
    return version


def _ether(shares: int, stated: Stated, words: Sequence[int]) -> int:
    """Wei of `shares`, rounded down. `words` are the version and the words of this version."""
    ether, total = _version(stated).rate(words[1:])
    return shares * ether // total if total > 0 else 0


def _rate_remarks(stated: Stated, words: Sequence[int]) -> dict[str, str]:
    return {"contractVersion": str(words[0]), "rateE18": str(_ether(SHARE, stated, words))}


def _halves(word: int) -> tuple[int, int]:
    """The low and the high 128 bits."""
    return word & _HALF, word >> 128
