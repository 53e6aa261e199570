"""Rules that the tests of liquidation share: the shipped ones, and variations."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from aggregator.liquidation.curve import Curve, Knot
from aggregator.liquidation.rules import Order, Rules, parse_rules

FILE = Path(__file__).parents[3] / "configs" / "liquidation" / "standard.toml"


@cache
def shipped() -> Rules:
    """configs/liquidation/standard.toml."""
    return parse_rules(FILE.read_text(), FILE.name)


def flat(rate_e6: int) -> Curve:
    """The same rate at every health."""
    return Curve((Knot(0, rate_e6),))


def rules(**changes: Any) -> Rules:
    """The shipped rules with fields changed."""
    return replace(shipped(), **changes)


@st.composite
def curves(draw: st.DrawFn, lowest: int, highest: int) -> Curve:
    """Curves whose rates lie in lowest..highest, falling with health."""
    healths = sorted(draw(st.sets(st.integers(0, 2_000_000), min_size=1, max_size=4)))
    rates = sorted((draw(st.integers(lowest, highest)) for _ in healths), reverse=True)
    return Curve(tuple(Knot(h, r) for h, r in zip(healths, rates, strict=True)))


@st.composite
def any_rules(draw: st.DrawFn) -> Rules:
    """Rules of every kind."""
    return rules(
        target_e6=draw(st.integers(1_000_000, 2_000_000)),
        full_below_e6=draw(st.sampled_from([0, 250_000, 1_000_000])),
        step_e6=draw(st.integers(1, 1000)) * 1_000_000,
        order=draw(st.sampled_from(list(Order))),
        penalty=draw(curves(0, draw(st.sampled_from([20_000, 60_000, 200_000])))),
        close_factor=draw(st.just(flat(1_000_000)) | curves(1, 1_000_000)),
        liquidator_share_e6=draw(st.integers(0, 1_000_000)),
    )
