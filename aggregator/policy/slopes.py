"""The steepest of a netting group's lines: what one more unit of its asset can cost at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aggregator.fixed import mul_div_up
from aggregator.model.policy import Addon, Line, NettingGroup
from aggregator.model.units import PRICE_SCALE


@dataclass(frozen=True, slots=True)
class Slopes:
    """The steepest slopes of a group in 1e-12 USD per unit of its asset, all at least 0."""

    long_im: int
    long_mm: int
    short_im: int
    short_mm: int

    def long_of(self, amount_e12: int) -> tuple[int, int]:
        """The most that this much more of the asset costs on the long side, at IM and MM, rounded up."""
        return (
            mul_div_up(self.long_im, amount_e12, PRICE_SCALE),
            mul_div_up(self.long_mm, amount_e12, PRICE_SCALE),
        )

    def short_of(self, amount_e12: int) -> tuple[int, int]:
        """The same on the short side."""
        return (
            mul_div_up(self.short_im, amount_e12, PRICE_SCALE),
            mul_div_up(self.short_mm, amount_e12, PRICE_SCALE),
        )


def slopes_of(group: NettingGroup) -> Slopes:
    """Of a group's lines."""
    return Slopes(
        _steepest(group.lines_im, 1),
        _steepest(group.lines_mm, 1),
        _steepest(group.lines_im, -1),
        _steepest(group.lines_mm, -1),
    )


def raised(addons: tuple[Addon, Addon], long: tuple[int, int], short: tuple[int, int]) -> tuple[Addon, Addon]:
    """Add-ons at IM and MM, each with something more on either side (1e-12 USD at IM and MM)."""
    return (
        Addon(addons[0].long_e12 + long[0], addons[0].short_e12 + short[0]),
        Addon(addons[1].long_e12 + long[1], addons[1].short_e12 + short[1]),
    )


def _steepest(lines: Sequence[Line], sign: int) -> int:
    return max(0, *(sign * line.slope_e12 for line in lines))
