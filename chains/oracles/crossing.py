"""Prices in USD of all pairs of all chains: a pair quoted in something else goes through that one's combined price.

The quote currency is combined first, over every chain, with its majority, deviation and reserve. Its low price makes
the low price of the product and its high price the high one, so a product is never better founded than its legs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Final

from aggregator.fixed import mul_div_down, mul_div_up
from aggregator.model.errors import PriceError
from aggregator.model.units import PRICE_BOUND, PRICE_SCALE
from aggregator.policy.quotes import PriceQuote
from chains.oracles.combining import MAX_DEVIATION_E6, SourcePrice, combine
from chains.oracles.errors import (
    BadAnswerError,
    DebtOnlyError,
    FeedPrice,
    NoSourceError,
    ReserveError,
)
from chains.oracles.reserves import with_reserve

USD: Final = "USD"
_DOLLAR: Final = PriceQuote(PRICE_SCALE, 0)

Answer = FeedPrice | PriceError


def merged(chains: Sequence[Mapping[str, Sequence[Answer]]]) -> dict[str, list[Answer]]:
    """The answers of all chains by pair."""
    pairs: dict[str, list[Answer]] = {}
    for answers in chains:
        for pair, found in answers.items():
            pairs.setdefault(pair, []).extend(found)
    return pairs


def price_all(
    answers: Mapping[str, Sequence[Answer]],
    reserves: Mapping[str, Sequence[ReserveError | None]] | None = None,
    max_deviation_e6: int = MAX_DEVIATION_E6,
) -> tuple[dict[str, PriceQuote], list[PriceError]]:
    """A quote in USD of every symbol that has one, and why the other answers are not used.

    Parameters:
        answers: by pair, over all chains.
        reserves: the verdicts on a token's proofs of reserve, None where one holds.
    """
    found: dict[str, PriceQuote] = {}
    problems: list[PriceError] = []
    usable = dict(answers)
    for symbol in _in_order(usable, problems):
        sources: list[SourcePrice] = []
        for pair, given in usable.items():
            if pair.partition("/")[0] == symbol:
                sources += _in_usd(pair, given, found, problems)
        if not sources:
            continue
        quote, more = combine(symbol, sources, max_deviation_e6)
        problems += more
        found[symbol] = with_reserve(quote, (reserves or {}).get(symbol, ()))
    return dict(sorted(found.items())), problems


def _in_order(answers: dict[str, Sequence[Answer]], problems: list[PriceError]) -> list[str]:
    """The symbols, each behind those that it is quoted in. Pairs that lead round in a circle are taken out."""
    while True:
        needs: dict[str, set[str]] = {}
        for pair in answers:
            base, _, quote = pair.partition("/")
            needs.setdefault(base, set()).update({quote} - {USD})
        try:
            return [s for s in TopologicalSorter(needs).static_order() if s in needs]
        except CycleError as error:
            circle: list[str] = error.args[1]
            for quote, base in pairwise(circle):
                answers.pop(f"{base}/{quote}")
                problems.append(
                    NoSourceError(
                        f"{base}/{quote} leads back to {base} without any price in USD; remove a feed"
                    )
                )


def _in_usd(
    pair: str, answers: Sequence[Answer], quotes: Mapping[str, PriceQuote], problems: list[PriceError]
) -> list[SourcePrice]:
    """The answers to one pair in USD; a problem for each that is not good."""
    quote = pair.partition("/")[2]
    made: list[SourcePrice] = []
    for answer in answers:
        if isinstance(answer, PriceError):
            problems.append(answer)
        last = answer.last if isinstance(answer, DebtOnlyError) else answer
        if not isinstance(last, FeedPrice):
            continue
        reason = str(answer) if isinstance(answer, DebtOnlyError) else ""
        try:
            if quote == USD:
                made.append(_product(last, reason, USD, _DOLLAR))
            elif quote in quotes:
                made.append(_product(last, reason, quote, quotes[quote]))
            else:
                raise NoSourceError(
                    f"{pair} cannot be turned into USD: there is no price of {quote}; add a feed {quote}/{USD}"
                )
        except PriceError as error:
            problems.append(error)
    return made


def _product(price: FeedPrice, reason: str, quote: str, leg: PriceQuote) -> SourcePrice:
    """The answer times its quote currency: low times low rounded down, high times high rounded up."""
    scale = 10**price.decimals
    low = mul_div_down(price.answer, leg.price_e12, scale)
    high = mul_div_up(price.high_answer, leg.debt_e12, scale)
    if not 0 < low <= high < PRICE_BOUND:
        raise BadAnswerError(f"{price.pair} in USD is {low}e-12, out of range for a price")
    if leg is _DOLLAR:
        return SourcePrice(
            price.pair.partition("/")[0],
            price.source,
            low,
            price.updated_at,
            reason,
            high,
            max_age_s=price.max_age_s,
        )
    as_of = min(price.updated_at, leg.as_of)
    return SourcePrice(
        price.pair.partition("/")[0],
        f"{price.source} x {quote}/{USD}",
        low,
        as_of,
        reason or _unfit(quote, leg),
        high,
        max_age_s=min(price.updated_at + price.max_age_s, leg.as_of + leg.max_age_s) - as_of,
        leg=quote,
        leg_sources=leg.sources,
    )


def _unfit(name: str, leg: PriceQuote) -> str:
    """Why the quote currency's price is for debts only, "" when it is good."""
    return (leg.reason or f"the price of {name} is stale") if leg.stale else ""
