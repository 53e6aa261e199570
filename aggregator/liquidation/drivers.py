"""What moves an account at random: one driver for each price that a risk class follows, with its volatility.

Everything that a class prices moves with it by the same factor: the assets of the class, the wrappers with a market of
their own, the perps. All other prices (stable coins, tokens without a class) and all rates are held still.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aggregator.model.errors import InputError
from aggregator.model.units import RATE_SCALE
from aggregator.policy.spec import PolicySpec
from aggregator.pricing.black76 import Floats
from aggregator.risk.desk import Desk

DAYS_PER_YEAR: Final = 365
SCAN_RANGE_DEVIATIONS: Final = 3.0
"""Without a smile, a scan range is taken for so many standard deviations of one day: the loss of one day in a
thousand.
"""


@dataclass(frozen=True, slots=True)
class Driver:
    """One source of randomness: the prices that move together, its annual volatility, and where that is from."""

    price: str
    moves: tuple[str, ...]
    classes: tuple[str, ...]
    volatility: float
    source: str


def _followers(spec: PolicySpec, class_name: str) -> set[str]:
    """The prices of everything that belongs to a class."""
    assets = {one.name: one.price for one in spec.assets if one.class_name == class_name}
    wrappers = {one.price for one in spec.wrappers if one.price is not None and one.asset in assets}
    return {*assets.values(), *wrappers, *(one.price for one in spec.perps if one.class_name == class_name)}


def _volatility(desk: Desk, class_name: str, years: float, given: float | None) -> tuple[float, str]:
    market = desk.market(class_name)
    if given is not None:
        return given, "given"
    if market.surface is not None:
        forward = market.curve.forward(years)
        return float(market.volatility(np.asarray(forward), years)), "at the money, of the policy's surface"
    daily = market.shocks.scan_range / SCAN_RANGE_DEVIATIONS
    return float(daily * DAYS_PER_YEAR**0.5), "a third of the scan range a day"


def drivers(desk: Desk, years: float, volatilities: Mapping[str, float] | None = None) -> tuple[Driver, ...]:
    """The drivers of a desk's market over a horizon of `years`, in the order of the classes.

    volatilities: annual ones by the name of a price, in place of the policy's. Raises InputError for one that is not
    above 0, or of a price that no class follows.
    """
    given = dict(volatilities or {})
    classes: dict[str, list[str]] = {}
    for one in desk.spec.classes:
        if one.price in desk.prices:
            classes.setdefault(one.price, []).append(one.name)
    for price, volatility in given.items():
        if price not in classes:
            raise InputError(
                f"no risk class follows the price {price!r}; give a volatility of {', '.join(classes) or 'none'}"
            )
        if not 0 < volatility < 100:
            raise InputError(
                f"the volatility of {price} is {volatility:g}; use a number like 0.65 for 65 % a year"
            )
    found = []
    for price, names in classes.items():
        moves = {price}.union(*(_followers(desk.spec, name) for name in names)) & set(desk.prices)
        volatility, source = _volatility(desk, names[0], years, given.get(price))
        found.append(Driver(price, tuple(sorted(moves)), tuple(names), volatility, source))
    return tuple(found)


def correlations(desk: Desk, found: Sequence[Driver]) -> Floats:
    """The policy's correlations between the first classes of the drivers, (n, n)."""
    index = {one.name: n for n, one in enumerate(desk.spec.classes)}
    at = [index[one.classes[0]] for one in found]
    matrix = np.array(desk.spec.correlation_e6, dtype=np.float64).reshape(len(index), len(index)) / RATE_SCALE
    return np.asarray(matrix[np.ix_(at, at)], dtype=np.float64)


def factor_of(matrix: Floats) -> Floats:
    """A with A A' = matrix, also where it is singular; eigenvalues that rounding left below 0 count as 0."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors * np.sqrt(np.clip(values, 0.0, None)), dtype=np.float64)
