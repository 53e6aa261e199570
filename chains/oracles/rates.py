"""Rates of wrappers: what one vault share or staked token stands for, in 1e-12 of the asset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aggregator.fixed import mul_div_down
from aggregator.model.errors import ChainError, PriceError
from aggregator.model.units import PRICE_BOUND, PRICE_SCALE
from aggregator.policy.quotes import RateQuote
from chains.anchors import Anchored
from chains.multicall import Call, Outcome, multicall
from chains.networks import MAX_DECIMALS, Network, Token
from chains.rpc import Chain
from chains.rpc.abi import encode_call

RATED_KINDS: Final = frozenset({"erc4626", "staked"})
"""Kinds of token that stand for an amount of one other."""
_STAKED_SCALE = 10**18


async def read_rates(
    chain: Chain, anchored: Anchored, network: Network
) -> tuple[dict[str, RateQuote], list[PriceError]]:
    """Rates by token symbol, rounded down, from the contracts themselves; and what could not be read.

    A staked token's rate is scaled by 1e18. A vault's is convertToAssets of one share, in units of its asset.
    """
    tokens = [token for token in network.tokens if token.kind in RATED_KINDS]
    if not tokens:
        return {}, []
    outcomes = await multicall(chain, anchored.ref, [call for token in tokens for call in _calls(token)])
    pairs = [(token, outcomes[2 * n], outcomes[2 * n + 1]) for n, token in enumerate(tokens)]
    scales = await _asset_scales(chain, anchored, pairs)
    rates: dict[str, RateQuote] = {}
    problems: list[PriceError] = []
    for (token, value, _), scale in zip(pairs, scales, strict=True):
        name = f"the rate of {network.instrument(token.symbol)}"
        try:
            rates[token.symbol] = RateQuote(_rate(name, value, scale), anchored.anchor.timestamp)
        except ChainError as error:
            problems.append(
                PriceError(f"{name} cannot be used ({error}); check the contract {token.address}")
            )
    return rates, problems


def _rate(name: str, value: Outcome, scale: int | ChainError) -> int:
    """The rate in 1e-12, rounded down; raises ChainError."""
    if isinstance(scale, ChainError):
        raise scale
    rate = mul_div_down(value.unsigned(name), PRICE_SCALE, scale)
    if not 0 < rate < PRICE_BOUND:
        raise ChainError(f"it is {rate}e-12, out of range")
    return rate


def _calls(token: Token) -> tuple[Call, Call]:
    """The rate, and for a vault its asset (for a staked token its own decimals, not used)."""
    address = bytes.fromhex(token.address[2:])
    if token.kind == "staked":
        return Call(address, encode_call(token.rate)), Call(address, encode_call("decimals()"))
    share = encode_call("convertToAssets(uint256)", 10**token.decimals)
    return Call(address, share), Call(address, encode_call("asset()"))


async def _asset_scales(
    chain: Chain, anchored: Anchored, pairs: Sequence[tuple[Token, Outcome, Outcome]]
) -> list[int | ChainError]:
    """Base units of the rate's answer per unit of the asset."""
    scales: list[int | ChainError] = []
    calls: list[Call] = []
    for token, _, asset in pairs:
        if token.kind == "staked":
            scales.append(_STAKED_SCALE)
            continue
        try:
            (address,) = asset.decode(["address"], "asset")
            calls.append(Call(bytes.fromhex(str(address)[2:]), encode_call("decimals()")))
            scales.append(-len(calls))
        except ChainError as error:
            scales.append(error)
    decimals = await multicall(chain, anchored.ref, calls) if calls else []
    return [s if isinstance(s, ChainError) or s > 0 else _scale(decimals[-s - 1]) for s in scales]


def _scale(decimals: Outcome) -> int | ChainError:
    try:
        value = decimals.unsigned("decimals of the asset")
    except ChainError as error:
        return error
    return 10**value if value <= MAX_DECIMALS else ChainError(f"its asset has {value} decimals")
