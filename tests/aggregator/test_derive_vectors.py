"""Derive's margins on many more of its published cases, to 1e-8 relative (tests/vectors/derive.json)."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from aggregator.margin.rulebooks import derive_pmrm1, derive_pmrm2, derive_srm
from aggregator.margin.rulebooks.derive_market import DeriveMargin, Expiry, OptionHolding, Perp
from aggregator.margin.rulebooks.derive_pmrm2 import Scenario, VolShock
from aggregator.margin.rulebooks.wad import WAD
from aggregator.model.policy import Level
from tests.aggregator.test_derive import DAY, RELATIVE, SRM, pmrm2, w

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "derive.json").read_text())
PM1 = derive_pmrm1.Pmrm1Parameters(
    scenarios=tuple(
        Scenario(w(spot), shock)
        for spot in ("1.15", "1.1", "1.05", "1", "0.95", "0.9", "0.85")
        for shock in (VolShock.UP, VolShock.NONE, VolShock.DOWN)
    ),
    im_factor=w("1.3"),
    static_discount=w("0.95"),
    rate_multiple=w("4"),
    rate_add=w("0.05"),
    vol_range_up=w("0.45"),
    vol_range_down=w("0.3"),
    short_term_power=w("0.3"),
    long_term_power=w("0.13"),
    dte_floor=DAY,
    basis_spot_up=w("1.05"),
    basis_spot_down=w("0.95"),
    basis_add=w("0.25"),
    basis_multiple=w("0.01"),
    peg_loss_threshold=w("0.98"),
    peg_loss_factor=w("2"),
    confidence_threshold=w("0.6"),
    confidence_factor=w("0.5"),
    base_percent=w("0.02"),
    perp_percent=w("0.02"),
    option_percent=w("0.01"),
)
"""The source's Config.getPMRMParams and getDefaultScenarios."""


def _is(found: DeriveMargin, text: str) -> None:
    expected = Fraction(text) * WAD
    assert abs(found.margin - expected) <= max(abs(expected), Fraction(1)) * RELATIVE
    assert found.mark_to_market + sum(part.amount for part in found.parts) == found.margin


@pytest.mark.parametrize("case", VECTORS["pm1"], ids=[case["name"] for case in VECTORS["pm1"]])
def test_portfolio_margin_1_matches_to_the_last_digits(case: dict[str, Any]) -> None:
    """All 21 verified scenarios: options of several expiries, perp, base, confidences, depeg, a settling forward."""
    expiries = tuple(
        Expiry(
            seconds,
            w(forward),
            tuple(OptionHolding(w(k), side == "C", w(q), w(v)) for k, side, q, v in options),
            w(rate),
            w(fixed),
            w(confidence),
            w(surface),
        )
        for seconds, forward, rate, fixed, confidence, surface, options in case["expiries"]
    )
    portfolio = derive_pmrm1.Pmrm1Portfolio(
        spot=w(case["spot"]),
        stable=w(case["stable"]),
        cash=w(case["cash"]),
        base=w(case["base"]),
        expiries=expiries,
        perp=Perp(*(w(text) for text in case["perp"])) if case["perp"] else None,
        spot_confidence=w(case["spot_confidence"]),
    )
    _is(derive_pmrm1.margin(portfolio, Level.IM, PM1), case["im"])
    _is(derive_pmrm1.margin(portfolio, Level.MM, PM1), case["mm"])


@pytest.mark.parametrize("case", VECTORS["pm2"], ids=[case["name"] for case in VECTORS["pm2"]])
def test_portfolio_margin_2_matches_to_the_last_digits(case: dict[str, Any]) -> None:
    """55 more portfolio cases: collaterals, tails, skews, discounts, settlement, changed parameters."""
    portfolio, parameters = pmrm2(case)
    _is(derive_pmrm2.margin(portfolio, Level.IM, parameters), case["im"])
    _is(derive_pmrm2.margin(portfolio, Level.MM, parameters), case["mm"])


@pytest.mark.parametrize("case", VECTORS["srm"], ids=[case["name"] for case in VECTORS["srm"]])
def test_standard_margin_matches_to_the_last_digits(case: dict[str, Any]) -> None:
    """All 28 cases of two markets: isolated margins, spreads, perps with funding, bases, confidences, depeg."""
    markets = tuple(
        derive_srm.SrmMarket(
            name=market["name"],
            spot=w(market["spot"]),
            parameters=replace(SRM, base_margin=w("0.1")),
            base=w(market["base"]),
            expiries=tuple(
                Expiry(
                    seconds,
                    w(forward),
                    tuple(OptionHolding(w(k), side == "C", w(q), w(v)) for k, side, q, v in options),
                    confidence=w(confidence),
                    volatility_confidence=w(surface),
                )
                for seconds, forward, confidence, surface, options in market["expiries"]
            ),
            perp=Perp(*(w(text) for text in market["perp"])) if market["perp"] else None,
            spot_confidence=w(market["spot_confidence"]),
        )
        for market in case["markets"]
    )
    portfolio = derive_srm.SrmPortfolio(w(case["cash"]), markets, w(case["stable"]), w("0.98"), w("1.2"))
    for level, text in ((Level.IM, case["im"]), (Level.MM, case["mm"])):
        found = derive_srm.margin(portfolio, level)
        expected = Fraction(text) * WAD
        assert abs(found.margin - expected) <= max(abs(expected), Fraction(1)) * RELATIVE
        assert sum(part.amount for part in found.parts) == found.margin
