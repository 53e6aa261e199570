"""Stress scenarios from TOML (schema `counterfoil/stress/1`): named states of the market, exact in 1e-6.

Each of [[scenarios]] has `name`, and optionally `source`, [scenarios.spot] (relative moves by price, "*" for every risk
class), [scenarios.rate] (by the rate of a wrapper), `volatility` (relative), `skew` (added to the smile's rho), `basis`
(added to annual carry), `correlation` (share of the way to 1).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from aggregator.model.units import RATE_SCALE
from aggregator.policy.tables import Table, load_toml
from aggregator.risk.desk import Moves

STRESS_SCHEMA: Final = "counterfoil/stress/1"
EVERY_CLASS: Final = "*"
MAX_SCENARIOS: Final = 200
_HIGHEST_E6: Final = 100 * RATE_SCALE


@dataclass(frozen=True, slots=True)
class NamedMoves:
    """One scenario; `source` says where its figures are from, "" when the file does not."""

    name: str
    moves: Moves
    source: str = ""

    def quoted(self, prices: Collection[str], rates: Collection[str]) -> tuple[NamedMoves, tuple[str, ...]]:
        """The scenario without the prices and rates that nobody quotes, and those names."""
        spots, moved = self.moves.spot_e6, self.moves.rates_e6
        unknown = [n for n in spots if n != EVERY_CLASS and n not in prices] + [
            n for n in moved if n not in rates
        ]
        kept = replace(
            self.moves,
            spot_e6={n: m for n, m in spots.items() if n not in unknown},
            rates_e6={n: m for n, m in moved.items() if n in rates},
        )
        return replace(self, moves=kept), tuple(unknown)


def _move_e6(table: Table, key: str, low: int) -> int:
    value = table.decimal(key, "0") * RATE_SCALE
    if value != value.to_integral_value() or not low <= value <= _HIGHEST_E6:
        table.fail(key, f"is finer than 1e-6 or outside {low / RATE_SCALE:g}..{_HIGHEST_E6 // RATE_SCALE}")
    return int(value)


def _moves(table: Table, key: str) -> dict[str, int]:
    if not table.has(key):
        return {}
    inner = table.table(key)
    return {name: _move_e6(inner, name, 1 - RATE_SCALE) for name in list(inner.rest)}


def _scenario(table: Table) -> NamedMoves:
    return NamedMoves(
        name=table.text("name"),
        source=table.text("source") if table.has("source") else "",
        moves=Moves(
            spot_e6=_moves(table, "spot"),
            rates_e6=_moves(table, "rate"),
            volatility_e6=_move_e6(table, "volatility", 1 - RATE_SCALE),
            skew_e6=_move_e6(table, "skew", -2 * RATE_SCALE),
            basis_e6=_move_e6(table, "basis", -_HIGHEST_E6),
            correlation_e6=table.rate_e6("correlation", "0"),
        ),
    )


def parse_stress(text: str, where: str) -> tuple[NamedMoves, ...]:
    """TOML text into scenarios, in order; PolicyError naming the key for anything malformed, none, or a name twice."""
    table = load_toml(text, where)
    if table.text("schema") != STRESS_SCHEMA:
        table.fail("schema", f"is not {STRESS_SCHEMA!r}; use a file of this version")
    found = table.tables("scenarios", _scenario)
    table.close()
    if not 0 < len(found) <= MAX_SCENARIOS:
        table.fail("scenarios", f"has {len(found)} entries; give 1 to {MAX_SCENARIOS}")
    if len({one.name for one in found}) != len(found):
        table.fail("scenarios", "has two entries of one name; rename one")
    return found
