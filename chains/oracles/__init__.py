"""Prices from Chainlink-style feeds and rates from wrapper contracts, pinned by block hash."""

from __future__ import annotations

from chains.oracles.feeds import FeedPrice, StalePriceError
from chains.oracles.market import (
    MAX_DEVIATION_E6,
    Market,
    SourcePrice,
    combine,
    in_usd,
    read_feeds,
    read_market,
)
from chains.oracles.rates import read_rates

__all__ = [
    "MAX_DEVIATION_E6",
    "FeedPrice",
    "Market",
    "SourcePrice",
    "StalePriceError",
    "combine",
    "in_usd",
    "read_feeds",
    "read_market",
    "read_rates",
]
