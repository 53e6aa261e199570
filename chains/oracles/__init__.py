"""Prices from feeds and rates from wrapper contracts, pinned by block hash."""

from __future__ import annotations

from chains.oracles.combining import MAX_DEVIATION_E6, SourcePrice, combine
from chains.oracles.crossing import merged, price_all
from chains.oracles.errors import (
    BadAnswerError,
    ConfidenceError,
    DebtOnlyError,
    DeviationError,
    FeedMismatchError,
    FeedPrice,
    FeedUnreadableError,
    NavMoveError,
    NoSourceError,
    ReserveError,
    SequencerError,
    StalePriceError,
    UnfinishedRoundError,
)
from chains.oracles.market import Feeds, Market, read_feeds, read_market
from chains.oracles.moment import Moment
from chains.oracles.rates import combine_rates, read_rates
from chains.oracles.source import PriceSource, source_of

__all__ = [
    "MAX_DEVIATION_E6",
    "BadAnswerError",
    "ConfidenceError",
    "DebtOnlyError",
    "DeviationError",
    "FeedMismatchError",
    "FeedPrice",
    "FeedUnreadableError",
    "Feeds",
    "Market",
    "Moment",
    "NavMoveError",
    "NoSourceError",
    "PriceSource",
    "ReserveError",
    "SequencerError",
    "SourcePrice",
    "StalePriceError",
    "UnfinishedRoundError",
    "combine",
    "combine_rates",
    "merged",
    "price_all",
    "read_feeds",
    "read_market",
    "read_rates",
    "source_of",
]
