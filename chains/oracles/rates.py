"""Rates of tokens that stand for others, from the contracts themselves: vault shares, staked tokens, pool shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import Final

from aggregator.fixed import div_ceil
from aggregator.model.errors import ChainError, PriceError
from aggregator.model.units import PRICE_BOUND, PRICE_SCALE
from aggregator.policy.quotes import RateQuote
from chains.anchors import Anchored
from chains.balances.uniswap import PairState
from chains.multicall import Call, Outcome, multicall
from chains.networks import MAX_DECIMALS, Network, Token
from chains.oracles.feeds import UPDATE_DELAY_S
from chains.oracles.moment import Moment
from chains.rpc import Chain
from chains.rpc.abi import encode_call

_STAKED_SCALE: Final = 10**18


@dataclass(frozen=True, slots=True)
class Kind:
    """How the rate of a kind of token is read.

    `first` are the reads of the token; `assets` the tokens, as addresses, whose decimals the rate needs; `rate` the
    rate as a fraction of 1e-12, numerator and denominator, from the first reads and these decimals.
    """

    first: Callable[[Token], list[bytes]]
    assets: Callable[[Sequence[Outcome]], list[str]]
    rate: Callable[[Token, Sequence[Outcome], Sequence[int]], tuple[int, int]]


def _vault_rate(token: Token, outcomes: Sequence[Outcome], decimals: Sequence[int]) -> tuple[int, int]:
    """convertToAssets of one share, in units of its asset; no more than its part of what the vault has."""
    share = outcomes[0].unsigned("convertToAssets")
    assets, supply = outcomes[2].unsigned("totalAssets"), outcomes[3].unsigned("totalSupply")
    if share * supply > (assets + 1) * 10**token.decimals:
        raise ChainError(f"a share converts to {share}, more than its part of the {assets} the vault has")
    return share * PRICE_SCALE, 10 ** decimals[0]


def _staked_rate(token: Token, outcomes: Sequence[Outcome], decimals: Sequence[int]) -> tuple[int, int]:
    """The protocol's rate, scaled by 1e18."""
    return outcomes[0].unsigned(token.rate) * PRICE_SCALE, _STAKED_SCALE


def _pair_rate(token: Token, outcomes: Sequence[Outcome], decimals: Sequence[int]) -> tuple[int, int]:
    """2 sqrt(x y) per share, x and y the reserves in whole units; see chains.balances.uniswap for why."""
    values = outcomes[2].decode(["uint112", "uint112", "uint32"], "the reserves")
    supply, k_last = outcomes[3].unsigned("the supply"), outcomes[4].unsigned("kLast")
    if not supply:
        raise ChainError("it has no shares at all")
    state = PairState(int(str(values[0])), int(str(values[1])), supply, k_last)
    square = 4 * state.reserve0 * state.reserve1 * PRICE_SCALE**2 * 10 ** (2 * token.decimals)
    return isqrt(square // 10 ** sum(decimals)), state.diluted_supply


def _addresses(outcomes: Sequence[Outcome]) -> list[str]:
    return [str(outcome.decode(["address"], "the address of a token")[0]).lower() for outcome in outcomes]


_PAIR_CALLS: Final = ("token0()", "token1()", "getReserves()", "totalSupply()", "kLast()")
KINDS: Final[dict[str, Kind]] = {
    "erc4626": Kind(
        lambda token: [
            encode_call("convertToAssets(uint256)", 10**token.decimals),
            *(encode_call(f"{name}()") for name in ("asset", "totalAssets", "totalSupply")),
        ],
        lambda outcomes: _addresses(outcomes[1:2]),
        _vault_rate,
    ),
    "staked": Kind(lambda token: [encode_call(token.rate)], lambda outcomes: [], _staked_rate),
    "uniswap-v2": Kind(
        lambda token: [encode_call(name) for name in _PAIR_CALLS],
        lambda outcomes: _addresses(outcomes[:2]),
        _pair_rate,
    ),
}
RATED_KINDS: Final = frozenset(KINDS)
"""Kinds of token that stand for amounts of others."""


async def read_rates(
    chain: Chain, anchored: Anchored, network: Network, *, cut: int, down: PriceError | None = None
) -> tuple[dict[str, RateQuote], list[PriceError]]:
    """Rates by token symbol at the anchored block, rounded down for collateral and up for debts; and what is unfit.

    A rate names what a vault or a pool says it holds by the symbols in the network file; a token that is not in there
    has no rate. While the chain is `down`, or lags the cut further than finality explains, they are for debts only.
    """
    tokens = [token for token in network.tokens if token.kind in RATED_KINDS]
    if not tokens:
        return {}, []
    at = Moment(anchored.anchor.timestamp, cut, network.finality_lag_s)
    reason = str(down) if down is not None else ""
    if at.is_late and not reason:
        reason = f"{network.name} was read {at.lag_s} s before the cut and finality_lag_s allows {at.finality_lag_s} s"
    wanted = [
        Call(bytes.fromhex(token.address[2:]), data)
        for token in tokens
        for data in KINDS[token.kind].first(token)
    ]
    outcomes = iter(await multicall(chain, anchored.ref, wanted))
    read = [[next(outcomes) for _ in KINDS[token.kind].first(token)] for token in tokens]
    assets = [_assets_of(token, found) for token, found in zip(tokens, read, strict=True)]
    needed = sorted({asset for group in assets if not isinstance(group, ChainError) for asset in group})
    calls = [Call(bytes.fromhex(asset[2:]), encode_call("decimals()")) for asset in needed]
    decimals = dict(zip(needed, await multicall(chain, anchored.ref, calls) if calls else [], strict=True))
    symbols = {token.address.lower(): token.symbol for token in network.tokens}
    rates: dict[str, RateQuote] = {}
    problems: list[PriceError] = []
    for token, found, group in zip(tokens, read, assets, strict=True):
        try:
            rate = _rate(token, found, group, decimals)
            names = _names(group, symbols)
        except ChainError as error:
            name = f"the rate of {network.instrument(token.symbol)}"
            problems.append(
                PriceError(f"{name} cannot be used ({error}); check the contract {token.address}")
            )
        else:
            rates[token.symbol] = RateQuote(
                rate[0],
                at.block_time,
                stale=reason != "",
                tokens=names,
                high_e12=rate[1],
                max_age_s=at.forgiven_s + UPDATE_DELAY_S,
                reason=reason,
            )
    return rates, problems


def combine_rates(
    chains: Sequence[Mapping[str, RateQuote]],
) -> tuple[dict[str, RateQuote], list[PriceError]]:
    """One quote of each rate: the lowest of the chains for collateral, the highest for debts.

    A rate that is for debts only has no say beside good ones. A symbol that stands for different tokens on two chains
    has no rate.
    """
    read: dict[str, list[RateQuote]] = {}
    for rates in chains:
        for symbol, rate in rates.items():
            read.setdefault(symbol, []).append(rate)
    made: dict[str, RateQuote] = {}
    problems: list[PriceError] = []
    for symbol, found in read.items():
        if len({frozenset(rate.tokens) for rate in found}) > 1:
            held = " and ".join(sorted({" with ".join(rate.tokens) or "something unnamed" for rate in found}))
            problems.append(
                PriceError(
                    f"the rate of {symbol} cannot be used: it stands for {held} on different chains; "
                    "give them different symbols"
                )
            )
            continue
        used = [rate for rate in found if not rate.stale] or found
        as_of = min(rate.as_of for rate in used)
        made[symbol] = replace(
            used[0],
            rate_e12=min(rate.rate_e12 for rate in used),
            high_e12=max(rate.debt_e12 for rate in used),
            as_of=as_of,
            max_age_s=min(rate.as_of + rate.max_age_s for rate in used) - as_of,
        )
    return made, problems


def _rate(
    token: Token,
    found: Sequence[Outcome],
    group: Sequence[str] | ChainError,
    decimals: Mapping[str, Outcome],
) -> tuple[int, int]:
    """In 1e-12, rounded down and rounded up; raises ChainError."""
    if isinstance(group, ChainError):
        raise group
    numerator, scale = KINDS[token.kind].rate(token, found, [_decimals(decimals[asset]) for asset in group])
    low, high = numerator // scale, div_ceil(numerator, scale)
    if not 0 < low <= high < PRICE_BOUND:
        raise ChainError(f"it is {low}e-12, out of range")
    return low, high


def _assets_of(token: Token, outcomes: Sequence[Outcome]) -> list[str] | ChainError:
    try:
        return KINDS[token.kind].assets(outcomes)
    except ChainError as error:
        return error


def _decimals(outcome: Outcome) -> int:
    value = outcome.unsigned("decimals of the asset")
    if value > MAX_DECIMALS:
        raise ChainError(f"its asset has {value} decimals")
    return value


def _names(group: Sequence[str] | ChainError, symbols: Mapping[str, str]) -> tuple[str, ...]:
    """The symbols of a pool's tokens or of a vault's asset; nothing for a token that does not say."""
    if isinstance(group, ChainError):
        return ()
    if strangers := [asset for asset in group if asset not in symbols]:
        raise ChainError(f"it holds the token {strangers[0]}, which the network file does not list")
    return tuple(symbols[asset] for asset in group)
