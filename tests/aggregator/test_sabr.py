"""SABR: published volatilities, its limits, the fit, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from aggregator.model.errors import PolicyError
from aggregator.pricing.fit import VolQuote
from aggregator.pricing.sabr import SabrSlice, fit_sabr, fit_sabr_slice, lognormal_volatility
from aggregator.pricing.surface import Surface


def test_volatilities_are_the_published_ones() -> None:
    """ynouri/pysabr, tests/hagan_2002_lognormal_sabr: a shifted ten-year smile and one strike to twelve digits."""
    found = lognormal_volatility(
        *(0.0552715567337258, 0.0602715567337258, 10.0),
        *(0.0252982247897366, 0.5, -0.246333975445481, 0.290846563252973),
    )
    assert 100 * float(found) == pytest.approx(10.8917434151064, rel=1e-7)
    strikes = np.array([-0.4729, 0.5271, 1.5271, 2.0271, 2.5271, 3.0271, 4.0271, 5.5271])
    smile = lognormal_volatility(0.055271, (strikes + 3) / 100, 10.0, 0.0253, 0.5, -0.2463, 0.2908)
    expected = [19.641923, 15.785344, 13.073869, 12.088721, 11.360133, 10.892464, 10.623862, 11.103755]
    assert np.abs(100 * smile - expected).max() < 1e-5


def test_without_volatility_of_volatility_it_is_flat() -> None:
    """beta 1, nu 0: alpha at every strike. At the money equation 2.18 holds, and nothing jumps there."""
    assert np.allclose(lognormal_volatility(3.0, [1.0, 3.0, 9.0], 10, 0.02, 1.0, 0.0, 0.0), 0.02)
    alpha, beta, rho, nu, years, f = 0.7, 0.8, -0.3, 1.2, 0.25, 3000.0
    power = f ** (1 - beta)
    growth = (
        (1 - beta) ** 2 / 24 * (alpha / power) ** 2
        + rho * beta * nu * alpha / (4 * power)
        + (2 - 3 * rho**2) / 24 * nu**2
    )
    at = float(lognormal_volatility(f, f, years, alpha, beta, rho, nu))
    assert at == pytest.approx(alpha / power * (1 + growth * years), rel=1e-12)
    near = lognormal_volatility(f, [f * (1 - 1e-6), f * (1 + 1e-6)], years, alpha, beta, rho, nu)
    assert np.abs(near - at).max() < 1e-5


def _quotes(one: SabrSlice, width: float = 0.01) -> list[VolQuote]:
    strikes = one.forward * np.exp(np.linspace(-0.5, 0.5, 9))
    middles = np.sqrt(one.total_variance(np.log(strikes / one.forward)) / one.years)
    return [
        VolQuote(one.years, one.forward, float(k), float(m) - width / 2, float(m) + width / 2)
        for k, m in zip(strikes, middles, strict=True)
    ]


def test_the_fit_finds_the_slice_behind_the_quotes() -> None:
    near = SabrSlice(30 / 365, 3000.0, 0.62, 1.0, -0.25, 1.5)
    far = SabrSlice(90 / 365, 3040.0, 0.62, 1.0, -0.22, 1.0)
    fitted = fit_sabr([*_quotes(near), *_quotes(far)], 1.0)
    for one, made in zip((near, far), fitted, strict=True):
        assert made.alpha == pytest.approx(one.alpha, rel=1e-3)
        assert made.rho == pytest.approx(one.rho, abs=0.01)
        assert made.nu == pytest.approx(one.nu, rel=0.02)
    surface = Surface(fitted)
    assert float(surface.volatility(0.0, 60 / 365)) == pytest.approx(0.63, abs=0.02)
    assert float(surface.volatility(-0.3, 30 / 365)) > float(surface.volatility(0.3, 30 / 365))


def test_bad_slices_and_quotes_are_refused() -> None:
    good = SabrSlice(0.25, 3000.0, 0.6, 1.0, -0.2, 1.0)
    for change in ({"alpha": 0.0}, {"rho": 1.0}, {"nu": 30.0}, {"beta": 1.5}, {"forward": float("nan")}):
        values = {name: getattr(good, name) for name in good.__slots__} | change
        with pytest.raises(PolicyError, match="correct its parameters"):
            SabrSlice(**values).check()
    with pytest.raises(PolicyError, match=r"butterfly arbitrage|variance at or below zero"):
        SabrSlice(5.0, 3000.0, 0.6, 1.0, -0.9, 3.0).check()
    quotes = _quotes(good)
    with pytest.raises(PolicyError, match="at least 5"):
        fit_sabr_slice(quotes[:4], 1.0)
    with pytest.raises(PolicyError, match="different forwards"):
        fit_sabr_slice([*quotes[:-1], VolQuote(0.25, 3001.0, 3000.0, 0.5, 0.6)], 1.0)
