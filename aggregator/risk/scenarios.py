"""The 32 joint moves of spot, volatility, skew and basis that a class is scanned over.

The first 14 are the table of SPAN (CME, "Standard Portfolio Analysis of Risk"): the spot at 0, 1/3, 2/3 and 3/3 of
the scan range either way, each with volatility up and down. SPAN's two extreme moves follow at two sizes, counted
in part because they are rare. The rest moves what SPAN holds still: the skew, the basis, and two joint crises.

A move is stated in units of the class's own shocks (`ClassShocks`): spot in scan ranges, volatility, skew and basis
in one shock up or down.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aggregator.model.errors import PolicyError
from aggregator.model.units import SCENARIOS

EXTREME_COVER: Final = 0.35
"""Share of the loss of an extreme move that is margined. Source: SPAN's cover fraction for scenarios 15 and 16."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One joint move. `cover` in (0, 1] is the share of its P&L that counts."""

    name: str
    spot: float = 0.0
    volatility: float = 0.0
    skew: float = 0.0
    basis: float = 0.0
    cover: float = 1.0


@dataclass(frozen=True, slots=True)
class ClassShocks:
    """The size of one unit of each move for a class.

    scan_range: fraction of spot; volatility: relative change at `reference_days`; skew: volatility points added per
    standard deviation below the forward (and taken off above); basis: annual rate; perp_basis: fraction of the index.
    """

    scan_range: float
    volatility: float
    skew: float
    basis: float
    perp_basis: float

    def check(self, name: str, scenarios: Iterable[Scenario]) -> None:
        """Raise PolicyError when a shock is negative or some scenario takes spot or volatility to zero or below."""
        if min(self.scan_range, self.volatility, self.skew, self.basis, self.perp_basis) < 0:
            raise PolicyError(f"class {name} has a negative shock; scenarios give the sign, shocks are sizes")
        for one in scenarios:
            if one.spot * self.scan_range <= -1 or one.basis * self.perp_basis <= -1:
                raise PolicyError(f"class {name} falls to zero under {one.name!r}; lower its scan range")
            if one.volatility * self.volatility <= -1:
                raise PolicyError(f"class {name} has no volatility left under {one.name!r}; lower its shock")


_THIRDS: Final = (
    ("0", 0.0),
    ("+1/3", 1 / 3),
    ("-1/3", -1 / 3),
    ("+2/3", 2 / 3),
    ("-2/3", -2 / 3),
    ("+3/3", 1.0),
    ("-3/3", -1.0),
)
_STEPS: Final = (("0", 0.0), ("+3/3", 1.0), ("-3/3", -1.0))


def _standard() -> tuple[Scenario, ...]:
    table = [
        Scenario(f"spot {label}, vol {way}", spot=move, volatility=sign)
        for label, move in _THIRDS
        for way, sign in (("up", 1.0), ("down", -1.0))
    ]
    table += [
        Scenario(
            f"extreme {size:+d} scan ranges, vol up", spot=float(size), volatility=1.0, cover=EXTREME_COVER
        )
        for size in (2, -2, 3, -3)
    ]
    table += [
        Scenario(f"spot {label}, skew {way}", spot=move, skew=sign)
        for label, move in _STEPS
        for way, sign in (("steeper", 1.0), ("flatter", -1.0))
    ]
    table += [
        Scenario(f"spot {label}, basis {way}", spot=move, basis=sign)
        for label, move in _STEPS
        for way, sign in (("up", 1.0), ("down", -1.0))
    ]
    table += [
        Scenario("crash: spot -3/3, vol up, skew steeper, basis down", -1.0, 1.0, 1.0, -1.0),
        Scenario("squeeze: spot +3/3, vol up, skew flatter, basis up", 1.0, 1.0, -1.0, 1.0),
    ]
    return tuple(table)


STANDARD_SCENARIOS: Final = _standard()
"""The table used unless a spec brings its own."""


def check_scenarios(scenarios: tuple[Scenario, ...]) -> None:
    """Raise PolicyError unless there are exactly 32 scenarios with different names and covers in (0, 1]."""
    if len(scenarios) != SCENARIOS or len({s.name for s in scenarios}) != SCENARIOS:
        raise PolicyError(
            f"the scenario table has {len(scenarios)} rows; give {SCENARIOS} with different names"
        )
    for one in scenarios:
        if not 0 < one.cover <= 1:
            raise PolicyError(
                f"scenario {one.name!r} has the cover {one.cover}; use a share above 0 and at most 1"
            )
