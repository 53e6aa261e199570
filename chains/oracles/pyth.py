"""Kind `pyth`: a price in a Pyth contract, with the confidence interval and the publish time that it was pushed with.

Source: Pyth Network documentation, "Best Practices" and the Solidity SDK (IPyth.getPriceUnsafe, PythStructs.Price).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from aggregator.model.errors import ChainError
from aggregator.model.units import RATE_SCALE
from chains.multicall import Call, Outcome
from chains.network_feeds import PythFeed
from chains.networks import Network
from chains.oracles.errors import BadAnswerError, ConfidenceError, FeedPrice, FeedUnreadableError
from chains.oracles.feeds import check_age, check_answer
from chains.oracles.moment import Moment
from chains.rpc.abi import encode_call

AHEAD_S: Final = 60
"""How far a publish time may lie after the block's: the two clocks are not the same."""
_PRICE: Final = ("int64", "uint64", "int32", "uint256")
_MAX_EXPONENT: Final = 30


class PythSource:
    """A price by its id. It is read as it was last pushed: nothing is pushed or paid here."""

    def __init__(self, network: Network, feed: PythFeed) -> None:
        self.pair = feed.pair
        self.name = f"{feed.pair} of Pyth on {network.chain}"
        self._feed = feed

    def calls(self) -> list[Call]:
        """The last price."""
        data = encode_call("getPriceUnsafe(bytes32)", bytes.fromhex(self._feed.feed_id[2:]))
        return [Call(bytes.fromhex(self._feed.address[2:]), data)]

    def follow_up(self, outcomes: Sequence[Outcome]) -> list[Call]:
        """Nothing."""
        return []

    def price(self, outcomes: Sequence[Outcome], at: Moment) -> FeedPrice:
        """Collateral at (price - confidence) x 10^exponent, debts at (price + confidence) x 10^exponent.

        Raises:
            StalePriceError: the publish time is too old.
            ConfidenceError: the interval, either way, is wider than the share of the price allowed, or reaches zero.
            PriceError: it cannot be used at all.
        """
        feed = self._feed
        try:
            values = outcomes[0].decode(_PRICE, "getPriceUnsafe")
        except ChainError as error:
            raise FeedUnreadableError(
                f"the feed {self.name} at {feed.address} cannot be read ({error}); check its address and id"
            ) from error
        answer, confidence, exponent, published = (int(str(v)) for v in values)
        if not -_MAX_EXPONENT <= exponent <= _MAX_EXPONENT:
            raise BadAnswerError(f"the feed {self.name} has the exponent {exponent}; do not use it")
        scale = 10 ** max(exponent, 0)
        price = FeedPrice(
            feed.pair,
            self.name,
            answer * scale,
            max(-exponent, 0),
            published,
            high=(answer + confidence) * scale,
            max_age_s=feed.heartbeat_s + at.forgiven_s,
        )
        check_answer(price, at.block_time, AHEAD_S)
        check_age(price, at, feed.heartbeat_s)
        low = replace(price, answer=(answer - confidence) * scale)
        if confidence * RATE_SCALE > feed.max_confidence_e6 * answer or low.price_e12 <= 0:
            raise ConfidenceError(
                f"the feed {self.name} is unsure: its confidence interval is {answer} +- {confidence}, wider than "
                f"{feed.max_confidence_e6}e-6 of the price; use another source",
                price,
            )
        return low
