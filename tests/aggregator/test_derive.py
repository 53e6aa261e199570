"""Derive's rulebooks give the margins that its own test-suite publishes, and explain them."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

import pytest

from aggregator.fixed import parse_decimal
from aggregator.margin.rulebooks import derive_pmrm1, derive_pmrm2, derive_srm
from aggregator.margin.rulebooks.derive_market import Expiry, OptionHolding, Perp
from aggregator.margin.rulebooks.derive_pmrm2 import Scenario, VolShock
from aggregator.margin.rulebooks.wad import WAD
from aggregator.model.errors import ConfigError, InputError
from aggregator.model.policy import Level
from tests.aggregator.derive_cases import PMRM2_CASES, PMRM2_PARAMETERS, PMRM2_SCENARIOS

RELATIVE = Fraction(1, 10**8)
DAY = 86400
ETH = 2000 * WAD
FORWARDS = {3: "2000.91345", 10: "2002.83305", 17: "2004.7545", 57: "2015.7696"}
"""Forwards by days to expiry of Derive's TestCaseExpiries, all at 8 hours past the day."""


def w(text: str) -> int:
    return parse_decimal(text, 18)


def _scenarios(text: str) -> tuple[Scenario, ...]:
    rows = [line.split() for line in text.strip().splitlines()]
    return tuple(Scenario(w(spot), VolShock(shock), w(dampening)) for spot, shock, dampening in rows)


def pmrm2(case: dict[str, Any]) -> tuple[derive_pmrm2.Pmrm2Portfolio, derive_pmrm2.Pmrm2Parameters]:
    values = PMRM2_PARAMETERS | case.get("parameters", {})
    numbers = {name: int(text) if name == "dte_floor" else w(text) for name, text in values.items()}
    parameters = derive_pmrm2.Pmrm2Parameters(
        scenarios=_scenarios(case.get("scenarios", PMRM2_SCENARIOS)), **numbers
    )
    expiries = tuple(
        Expiry(
            seconds=seconds,
            forward=w(forward),
            options=tuple(OptionHolding(w(k), side == "C", w(q), w(v)) for k, side, q, v in options),
            rate=w(rate),
            forward_fixed=w(fixed),
            confidence=w(confidence),
            volatility_confidence=w(surface),
        )
        for seconds, forward, rate, fixed, confidence, surface, options in case["expiries"]
    )
    collaterals = tuple(
        derive_pmrm2.Collateral(name, w(value), w(mm), w(im), cancelling, w(confidence))
        for name, value, mm, im, cancelling, confidence in case["collaterals"]
    )
    portfolio = derive_pmrm2.Pmrm2Portfolio(
        spot=w(case["spot"]),
        stable=w(case["stable"]),
        cash=w(case["cash"]),
        expiries=expiries,
        collaterals=collaterals,
        perp=Perp(*(w(text) for text in case["perp"])) if case["perp"] else None,
        spot_confidence=w(case["spot_confidence"]),
    )
    return portfolio, parameters


@pytest.mark.parametrize("case", PMRM2_CASES, ids=[case["name"] for case in PMRM2_CASES])
def test_portfolio_margin_2_matches_the_published_cases(case: dict[str, Any]) -> None:
    """IM and MM within 1e-8 relative of the expected results, and the parts add up to the margin."""
    portfolio, parameters = pmrm2(case)
    for level, text in ((Level.IM, case["im"]), (Level.MM, case["mm"])):
        result = derive_pmrm2.margin(portfolio, level, parameters)
        expected = Fraction(text) * WAD
        assert abs(result.margin - expected) <= max(abs(expected), Fraction(1)) * RELATIVE
        assert result.mark_to_market + sum(part.amount for part in result.parts) == result.margin
        assert result.requirement == -sum(part.amount for part in result.parts)
    assert derive_pmrm2.margin(portfolio, Level.IM, parameters).binding == case["binding"]


PMRM1 = derive_pmrm1.Pmrm1Parameters(
    scenarios=tuple(
        Scenario(w(spot), shock)
        for spot in ("1.15", "1.1", "1.05", "1", "0.95", "0.9", "0.85")
        for shock in (VolShock.UP, VolShock.NONE, VolShock.DOWN)
    ),
    im_factor=w("1.3"),
    static_discount=w("0.95"),
    rate_multiple=w("4"),
    rate_add=w("0.12"),
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
    confidence_factor=w("0.4"),
    base_percent=w("0.025"),
    perp_percent=w("0.025"),
    option_percent=w("0.01"),
)
"""Parameters of UNIT_TestPMRM_PortfolioCases (Config.getPMRMParams with its four changes)."""


def _expiry(days: int, *options: tuple[str, str, str], rate: str = "0") -> Expiry:
    """Options at 50 % volatility as (amount, C or P, strike)."""
    held = tuple(OptionHolding(w(k), side == "C", w(q), w("0.5")) for q, side, k in options)
    return Expiry(days * DAY + 8 * 3600, w(FORWARDS[days]), held, rate=w(rate))


def _pmrm1(*expiries: Expiry, **changes: Any) -> derive_pmrm1.Pmrm1Portfolio:
    return derive_pmrm1.Pmrm1Portfolio(spot=ETH, stable=WAD, cash=0, expiries=expiries, **changes)


LOW = replace(
    _expiry(17, ("-1", "C", "1700"), rate="0.02"),
    forward=w("2004.75"),
    confidence=w("0.4"),
    volatility_confidence=w("0.1"),
)
PMRM1_CASES = {
    "short ITM call": (_pmrm1(_expiry(17, ("-1", "C", "1400"), rate="0.02")), -1021, -925),
    "short ITM put": (_pmrm1(_expiry(17, ("-1.5", "P", "3000"), rate="0.02")), -2118, -1973),
    "long ATM put": (_pmrm1(_expiry(17, ("1", "P", "2000"), rate="0.02")), -23, 1),
    "long ATM call": (_pmrm1(_expiry(17, ("1", "C", "2000"), rate="0.02")), -26, 0),
    "short OTM put": (_pmrm1(_expiry(17, ("-1", "P", "1700"), rate="0.02")), -168, -131),
    "long ITM call spread": (
        _pmrm1(_expiry(10, ("1", "C", "500"), ("-1", "C", "700"), rate="0.02")),
        159,
        168,
    ),
    "depeg": (
        replace(_pmrm1(_expiry(17, ("-1", "P", "1700"), rate="0.02")), stable=w("0.2")),
        -364,
        -131,
    ),
    "low confidence, short call": (replace(_pmrm1(LOW), spot_confidence=w("0.1")), -1445, -629),
    "low confidence, base asset": (_pmrm1(base=WAD, spot_confidence=w("0.1")), 825, 1650),
}
"""(portfolio, IM, MM) of PMRM/test-cases-portfolio-pm.json, which gives whole dollars truncated towards zero."""


@pytest.mark.parametrize(("portfolio", "im", "mm"), PMRM1_CASES.values(), ids=PMRM1_CASES)
def test_portfolio_margin_1_matches_the_published_cases(
    portfolio: derive_pmrm1.Pmrm1Portfolio, im: int, mm: int
) -> None:
    """IM and MM, truncated to whole dollars, are those of the venue; the parts add up."""
    for level, expected in ((Level.IM, im), (Level.MM, mm)):
        result = derive_pmrm1.margin(portfolio, level, PMRM1)
        assert int(Fraction(result.margin, WAD)) == expected
        assert result.mark_to_market + sum(part.amount for part in result.parts) == result.margin


SRM = derive_srm.SrmParameters(
    im_perp=w("0.065"),
    mm_perp=w("0.05"),
    max_spot=w("0.15"),
    min_spot=w("0.1"),
    mm_call_spot=w("0.075"),
    mm_put_spot=w("0.075"),
    mm_put_value=w("0.075"),
    unpaired_im=w("1.2"),
    unpaired_mm=w("1.1"),
    mm_offset=w("1.05"),
    perp_threshold=w("0.4"),
    option_threshold=w("0.4"),
    base_threshold=w("0.4"),
    confidence_factor=w("0.4"),
    base_margin=w("0.8"),
    base_im_scale=w("1"),
)
"""Parameters of UNIT_TestStandardManager_Portfolio_Cases."""


def _srm(*expiries: Expiry, stable: str = "1", cash: str = "0", **changes: Any) -> derive_srm.SrmPortfolio:
    market = derive_srm.SrmMarket("ETH", ETH, SRM, expiries=expiries, **changes)
    return derive_srm.SrmPortfolio(w(cash), (market,), w(stable), w("0.98"), w("1.2"))


BOX = (("-1", "C", "1000"), ("1", "P", "1000"), ("1", "C", "2000"), ("-1", "P", "2000"))
UNSURE = replace(
    _expiry(17, ("-1", "C", "2000")),
    forward=w("2004.75"),
    confidence=w("0.4") - 1,
    volatility_confidence=w("0.5"),
)
SRM_CASES = {
    "long ATM call": (_srm(_expiry(10, ("1", "C", "2000"))), 0, 0),
    "short ITM call": (_srm(_expiry(10, ("-1", "C", "1500"))), -802, -652),
    "short ITM put": (_srm(_expiry(10, ("-2", "P", "3000"))), -2594, -2294),
    "short OTM call": (_srm(_expiry(17, ("-1", "C", "2500"))), -201, -151),
    "short call spread": (_srm(_expiry(10, ("-1", "C", "1800"), ("1", "C", "2000"))), -200, -200),
    "wide put spread": (_srm(_expiry(10, ("1", "P", "1200"), ("-1", "P", "2000"))), -365, -215),
    "short box": (_srm(_expiry(10, *BOX)), -1000, -1000),
    "put near zero": (_srm(_expiry(17, ("-1", "P", "100"))), -100, -100),
    "depeg": (_srm(_expiry(17, ("-1", "P", "2000")), stable="0.1"), -2496, -234),
    "low confidence": (_srm(UNSURE), -869, -239),
    "deep put": (_srm(_expiry(3, ("-1", "P", "7400"))), -6094, -5804),
}
"""(portfolio, IM, MM) of StandardManager/test-cases-portfolio.json, whole dollars truncated towards zero."""


@pytest.mark.parametrize(("portfolio", "im", "mm"), SRM_CASES.values(), ids=SRM_CASES)
def test_standard_margin_matches_the_published_cases(
    portfolio: derive_srm.SrmPortfolio, im: int, mm: int
) -> None:
    """IM and MM, truncated to whole dollars, are those of the venue."""
    for level, expected in ((Level.IM, im), (Level.MM, mm)):
        result = derive_srm.margin(portfolio, level)
        assert int(Fraction(result.margin, WAD)) == expected
        assert sum(part.amount for part in result.parts) == result.margin


def test_collateral_alone_is_bound_by_its_haircut() -> None:
    """Base assets count at 80 %: the rest is required, and says so. Cash alone requires nothing."""
    result = derive_srm.margin(_srm(base=w("1")), Level.MM)
    assert result.mark_to_market > result.margin
    assert result.binding == "haircut on base assets"
    assert derive_srm.margin(_srm(cash="5"), Level.MM).binding == "nothing is required"


def test_a_wrong_parameter_is_noticed() -> None:
    """The published cases are sharp: each parameter they touch moves a result when it is off by a thousandth."""
    moved = set()
    for field in fields(derive_pmrm2.Pmrm2Parameters):
        if field.name == "scenarios":
            continue
        for case in PMRM2_CASES:
            portfolio, parameters = pmrm2(case)
            value = getattr(parameters, field.name)
            other = replace(parameters, **{field.name: value + value // 1000})
            if any(
                derive_pmrm2.margin(portfolio, level, other)
                != derive_pmrm2.margin(portfolio, level, parameters)
                for level in Level
            ):
                moved.add(field.name)
                break
    assert len(moved) >= 20


def test_bad_input_is_refused_by_name() -> None:
    """A past expiry, a forward of zero, no scenarios and scenarios of the other version."""
    past = replace(_expiry(3, ("1", "C", "2000")), seconds=-1)
    with pytest.raises(InputError, match="past"):
        derive_srm.margin(_srm(past), Level.IM)
    with pytest.raises(InputError, match="forward"):
        derive_pmrm1.margin(_pmrm1(replace(past, seconds=1, forward=0)), Level.IM, PMRM1)
    with pytest.raises(ConfigError, match="no scenarios"):
        replace(PMRM1, scenarios=())
    with pytest.raises(ConfigError, match="version 2"):
        replace(PMRM1, scenarios=(Scenario(WAD, VolShock.LINEAR),))
