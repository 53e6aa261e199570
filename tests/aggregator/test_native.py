"""The margin engine: M1-M7 against exact fractions, refusals, and the laws every account obeys."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import ceil

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aggregator.margin.native import Evaluation, correlated_risk_e6, evaluate, positions_by_id
from aggregator.model.errors import InputError
from aggregator.model.policy import Addon, Instrument, InstrumentKind, Level, Line, NettingGroup, Policy
from aggregator.model.units import RATE_SCALE, SCENARIOS
from tests.aggregator.reference import exact, radicand
from tests.aggregator.strategies import accounts

LEVELS = st.sampled_from(list(Level))
ZERO_LINES = (Line(0, 0),) * 6


def usd_e6(amount: int) -> Fraction:
    return Fraction(amount, 10**6)


def usd_e20(amount: int) -> Fraction:
    return Fraction(amount, 10**20)


def instrument(number: int, mark_e12: int, **changes: object) -> Instrument:
    """A spot instrument without risk, changed where the test needs it."""
    fields: dict[str, object] = {
        "id": number,
        "symbol": f"T{number}",
        "kind": InstrumentKind.SPOT,
        "underlying": f"T{number}",
        "class_id": 0,
        "group_id": 0,
        "mark_e12": mark_e12,
        "unit_e6": RATE_SCALE,
        "max_quantity_e8": 10**15,
        "risk_e12": (0,) * SCENARIOS,
        "addon_im": Addon(0, 0),
        "addon_mm": Addon(0, 0),
    }
    return Instrument(**{**fields, **changes})  # type: ignore[arg-type]


def policy_of(*instruments: Instrument, **changes: object) -> Policy:
    """A two-class, one-group policy around the given instruments."""
    fields: dict[str, object] = {
        "name": "test",
        "publisher": "tests",
        "epoch": 1,
        "as_of": 0,
        "expires": 1,
        "classes": ("ETH", "BTC"),
        "scenarios": tuple(f"s{s}" for s in range(SCENARIOS)),
        "scan_factor_im_e6": 1_500_000,
        "scan_factor_mm_e6": RATE_SCALE,
        "correlation_e6": ((RATE_SCALE, 500_000), (500_000, RATE_SCALE)),
        "groups": (NettingGroup(1, "ETH", ZERO_LINES, ZERO_LINES),),
        "instruments": instruments,
    }
    return Policy(**{**fields, **changes})  # type: ignore[arg-type]


@given(accounts(extreme=True), LEVELS)
def test_agrees_with_exact_fractions_and_never_favours_the_holder(
    account: tuple[Policy, dict[int, int]], level: Level
) -> None:
    """Each claim is the exact amount rounded up to 1e-6 USD, the excess the exact rest rounded down."""
    policy, held = account
    result = evaluate(policy, held, level)
    truth = exact(policy, held, level)
    assert usd_e20(result.equity_e20) == truth.equity
    assert usd_e20(result.addon_e20) == truth.addon
    for risk in result.classes:
        assert risk.scan_risk_e6 == ceil(truth.scan[risk.class_id] * 10**6)
    charges = {g.group_id: g.charge_e6 for g in result.groups}
    for group_id, amount in truth.contingency.items():
        assert charges.get(group_id, 0) == ceil(amount * 10**6)
    claimed = radicand(policy, {c.class_id: usd_e6(c.scan_risk_e6) for c in result.classes})
    assert usd_e6(result.correlated_e6) ** 2 >= claimed
    assert result.correlated_e6 == 0 or usd_e6(result.correlated_e6 - 1) ** 2 < claimed
    assert usd_e6(result.correlated_e6) ** 2 >= radicand(policy, truth.scan)

    factor = Fraction(policy.scan_factor_e6(level), 10**6)
    requirement = factor * usd_e6(result.correlated_e6) + usd_e6(sum(charges.values())) + truth.addon
    assert usd_e20(result.requirement_e20) == requirement
    assert usd_e6(result.requirement_e6 - 1) < requirement <= usd_e6(result.requirement_e6)
    rest = truth.equity - requirement
    assert usd_e6(result.excess_e6) <= rest < usd_e6(result.excess_e6 + 1)
    if result.health_e6 is None:
        assert requirement == 0
    else:
        assert usd_e6(result.health_e6) <= truth.equity / requirement < usd_e6(result.health_e6 + 1)


@given(accounts(), LEVELS, st.randoms(use_true_random=False))
def test_the_order_of_positions_never_matters(
    account: tuple[Policy, dict[int, int]], level: Level, source: st.DataObject
) -> None:
    """Any permutation of the account gives the same evaluation."""
    policy, held = account
    items = list(held.items())
    source.shuffle(items)  # type: ignore[attr-defined]
    assert evaluate(policy, dict(items), level) == evaluate(policy, held, level)


@given(accounts(), LEVELS, st.integers(1, 10**15))
def test_more_riskless_collateral_raises_the_excess_by_its_value(
    account: tuple[Policy, dict[int, int]], level: Level, dollars_e6: int
) -> None:
    """Cash adds exactly its value and never lowers health."""
    policy, held = account
    cash = instrument(
        next(i for i in range(1, 4096) if i not in policy.by_id), 10**12, max_quantity_e8=10**18
    )
    richer = replace(policy, instruments=(*policy.instruments, cash))
    before = evaluate(richer, held, level)
    after = evaluate(richer, {**held, cash.id: dollars_e6 * 100}, level)
    assert after.excess_e6 == before.excess_e6 + dollars_e6
    if before.health_e6 is not None and after.health_e6 is not None:
        assert after.health_e6 >= before.health_e6


def haircut_collateral(rate_im_e6: int, rate_mm_e6: int, addon_e12: int) -> Policy:
    """One collateral at 2000 USD in a group with a haircut per side below 100%."""
    price = 2000 * 10**12
    im, mm = (
        (Line(price * r // RATE_SCALE, 0), Line(-(price * r // RATE_SCALE), 0), *ZERO_LINES[:4])
        for r in (rate_im_e6, rate_mm_e6)
    )
    eth = instrument(
        1, price, group_id=1, addon_im=Addon(addon_e12, addon_e12), addon_mm=Addon(addon_e12, addon_e12)
    )
    return policy_of(eth, groups=(NettingGroup(1, "ETH", im, mm),))


@given(
    st.integers(0, 10**13),
    st.integers(0, 10**13),
    st.integers(0, 900_000),
    st.integers(0, 200 * 10**12),
    LEVELS,
)
def test_more_collateral_never_lowers_the_excess(
    first: int, more: int, rate_e6: int, addon_e12: int, level: Level
) -> None:
    """While haircut and add-on together stay below the value, more collateral never hurts."""
    policy = haircut_collateral(rate_e6, rate_e6 // 2, addon_e12)
    assert (
        evaluate(policy, {1: first + more}, level).excess_e6 >= evaluate(policy, {1: first}, level).excess_e6
    )


@given(accounts(), LEVELS, st.data())
def test_splitting_over_chains_changes_nothing(
    account: tuple[Policy, dict[int, int]], level: Level, data: st.DataObject
) -> None:
    """One holding split over two chains with equal add-ons has the same equity, claims and requirement."""
    policy, held = account
    assume(held)
    split_id = data.draw(st.sampled_from(sorted(held)))
    whole = policy.by_id[split_id]
    part = data.draw(st.integers(0, abs(held[split_id])))
    signed = part if held[split_id] >= 0 else -part
    twin_id = next(i for i in range(1, 4096) if i not in policy.by_id)
    twin = replace(whole, id=twin_id, symbol="twin@eip155:9")
    wider = replace(policy, instruments=(*policy.instruments, twin))
    spread = {**held, split_id: held[split_id] - signed, twin_id: signed}
    one, two = evaluate(policy, held, level), evaluate(wider, spread, level)
    assert totals(one) == totals(two)
    assert one.classes == two.classes
    assert one.groups == two.groups


def totals(result: Evaluation) -> tuple[int | None, ...]:
    """The account-level numbers."""
    return (
        result.equity_e20,
        result.correlated_e6,
        result.contingency_e6,
        result.addon_e20,
        result.requirement_e20,
        result.excess_e6,
        result.health_e6,
    )


@given(accounts(tiers=False), LEVELS, st.data())
def test_one_account_never_needs_more_than_two(
    account: tuple[Policy, dict[int, int]], level: Level, data: st.DataObject
) -> None:
    """Without size tiers and with a correlation of 0 or 1 everywhere, joining accounts never adds
    requirement.

    Size tiers are meant to break this: a larger net position pays a higher rate. The slack is the rounding
    up of each claim, at most 1e-6 USD per class and group, times the scan factor.
    """
    policy, held = account
    size = len(policy.classes)
    rho = data.draw(st.sampled_from([0, RATE_SCALE]))
    matrix = tuple(tuple(RATE_SCALE if k == m else rho for m in range(size)) for k in range(size))
    policy = replace(policy, correlation_e6=matrix)
    limit = {i: policy.by_id[i].max_quantity_e8 for i in held}
    first = {
        i: data.draw(st.integers(max(-limit[i], q - limit[i]), min(limit[i], q + limit[i])))
        for i, q in held.items()
    }
    second = {i: q - first[i] for i, q in held.items()}
    joined, one, two = (evaluate(policy, a, level).requirement_e6 for a in (held, first, second))
    slack = 2 + len(policy.groups) + (2 * size + 2) * (policy.scan_factor_e6(level) // RATE_SCALE + 1)
    assert joined <= one + two + slack


@pytest.mark.parametrize(
    ("claims", "expected"), [((0, 0), 0), ((3, 0), 3), ((3, 5), 7), ((10**9, 10**9), 1732050808)]
)
def test_correlated_risk_known_values(claims: tuple[int, ...], expected: int) -> None:
    """sqrt(9 + 25 + 15) = 7; sqrt(3) x 1e9 rounds up."""
    rho = ((RATE_SCALE, 500_000), (500_000, RATE_SCALE))
    assert correlated_risk_e6(rho, claims) == expected


def test_correlated_risk_is_rounded_up_before_the_root() -> None:
    """9 + 16 + 2 x 1e-6 x 12 is a hair above 25, so R is 6 and not 5."""
    assert correlated_risk_e6(((RATE_SCALE, 1), (1, RATE_SCALE)), (3, 4)) == 6


def test_a_hand_computed_account() -> None:
    """10 ETH at 3000 hedged by 8 perps: every number by hand.

    Net 2 ETH in the class loses 600 each under s1 (-20%): L = 1200. R = 1200, f = 1.5: 1800. Haircut 5% on
    the 10 ETH in the group: 1500. Add-on 1 USD per ETH and 2 USD per short perp: 26. Requirement 3326,
    equity 30000.
    """
    risk = (0, -600 * 10**12, 600 * 10**12) + (0,) * 29
    haircut = (Line(150 * 10**12, 0), *ZERO_LINES[:5])
    eth = instrument(
        1,
        3000 * 10**12,
        class_id=1,
        group_id=1,
        risk_e12=risk,
        addon_im=Addon(10**12, 0),
        addon_mm=Addon(0, 0),
    )
    perp = instrument(
        2, 3000 * 10**12, class_id=1, risk_e12=risk, addon_im=Addon(0, 2 * 10**12), addon_mm=Addon(0, 0)
    )
    usd = instrument(3, 10**12, max_quantity_e8=10**18)
    policy = policy_of(eth, perp, usd, groups=(NettingGroup(1, "ETH", haircut, ZERO_LINES),))
    held = {1: 10 * 10**8, 2: -8 * 10**8, 3: 24_000 * 10**8}
    im = evaluate(policy, held, Level.IM)
    assert im.equity_e20 == 30_000 * 10**20
    assert im.classes[0].scan_risk_e6 == 1200 * 10**6
    assert im.classes[0].binding == 1
    assert im.classes[1].binding is None
    assert im.groups[0].net_e14 == 10 * 10**14
    assert im.groups[0].charge_e6 == 1500 * 10**6
    assert im.requirement_e6 == 3326 * 10**6
    assert im.excess_e6 == 26_674 * 10**6
    assert im.health_e6 == 30_000 * 10**6 // 3326
    mm = evaluate(policy, held, Level.MM)
    assert mm.requirement_e6 == 1200 * 10**6


def test_an_empty_account_needs_nothing() -> None:
    """No positions: zero everywhere, and no health factor because nothing is required."""
    result = evaluate(policy_of(), {}, Level.IM)
    assert (result.requirement_e6, result.excess_e6, result.health_e6) == (0, 0, None)


def test_refuses_an_unknown_instrument() -> None:
    """An instrument of another policy is named, not ignored."""
    with pytest.raises(InputError, match=r"instrument 7 is not in policy 'test'"):
        evaluate(policy_of(instrument(1, 1)), {7: 1}, Level.IM)
    with pytest.raises(InputError, match="instrument 0 is not"):
        evaluate(policy_of(instrument(1, 1)), {0: 0}, Level.IM)


@pytest.mark.parametrize("sign", [1, -1])
def test_refuses_a_quantity_beyond_its_bound(sign: int) -> None:
    """The bound itself is fine, one unit more is not."""
    policy = policy_of(instrument(1, 10**12, max_quantity_e8=500))
    evaluate(policy, {1: sign * 500}, Level.IM)
    with pytest.raises(InputError, match="beyond the policy's bound of 500e-8"):
        evaluate(policy, {1: sign * 501}, Level.IM)


def test_refuses_a_claim_beyond_the_bound() -> None:
    """A contingency of 2^76 micro-dollars cannot be claimed in the circuit, so the engine refuses it too."""
    steep = (Line(2**79, 0), *ZERO_LINES[:5])
    held = instrument(1, 0, group_id=1, max_quantity_e8=2**80 - 1)
    policy = policy_of(held, groups=(NettingGroup(1, "ETH", steep, steep),))
    with pytest.raises(InputError, match=r"the contingency of group ETH is .* beyond the bound"):
        evaluate(policy, {1: 2**60}, Level.IM)


def test_refuses_a_scan_risk_beyond_the_bound() -> None:
    """Many positions at their own bound together pass the class bound."""
    risky = [
        instrument(n, 0, class_id=1, max_quantity_e8=2**50, risk_e12=(-(2**67),) * SCENARIOS)
        for n in range(1, 60)
    ]
    policy = policy_of(*risky)
    with pytest.raises(InputError, match="the scan risk of class ETH"):
        evaluate(policy, dict.fromkeys(range(1, 60), 2**50), Level.IM)


def test_positions_by_id_names_what_is_not_priced() -> None:
    """A symbol outside the policy is an error, because leaving out a debt would hide it."""
    policy = policy_of(instrument(4, 1))
    assert positions_by_id(policy, {"T4": -3}) == {4: -3}
    with pytest.raises(InputError, match="DOGE is not priced by policy 'test'"):
        positions_by_id(policy, {"DOGE": 1})
