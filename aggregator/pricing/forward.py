"""Forward prices of one underlying: spot carried at a term structure of annual basis rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aggregator.model.errors import PolicyError


@dataclass(frozen=True, slots=True)
class ForwardCurve:
    """F(t) = spot x exp(rate(t) t), rate linear between knots and flat outside.

    spot: USD, > 0; knots: (years, continuously compounded annual rate), years strictly increasing and >= 0.
    Raises PolicyError when a knot is out of order or the spot is not positive.
    """

    spot: float
    knots: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        times = [t for t, _ in self.knots]
        if not times or times[0] < 0 or times != sorted(set(times)):
            raise PolicyError(
                "a forward curve needs knots at strictly increasing times; sort its `carry` list"
            )
        if not self.spot > 0:
            raise PolicyError(f"the spot price of a forward curve is {self.spot}; give a positive price")

    def rate(self, years: float) -> float:
        """Annual basis at `years`."""
        times, rates = zip(*self.knots, strict=True)
        return float(np.interp(years, times, rates))

    def forward(self, years: float) -> float:
        """Forward price in USD for delivery in `years` >= 0."""
        return self.spot * float(np.exp(self.rate(years) * years))

    def shocked(self, spot_move: float, basis_shift: float) -> ForwardCurve:
        """The curve after spot moves by the fraction `spot_move` and every annual rate shifts by `basis_shift`."""
        return ForwardCurve(self.spot * (1.0 + spot_move), tuple((t, r + basis_shift) for t, r in self.knots))
