"""The trades that make the requirement least, in floats: a convex program, by cuts of a linear one.

The requirement is convex in the quantities: each class's scan risk is a maximum of lines, the correlated risk is a norm
of them that does not fall when one rises, the contingencies and add-ons are maxima of lines. The norm is replaced by
its tangents: one is added where the last solution lies below it, until it does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from aggregator.margin.native import Evaluation
from aggregator.model.policy import Addon, Instrument, Policy
from aggregator.model.units import PRICE_SCALE, QUANTITY_SCALE, RATE_SCALE, SCENARIOS

Floats = NDArray[np.float64]
MOST_CUTS: Final = 24
TOLERANCE: Final = 1e-7
"""How far, relative to the risk, the tangents may lie below the norm."""
IDLE_RATE: Final = 1e-9
"""Added to the cost, so that of equally good trades the smaller ones are found."""
_E14: Final = 10.0**14
_E20: Final = 10.0**20
_E26: Final = 10.0**26
_LARGEST: Final = 1e12

_Trade = tuple[Instrument, float, dict[int, float]]
"""An instrument, units of it per unit of its variables, and its variables with their signs: bought, sold."""


class _Program:
    """A linear program that grows by columns and rows; money in units of `scale` USD."""

    def __init__(self) -> None:
        self.cost: list[float] = []
        self.upper: list[float | None] = []
        self.rows: list[dict[int, float]] = []
        self.right: list[float] = []

    def column(self, cost: float, upper: float | None = None) -> int:
        """A variable that is at least 0."""
        self.cost.append(cost)
        self.upper.append(upper)
        return len(self.cost) - 1

    def at_most(self, row: Mapping[int, float], right: float) -> None:
        """A row: sum of coefficient x variable <= right."""
        self.rows.append(dict(row))
        self.right.append(right)

    def solve(self) -> Floats | None:
        """The variables, None when the solver finds none."""
        matrix = np.zeros((len(self.rows), len(self.cost)))
        for n, row in enumerate(self.rows):
            for column, factor in row.items():
                matrix[n, column] = factor
        bounds = [(0.0, upper) for upper in self.upper]
        found = linprog(self.cost, A_ub=matrix, b_ub=self.right, bounds=bounds, method="highs")
        return np.asarray(found.x, dtype=np.float64) if found.status == 0 else None


def least_requirement(
    policy: Policy,
    im: Evaluation,
    traded: Sequence[Instrument],
    cash: Instrument,
    ppm: int,
    limit_usd: float | None,
) -> dict[int, float] | None:
    """Signed quantities in whole units by instrument id that make IM requirement and trading cost least together.

    im: the account at IM; traded: derivatives with a mark above zero; ppm: cost in 1e-6 of the notional; limit_usd: the
    most notional, None for the policy's own bounds. None when the solver finds no solution.
    """
    held = {p.instrument.id: p.quantity_e8 for p in im.positions}
    scale = max([1.0, *(abs(pnl) / _E20 for one in im.classes for pnl in one.pnl_e20)])
    rate = ppm / RATE_SCALE
    program = _Program()
    trades: list[_Trade] = []
    for one in traded:
        size = _size(one) / PRICE_SCALE
        mark = one.mark_e12 / PRICE_SCALE / size
        room = [
            (one.max_quantity_e8 - sign * held.get(one.id, 0)) / QUANTITY_SCALE * size for sign in (1, -1)
        ]
        buy, sell = (
            program.column((rate + IDLE_RATE) * mark, min(max(0.0, r) / scale, _LARGEST)) for r in room
        )
        trades.append((one, 1.0 / size, {buy: 1.0, sell: -1.0}))
    if limit_usd is not None:
        notional = {c: one.mark_e12 / PRICE_SCALE * per for one, per, pair in trades for c in pair}
        program.at_most(notional, limit_usd / scale)
    for one, per, pair in trades:
        units = {column: sign * per for column, sign in pair.items()}
        _addon(program, one.addon_im, held.get(one.id, 0) / QUANTITY_SCALE / scale, units)
    spent = {
        column: (-sign - rate) * per * one.mark_e12 / PRICE_SCALE
        for one, per, pair in trades
        for column, sign in pair.items()
    }
    _addon(program, cash.addon_im, held.get(cash.id, 0) / QUANTITY_SCALE / scale, spent)
    _contingencies(program, policy, im, trades, scale)
    risks = _scan_risks(program, im, trades, scale)
    total = program.column(policy.scan_factor_im_e6 / RATE_SCALE)
    solution = _with_cuts(program, policy, risks, total)
    if solution is None:
        return None
    return {
        one.id: sum(sign * float(solution[column]) for column, sign in pair.items()) * scale * per
        for one, per, pair in trades
    }


def _size(one: Instrument) -> int:
    """What one unit can change the account by, in 1e-12 USD: a variable is counted in it, for well-scaled numbers."""
    return max(
        one.mark_e12, one.addon_im.long_e12, one.addon_im.short_e12, *(abs(risk) for risk in one.risk_e12)
    )


def _addon(program: _Program, addon: Addon, held: float, quantity: Mapping[int, float]) -> None:
    """An add-on on held + quantity, whichever side that is."""
    long, short = addon.long_e12 / PRICE_SCALE, addon.short_e12 / PRICE_SCALE
    if long == 0 and short == 0:
        return
    charge = program.column(1.0)
    for factor in (long, -short):
        row = {column: factor * per for column, per in quantity.items()}
        program.at_most({**row, charge: -1.0}, -factor * held)


def _contingencies(
    program: _Program,
    policy: Policy,
    im: Evaluation,
    trades: Sequence[_Trade],
    scale: float,
) -> None:
    """The contingency of every group that a trade touches."""
    nets = {group.group_id: group.net_e14 for group in im.groups}
    for group_id in sorted({one.group_id for one, _, _ in trades if one.group_id and one.unit_e6}):
        charge = program.column(1.0)
        for line in policy.group_by_id[group_id].lines_im:
            row = {charge: -1.0}
            for one, per, pair in trades:
                if one.group_id == group_id:
                    rise = one.unit_e6 / RATE_SCALE * line.slope_e12 / PRICE_SCALE * per
                    row |= {column: sign * rise for column, sign in pair.items()}
            height = line.slope_e12 * nets.get(group_id, 0) / _E26 + line.intercept_e26 / _E26
            program.at_most(row, -height / scale)


def _scan_risks(
    program: _Program,
    im: Evaluation,
    trades: Sequence[_Trade],
    scale: float,
) -> list[int]:
    """The column of every class's scan risk."""
    columns = []
    for one in im.classes:
        risk = program.column(0.0)
        columns.append(risk)
        inside = [trade for trade in trades if trade[0].class_id == one.class_id]
        for s in range(SCENARIOS):
            row = {risk: -1.0}
            for instrument, per, pair in inside:
                gain = instrument.risk_e12[s] / PRICE_SCALE * per
                row |= {column: -sign * gain for column, sign in pair.items()}
            program.at_most(row, one.pnl_e20[s] / _E20 / scale)
    return columns


def _with_cuts(program: _Program, policy: Policy, risks: Sequence[int], total: int) -> Floats | None:
    """Solve with the norm R as a variable held up by its tangents."""
    rho = np.array(policy.correlation_e6, dtype=np.float64).reshape(len(risks), len(risks)) / RATE_SCALE
    for risk in risks:
        program.at_most({risk: 1.0, total: -1.0}, 0.0)
    solution = program.solve()
    for _ in range(MOST_CUTS):
        if solution is None:
            return None
        loads = np.array([solution[risk] for risk in risks], dtype=np.float64)
        norm = sqrt(max(0.0, float(loads @ rho @ loads)))
        if norm <= float(solution[total]) + TOLERANCE * max(1.0, norm):
            break
        slopes = rho @ loads / norm
        program.at_most(
            {**{risk: float(slope) for risk, slope in zip(risks, slopes, strict=True)}, total: -1.0}, 0.0
        )
        solution = program.solve()
    return solution
