"""Risk arrays: the P&L of one long unit of an instrument under each scenario, in USD (SPAN's term).

Each function returns one row per instrument and one column per scenario, cover included. The floats end here: the
policy build rounds them once, to 1e-12 USD.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aggregator.pricing import black76
from aggregator.pricing.black76 import Floats
from aggregator.risk.market import Market
from aggregator.risk.scenarios import ClassShocks, Scenario


def spot_array(price: float, shocks: ClassShocks, scenarios: Sequence[Scenario]) -> Floats:
    """Spot, wrappers and debt of a class: `price` (USD per unit) moves by the class's share of its scan range."""
    return np.array([s.cover * price * s.spot * shocks.scan_range for s in scenarios])


def product_array(value: float, shocks: Sequence[ClassShocks], scenarios: Sequence[Scenario]) -> Floats:
    """A share of a pool of two tokens that keeps the product of its reserves: the value goes with the roots of both.

    `shocks` holds those of each token that is in a class, one or two; a token in none keeps its price.
    """
    moves = np.array([[1 + s.spot * shock.scan_range for s in scenarios] for shock in shocks])
    cover = np.array([s.cover for s in scenarios])
    result: Floats = cover * value * (np.sqrt(np.prod(moves, axis=0)) - 1)
    return result


def perp_array(market: Market, scenarios: Sequence[Scenario]) -> Floats:
    """A perp marked at the index: the index moves, and the perp parts from it by the perp basis."""
    spot = market.curve.spot
    return np.array(
        [
            s.cover * ((spot + market.spot_move(s)) * (1 + s.basis * market.shocks.perp_basis) - spot)
            for s in scenarios
        ]
    )


def future_array(market: Market, years: float, scenarios: Sequence[Scenario]) -> Floats:
    """A dated future: its forward on the shocked curve."""
    before = market.curve.forward(years)
    return np.array([s.cover * (market.shocked_curve(s).forward(years) - before) for s in scenarios])


def option_arrays(
    market: Market, strikes: Floats, years: float, is_call: NDArray[np.bool_], scenarios: Sequence[Scenario]
) -> Floats:
    """European options of one expiry, repriced on the shocked forward and the shocked surface.

    strikes, is_call: shape (n,); returns shape (n, scenarios).
    """
    before = black76.value(
        market.curve.forward(years), strikes, years, market.volatility(strikes, years), is_call
    )
    forwards = np.array([market.shocked_curve(s).forward(years) for s in scenarios])
    volatilities = market.shocked_volatilities(strikes, years, scenarios)
    after = black76.value(forwards, strikes[:, None], years, volatilities, is_call[:, None])
    covers = np.array([s.cover for s in scenarios])
    return np.asarray(covers * (after - before[:, None]), dtype=np.float64)
