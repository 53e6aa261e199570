"""Comparison of two contingencies (M4), exactly, for rule W7.

A contingency is max(0, its lines) at a net quantity. Both are convex and piecewise linear, so their difference is
linear between the breakpoints of the two, and largest at a breakpoint or at an end of the range.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations

from aggregator.model.policy import Line

_FLOOR = Line(0, 0)


def _breakpoints(lines: Sequence[Line]) -> Iterator[Fraction]:
    for a, b in combinations(dict.fromkeys((_FLOOR, *lines)), 2):
        if a.slope_e12 != b.slope_e12:
            yield Fraction(b.intercept_e26 - a.intercept_e26, a.slope_e12 - b.slope_e12)


def _height(lines: Sequence[Line], net: Fraction) -> int:
    """The contingency at `net`, times the denominator of `net`."""
    p, q = net.numerator, net.denominator
    return max(0, *(line.slope_e12 * p + line.intercept_e26 * q for line in lines))


def contingency_above(lower: Sequence[Line], upper: Sequence[Line], reach_e14: int) -> Fraction | None:
    """A net quantity (1e-14) in -reach..reach where `lower` charges more than `upper`; None when there is none.

    The answer is exact: net quantities between the integers count as well. `reach_e14` >= 0.
    """
    if tuple(lower) == tuple(upper):
        return None
    ends = [Fraction(reach_e14), Fraction(-reach_e14)]
    inner = (net for lines in (lower, upper) for net in _breakpoints(lines) if abs(net) < reach_e14)
    for net in (*ends, *inner):
        if _height(lower, net) > _height(upper, net):
            return net
    return None
