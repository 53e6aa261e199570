"""Kinds `nav` and `fixed`: net asset values that a fund's administrator states, on a chain or in the network file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from aggregator.model.errors import ChainError
from aggregator.model.units import RATE_SCALE
from chains.multicall import Call, Outcome
from chains.network_feeds import PRICE_DECIMALS, FixedPrice, NavFeed
from chains.networks import Network
from chains.oracles.errors import FeedPrice, NavMoveError
from chains.oracles.feeds import ChainlinkSource, check_age, check_answer
from chains.oracles.moment import Moment
from chains.rpc.abi import encode_call

_ROUND: Final = ("uint80", "int256", "uint256", "uint256", "uint80")
_OWN_CALLS: Final = 3


class NavSource(ChainlinkSource):
    """A feed whose answer may not move further than a bound from one round to the next."""

    def __init__(self, network: Network, nav: NavFeed) -> None:
        super().__init__(network, nav.feed)
        self._nav = nav

    def follow_up(self, outcomes: Sequence[Outcome]) -> list[Call]:
        """The round before the last."""
        try:
            round_id = int(str(outcomes[0].decode(_ROUND, "latestRoundData")[0]))
        except ChainError:
            return []
        if not round_id:
            return []
        data = encode_call("getRoundData(uint80)", round_id - 1)
        return [Call(bytes.fromhex(self._nav.feed.address[2:]), data)]

    def price(self, outcomes: Sequence[Outcome], at: Moment) -> FeedPrice:
        """The value of the last round.

        Raises:
            NavMoveError: it lies too far from the round before, or that one cannot be read.
            PriceError: as for any feed.
        """
        price = super().price(outcomes[:_OWN_CALLS], at)
        try:
            values = outcomes[_OWN_CALLS].decode(_ROUND, "getRoundData")
        except ChainError as error:
            raise NavMoveError(
                f"the feed {self.name} has no round before its last one, so its move is not known ({error}); "
                "wait for another round",
                price,
            ) from error
        before = int(str(values[1]))
        if before <= 0 or abs(price.answer - before) * RATE_SCALE > self._nav.max_move_e6 * before:
            raise NavMoveError(
                f"the feed {self.name} went from {before} to {price.answer} in one round, further than "
                f"{self._nav.max_move_e6}e-6 of it; ask its administrator",
                replace(price, high=max(before, price.answer)),
            )
        return price


class FixedSource:
    """A price stated in the network file."""

    def __init__(self, network: Network, fixed: FixedPrice) -> None:
        self.pair = fixed.pair
        self.name = f"{fixed.pair} in the file of {network.name}"
        self._fixed = fixed

    def calls(self) -> list[Call]:
        """Nothing."""
        return []

    def follow_up(self, outcomes: Sequence[Outcome]) -> list[Call]:
        """Nothing."""
        return []

    def price(self, outcomes: Sequence[Outcome], at: Moment) -> FeedPrice:
        """The stated price; raises StalePriceError when it is too old and BadAnswerError when from the future."""
        fixed = self._fixed
        price = FeedPrice(
            fixed.pair,
            self.name,
            fixed.price_e12,
            PRICE_DECIMALS,
            fixed.as_of,
            max_age_s=fixed.heartbeat_s + at.forgiven_s,
        )
        check_answer(price, at.block_time)
        check_age(price, at, fixed.heartbeat_s)
        return price
