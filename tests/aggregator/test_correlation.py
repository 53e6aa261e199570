"""Correlation estimates: published matrices, the shrinkage written out again, every bad matrix refused by its entry."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.model.errors import PolicyError
from aggregator.pricing.black76 import Floats
from aggregator.risk.correlation import (
    CorrelationStress,
    beta,
    check_correlation,
    ledoit_wolf,
    margin_correlation_e6,
    nearest_correlation,
    sample_correlation,
    worst_window_correlation,
)
from tests.aggregator.histories import correlated

NAMES = ("ETH", "BTC", "SOL")


def _returns(days: int = 200, seed: int = 3) -> Floats:
    generator = np.random.default_rng(seed)
    common = generator.standard_normal((days, 1))
    made: Floats = 0.02 * (common + generator.standard_normal((days, 3)) * np.array([0.5, 1.0, 2.0]))
    return made


def test_nearest_correlation_is_higham_s() -> None:
    """Higham (2002), section 4.1: the nearest matrix has 0.7607 and 0.1573."""
    found = nearest_correlation(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 1.0]]))
    expected = np.array([[1.0, 0.7607, 0.1573], [0.7607, 1.0, 0.7607], [0.1573, 0.7607, 1.0]])
    assert np.abs(found - expected).max() < 5e-5


def test_a_correlation_matrix_is_its_own_nearest() -> None:
    matrix = np.array([[1.0, 0.5], [0.5, 1.0]])
    assert np.allclose(nearest_correlation(matrix), matrix, atol=1e-12)


def _shrinkage_by_loops(x: Floats) -> tuple[Floats, float]:
    """Appendix B of Ledoit & Wolf (2004), sum by sum."""
    t, n = x.shape
    mean = [sum(x[d, i] for d in range(t)) / t for i in range(n)]
    y = [[x[d, i] - mean[i] for i in range(n)] for d in range(t)]
    s = [[sum(y[d][i] * y[d][j] for d in range(t)) / t for j in range(n)] for i in range(n)]
    r = [[s[i][j] / math.sqrt(s[i][i] * s[j][j]) for j in range(n)] for i in range(n)]
    rbar = 2 / ((n - 1) * n) * sum(r[i][j] for i in range(n - 1) for j in range(i + 1, n))
    f = [[s[i][i] if i == j else rbar * math.sqrt(s[i][i] * s[j][j]) for j in range(n)] for i in range(n)]
    pi = [[sum((y[d][i] * y[d][j] - s[i][j]) ** 2 for d in range(t)) / t for j in range(n)] for i in range(n)]

    def theta(k: int, i: int, j: int) -> float:
        return float(sum((y[d][k] ** 2 - s[k][k]) * (y[d][i] * y[d][j] - s[i][j]) for d in range(t)) / t)

    rho = sum(pi[i][i] for i in range(n)) + sum(
        rbar
        / 2
        * (math.sqrt(s[j][j] / s[i][i]) * theta(i, i, j) + math.sqrt(s[i][i] / s[j][j]) * theta(j, i, j))
        for i in range(n)
        for j in range(n)
        if i != j
    )
    gamma = sum((f[i][j] - s[i][j]) ** 2 for i in range(n) for j in range(n))
    total = sum(pi[i][j] for i in range(n) for j in range(n))
    delta = max(0.0, min((total - rho) / gamma / t, 1.0))
    shrunk = [[delta * (1 if i == j else rbar) + (1 - delta) * r[i][j] for j in range(n)] for i in range(n)]
    return np.array(shrunk), delta


def test_shrinkage_is_the_source_s_sum_by_sum() -> None:
    returns = _returns(60)
    expected, intensity = _shrinkage_by_loops(returns)
    found, shrunk = ledoit_wolf(returns, NAMES)
    assert shrunk == pytest.approx(intensity, rel=1e-9)
    assert 0 < shrunk < 1
    assert np.allclose(found, expected, rtol=1e-9)


def test_more_data_shrinks_less() -> None:
    assert ledoit_wolf(_returns(2000), NAMES)[1] < ledoit_wolf(_returns(60), NAMES)[1]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 0.5], [0.4, 1]], r"correlation\[ETH\]\[BTC\] is 0.5 and correlation\[BTC\]\[ETH\] is 0.4"),
        ([[1, math.nan], [math.nan, 1]], r"correlation\[ETH\]\[BTC\] is nan"),
        ([[1, 1.2], [1.2, 1]], r"correlation\[ETH\]\[BTC\] is 1.2"),
        ([[0.9, 0.5], [0.5, 1]], r"correlation\[ETH\]\[ETH\] is 0.9; the diagonal"),
        ([[1.0]], "is not 2 x 2"),
    ],
)
def test_what_is_no_correlation_matrix_is_refused_by_its_entry(
    matrix: list[list[float]], message: str
) -> None:
    with pytest.raises(PolicyError, match=message):
        check_correlation(np.array(matrix), NAMES[:2])


def test_a_matrix_of_no_joint_distribution_is_refused() -> None:
    matrix = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.9], [0.0, 0.9, 1.0]])
    with pytest.raises(PolicyError, match=r"semi-definite, its least eigenvalue is -0\.27"):
        check_correlation(matrix, NAMES)
    made = np.array(margin_correlation_e6(matrix, NAMES, CorrelationStress())) / 1e6
    check_correlation(made, NAMES)
    assert made[0, 2] > 0.6, "the two strong pairs force the third up; none of them falls"
    assert (made >= matrix).all()


def test_the_margin_matrix_clips_rounds_up_and_stresses() -> None:
    estimate = np.array([[1.0, -0.4], [-0.4, 1.0]])
    assert margin_correlation_e6(estimate, NAMES[:2], CorrelationStress())[0][1] == 0
    third = np.array([[1.0, 1 / 3], [1 / 3, 1.0]])
    assert margin_correlation_e6(third, NAMES[:2], CorrelationStress())[0][1] == 333_334
    assert margin_correlation_e6(third, NAMES[:2], CorrelationStress(floor=0.5))[0][1] == 500_000
    stressed = margin_correlation_e6(third, NAMES[:2], CorrelationStress(towards_one=0.5))
    assert stressed[0][1] in (666_667, 666_668)
    worst = np.array([[1.0, 0.8], [0.8, 1.0]])
    assert margin_correlation_e6(third, NAMES[:2], CorrelationStress(), worst)[0][1] in (800_000, 800_001)
    for floor, share, window in ((1.0, 0, 0), (0, -0.1, 0), (0, 0, 5)):
        with pytest.raises(PolicyError):
            CorrelationStress(floor, share, window)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.floats(0, 0.9), st.floats(0, 0.9))
def test_every_estimate_becomes_a_matrix_that_is_one_and_not_below_it(
    seed: int, size: int, floor: float, share: float
) -> None:
    """Law: symmetric, unit diagonal, positive semi-definite, in 0..1, never below the stressed estimate."""
    generator = np.random.default_rng(seed)
    half = generator.uniform(-1, 1, (size, size))
    estimate = (half + half.T) / 2
    np.fill_diagonal(estimate, 1.0)
    names = [f"class {n}" for n in range(size)]
    made = np.array(margin_correlation_e6(estimate, names, CorrelationStress(floor, share))) / 1e6
    check_correlation(made, names)
    least = np.maximum(np.clip(estimate, 0, 1), floor)
    least = np.minimum(least + (1 - least) * share, 1 - 1e-5)
    assert (made >= least - 1e-12).all()
    assert made.min() >= 0


def test_the_worst_window_is_the_highest_of_all() -> None:
    calm, storm = correlated(100, rho=0.1), correlated(40, rho=0.95, seed=8)
    both = np.concatenate([calm, storm])
    worst = worst_window_correlation(both, NAMES[:2], 40)
    assert worst[0, 1] > 0.9 > sample_correlation(both, NAMES[:2])[0, 1]
    with pytest.raises(PolicyError, match="shorten it"):
        worst_window_correlation(both, NAMES[:2], 200)


def test_bad_returns_are_refused_by_the_name_of_their_class() -> None:
    good = correlated(40)
    for bad, message in (
        (np.where(np.arange(40)[:, None] == 3, np.nan, good), "returns of ETH are not all finite"),
        (np.column_stack([good[:, 0], np.zeros(40)]), "returns of BTC never change"),
        (good[:29], "29 returns are too few"),
        (good[:, :1], "not a table of 2 columns"),
    ):
        with pytest.raises(PolicyError, match=message):
            ledoit_wolf(bad, NAMES[:2])


def test_beta_is_the_slope() -> None:
    benchmark = correlated(100)[:, 0]
    assert beta(1.5 * benchmark + 0.001, benchmark) == pytest.approx(1.5)
    assert beta(benchmark, benchmark) == pytest.approx(1.0)
    with pytest.raises(PolicyError, match="never moves"):
        beta(benchmark, np.zeros(100))
    with pytest.raises(PolicyError, match="aligned"):
        beta(benchmark[1:], benchmark)
