"""What every rulebook reads and gives: a book of holdings, and requirement, excess and health at both levels.

A book is an account under a policy: the policy gives prices and terms, the rulebook its own margins. The cash of a
book counts perps and futures as settled at their marks, so profit and loss is in it and no entry price is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from functools import cached_property
from typing import Final, Protocol

from aggregator.fixed import div_ceil, div_floor, parse_decimal
from aggregator.model.errors import InputError
from aggregator.model.policy import Instrument, InstrumentKind, Level, Policy
from aggregator.model.units import E20_PER_USD_E6, RATE_SCALE

CASH: Final = "USD"
DEBT_SUFFIX: Final = "-DEBT"
EXPIRY_TIME: Final = time(8, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class OptionTerms:
    """Strike in 1e-8 USD, and which side."""

    strike_e8: int
    is_call: bool


@dataclass(frozen=True, slots=True)
class Holding:
    """One position: `asset` is the symbol without chain and debt suffix; `seconds` to expiry, 0 without one."""

    symbol: str
    asset: str
    underlying: str
    kind: InstrumentKind
    quantity_e8: int
    price_e12: int
    seconds: int = 0
    option: OptionTerms | None = None

    @property
    def value_e20(self) -> int:
        """quantity x mark."""
        return self.quantity_e8 * self.price_e12

    @property
    def linear(self) -> bool:
        """Whether it is a perp or a dated future."""
        return self.kind in (InstrumentKind.PERP, InstrumentKind.FUTURE)


@dataclass(frozen=True)
class Book:
    """The holdings of one account, and the policy they are priced by."""

    policy: Policy
    holdings: tuple[Holding, ...]

    @cached_property
    def cash_e20(self) -> int:
        """USD cash with perps and futures settled at their marks."""
        return sum(h.value_e20 for h in self.holdings if h.asset == CASH or h.linear)

    @cached_property
    def equity_e20(self) -> int:
        """Sum of all values."""
        return sum(h.value_e20 for h in self.holdings)

    def mark_e12(self, symbol: str) -> int:
        """Mark of an instrument of the policy; InputError when it is not listed."""
        instrument = self.policy.by_symbol.get(symbol)
        if instrument is None:
            raise InputError(
                f"policy {self.policy.name!r} does not price {symbol}; use a policy that lists it"
            )
        return instrument.mark_e12

    def index_e12(self, underlying: str) -> int:
        """Spot price of an underlying: its token on any chain, else its perp; InputError when there is neither."""
        for one in self.policy.instruments:
            if one.symbol.split("@")[0] == underlying and one.kind is InstrumentKind.SPOT:
                return one.mark_e12
        return self.mark_e12(f"{underlying}-PERP")

    def alone(self, holding: Holding) -> Book:
        """A book of one holding, as if it had an account of its own; a perp or future settles to no cash."""
        if not holding.linear:
            return Book(self.policy, (holding,))
        cash = Holding(CASH, CASH, CASH, InstrumentKind.SPOT, -holding.quantity_e8, holding.price_e12)
        return Book(self.policy, (holding, cash))


def _expiry_seconds(text: str, as_of: int) -> int:
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{text!r} is not an expiry date like 20261225; correct the symbol") from error
    return max(0, int(datetime.combine(day, EXPIRY_TIME).timestamp()) - as_of)


def holding_of(instrument: Instrument, quantity_e8: int, as_of: int) -> Holding:
    """A position of a policy; raises InputError when a symbol does not state the terms its kind has."""
    symbol = instrument.symbol
    plain = Holding(
        symbol=symbol,
        asset=symbol.split("@")[0].removesuffix(DEBT_SUFFIX),
        underlying=instrument.underlying,
        kind=instrument.kind,
        quantity_e8=quantity_e8,
        price_e12=instrument.mark_e12,
    )
    parts = symbol.rsplit("-", 3)
    if instrument.kind is InstrumentKind.OPTION:
        if len(parts) != 4 or parts[3] not in ("C", "P"):
            raise InputError(f"{symbol} is an option whose symbol is not like ETH-20261225-3000-C; rename it")
        terms = OptionTerms(parse_decimal(parts[2], 8), parts[3] == "C")
        return replace(plain, seconds=_expiry_seconds(parts[1], as_of), option=terms)
    if instrument.kind is InstrumentKind.FUTURE:
        return replace(plain, seconds=_expiry_seconds(symbol.rsplit("-", 1)[-1], as_of))
    return plain


def book_of(policy: Policy, positions: Mapping[int, int]) -> Book:
    """A book of `positions` (instrument id -> quantity in 1e-8); InputError for one the policy does not list."""
    holdings = []
    for instrument_id, quantity in sorted(positions.items()):
        instrument = policy.by_id.get(instrument_id)
        if instrument is None:
            raise InputError(
                f"instrument {instrument_id} is not in policy {policy.name!r}; use its own policy"
            )
        if quantity:
            holdings.append(holding_of(instrument, quantity, policy.as_of))
    return Book(policy, tuple(holdings))


@dataclass(frozen=True, slots=True)
class LevelResult:
    """One level: what the venue counts, what it requires, and the difference, in 1e-6 USD against the holder.

    `health_e6` is counted over required, None when nothing is required. `lines` put the parts into words.
    """

    level: Level
    counted_e6: int
    requirement_e6: int
    excess_e6: int
    health_e6: int | None
    binding: str
    lines: tuple[str, ...]


def level_result(
    level: Level, counted: int, required: int, scale: int, binding: str, lines: tuple[str, ...]
) -> LevelResult:
    """A result from numbers in 1/scale USD: counted rounds down, required up, the excess down, once."""
    return LevelResult(
        level=level,
        counted_e6=div_floor(counted * 10**6, scale),
        requirement_e6=div_ceil(required * 10**6, scale),
        excess_e6=div_floor((counted - required) * 10**6, scale),
        health_e6=div_floor(counted * RATE_SCALE, required) if required > 0 else None,
        binding=binding,
        lines=lines,
    )


@dataclass(frozen=True, slots=True)
class RulebookResult:
    """One book under one rulebook. `ignored` names holdings the venue gives no credit for."""

    rulebook: str
    im: LevelResult
    mm: LevelResult
    ignored: tuple[str, ...] = ()

    def at(self, level: Level) -> LevelResult:
        """The result at `level`."""
        return self.im if level is Level.IM else self.mm


class Rulebook(Protocol):
    """A venue's margin rules with its parameters."""

    @property
    def name(self) -> str:
        """As the user calls it."""
        ...

    def evaluate(self, book: Book) -> RulebookResult:
        """Requirement, excess and health of the book; InputError for a short or debt the venue does not list."""
        ...


def isolated_requirement_e6(rulebook: Rulebook, book: Book, level: Level) -> int:
    """Sum of the requirements of the holdings, each in an account of its own."""
    return sum(
        rulebook.evaluate(book.alone(one)).at(level).requirement_e6
        for one in book.holdings
        if one.asset != CASH
    )


def refuse_uncovered(rulebook: str, holding: Holding) -> str:
    """The symbol of a holding the venue does not list; InputError when leaving it out would hide an obligation."""
    if holding.quantity_e8 < 0 or holding.linear:
        raise InputError(
            f"{holding.symbol} is an obligation that rulebook {rulebook} does not list; "
            "add it to the rulebook's file or use another rulebook"
        )
    return holding.symbol


def usd(amount: int, scale: int) -> str:
    """An amount in 1/scale USD for reading: cents, rounded down, thousands with commas."""
    cents = div_floor(amount * 100, scale)
    whole, part = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole:,}.{part:02d} USD"


def deciding(parts: tuple[tuple[str, int], ...]) -> str:
    """The part that asks most: the most negative one."""
    worst = min(parts, key=lambda part: part[1], default=None)
    return worst[0] if worst is not None and worst[1] < 0 else "nothing is required"


E20: Final = E20_PER_USD_E6 * 10**6
