"""Lending and perp venues over a book: Aave v3, Drift, dYdX v4, Synthetix v3, and the provable rulebook itself.

Each takes its parameters from a file (`aggregator.margin.rulebooks.config`), keyed by asset name as in the symbols.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from aggregator.fixed import div_ceil, div_floor
from aggregator.margin.native import Evaluation, evaluate
from aggregator.margin.rulebooks import aave, drift, dydx, synthetix
from aggregator.margin.rulebooks.base import (
    CASH,
    E20,
    Book,
    Holding,
    LevelResult,
    RulebookResult,
    deciding,
    level_result,
    refuse_uncovered,
    usd,
)
from aggregator.margin.rulebooks.wad import WAD
from aggregator.model.policy import InstrumentKind, Level

E18_PER_E8 = 10**10
E18_PER_E12 = 10**6
E20_PER_E6 = 10**14


def _spot(holding: Holding) -> bool:
    return holding.kind in (InstrumentKind.SPOT, InstrumentKind.DEBT)


@dataclass(frozen=True, slots=True)
class Native:
    """M1-M7 of docs/protocol.md, the rulebook that proofs are made of."""

    name: str = "native"

    def evaluate(self, book: Book) -> RulebookResult:
        """Equity and requirement under the book's policy."""
        policy = book.policy
        positions = {policy.by_symbol[h.symbol].id: h.quantity_e8 for h in book.holdings}
        im, mm = (self._level(book, evaluate(policy, positions, level)) for level in (Level.IM, Level.MM))
        return RulebookResult(self.name, im, mm)

    def _level(self, book: Book, found: Evaluation) -> LevelResult:
        scenarios = book.policy.scenarios
        parts = [(f"scan risk, after correlation and factor: {self._binding(book, found)}", -found.scan_e20)]
        parts += [(f"contingency of {g.name}", -g.charge_e6 * E20_PER_E6) for g in found.groups]
        parts += [(f"add-on of {p.instrument.symbol}", -p.addon_e20) for p in found.positions]
        worst = max(found.classes, key=lambda c: c.scan_risk_e6, default=None)
        binding = deciding(tuple(parts))
        if worst is not None and worst.binding is not None and binding == parts[0][0]:
            binding = f"{worst.name}: {scenarios[worst.binding]}"
        lines = tuple(f"{name}: {usd(amount, E20)}" for name, amount in parts if amount)
        return LevelResult(
            level=found.level,
            counted_e6=div_floor(found.equity_e20, E20_PER_E6),
            requirement_e6=found.requirement_e6,
            excess_e6=found.excess_e6,
            health_e6=found.health_e6,
            binding=binding,
            lines=lines,
        )

    def _binding(self, book: Book, found: Evaluation) -> str:
        named = [
            f"{c.name} {book.policy.scenarios[c.binding]}" for c in found.classes if c.binding is not None
        ]
        return ", ".join(named) or "no loss"


@dataclass(frozen=True)
class Aave:
    """Aave v3. `reserves` give rates; MM is the liquidation threshold, IM the loan-to-value."""

    name: str
    reserves: Mapping[str, aave.Reserve]
    mode: aave.EMode | None = None

    def evaluate(self, book: Book) -> RulebookResult:
        """Supplies and debts by asset; amounts in 1e-8, so what a chain holds beyond that is not counted."""
        ignored: list[str] = []
        held: dict[str, aave.Reserve] = {}
        for one in book.holdings:
            if one.asset not in self.reserves or not _spot(one):
                ignored.append(refuse_uncovered(self.name, one))
                continue
            price = div_floor(one.price_e12, 10**4)
            before = held.get(one.asset, replace(self.reserves[one.asset], decimals=8, price_e8=price))
            if one.quantity_e8 > 0:
                held[one.asset] = replace(before, supplied=before.supplied + one.quantity_e8)
            else:
                held[one.asset] = replace(before, debt=before.debt - one.quantity_e8)
        data = aave.account_data(list(held.values()), self.mode)
        im, mm = (self._level(data, level) for level in (Level.IM, Level.MM))
        return RulebookResult(self.name, im, mm, tuple(ignored))

    def _level(self, data: aave.AccountData, level: Level) -> LevelResult:
        bps = data.ltv_bps if level is Level.IM else data.threshold_bps
        counted = aave.percent_mul(data.collateral_e8, bps)
        what = "loan-to-value" if level is Level.IM else "liquidation threshold"
        lines = (
            f"collateral {usd(data.collateral_e8, 10**8)} x {what} {bps} bp = {usd(counted, 10**8)}",
            f"debt {usd(data.debt_e8, 10**8)}",
        )
        result = level_result(level, counted, data.debt_e8, 10**8, f"{what} {bps} bp", lines)
        if level is Level.MM and data.health_e18 is not None:
            return replace(result, health_e6=data.health_e18 // 10**12)
        return result


@dataclass(frozen=True)
class Drift:
    """Drift cross margin. `spots` and `perps` give weights; the cash leg is the quote market."""

    name: str
    quote: str
    spots: Mapping[str, drift.SpotMarket]
    perps: Mapping[str, drift.PerpMarket]
    user: drift.User = drift.ORDINARY

    def evaluate(self, book: Book) -> RulebookResult:
        """Deposits, borrows and perps; profit and loss is settled into the quote balance."""
        ignored: list[str] = []
        amounts: dict[str, int] = {}
        prices: dict[str, int] = {}
        perps: list[drift.PerpPosition] = []
        for one in book.holdings:
            if one.asset == CASH:
                continue
            price_e6 = div_floor(one.price_e12, E18_PER_E12)
            if one.kind is InstrumentKind.PERP and one.symbol in self.perps:
                market = replace(self.perps[one.symbol], price_e6=price_e6)
                perps.append(self._perp(market, one.quantity_e8 * 10))
            elif _spot(one) and one.asset in self.spots:
                amounts[one.asset] = amounts.get(one.asset, 0) + one.quantity_e8
                prices[one.asset] = price_e6
            else:
                ignored.append(refuse_uncovered(self.name, one))
        dollars = drift.SpotMarket(CASH, 6, 10**6, 10_000, 10_000, 10_000, 10_000, quote=True)
        cash = drift.SpotPosition(dollars, div_floor(book.cash_e20, E20_PER_E6))
        spots = [
            drift.SpotPosition(replace(self.spots[asset], decimals=8, price_e6=prices[asset]), amount)
            for asset, amount in amounts.items()
        ]
        im, mm = (
            self._level(drift.margin([cash, *spots], perps, level, self.user), level)
            for level in (Level.IM, Level.MM)
        )
        return RulebookResult(self.name, im, mm, tuple(ignored))

    def _perp(self, market: drift.PerpMarket, base_e9: int) -> drift.PerpPosition:
        value = abs(base_e9) * market.price_e6 // 10**drift.SIZE_DECIMALS
        return drift.PerpPosition(market, base_e9, -value if base_e9 >= 0 else value)

    def _level(self, found: drift.DriftMargin, level: Level) -> LevelResult:
        lines = tuple(f"{name}: {usd(amount, 10**6)}" for name, amount in found.parts)
        return level_result(
            level, found.collateral_e6, found.requirement_e6, 10**6, deciding(found.parts), lines
        )


@dataclass(frozen=True)
class Dydx:
    """dYdX v4 cross subaccount: `quote` assets count at par.

    `markets` give the tier, the open interest in units of 1e-8, and the holder's own fraction in 1e-6 or 0.
    """

    name: str
    quote: tuple[str, ...]
    markets: Mapping[str, tuple[dydx.LiquidityTier, int, int]]

    def evaluate(self, book: Book) -> RulebookResult:
        """Perps against the quote balance; other collateral has no credit here."""
        ignored: list[str] = []
        quote_e20 = sum(h.quantity_e8 * 10**12 for h in book.holdings if _spot(h) and h.asset in self.quote)
        perps: list[dydx.PerpPosition] = []
        for one in book.holdings:
            if one.kind is InstrumentKind.PERP and one.symbol in self.markets:
                tier, interest_e8, custom = self.markets[one.symbol]
                notional = div_floor(one.value_e20, E20_PER_E6)
                interest = div_ceil(interest_e8 * one.price_e12, E20_PER_E6)
                perps.append(dydx.PerpPosition(one.symbol, notional, interest, tier, custom))
            elif not (_spot(one) and one.asset in self.quote) and one.asset != CASH:
                ignored.append(refuse_uncovered(self.name, one))
        cash_e20 = sum(h.value_e20 for h in book.holdings if h.asset == CASH and CASH not in self.quote)
        balance = div_floor(quote_e20 + cash_e20, E20_PER_E6)
        im, mm = (self._level(dydx.margin(balance, perps, level), level) for level in (Level.IM, Level.MM))
        return RulebookResult(self.name, im, mm, tuple(ignored))

    def _level(self, found: dydx.DydxMargin, level: Level) -> LevelResult:
        parts = tuple((f"{name} margin", -amount) for name, amount in found.parts)
        lines = tuple(f"{name}: {usd(amount, 10**6)}" for name, amount in parts)
        return level_result(level, found.collateral, found.requirement, 10**6, deciding(parts), lines)


@dataclass(frozen=True)
class Synthetix:
    """Synthetix v3 perps: `collaterals` give discounts, `markets` margin parameters; the cash leg is snxUSD."""

    name: str
    collaterals: Mapping[str, synthetix.Collateral]
    markets: Mapping[str, synthetix.PerpMarket]
    keeper: synthetix.KeeperTerms | None = None

    def evaluate(self, book: Book) -> RulebookResult:
        """Perps against discounted collateral; negative cash is the account's debt."""
        ignored: list[str] = []
        held: dict[str, synthetix.Collateral] = {}
        perps: list[synthetix.PerpPosition] = []
        for one in book.holdings:
            if one.asset == CASH:
                continue
            price = one.price_e12 * E18_PER_E12
            if one.kind is InstrumentKind.PERP and one.symbol in self.markets:
                market = replace(self.markets[one.symbol], price=price)
                perps.append(synthetix.PerpPosition(market, one.quantity_e8 * E18_PER_E8))
            elif one.kind is InstrumentKind.SPOT and one.asset in self.collaterals and one.quantity_e8 > 0:
                amount = one.quantity_e8 * E18_PER_E8
                before = held.get(one.asset, replace(self.collaterals[one.asset], amount=0, price=price))
                held[one.asset] = replace(before, amount=before.amount + amount)
            else:
                ignored.append(refuse_uncovered(self.name, one))
        cash = div_floor(book.cash_e20, 100)
        dollars = synthetix.Collateral("snxUSD", max(0, cash), WAD)
        im, mm = (
            self._level(
                synthetix.margin([dollars, *held.values()], perps, level, max(0, -cash), self.keeper), level
            )
            for level in (Level.IM, Level.MM)
        )
        return RulebookResult(self.name, im, mm, tuple(ignored))

    def _level(self, found: synthetix.SynthetixMargin, level: Level) -> LevelResult:
        lines = tuple(f"{name}: {usd(amount, WAD)}" for name, amount in found.parts)
        return level_result(level, found.available, found.requirement, WAD, deciding(found.parts), lines)
