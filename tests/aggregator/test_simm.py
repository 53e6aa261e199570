"""SIMM's delta aggregation against arithmetic done by hand; made-up parameters."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.margin.rulebooks.simm import Factor, SimmParameters, delta_margin
from aggregator.model.errors import ConfigError, InputError

USD = 10**6
PARAMETERS = SimmParameters(
    factors={
        "A": Factor("A", "1", 20 * USD),
        "B": Factor("B", "1", 10 * USD),
        "C": Factor("C", "2", 30 * USD),
        "D": Factor("D", None, 50 * USD),
    },
    rho_e6={"1": 500_000, "2": 0},
    gamma_e6={("1", "2"): 200_000},
)


def test_one_bucket_by_hand() -> None:
    """WS 60 and 80 at rho 0.5: sqrt(3600 + 6400 + 2 x 0.5 x 4800) = sqrt(14800)."""
    result = delta_margin({"A": 3 * USD, "B": 8 * USD}, PARAMETERS)
    assert result.margin_e6 == 121_655_251
    assert result.buckets[0].s_e6 == 121_655_251


def test_opposite_sides_offset_and_s_is_clamped() -> None:
    """WS 60 and -80: sqrt(3600 + 6400 - 4800) = sqrt(5200), and S = -20 lies inside it."""
    result = delta_margin({"A": 3 * USD, "B": -8 * USD}, PARAMETERS)
    assert result.margin_e6 == 72_111_026
    assert result.buckets[0].s_e6 == -20 * USD


def test_two_buckets_and_the_residual_by_hand() -> None:
    """K 60 and 90 at gamma 0.2: sqrt(3600 + 8100 + 2 x 0.2 x 5400) = sqrt(13860), and 50 of the residual on top."""
    result = delta_margin({"A": 3 * USD, "C": 3 * USD, "D": -1 * USD}, PARAMETERS)
    assert result.margin_e6 == 117_728_502 + 50 * USD


def test_concentration_raises_the_weight() -> None:
    """Four times the threshold doubles the weighted sensitivity; at the threshold nothing changes."""
    tight = replace(PARAMETERS, factors={"A": Factor("A", "1", 20 * USD, threshold_e6=10 * USD)})
    assert delta_margin({"A": 10 * USD}, tight).margin_e6 == 200 * USD
    assert delta_margin({"A": 40 * USD}, tight).margin_e6 == 1600 * USD


@given(st.dictionaries(st.sampled_from("ABCD"), st.integers(-(10**12), 10**12)))
def test_the_sign_of_the_whole_book_does_not_matter(net: dict[str, int]) -> None:
    """A book and its mirror need the same."""
    mirrored = {name: -amount for name, amount in net.items()}
    assert abs(delta_margin(net, PARAMETERS).margin_e6 - delta_margin(mirrored, PARAMETERS).margin_e6) <= 1


def test_bad_parameters_are_refused_by_name() -> None:
    """A factor nobody weighs, a correlation above one, a bucket without correlation."""
    with pytest.raises(InputError, match="for Z"):
        delta_margin({"Z": 1}, PARAMETERS)
    with pytest.raises(ConfigError, match="outside"):
        replace(PARAMETERS, rho_e6={"1": 1_000_001, "2": 0})
    with pytest.raises(ConfigError, match="bucket 2"):
        replace(PARAMETERS, rho_e6={"1": 0})
