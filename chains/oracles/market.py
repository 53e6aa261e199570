"""Prices and rates over all chains: many sources of one price, compared before one number comes out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.model.anchors import BlockAnchor
from aggregator.model.errors import ChainError, ConfigError, PriceError
from aggregator.model.units import PRICE_BOUND, PRICE_SCALE, RATE_SCALE
from aggregator.policy.quotes import PriceQuote, RateQuote
from chains.anchors import Anchored, take_anchor
from chains.multicall import multicall
from chains.networks import Network
from chains.oracles.feeds import (
    CALLS_PER_FEED,
    FeedPrice,
    StalePriceError,
    check_sequencer,
    feed_calls,
    parse_round,
    sequencer_call,
)
from chains.oracles.rates import RATED_KINDS, read_rates
from chains.rpc import Chain

MAX_DEVIATION_E6: Final = 20_000
"""2 %: feeds of one pair on two chains are each allowed to drift 0.5 % (stablecoins less) between updates."""
USD: Final = "USD"


@dataclass(frozen=True, slots=True)
class SourcePrice:
    """A USD price of one symbol from one chain, rounded down, as old as the oldest answer it is made of."""

    symbol: str
    source: str
    price_e12: int
    as_of: int
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Market:
    """Quotes for a policy build, and every reason why a source was not used."""

    prices: Mapping[str, PriceQuote]
    rates: Mapping[str, RateQuote]
    problems: tuple[PriceError, ...]
    anchors: tuple[BlockAnchor, ...]


async def read_feeds(chain: Chain, anchored: Anchored, network: Network) -> dict[str, FeedPrice | PriceError]:
    """Each feed of `network` at the anchored block, by pair: its price, or why there is none.

    Raises:
        PriceError: the chain's sequencer is or was down, so none of its prices is used.
    """
    calls = [call for feed in network.feeds for call in feed_calls(feed)]
    if network.sequencer is not None:
        calls.append(sequencer_call(network.sequencer))
    outcomes = await multicall(chain, anchored.ref, calls)
    time = anchored.anchor.timestamp
    if network.sequencer is not None:
        check_sequencer(network, network.sequencer, outcomes[-1], time)
    prices: dict[str, FeedPrice | PriceError] = {}
    for n, feed in enumerate(network.feeds):
        try:
            prices[feed.pair] = parse_round(
                network, feed, outcomes[CALLS_PER_FEED * n :][:CALLS_PER_FEED], time
            )
        except PriceError as error:
            prices[feed.pair] = error
    return prices


def in_usd(prices: Mapping[str, FeedPrice | PriceError]) -> tuple[list[SourcePrice], list[PriceError]]:
    """USD prices of one chain's feeds. A pair quoted in something else is multiplied by that one's USD price."""
    found: list[SourcePrice] = []
    problems: list[PriceError] = []
    for pair, price in prices.items():
        base, _, quote = pair.partition("/")
        legs = [price]
        if quote != USD:
            legs.append(
                prices.get(f"{quote}/{USD}", PriceError(f"{pair} needs a feed {quote}/{USD}; add one"))
            )
        problems += [leg for leg in legs[:1] if isinstance(leg, PriceError)]
        usable = [leg.last if isinstance(leg, StalePriceError) else leg for leg in legs]
        if missing := [leg for leg in usable if isinstance(leg, PriceError)]:
            if not isinstance(price, PriceError):
                problems.append(PriceError(f"{pair} cannot be turned into USD: {missing[0]}"))
            continue
        answers = [leg for leg in usable if isinstance(leg, FeedPrice)]
        product, scale = PRICE_SCALE, 1
        for answer in answers:
            product, scale = product * answer.answer, scale * 10**answer.decimals
        as_of = min(answer.updated_at for answer in answers)
        stale = any(isinstance(leg, StalePriceError) for leg in legs)
        if not 0 < (price_e12 := product // scale) < PRICE_BOUND:
            problems.append(PriceError(f"{pair} in USD is {price_e12}e-12, out of range for a price"))
            continue
        found.append(SourcePrice(base, " x ".join(a.source for a in answers), price_e12, as_of, stale))
    return found, problems


def combine(
    symbol: str, sources: Sequence[SourcePrice], max_deviation_e6: int = MAX_DEVIATION_E6
) -> PriceQuote:
    """One quote out of several sources: the median of the fresh ones, the lower middle of an even number.

    Without a fresh source, the newest stale one, marked stale.

    Raises:
        PriceError: there is no source, or the fresh ones lie further apart than `max_deviation_e6` (1e-6).
    """
    fresh = sorted((s for s in sources if not s.stale), key=lambda s: s.price_e12)
    if not fresh:
        newest = max(sources, key=lambda s: s.as_of, default=None)
        if newest is None:
            raise PriceError(f"there is no price of {symbol}; add a feed")
        return PriceQuote(newest.price_e12, newest.as_of, stale=True)
    low, high = fresh[0], fresh[-1]
    if (high.price_e12 - low.price_e12) * RATE_SCALE > max_deviation_e6 * low.price_e12:
        apart = (high.price_e12 - low.price_e12) * RATE_SCALE // low.price_e12
        raise PriceError(
            f"the prices of {symbol} deviate by {apart}e-6 ({low.source} {low.price_e12}e-12, {high.source} "
            f"{high.price_e12}e-12) and {max_deviation_e6}e-6 are allowed; find out which is wrong"
        )
    middle = fresh[(len(fresh) - 1) // 2]
    return PriceQuote(middle.price_e12, min(s.as_of for s in fresh))


async def read_market(
    networks: Sequence[Network],
    *,
    cut: int,
    env: Mapping[str, str] = os.environ,
    max_deviation_e6: int = MAX_DEVIATION_E6,
) -> Market:
    """Prices by symbol and rates by wrapper over all `networks` that have feeds or wrappers, at the cut.

    A rate read on several chains is the lowest of them. What cannot be used is in `problems`, never in the quotes.
    """
    asked = [n for n in networks if n.feeds or any(t.kind in RATED_KINDS for t in n.tokens)]
    results = await asyncio.gather(*(_read_chain(network, cut, env) for network in asked))
    sources: dict[str, list[SourcePrice]] = {}
    rates: dict[str, RateQuote] = {}
    problems: list[PriceError] = []
    for result in results:
        problems += result.problems
        for source in result.prices:
            sources.setdefault(source.symbol, []).append(source)
        for symbol, rate in result.rates.items():
            rates[symbol] = min(rates.get(symbol, rate), rate, key=lambda r: r.rate_e12)
    prices: dict[str, PriceQuote] = {}
    for symbol, found in sorted(sources.items()):
        try:
            prices[symbol] = combine(symbol, found, max_deviation_e6)
        except PriceError as error:
            problems.append(error)
    anchors = tuple(r.anchor for r in results if r.anchor is not None)
    return Market(prices, rates, tuple(problems), anchors)


@dataclass(frozen=True, slots=True)
class _ChainMarket:
    anchor: BlockAnchor | None
    prices: Sequence[SourcePrice]
    rates: Mapping[str, RateQuote]
    problems: Sequence[PriceError]


async def _read_chain(network: Network, cut: int, env: Mapping[str, str]) -> _ChainMarket:
    """One chain's prices and rates within its deadline; a chain that fails is one problem."""
    try:
        async with asyncio.timeout(network.deadline_s), network.connect(env) as chain:
            anchored = await take_anchor(
                chain, cut=cut, finality=network.finality, max_lag_s=network.max_lag_s
            )
            rates, problems = await read_rates(chain, anchored, network)
            try:
                prices, more = in_usd(await read_feeds(chain, anchored, network))
            except PriceError as error:
                prices, more = [], [error]
            return _ChainMarket(anchored.anchor, prices, rates, [*problems, *more])
    except TimeoutError:
        reason = f"not read within {network.deadline_s} s"
    except (ChainError, ConfigError) as error:
        reason = str(error)
    problem = PriceError(f"no price and no rate of {network.name} is used: {reason}")
    return _ChainMarket(None, (), {}, [problem])
