"""Rulebooks from TOML files, schema "counterfoil/rulebook/1". Shipped examples are in configs/rulebooks.

Numbers are decimals in plain units: 0.8 is 80 %. Keys nobody asks for are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final, TypeVar

from aggregator.margin.rulebooks import (
    aave,
    derive_pmrm1,
    derive_pmrm2,
    derive_srm,
    drift,
    dydx,
    span,
    synthetix,
)
from aggregator.margin.rulebooks.base import Rulebook
from aggregator.margin.rulebooks.derive import (
    CollateralTerms,
    DerivePortfolio1,
    DerivePortfolio2,
    DeriveStandard,
)
from aggregator.margin.rulebooks.derive_pmrm2 import Scenario, VolShock
from aggregator.margin.rulebooks.simm import Factor, Simm, SimmParameters
from aggregator.margin.rulebooks.span_book import ClassTerms, Span
from aggregator.margin.rulebooks.venues import Aave, Drift, Dydx, Native, Synthetix
from aggregator.margin.rulebooks.wad import WAD
from aggregator.model.errors import ConfigError, PolicyError
from aggregator.policy.tables import Table, load_toml

SCHEMA: Final = "counterfoil/rulebook/1"
BPS: Final = 10_000
PPM: Final = 1_000_000
T = TypeVar("T")


def _wad(table: Table, key: str, default: str | None = None) -> int:
    value = table.decimal(key, default) * WAD
    if value != value.to_integral_value():
        table.fail(key, "has more than 18 decimals; shorten it")
    return int(value)


def _confidence(table: Table) -> int:
    value = _wad(table, "confidence", "1")
    if not 0 <= value <= WAD:
        table.fail("confidence", "is outside 0..1; correct it")
    return value


def _flag(table: Table, key: str) -> bool:
    value = table.take(key)
    if not isinstance(value, bool):
        table.fail(key, "is neither true nor false; write one of them")
    return value


def _wads(table: Table, kind: Callable[..., T], **given: object) -> T:
    """A dataclass whose fields, those of `given` apart, are decimals of the table in 1e-18."""
    names = [field.name for field in fields(kind) if field.name not in given]  # type: ignore[arg-type]
    values: dict[str, Any] = {
        name: table.integer(name, 1, 10**9) if name == "dte_floor" else _wad(table, name) for name in names
    }
    return kind(**values, **given)


def _scenario(table: Table) -> Scenario:
    shock = table.text("volatility")
    if shock not in set(VolShock):
        table.fail("volatility", f"is none of {', '.join(VolShock)}; use one of them")
    return Scenario(_wad(table, "spot"), VolShock(shock), _wad(table, "dampening", "1"))


def _native(name: str, _: Table) -> Rulebook:
    return Native(name)


def _reserve(asset: str, table: Table) -> aave.Reserve:
    return aave.Reserve(
        name=asset,
        decimals=8,
        price_e8=0,
        ltv_bps=table.scaled("ltv", BPS),
        threshold_bps=table.scaled("threshold", BPS),
        category=table.integer("category", 0, 255) if table.has("category") else 0,
    )


def _aave(name: str, table: Table) -> Rulebook:
    mode = None
    if table.has("mode"):
        row = table.table("mode")
        mode = aave.EMode(
            row.integer("category", 1, 255), row.scaled("ltv", BPS), row.scaled("threshold", BPS)
        )
        row.close()
    return Aave(name, table.named("reserves", _reserve), mode)


def _drift_spot(asset: str, table: Table) -> drift.SpotMarket:
    return drift.SpotMarket(
        name=asset,
        decimals=8,
        price_e6=1,
        asset_im=table.scaled("asset_im", BPS),
        asset_mm=table.scaled("asset_mm", BPS),
        liability_im=table.scaled("liability_im", BPS),
        liability_mm=table.scaled("liability_mm", BPS),
        imf_e6=table.scaled("imf", PPM, "0"),
        scale_start_e6=table.scaled("scale_start", PPM, "0"),
        deposits_e6=table.scaled("deposits", PPM, "0"),
    )


def _drift_perp(symbol: str, table: Table) -> drift.PerpMarket:
    return drift.PerpMarket(
        name=symbol,
        price_e6=1,
        ratio_im=table.scaled("ratio_im", BPS),
        ratio_mm=table.scaled("ratio_mm", BPS),
        imf_e6=table.scaled("imf", PPM, "0"),
        high_im=table.scaled("high_im", BPS, "0"),
        high_mm=table.scaled("high_mm", BPS, "0"),
    )


def _drift(name: str, table: Table) -> Rulebook:
    user = drift.User(
        custom_ratio=table.scaled("custom_ratio", BPS, "0"),
        high_leverage=_flag(table, "high_leverage") if table.has("high_leverage") else False,
    )
    return Drift(name, "USD", table.named("spots", _drift_spot), table.named("perps", _drift_perp), user)


def _dydx_market(_: str, table: Table) -> tuple[dydx.LiquidityTier, int, int]:
    tier = dydx.LiquidityTier(
        table.scaled("initial", PPM),
        table.scaled("maintenance_fraction", PPM),
        table.scaled("open_interest_lower", PPM, "0"),
        table.scaled("open_interest_upper", PPM, "0"),
    )
    return tier, table.scaled("open_interest", 10**8), table.rate_e6("custom", "0")


def _dydx(name: str, table: Table) -> Rulebook:
    return Dydx(name, table.texts("quote"), table.named("markets", _dydx_market))


def _synthetix_collateral(asset: str, table: Table) -> synthetix.Collateral:
    return _wads(table, synthetix.Collateral, name=asset, amount=0, price=0)


def _synthetix_market(symbol: str, table: Table) -> synthetix.PerpMarket:
    return _wads(
        table,
        synthetix.PerpMarket,
        name=symbol,
        price=0,
        flag_reward_ratio=_wad(table, "flag_reward_ratio", "0"),
        max_liquidation=_wad(table, "max_liquidation", "0"),
    )


def _synthetix(name: str, table: Table) -> Rulebook:
    keeper = None
    if table.has("keeper"):
        row = table.table("keeper")
        keeper = _wads(row, synthetix.KeeperTerms)
        row.close()
    return Synthetix(
        name,
        table.named("collaterals", _synthetix_collateral),
        table.named("markets", _synthetix_market),
        keeper,
    )


def _srm_market(_: str, table: Table) -> derive_srm.SrmParameters:
    return _wads(table, derive_srm.SrmParameters)


def _derive_srm(name: str, table: Table) -> Rulebook:
    return DeriveStandard(
        name=name,
        markets=table.named("markets", _srm_market),
        cash=table.texts("cash"),
        stable=_wad(table, "stable", "1"),
        depeg_threshold=_wad(table, "depeg_threshold", "0"),
        depeg_factor=_wad(table, "depeg_factor", "0"),
        confidence=_confidence(table),
    )


def _derive_pm1(name: str, table: Table) -> Rulebook:
    scenarios = table.tables("scenarios", _scenario)
    row = table.table("parameters")
    parameters = _wads(row, derive_pmrm1.Pmrm1Parameters, scenarios=scenarios)
    row.close()
    return DerivePortfolio1(
        name,
        table.text("underlying"),
        parameters,
        table.texts("cash"),
        _wad(table, "stable", "1"),
        _wad(table, "rate", "0"),
        _confidence(table),
    )


def _collateral(_: str, table: Table) -> CollateralTerms:
    return CollateralTerms(
        _wad(table, "mm_haircut"), _wad(table, "im_haircut"), _flag(table, "risk_cancelling")
    )


def _derive_pm2(name: str, table: Table) -> Rulebook:
    scenarios = table.tables("scenarios", _scenario)
    row = table.table("parameters")
    parameters = _wads(row, derive_pmrm2.Pmrm2Parameters, scenarios=scenarios)
    row.close()
    return DerivePortfolio2(
        name,
        table.text("underlying"),
        parameters,
        table.named("collaterals", _collateral),
        table.texts("cash"),
        _wad(table, "stable", "1"),
        _wad(table, "rate", "0"),
        _confidence(table),
    )


def _factor(underlying: str, table: Table) -> Factor:
    return Factor(
        name=underlying,
        bucket=table.text("bucket") if table.has("bucket") else None,
        weight_e6=table.scaled("weight", PPM),
        threshold_e6=table.scaled("threshold", PPM, "0"),
    )


def _signed_rate(table: Table, key: str, default: str | None = None) -> int:
    value = table.decimal(key, default) * PPM
    if value != value.to_integral_value():
        table.fail(key, "has more than 6 decimals; shorten it")
    return int(value)


def _gamma(table: Table) -> tuple[tuple[str, str], int]:
    pair = table.texts("between")
    if len(pair) != 2:
        table.fail("between", "does not name two buckets; name two")
    return (pair[0], pair[1]), _signed_rate(table, "gamma")


def _simm(name: str, table: Table) -> Rulebook:
    factors = table.named("factors", _factor)
    rho = table.named("buckets", lambda _, row: _signed_rate(row, "rho"))
    gamma = dict(table.tables("correlations", _gamma))
    parameters = SimmParameters(factors, rho, gamma, _signed_rate(table, "residual_rho", "0"))
    return Simm(name, parameters, table.texts("cash"))


def _intra(table: Table) -> span.IntraSpread:
    return span.IntraSpread(
        table.integer("tier_a", 1, 99), table.integer("tier_b", 1, 99), table.scaled("charge", PPM)
    )


def _span_class(_: str, table: Table) -> ClassTerms:
    days = table.decimals("tier_days")
    if list(days) != sorted(set(days)) or any(day != int(day) or day <= 0 for day in days):
        table.fail("tier_days", "is not a list of ascending whole days; correct it")
    return ClassTerms(
        tuple(int(day) for day in days),
        table.tables("spreads", _intra),
        table.scaled("short_option_minimum", PPM),
    )


def _credit(table: Table) -> span.InterSpread:
    pair = table.texts("between")
    deltas = table.decimals("deltas")
    if len(pair) != 2 or len(deltas) != 2:
        table.fail("between", "does not name two classes with two deltas; name two")
    legs = [span.Leg(name, int(deltas[n] * span.DELTA), 1 - 2 * n) for n, name in enumerate(pair)]
    return span.InterSpread((legs[0], legs[1]), table.scaled("credit", PPM))


def _span(name: str, table: Table) -> Rulebook:
    return Span(
        name,
        table.named("classes", _span_class),
        table.tables("credits", _credit),
        table.texts("cash"),
        table.scaled("initial_ratio", PPM, "1"),
    )


KINDS: Final[Mapping[str, Callable[[str, Table], Rulebook]]] = {
    "native": _native,
    "aave-v3": _aave,
    "drift": _drift,
    "dydx-v4": _dydx,
    "synthetix-v3": _synthetix,
    "derive-srm": _derive_srm,
    "derive-pm1": _derive_pm1,
    "derive-pm2": _derive_pm2,
    "simm-delta": _simm,
    "span": _span,
}


def parse_rulebook(text: str, where: str = "rulebook") -> Rulebook:
    """TOML text into a rulebook; `where` is the file name for messages.

    Raises ConfigError naming the key that is missing, unknown or out of range.
    """
    try:
        table = load_toml(text, where)
        if table.text("schema") != SCHEMA:
            table.fail("schema", f"is not {SCHEMA!r}; use a rulebook of this version")
        kind, name = table.text("kind"), table.text("name")
        if kind not in KINDS:
            table.fail("kind", f"is none of {', '.join(KINDS)}; use one of them")
        rulebook = KINDS[kind](name, table)
        table.close()
    except PolicyError as error:
        raise ConfigError(str(error)) from error
    return rulebook
