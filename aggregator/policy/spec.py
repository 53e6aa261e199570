"""What a risk publisher writes: a policy's rules before prices (schema `counterfoil/policy-spec/1`, TOML).

Every key is documented in configs/policies/standard.toml. Rates are fractions (0.05 is 5 %), quantities in units of
the asset, times in days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from aggregator.model.anchors import ChainId
from aggregator.model.errors import PolicyError
from aggregator.model.policy import Acceptance
from aggregator.model.units import LINES_PER_GROUP, MAX_CLASSES, PRICE_SCALE, QUANTITY_SCALE, RATE_SCALE
from aggregator.policy.acceptance import ANYTHING, check_range, parse_acceptance
from aggregator.policy.estimates import (
    Estimates,
    HaircutModel,
    Histories,
    QuoteFile,
    parse_correlation_model,
    parse_haircut_model,
    parse_histories,
    parse_quote_file,
    parse_risk,
)
from aggregator.policy.haircut import Tier, check_tiers
from aggregator.policy.holdings import (
    DepositSpec,
    PoolSpec,
    WrapperSpec,
    check_demands,
    check_holdings,
    parse_demand,
    parse_deposit,
    parse_pool,
    parse_wrapper,
)
from aggregator.policy.quotes import FREE, Demand
from aggregator.policy.rates import LevelRates, parse_chain, parse_chains, parse_levels
from aggregator.policy.tables import Table, load_toml
from aggregator.pricing.sabr import SabrSlice
from aggregator.pricing.surface import SviSlice
from aggregator.risk.scenarios import STANDARD_SCENARIOS, ClassShocks, Scenario, check_scenarios

SPEC_SCHEMA: Final = "counterfoil/policy-spec/1"


@dataclass(frozen=True, slots=True)
class SmileSpec:
    """SSVI parameters and the at-the-money volatility by days to expiry."""

    rho: float
    eta: float
    gamma: float
    atm: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class ClassSpec:
    """A risk class: the price its instruments move with, its shocks, its carry and its smile.

    `slices` are a fitted surface in place of the smile: those that `aggregator.policy.resolve` made from quotes.
    """

    name: str
    price: str
    shocks: ClassShocks
    carry: tuple[tuple[float, float], ...]
    smile: SmileSpec | None
    slices: tuple[SviSlice | SabrSlice, ...] = ()


@dataclass(frozen=True, slots=True)
class AssetSpec:
    """A token on some chains, its debts, haircut tiers and add-ons.

    `price` names its own quote; `stands_for`, where given, the quote of what it stands for.
    """

    name: str
    price: str
    class_name: str | None
    chains: tuple[ChainId, ...]
    debt_chains: tuple[ChainId, ...]
    long_im: tuple[Tier, ...]
    long_mm: tuple[Tier, ...]
    short_im: tuple[Tier, ...]
    short_mm: tuple[Tier, ...]
    liquidity: LevelRates
    bridges: dict[str, LevelRates]
    demand: Demand = FREE
    stands_for: str | None = None


@dataclass(frozen=True, slots=True)
class PerpSpec:
    """A perpetual on a class, marked at the price named."""

    symbol: str
    class_name: str
    price: str
    liquidity: LevelRates


@dataclass(frozen=True, slots=True)
class Expiries:
    """Expiry dates: fixed ones, and ones counted in days from the policy's date."""

    dates: tuple[date, ...]
    days: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Strikes:
    """Strikes in 1e-8 USD: fixed ones, or multiples of the index (1e-6) rounded to the nearest `step_e8`."""

    fixed_e8: tuple[int, ...]
    moneyness_e6: tuple[int, ...]
    step_e8: int

    def count(self) -> int:
        """How many strikes there are."""
        return len(self.fixed_e8) or len(self.moneyness_e6)

    def at(self, index_e12: int) -> tuple[int, ...]:
        """The strikes at an index price in 1e-12; raises PolicyError when the step makes two of them equal or 0."""
        if self.fixed_e8:
            return self.fixed_e8
        scale = RATE_SCALE * (PRICE_SCALE // QUANTITY_SCALE) * self.step_e8
        strikes = tuple((2 * index_e12 * m + scale) // (2 * scale) * self.step_e8 for m in self.moneyness_e6)
        if strikes[0] <= 0 or len(set(strikes)) != len(strikes):
            raise PolicyError(
                "strike_step is too coarse for the index price; strikes coincide, use a finer one"
            )
        return strikes


@dataclass(frozen=True, slots=True)
class FutureSpec:
    """Dated futures on a class."""

    class_name: str
    expiries: Expiries
    liquidity: LevelRates


@dataclass(frozen=True, slots=True)
class OptionSpec:
    """European options on a class: each expiry x strike x call and put."""

    class_name: str
    expiries: Expiries
    strikes: Strikes
    short_minimum: LevelRates
    liquidity: LevelRates


@dataclass(frozen=True)
class PolicySpec:
    """A policy's rules, checked for consistency."""

    name: str
    publisher: str
    lifetime_s: int
    scan_factor: LevelRates
    stale_debt_margin_e6: int
    max_position_usd: int
    scenarios: tuple[Scenario, ...]
    classes: tuple[ClassSpec, ...]
    correlation_e6: tuple[tuple[int, ...], ...]
    chains: dict[str, LevelRates]
    assets: tuple[AssetSpec, ...]
    wrappers: tuple[WrapperSpec, ...]
    deposits: tuple[DepositSpec, ...]
    pools: tuple[PoolSpec, ...]
    perps: tuple[PerpSpec, ...]
    futures: tuple[FutureSpec, ...]
    options: tuple[OptionSpec, ...]
    estimates: Estimates
    acceptance: Acceptance = ANYTHING


def _pairs(table: Table, key: str, value: str) -> tuple[tuple[float, float], ...]:
    return table.tables(key, lambda row: (float(row.decimal("days")), float(row.decimal(value))))


def _parse_smile(table: Table) -> SmileSpec:
    return SmileSpec(
        rho=float(table.decimal("rho")),
        eta=float(table.decimal("eta")),
        gamma=float(table.decimal("gamma", "0.5")),
        atm=_pairs(table, "atm", "volatility"),
    )


def _parse_class(table: Table, surfaces: dict[str, QuoteFile]) -> ClassSpec:
    name = table.text("name")
    shocks = ClassShocks(
        scan_range=float(table.decimal("scan_range")),
        volatility=float(table.decimal("volatility_shock", "0")),
        skew=float(table.decimal("skew_shock", "0")),
        basis=float(table.decimal("basis_shock", "0")),
        perp_basis=float(table.decimal("perp_basis_shock", "0")),
    )
    smile = None
    if table.has("smile"):
        inner = table.table("smile")
        smile = _parse_smile(inner)
        inner.close()
    if table.has("quotes"):
        if smile is not None:
            table.fail("quotes", "stands beside a smile; keep one of the two")
        inner = table.table("quotes")
        surfaces[name] = parse_quote_file(inner)
        inner.close()
    carry = _pairs(table, "carry", "rate") or ((0.0, 0.0),)
    return ClassSpec(name, table.text("price", name), shocks, carry, smile)


def _parse_tier(table: Table) -> tuple[Tier, Tier]:
    up_to = table.scaled("up_to", QUANTITY_SCALE) if table.has("up_to") else None
    rates = LevelRates(table.rate_e6("im"), table.rate_e6("mm"))
    if rates.mm_e6 > rates.im_e6:
        table.fail("mm", "is above im; keeping a position cannot need more than opening it")
    return Tier(up_to, rates.im_e6), Tier(up_to, rates.mm_e6)


def _parse_tiers(table: Table, key: str) -> tuple[tuple[Tier, ...], tuple[Tier, ...]]:
    rows = table.tables(key, _parse_tier)
    im, mm = tuple(im for im, _ in rows), tuple(mm for _, mm in rows)
    check_tiers(im, f"{table.where}.{key}")
    check_tiers(mm, f"{table.where}.{key}")
    return im, mm


def _parse_asset(
    table: Table, chains: dict[str, LevelRates], histories: Histories, haircuts: dict[str, HaircutModel]
) -> AssetSpec:
    name = table.text("name")
    long_im, long_mm = _parse_tiers(table, "long_tiers")
    short_im, short_mm = _parse_tiers(table, "short_tiers")
    if table.has("dynamic"):
        if long_im or short_im:
            table.fail("dynamic", "stands beside long_tiers or short_tiers; keep one of the two")
        inner = table.table("dynamic")
        haircuts[name] = parse_haircut_model(inner, histories)
        inner.close()
    elif not long_im or len(long_im) + len(short_im) > LINES_PER_GROUP:
        table.fail("long_tiers", f"and short_tiers are not 1 to {LINES_PER_GROUP} rows together; change them")
    bridges = table.named("bridges", lambda _, row: parse_levels(row, "addon"))
    for chain in bridges:
        if chain not in chains:
            table.fail("bridges", f"names {chain}, which is not among [chains]; add it there")
    return AssetSpec(
        name=name,
        price=table.text("price", name),
        class_name=table.text("class") if table.has("class") else None,
        chains=parse_chains(table, "chains", chains),
        debt_chains=parse_chains(table, "debt_chains", chains, optional=True),
        long_im=long_im,
        long_mm=long_mm,
        short_im=short_im,
        short_mm=short_mm,
        liquidity=parse_levels(table, "liquidity", "0"),
        bridges=bridges,
        demand=parse_demand(table),
        stands_for=table.text("stands_for") if table.has("stands_for") else None,
    )


def _parse_perp(table: Table) -> PerpSpec:
    name = table.text("class")
    return PerpSpec(
        symbol=table.text("symbol", f"{name}-PERP"),
        class_name=name,
        price=table.text("price", name),
        liquidity=parse_levels(table, "liquidity"),
    )


def _parse_expiries(table: Table) -> Expiries:
    dates = table.dates("dates") if table.has("dates") else ()
    days = tuple(int(d) for d in table.decimals("days")) if table.has("days") else ()
    if not dates and not days:
        table.fail("days", "and dates are both absent; give at least one expiry")
    if any(d <= 0 for d in days):
        table.fail("days", "has an expiry that is not in the future; use 1 or more")
    return Expiries(dates, days)


def _parse_future(table: Table) -> FutureSpec:
    return FutureSpec(table.text("class"), _parse_expiries(table), parse_levels(table, "liquidity"))


def _rising(table: Table, key: str, scale: int) -> tuple[int, ...]:
    values = tuple(int(value * scale) for value in table.decimals(key))
    if not values or min(values) <= 0 or list(values) != sorted(set(values)):
        table.fail(key, "is not a rising list of positive numbers; sort it")
    return values


def _parse_strikes(table: Table) -> Strikes:
    if table.has("strikes"):
        return Strikes(_rising(table, "strikes", QUANTITY_SCALE), (), 0)
    moneyness = _rising(table, "moneyness", RATE_SCALE)
    step = table.scaled("strike_step", QUANTITY_SCALE)
    if step == 0:
        table.fail("strike_step", "is 0; use the distance between listed strikes")
    return Strikes((), moneyness, step)


def _parse_option(table: Table) -> OptionSpec:
    return OptionSpec(
        class_name=table.text("class"),
        expiries=_parse_expiries(table),
        strikes=_parse_strikes(table),
        short_minimum=parse_levels(table, "short_minimum"),
        liquidity=parse_levels(table, "liquidity"),
    )


def _parse_scenario(table: Table) -> Scenario:
    spot, volatility, skew, basis = (
        float(table.decimal(k, "0")) for k in ("spot", "volatility", "skew", "basis")
    )
    return Scenario(table.text("name"), spot, volatility, skew, basis, float(table.decimal("cover", "1")))


def _correlations(table: Table, classes: tuple[ClassSpec, ...]) -> tuple[tuple[int, ...], ...]:
    index = {one.name: n for n, one in enumerate(classes)}
    rows = [[RATE_SCALE if k == m else 0 for m in range(len(classes))] for k in range(len(classes))]

    def parse(row: Table) -> None:
        names = row.texts("between")
        if len(names) != 2 or any(name not in index for name in names):
            row.fail("between", "does not name two different classes; correct it")
        k, m = (index[name] for name in names)
        rows[k][m] = rows[m][k] = row.rate_e6("rho")

    table.tables("correlations", parse)
    if rows and float(np.linalg.eigvalsh(np.array(rows, dtype=np.float64)).min()) < -1e-6 * RATE_SCALE:
        table.fail(
            "correlations", "do not belong to any joint distribution (a negative eigenvalue); lower them"
        )
    return tuple(tuple(row) for row in rows)


def _check_references(spec: PolicySpec) -> None:
    classes = {one.name for one in spec.classes}
    assets = {one.name for one in spec.assets}
    used = [(f"asset {a.name}", a.class_name) for a in spec.assets if a.class_name is not None]
    used += [(p.symbol, p.class_name) for p in spec.perps]
    used += [("a future", f.class_name) for f in spec.futures] + [
        ("an option", o.class_name) for o in spec.options
    ]
    for what, name in used:
        if name not in classes:
            raise PolicyError(f"{what} belongs to class {name}, which is not among [[classes]]; add it there")
    check_demands([(a.name, a.price, a.demand) for a in spec.assets])
    check_holdings({a.name: a.class_name for a in spec.assets}, spec.wrappers, spec.deposits, spec.pools)
    for option in spec.options:
        one = next(c for c in spec.classes if c.name == option.class_name)
        if one.smile is None and one.name not in spec.estimates.surfaces:
            raise PolicyError(
                f"class {one.name} has options but no `smile`; add [classes.smile] or [classes.quotes]"
            )
    if len(classes) != len(spec.classes) or len(classes) > MAX_CLASSES:
        raise PolicyError(f"the spec has more than {MAX_CLASSES} classes or repeats one; correct [[classes]]")
    if len(assets) != len(spec.assets):
        raise PolicyError("the spec repeats an asset; keep one [[assets]] entry for each")
    for one in spec.classes:
        one.shocks.check(one.name, spec.scenarios)
        check_range(spec.acceptance, one.name, one.shocks, spec.scenarios)


def parse_spec(text: str, where: str = "policy spec") -> PolicySpec:
    """TOML text into a consistent spec.

    Raises PolicyError naming the key; `where` is the file name for messages.
    """
    table = load_toml(text, where)
    if table.text("schema") != SPEC_SCHEMA:
        table.fail("schema", f"is not {SPEC_SCHEMA!r}; use a spec of this version")
    histories = parse_histories(table)
    haircuts: dict[str, HaircutModel] = {}
    surfaces: dict[str, QuoteFile] = {}
    classes = table.tables("classes", lambda row: _parse_class(row, surfaces))
    chains = table.named("chains", parse_chain)
    correlation = None
    if table.has("estimated_correlation"):
        if table.has("correlations"):
            table.fail("estimated_correlation", "stands beside correlations; keep one of the two")
        inner = table.table("estimated_correlation")
        correlation = parse_correlation_model(inner)
        for one in classes:
            histories.known(inner, "days", one.price)
        inner.close()

    def asset(row: Table) -> AssetSpec:
        return _parse_asset(row, chains, histories, haircuts)

    scan_factor = LevelRates(
        table.rate_e6("scan_factor_im", high=10 * RATE_SCALE),
        table.rate_e6("scan_factor_mm", high=10 * RATE_SCALE),
    )
    assets = table.tables("assets", asset)
    spec = PolicySpec(
        name=table.text("name"),
        publisher=table.text("publisher"),
        lifetime_s=table.integer("lifetime_s", 1, 10**9),
        scan_factor=scan_factor,
        stale_debt_margin_e6=table.rate_e6("stale_debt_margin", high=10 * RATE_SCALE),
        max_position_usd=table.integer("max_position_usd", 1, 10**15),
        scenarios=table.tables("scenarios", _parse_scenario) or STANDARD_SCENARIOS,
        classes=classes,
        correlation_e6=_correlations(table, classes),
        chains=chains,
        assets=assets,
        wrappers=table.tables("wrappers", lambda row: parse_wrapper(row, chains)),
        deposits=table.tables("deposits", lambda row: parse_deposit(row, chains)),
        pools=table.tables("pools", lambda row: parse_pool(row, chains)),
        perps=table.tables("perps", _parse_perp),
        futures=table.tables("futures", _parse_future),
        options=table.tables("options", _parse_option),
        acceptance=parse_acceptance(table),
        estimates=Estimates(histories, haircuts, correlation, surfaces, parse_risk(table, histories)),
    )
    table.close()
    check_scenarios(spec.scenarios)
    _check_references(spec)
    return spec
