"""Derive's managers over a book: holdings arranged by expiry, volatilities and forwards read off the policy's marks.

The forward of an expiry is put-call parity of the policy's own marks (strike + call - put); volatilities are those
the marks imply. One confidence stands for all feeds of the venue, 1 unless the rulebook's file says otherwise: a policy
has already refused prices it does not trust.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aggregator.margin.rulebooks import derive_pmrm1, derive_pmrm2, derive_srm
from aggregator.margin.rulebooks.base import (
    CASH,
    Book,
    Holding,
    LevelResult,
    RulebookResult,
    level_result,
    refuse_uncovered,
    usd,
)
from aggregator.margin.rulebooks.derive_market import DeriveMargin, Expiry, OptionHolding, Perp
from aggregator.margin.rulebooks.wad import WAD, trunc_div
from aggregator.model.errors import InputError
from aggregator.model.policy import InstrumentKind, Level
from aggregator.pricing.wad import implied_volatility_wad

AMOUNT = 10**10
PRICE = 10**6


def _parity_forward(book: Book, one: Holding) -> int:
    """Forward of an option's expiry in 1e-18 USD."""
    if one.option is None:
        raise InputError(f"{one.symbol} is no option; correct its symbol")
    stem = one.symbol.rsplit("-", 1)[0]
    call, put = (book.policy.by_symbol.get(f"{stem}-{side}") for side in ("C", "P"))
    if call is None or put is None:
        return book.index_e12(one.underlying) * PRICE
    return one.option.strike_e8 * AMOUNT + (call.mark_e12 - put.mark_e12) * PRICE


def expiries_of(book: Book, options: list[Holding], rates: Mapping[str, int]) -> tuple[Expiry, ...]:
    """Options of one underlying by expiry; `rates` (1e-18) by underlying, 0 where none is given."""
    by_time: dict[int, list[Holding]] = {}
    for one in options:
        by_time.setdefault(one.seconds, []).append(one)
    result = []
    for seconds, held in sorted(by_time.items()):
        forward = _parity_forward(book, held[0])
        rows = []
        for one in held:
            if one.option is None:
                continue
            strike = one.option.strike_e8 * AMOUNT
            volatility = implied_volatility_wad(
                one.price_e12 * PRICE, seconds, forward, strike, one.option.is_call
            )
            rows.append(OptionHolding(strike, one.option.is_call, one.quantity_e8 * AMOUNT, volatility))
        result.append(Expiry(seconds, forward, tuple(rows), rate=rates.get(held[0].underlying, 0)))
    return tuple(result)


@dataclass(frozen=True)
class Arranged:
    """A book as Derive's managers see it. Amounts in 1e-18; `perps` are settled at their marks."""

    cash: int
    spots: Mapping[str, int]
    perps: Mapping[str, Perp]
    options: Mapping[str, list[Holding]]
    ignored: tuple[str, ...]


def arrange(
    name: str, book: Book, underlyings: tuple[str, ...], cash: tuple[str, ...], spots: tuple[str, ...]
) -> Arranged:
    """Sort the holdings; those of other underlyings and assets are ignored or, when owed, refused."""
    cash_e20 = book.cash_e20
    held: dict[str, int] = {}
    perps: dict[str, Perp] = {}
    options: dict[str, list[Holding]] = {}
    ignored = []
    for one in book.holdings:
        if one.asset == CASH:
            continue
        if one.kind in (InstrumentKind.SPOT, InstrumentKind.DEBT) and one.asset in cash:
            cash_e20 += one.quantity_e8 * 10**12
        elif one.kind is InstrumentKind.SPOT and one.asset in spots and one.quantity_e8 > 0:
            held[one.asset] = held.get(one.asset, 0) + one.quantity_e8 * AMOUNT
        elif one.kind is InstrumentKind.PERP and one.underlying in underlyings:
            perps[one.underlying] = Perp(one.quantity_e8 * AMOUNT, one.price_e12 * PRICE)
        elif one.kind is InstrumentKind.OPTION and one.underlying in underlyings:
            options.setdefault(one.underlying, []).append(one)
        else:
            ignored.append(refuse_uncovered(name, one))
    return Arranged(cash_e20 // 100, held, perps, options, tuple(ignored))


def _result(name: str, found: dict[Level, DeriveMargin], ignored: tuple[str, ...]) -> RulebookResult:
    def level(at: Level) -> LevelResult:
        margin = found[at]
        lines = tuple(f"{part.name}: {usd(part.amount, WAD)}" for part in margin.parts)
        return level_result(at, margin.mark_to_market, margin.requirement, WAD, margin.binding, lines)

    return RulebookResult(name, level(Level.IM), level(Level.MM), ignored)


def _spot_price(book: Book, asset: str) -> int:
    return book.index_e12(asset) * PRICE


@dataclass(frozen=True)
class DeriveStandard:
    """SRM: `markets` give parameters by underlying; `cash` assets count at par, `stable` is their USD price."""

    name: str
    markets: Mapping[str, derive_srm.SrmParameters]
    cash: tuple[str, ...]
    stable: int
    depeg_threshold: int
    depeg_factor: int
    confidence: int = WAD

    def evaluate(self, book: Book) -> RulebookResult:
        """Standard margin of the book."""
        names = tuple(self.markets)
        seen = arrange(self.name, book, names, self.cash, names)
        markets = tuple(
            derive_srm.SrmMarket(
                name=name,
                spot=_spot_price(book, name),
                parameters=parameters,
                base=seen.spots.get(name, 0),
                expiries=expiries_of(book, seen.options.get(name, []), {}),
                perp=seen.perps.get(name),
                spot_confidence=self.confidence,
            )
            for name, parameters in self.markets.items()
            if name in seen.spots or name in seen.options or name in seen.perps
        )
        portfolio = derive_srm.SrmPortfolio(
            seen.cash, markets, self.stable, self.depeg_threshold, self.depeg_factor
        )
        return _result(self.name, {at: derive_srm.margin(portfolio, at) for at in Level}, seen.ignored)


@dataclass(frozen=True)
class DerivePortfolio1:
    """PMRM of one underlying: its token is the base asset."""

    name: str
    underlying: str
    parameters: derive_pmrm1.Pmrm1Parameters
    cash: tuple[str, ...]
    stable: int
    rate: int
    confidence: int = WAD

    def evaluate(self, book: Book) -> RulebookResult:
        """Portfolio margin, version 1, of the book."""
        asset = self.underlying
        seen = arrange(self.name, book, (asset,), self.cash, (asset,))
        portfolio = derive_pmrm1.Pmrm1Portfolio(
            spot=_spot_price(book, asset),
            stable=self.stable,
            cash=seen.cash,
            base=seen.spots.get(asset, 0),
            expiries=expiries_of(book, seen.options.get(asset, []), {asset: self.rate}),
            perp=seen.perps.get(asset),
            spot_confidence=self.confidence,
        )
        found = {at: derive_pmrm1.margin(portfolio, at, self.parameters) for at in Level}
        return _result(self.name, found, seen.ignored)


@dataclass(frozen=True, slots=True)
class CollateralTerms:
    """Haircuts in 1e-18 and whether the collateral moves with the scenarios."""

    mm_haircut: int
    im_haircut: int
    risk_cancelling: bool


@dataclass(frozen=True)
class DerivePortfolio2:
    """PMRM_2 of one underlying with several collaterals."""

    name: str
    underlying: str
    parameters: derive_pmrm2.Pmrm2Parameters
    collaterals: Mapping[str, CollateralTerms]
    cash: tuple[str, ...]
    stable: int
    rate: int
    confidence: int = WAD

    def evaluate(self, book: Book) -> RulebookResult:
        """Portfolio margin, version 2, of the book."""
        asset = self.underlying
        seen = arrange(self.name, book, (asset,), self.cash, tuple(self.collaterals))
        collaterals = []
        for name, amount in seen.spots.items():
            terms = self.collaterals[name]
            value = trunc_div(amount * _spot_price(book, name), self.stable)
            collaterals.append(
                derive_pmrm2.Collateral(
                    name, value, terms.mm_haircut, terms.im_haircut, terms.risk_cancelling
                )
            )
        portfolio = derive_pmrm2.Pmrm2Portfolio(
            spot=_spot_price(book, asset),
            stable=self.stable,
            cash=seen.cash,
            expiries=expiries_of(book, seen.options.get(asset, []), {asset: self.rate}),
            collaterals=tuple(collaterals),
            perp=seen.perps.get(asset),
            spot_confidence=self.confidence,
        )
        found = {at: derive_pmrm2.margin(portfolio, at, self.parameters) for at in Level}
        return _result(self.name, found, seen.ignored)
