"""The MM excess of one account as a function of prices, quick enough to simulate: tabulated from the exact engine.

M1-M6 separate by driver: the value, the scan risk of a class, the haircuts and add-ons of what one price moves do not
depend on the others, and only the correlated sum joins them.

    excess(x) = E0 + sum_d dE_d(x_d) - f sqrt(L(x)' rho L(x)) - O0 - sum_d dO_d(x_d)

with x_d the logarithm of a driver's price over the present one, L the scan risks of the classes and O haircuts and
add-ons. Each function of one variable is built again at the nodes (marks, smiles, arrays, haircuts: `Desk.policy_at`)
and interpolated linearly between them. Where two drivers price one thing (shares of a pool of two assets) the sum is
only near; `mismatch` measures that at joint moves against the exact engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aggregator.liquidation.drivers import Driver
from aggregator.margin.native import Evaluation
from aggregator.model.errors import InputError
from aggregator.model.policy import Level
from aggregator.model.units import PRICE_BOUND, RATE_SCALE, USD_SCALE, VALUE_SCALE
from aggregator.pricing.black76 import Floats
from aggregator.risk.desk import Desk

NODES: Final = 81
REACH: Final = 6.0
"""The table reaches so many standard deviations of the horizon either way; beyond it the last slope goes on."""


def prices_at(desk: Desk, drivers: Sequence[Driver], moves: Sequence[float]) -> dict[str, int]:
    """The prices (1e-12 USD) at log moves of the drivers, rounded to nearest, within the bounds of a price."""
    found = {}
    for driver, move in zip(drivers, moves, strict=True):
        for name in driver.moves:
            price = round(desk.price_e12(name) * float(np.exp(move)))
            found[name] = min(max(price, 1), PRICE_BOUND - 1)
    return found


def evaluate_at(desk: Desk, drivers: Sequence[Driver], moves: Sequence[float]) -> Evaluation:
    """The account at MM at log moves of the drivers, by the exact engine."""
    return desk.evaluate(desk.policy_at(prices_at(desk, drivers, moves)), Level.MM)


def excess_at(desk: Desk, drivers: Sequence[Driver], moves: Sequence[float]) -> int:
    """The MM excess (1e-6 USD) there."""
    return evaluate_at(desk, drivers, moves).excess_e6


def relevant(desk: Desk, drivers: Sequence[Driver], spread: Mapping[str, float]) -> tuple[Driver, ...]:
    """The drivers that change the account's equity or requirement when they move by one deviation, either way."""

    def state(*moves: float) -> tuple[int, int]:
        found = evaluate_at(desk, drivers, moves or [0.0] * len(drivers))
        return found.equity_e20, found.requirement_e20

    still = state()
    kept = []
    for d, driver in enumerate(drivers):
        size = spread[driver.price]
        if any(state(*(way * size * (k == d) for k in range(len(drivers)))) != still for way in (1, -1)):
            kept.append(driver)
    return tuple(kept)


def _other(found: Evaluation) -> float:
    return found.contingency_e6 / USD_SCALE + found.addon_e20 / VALUE_SCALE


@dataclass(frozen=True)
class ExcessTable:
    """`nodes` (d, n) are log moves, ascending, one of them 0; `net` (d, n) is dE - dO in USD; `scan` (c, n) the scan
    risk of each class at the nodes of its driver `driver_of[c]`; `base` is E0 - O0."""

    nodes: Floats
    net: Floats
    scan: Floats
    driver_of: tuple[int, ...]
    rho: Floats
    factor: float
    base: float

    def excess(self, moves: Floats) -> Floats:
        """MM excess in USD at log moves (paths, d); shape (paths,)."""
        total = np.full(moves.shape[0], self.base)
        for d in range(self.net.shape[0]):
            total += _along(moves[:, d], self.nodes[d], self.net[d])
        scan = np.stack(
            [
                np.maximum(_along(moves[:, d], self.nodes[d], self.scan[c]), 0.0)
                for c, d in enumerate(self.driver_of)
            ],
            axis=1,
        )
        joint = np.einsum("pi,ij,pj->p", scan, self.rho, scan)
        return np.asarray(total - self.factor * np.sqrt(np.maximum(joint, 0.0)), dtype=np.float64)

    def gradient(self, moves: Floats, at: Floats) -> Floats:
        """Slope of the excess in each log move, (paths, d), by differences of a twentieth of a node; `at` is the
        excess.
        """
        slopes = np.empty_like(moves)
        for d in range(moves.shape[1]):
            step = float(self.nodes[d, 1] - self.nodes[d, 0]) / 20
            shifted = moves.copy()
            shifted[:, d] += step
            slopes[:, d] = (self.excess(shifted) - at) / step
        return slopes


def _along(x: Floats, nodes: Floats, values: Floats) -> Floats:
    """Linear interpolation on even nodes that goes on with the end slopes."""
    width = nodes[1] - nodes[0]
    cell = np.clip(((x - nodes[0]) / width).astype(np.int64), 0, len(nodes) - 2)
    share = (x - nodes[cell]) / width
    return np.asarray(values[cell] + share * (values[cell + 1] - values[cell]), dtype=np.float64)


def tabulate(
    desk: Desk, drivers: Sequence[Driver], spread: Mapping[str, float], nodes: int = NODES
) -> ExcessTable:
    """The table of a desk's account.

    spread: a standard deviation of each driver's log price over the horizon; nodes: odd, for each driver.
    Raises InputError without drivers, and as the desk does.
    """
    if not drivers:
        raise InputError(
            "the policy has no risk class with a price, so nothing moves at random; use one that has"
        )
    now = evaluate_at(desk, drivers, [0.0] * len(drivers))
    base_other = _other(now)
    grid, net, scans = [], [], {}
    for d, driver in enumerate(drivers):
        moves = np.linspace(-1, 1, nodes) * REACH * spread[driver.price]
        rows = [
            evaluate_at(desk, drivers, [m if k == d else 0.0 for k in range(len(drivers))]) for m in moves
        ]
        grid.append(moves)
        net.append([(r.equity_e20 - now.equity_e20) / VALUE_SCALE - _other(r) + base_other for r in rows])
        for name in driver.classes:
            at = next(n for n, c in enumerate(now.classes) if c.name == name)
            scans[name] = (d, [r.classes[at].scan_risk_e6 / USD_SCALE for r in rows])
    names = [one.name for one in desk.spec.classes if one.name in scans]
    index = [n for n, one in enumerate(desk.spec.classes) if one.name in scans]
    rho = np.array(desk.spec.correlation_e6, dtype=np.float64)[np.ix_(index, index)] / RATE_SCALE
    return ExcessTable(
        nodes=np.array(grid),
        net=np.array(net),
        scan=np.array([scans[name][1] for name in names]),
        driver_of=tuple(scans[name][0] for name in names),
        rho=rho,
        factor=desk.spec.scan_factor.mm_e6 / RATE_SCALE,
        base=now.equity_e20 / VALUE_SCALE - base_other,
    )


def mismatch(table: ExcessTable, desk: Desk, drivers: Sequence[Driver], spread: Mapping[str, float]) -> float:
    """The largest difference (USD) to the exact engine at joint moves of one and two deviations, all signs alike and
    alternating, half a node off the grid."""
    worst = 0.0
    for size in (-2.0, -1.0, 1.0, 2.0):
        for turn in (1.0, -1.0):
            moves = [
                (size * turn**d + REACH / (len(table.nodes[d]) - 1)) * spread[driver.price]
                for d, driver in enumerate(drivers)
            ]
            exact = excess_at(desk, drivers, moves) / USD_SCALE
            worst = max(worst, abs(float(table.excess(np.array([moves]))[0]) - exact))
    return worst
