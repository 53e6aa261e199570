"""The price sources that a network file lists: what each one is called, where it is, and what it may say.

One dataclass and one parser per kind; `PARSERS` is the registration. chains.oracles has the code that reads each kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chains.network_table import DAY_S, MAX_DECIMALS, NetworkTable

DEFAULT_FINALITY_LAG_S: Final = 1800
"""Half an hour: Ethereum finalises in 13 to 19 minutes, a roll-up's batch that much after it was posted."""
PRICE_DECIMALS: Final = 12
RATE_DECIMALS: Final = 6
_WEEK_S: Final = 7 * DAY_S
_QUARTER_S: Final = 92 * DAY_S
_FEED_ID: Final = re.compile(r"0x[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Feed:
    """A Chainlink-style price feed of `base` in `quote`, which has to call itself one of `descriptions`."""

    base: str
    quote: str
    address: str
    decimals: int
    heartbeat_s: int
    descriptions: tuple[str, ...] = ()

    @property
    def pair(self) -> str:
        """For example "ETH/USD"."""
        return f"{self.base}/{self.quote}"

    @property
    def place(self) -> str:
        """What may not be listed twice."""
        return f"chainlink {self.pair}"

    def is_described_by(self, description: str) -> bool:
        """True when the contract's own description is one of `descriptions`, or by default the pair."""
        return _squeeze(description) in {_squeeze(d) for d in self.descriptions or (self.pair,)}


@dataclass(frozen=True, slots=True)
class PythFeed:
    """A price in a Pyth contract by its 32-byte id.

    `heartbeat_s` is the greatest age of the publish time, `max_confidence_e6` the widest confidence interval, either
    way, as a fraction of the price in 1e-6.
    """

    base: str
    quote: str
    address: str
    feed_id: str
    heartbeat_s: int
    max_confidence_e6: int

    @property
    def pair(self) -> str:
        """For example "ETH/USD"."""
        return f"{self.base}/{self.quote}"

    @property
    def place(self) -> str:
        """What may not be listed twice."""
        return f"pyth {self.pair}"


@dataclass(frozen=True, slots=True)
class NavFeed:
    """A net asset value behind Chainlink's interface: a slow heartbeat, and a bound on the move of one round.

    `max_move_e6` is the greatest change from the round before, either way, in 1e-6 of that round's value.
    """

    feed: Feed
    max_move_e6: int

    @property
    def base(self) -> str:
        """The token."""
        return self.feed.base

    @property
    def quote(self) -> str:
        """The currency."""
        return self.feed.quote

    @property
    def pair(self) -> str:
        """For example "TBILL/USD"."""
        return self.feed.pair

    @property
    def place(self) -> str:
        """What may not be listed twice."""
        return f"nav {self.pair}"


@dataclass(frozen=True, slots=True)
class FixedPrice:
    """A price that the file itself states, in 1e-12 `quote`, as of a Unix time; it goes stale like any other."""

    base: str
    quote: str
    price_e12: int
    as_of: int
    heartbeat_s: int

    @property
    def pair(self) -> str:
        """For example "FUND/USD"."""
        return f"{self.base}/{self.quote}"

    @property
    def place(self) -> str:
        """What may not be listed twice."""
        return f"fixed {self.pair}"


PriceFeed = Feed | PythFeed | NavFeed | FixedPrice


@dataclass(frozen=True, slots=True)
class ReserveProof:
    """A proof-of-reserve feed of the token `symbol`, in units of the token, which has to cover its supply."""

    symbol: str
    address: str
    decimals: int
    heartbeat_s: int
    descriptions: tuple[str, ...] = ()

    @property
    def feed(self) -> Feed:
        """The feed as such; by default it calls itself "SYMBOL Reserves" or "SYMBOL PoR"."""
        named = self.descriptions or (f"{self.symbol} Reserves", f"{self.symbol} PoR")
        return Feed(self.symbol, "reserves", self.address, self.decimals, self.heartbeat_s, named)


@dataclass(frozen=True, slots=True)
class Sequencer:
    """A roll-up's sequencer-uptime feed; prices are refused until `grace_s` after it came back up."""

    address: str
    grace_s: int


def parse_feed(value: object, where: str) -> PriceFeed:
    """One entry of [[feeds]]; raises ConfigError."""
    kind = value.get("kind", "chainlink") if isinstance(value, dict) else "chainlink"
    parser = PARSERS.get(kind) if isinstance(kind, str) else None
    if parser is None:
        table = NetworkTable(value, where, ("kind",), dict.fromkeys(value) if isinstance(value, dict) else {})
        table.fail("kind", f"is {str(kind)[:60]!r}; use one of {', '.join(PARSERS)}")
    return parser(value, where)


def parse_reserve_proof(value: object, where: str) -> ReserveProof:
    """One entry of [[reserve_proofs]]; raises ConfigError."""
    keys = ("symbol", "address", "decimals", "heartbeat_s")
    table = NetworkTable(value, where, keys, {"descriptions": []})
    return ReserveProof(
        symbol=table.symbol("symbol"),
        address=table.address("address"),
        decimals=table.number("decimals", 0, MAX_DECIMALS),
        heartbeat_s=table.number("heartbeat_s", 1, _QUARTER_S),
        descriptions=table.texts("descriptions"),
    )


def parse_sequencer(value: object, where: str) -> Sequencer | None:
    """The section [sequencer]; raises ConfigError."""
    if value is None:
        return None
    table = NetworkTable(value, where, ("address",), {"grace_s": 3600})
    return Sequencer(table.address("address"), table.number("grace_s", 0, _WEEK_S))


def _chainlink(value: object, where: str) -> Feed:
    keys = ("base", "quote", "address", "decimals", "heartbeat_s")
    table = NetworkTable(value, where, keys, {"kind": "chainlink", "descriptions": []})
    return _aggregator(table, _WEEK_S)


def _nav(value: object, where: str) -> NavFeed:
    keys = ("kind", "base", "quote", "address", "decimals", "heartbeat_s", "max_move")
    table = NetworkTable(value, where, keys, {"descriptions": []})
    return NavFeed(_aggregator(table, _QUARTER_S), table.scaled("max_move", RATE_DECIMALS, 1, 10**6))


def _aggregator(table: NetworkTable, longest_s: int) -> Feed:
    return Feed(
        base=table.symbol("base"),
        quote=table.symbol("quote"),
        address=table.address("address"),
        decimals=table.number("decimals", 0, MAX_DECIMALS),
        heartbeat_s=table.number("heartbeat_s", 1, longest_s),
        descriptions=table.texts("descriptions"),
    )


def _pyth(value: object, where: str) -> PythFeed:
    keys = ("kind", "base", "quote", "address", "id", "heartbeat_s", "max_confidence")
    table = NetworkTable(value, where, keys)
    return PythFeed(
        base=table.symbol("base"),
        quote=table.symbol("quote"),
        address=table.address("address"),
        feed_id=table.text("id", _FEED_ID),
        heartbeat_s=table.number("heartbeat_s", 1, _WEEK_S),
        max_confidence_e6=table.scaled("max_confidence", RATE_DECIMALS, 1, 10**6),
    )


def _fixed(value: object, where: str) -> FixedPrice:
    table = NetworkTable(value, where, ("kind", "base", "quote", "price", "as_of", "heartbeat_s"))
    return FixedPrice(
        base=table.symbol("base"),
        quote=table.symbol("quote"),
        price_e12=table.scaled("price", PRICE_DECIMALS, 1, (1 << 80) - 1),
        as_of=table.moment("as_of"),
        heartbeat_s=table.number("heartbeat_s", 1, _QUARTER_S),
    )


PARSERS: Final[dict[str, Callable[[object, str], PriceFeed]]] = {
    "chainlink": _chainlink,
    "pyth": _pyth,
    "nav": _nav,
    "fixed": _fixed,
}


def _squeeze(description: str) -> str:
    return "".join(description.split()).lower()
