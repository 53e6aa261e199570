"""One epoch's policy as exact integers: what the engine, the circuit, the contracts and the JSON all read.

A policy is public. Whoever accepts its root has checked it with `aggregator.policy` first (docs/protocol.md,
W1-W7): the circuit relies on those bounds for the leaves it opens.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import cached_property

from aggregator.model.anchors import Trust
from aggregator.model.snapshot import Method


class Level(IntEnum):
    """Margin level a statement is made at. The value is what the public signal carries."""

    MM = 0
    IM = 1


class InstrumentKind(StrEnum):
    """What sort of thing an instrument is."""

    SPOT = "spot"
    DEBT = "debt"
    PERP = "perp"
    FUTURE = "future"
    OPTION = "option"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a group's convex contingency: slope x net + intercept, at or below zero in the origin."""

    slope_e12: int
    intercept_e26: int


@dataclass(frozen=True, slots=True)
class NettingGroup:
    """One asset whose cross-chain quantities net before the haircut (M4). Ids start at 1; 0 is "no group"."""

    id: int
    name: str
    lines_im: tuple[Line, ...]
    lines_mm: tuple[Line, ...]

    def lines(self, level: Level) -> tuple[Line, ...]:
        """The lines in force at `level`, always `LINES_PER_GROUP` of them; the first has intercept 0."""
        return self.lines_im if level is Level.IM else self.lines_mm


@dataclass(frozen=True, slots=True)
class Addon:
    """Per-unit add-on on the gross quantity (M5), USD per unit, separate for long and short."""

    long_e12: int
    short_e12: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """Anything with a mark price that an account can hold a signed quantity of."""

    id: int
    symbol: str
    kind: InstrumentKind
    underlying: str
    class_id: int
    group_id: int
    mark_e12: int
    unit_e6: int
    max_quantity_e8: int
    risk_e12: tuple[int, ...]
    addon_im: Addon
    addon_mm: Addon

    def addon(self, level: Level) -> Addon:
        """The add-on in force at `level`."""
        return self.addon_im if level is Level.IM else self.addon_mm


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Which readings count as collateral: the least trust, the least method, and cuts by the name of either.

    `haircuts_e6` are (trust or method, share that does not count in 1e-6), sorted by name. `pool_range_e6` is by how
    much either token of a liquidity position may fall against the other with it still worth what it counts as.
    """

    least_trust: Trust = Trust.REPORTED
    least_method: Method = Method.REPORTED
    haircuts_e6: tuple[tuple[str, int], ...] = ()
    pool_range_e6: int = 500_000


@dataclass(frozen=True)
class Policy:
    """Prices, haircuts, risk arrays and correlations of one epoch."""

    name: str
    publisher: str
    epoch: int
    as_of: int
    expires: int
    classes: tuple[str, ...]
    scenarios: tuple[str, ...]
    scan_factor_im_e6: int
    scan_factor_mm_e6: int
    correlation_e6: tuple[tuple[int, ...], ...]
    groups: tuple[NettingGroup, ...]
    instruments: tuple[Instrument, ...]
    acceptance: Acceptance = Acceptance()

    def scan_factor_e6(self, level: Level) -> int:
        """f of M6 at `level`."""
        return self.scan_factor_im_e6 if level is Level.IM else self.scan_factor_mm_e6

    @cached_property
    def by_id(self) -> dict[int, Instrument]:
        """Instruments keyed by id."""
        return {i.id: i for i in self.instruments}

    @cached_property
    def by_symbol(self) -> dict[str, Instrument]:
        """Instruments keyed by symbol."""
        return {i.symbol: i for i in self.instruments}

    @cached_property
    def group_by_id(self) -> dict[int, NettingGroup]:
        """Netting groups keyed by id."""
        return {g.id: g for g in self.groups}
