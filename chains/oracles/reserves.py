"""Proof of reserve: a token counts only while what backs it is at least its supply, both read in one block.

Source: Chainlink documentation, "Proof of Reserve Feeds".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from aggregator.fixed import format_decimal
from aggregator.model.errors import ChainError
from aggregator.policy.quotes import PriceQuote
from chains.multicall import Call, Outcome
from chains.network_feeds import ReserveProof
from chains.networks import Network, Token
from chains.oracles.errors import ReserveError
from chains.oracles.feeds import ChainlinkSource
from chains.oracles.moment import Moment
from chains.rpc.abi import encode_call

CALLS_PER_PROOF: Final = 4


def reserve_calls(network: Network, proof: ReserveProof) -> list[Call]:
    """The feed's round and words about itself, and the supply of the token."""
    supply = Call(bytes.fromhex(_token(network, proof).address[2:]), encode_call("totalSupply()"))
    return [*ChainlinkSource(network, proof.feed).calls(), supply]


def check_reserve(network: Network, proof: ReserveProof, outcomes: Sequence[Outcome], at: Moment) -> None:
    """Return when the reserve is fresh and covers the supply.

    Raises:
        ReserveError: it is stale or below the supply, or one of the two cannot be read.
    """
    token = _token(network, proof)
    name = network.instrument(proof.symbol)
    try:
        reserve = ChainlinkSource(network, proof.feed).price(outcomes[:-1], at)
        supply = outcomes[-1].unsigned(f"the supply of {name}")
    except ChainError as error:
        raise ReserveError(f"{name} has no good proof of reserve: {error}") from error
    if reserve.answer * 10**token.decimals < supply * 10**proof.decimals:
        raise ReserveError(
            f"{name} is under-reserved: {format_decimal(reserve.answer, proof.decimals)} back a supply of "
            f"{format_decimal(supply, token.decimals)}; it counts for nothing"
        )


def with_reserve(quote: PriceQuote, verdicts: Sequence[ReserveError | None]) -> PriceQuote:
    """The quote of a token with these verdicts on its proofs, None where one holds: one that fails, fails them all."""
    bad = [verdict for verdict in verdicts if verdict is not None]
    if bad:
        return replace(quote, stale=True, reason=str(bad[0]))
    return replace(quote, reserved=True) if verdicts else quote


def _token(network: Network, proof: ReserveProof) -> Token:
    return next(token for token in network.tokens if token.symbol == proof.symbol)
