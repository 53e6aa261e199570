"""The parts of a spec that say how to estimate rather than what: histories, haircuts, correlations, fitted surfaces.

They name data files beside the spec. `aggregator.policy.resolve` turns them into plain numbers before a build; a spec
without them needs no data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from aggregator.model.units import LINES_PER_GROUP, QUANTITY_SCALE, RATE_SCALE
from aggregator.policy.tables import Table
from aggregator.risk.correlation import CorrelationStress
from aggregator.risk.depth import Depth, DepthLevel, DepthProfile, SquareRootImpact
from aggregator.risk.haircuts import Bounds
from aggregator.risk.volatility import RISKMETRICS_LAMBDA

MODELS: Final = ("ewma", "garch")
UNITS: Final = ("volatility", "usd")
SURFACES: Final = ("svi", "sabr")
MAX_HORIZON_DAYS: Final = 365


@dataclass(frozen=True)
class HaircutModel:
    """How one asset's haircuts are made. `sizes_e8` are the ends of all tiers but the open one.

    history: a name of [histories]; days: returns used, None for all; horizons in days.
    """

    where: str
    history: str
    model: str
    decay: float
    days: int | None
    confidence: float
    horizon_im: float
    horizon_mm: float
    sizes_e8: tuple[int, ...]
    depth: Depth
    bounds: Bounds
    short: bool


@dataclass(frozen=True, slots=True)
class CorrelationModel:
    """How the correlations of all classes are made, from the histories named after their prices."""

    where: str
    days: int
    stress: CorrelationStress


@dataclass(frozen=True, slots=True)
class QuoteFile:
    """Option quotes of one class: the file, whether bid and ask are volatilities or USD, what is fitted to them.

    `beta` is that of SABR, 0 to 1.
    """

    where: str
    file: str
    unit: str
    model: str
    beta: float


@dataclass(frozen=True)
class RiskSpec:
    """What the risk figures of a report are counted against.

    benchmark: a name of [histories]; days: returns used; participation: share of a day's volume that selling takes;
    volumes: units traded a day by the name of a price.
    """

    benchmark: str
    days: int
    participation: float
    volumes: dict[str, float]


@dataclass(frozen=True)
class Histories:
    """File by the name of a price, and how old the last close may be."""

    files: dict[str, str]
    max_age_days: int

    def known(self, table: Table, key: str, name: str) -> str:
        """`name` itself when it has a file; PolicyError about the key otherwise."""
        if name not in self.files:
            table.fail(key, f"names {name}, which is not among [histories]; add its file there")
        return name


def parse_histories(table: Table) -> Histories:
    """[histories]: NAME = "file", and max_age_days."""
    if not table.has("histories"):
        return Histories({}, 0)
    inner = table.table("histories")
    age = inner.integer("max_age_days", 0, 3650) if inner.has("max_age_days") else 7
    return Histories({name: inner.text(name) for name in list(inner.rest)}, age)


def _days(table: Table, key: str) -> int | None:
    return table.integer(key, 2, 20_000) if table.has(key) else None


def _inside(table: Table, key: str, low: float, high: float, default: str | None = None) -> float:
    value = float(table.decimal(key, default))
    if not low < value < high:
        table.fail(key, f"is not inside {low:g}..{high:g}; correct it")
    return value


def _parse_depth(table: Table) -> Depth:
    if table.has("depth"):
        levels = table.tables(
            "depth", lambda row: DepthLevel(float(row.decimal("quantity")), float(row.decimal("slippage")))
        )
        return DepthProfile(levels)
    if not table.has("daily_volume"):
        table.fail("depth", "and daily_volume are both absent; say how deep the market is")
    return SquareRootImpact(float(table.decimal("impact", "1")), float(table.decimal("daily_volume")))


def parse_haircut_model(table: Table, histories: Histories) -> HaircutModel:
    """[assets.dynamic]; PolicyError naming the key."""
    model = table.text("model", "ewma")
    if model not in MODELS:
        table.fail("model", f"is {model!r}; use one of {', '.join(MODELS)}")
    sizes = tuple(int(size * QUANTITY_SCALE) for size in table.decimals("sizes"))
    if not sizes or min(sizes) <= 0 or list(sizes) != sorted(set(sizes)):
        table.fail("sizes", "is not a rising list of positive sizes; sort it")
    value = table.rest.pop("short", False)
    if not isinstance(value, bool):
        table.fail("short", "is not true or false; write one of them")
    if (len(sizes) + 1) * (2 if value else 1) > LINES_PER_GROUP:
        table.fail("sizes", f"makes more than {LINES_PER_GROUP} tiers (short ones counted); give fewer")
    made = HaircutModel(
        where=table.where,
        history=histories.known(table, "history", table.text("history")),
        model=model,
        decay=_inside(table, "lambda", 0, 1, str(RISKMETRICS_LAMBDA)),
        days=_days(table, "days"),
        confidence=_inside(table, "confidence", 0.4999, 1, "0.99"),
        horizon_im=_inside(table, "horizon_im", 0, MAX_HORIZON_DAYS),
        horizon_mm=_inside(table, "horizon_mm", 0, MAX_HORIZON_DAYS),
        sizes_e8=sizes,
        depth=_parse_depth(table),
        bounds=Bounds(
            table.rate_e6("floor", "0"),
            table.rate_e6("cap", "1"),
            table.rate_e6("max_rise", "1"),
            table.rate_e6("max_fall", "1"),
        ),
        short=value,
    )
    if made.horizon_mm > made.horizon_im:
        table.fail("horizon_mm", "is above horizon_im; keeping a position cannot need more than opening it")
    return made


def parse_correlation_model(table: Table) -> CorrelationModel:
    """[estimated_correlation]; PolicyError naming the key."""
    stress = CorrelationStress(
        table.rate_e6("floor", "0") / RATE_SCALE,
        table.rate_e6("towards_one", "0") / RATE_SCALE,
        table.integer("worst_window", 0, 20_000) if table.has("worst_window") else 0,
    )
    return CorrelationModel(table.where, table.integer("days", 30, 20_000), stress)


def parse_quote_file(table: Table) -> QuoteFile:
    """[classes.quotes]; PolicyError naming the key."""
    unit = table.text("unit")
    if unit not in UNITS:
        table.fail("unit", f"is {unit!r}; use one of {', '.join(UNITS)}")
    model = table.text("model", "svi")
    if model not in SURFACES:
        table.fail("model", f"is {model!r}; use one of {', '.join(SURFACES)}")
    if model == "svi" and table.has("beta"):
        table.fail("beta", "belongs to sabr; remove it or fit that model")
    return QuoteFile(table.where, table.text("file"), unit, model, table.rate_e6("beta", "1") / RATE_SCALE)


def parse_risk(table: Table, histories: Histories) -> RiskSpec | None:
    """[risk], when there is one; PolicyError naming the key."""
    if not table.has("risk"):
        return None
    inner = table.table("risk")
    volumes = inner.table("volumes") if inner.has("volumes") else Table({}, inner.where)
    found = RiskSpec(
        benchmark=histories.known(inner, "benchmark", inner.text("benchmark")),
        days=inner.integer("days", 30, 20_000),
        participation=_inside(inner, "participation", 0, 1.000001, "0.1"),
        volumes={name: _inside(volumes, name, 0, 1e24) for name in list(volumes.rest)},
    )
    inner.close()
    return found


@dataclass(frozen=True)
class Estimates:
    """All estimated parts of a spec. `haircuts` by asset, `surfaces` by class."""

    histories: Histories
    haircuts: dict[str, HaircutModel]
    correlation: CorrelationModel | None
    surfaces: dict[str, QuoteFile]
    risk: RiskSpec | None

    @property
    def needed(self) -> bool:
        """Whether a build has to resolve anything first."""
        return bool(self.haircuts or self.correlation or self.surfaces)

    def files(self) -> Iterator[str]:
        """The data files, each once, as the spec names them."""
        yield from dict.fromkeys([*self.histories.files.values(), *(q.file for q in self.surfaces.values())])
