"""The engine and the circuit agree to the last unit: the excess is provable, one unit more is not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from aggregator.margin.native import Evaluation, evaluate
from aggregator.model.errors import CannotProveError, InputError
from aggregator.model.policy import Addon, Instrument, InstrumentKind, Level, Policy
from aggregator.model.units import MAX_INSTRUMENTS, PRICE_SCALE, SCENARIOS
from aggregator.policy.check import check_policy, largest_quantity_e8
from circuits.artifacts import ReadyCircuit, ready
from circuits.assignment import Holder, Inputs, assign, encode_inputs
from circuits.policy_tree import build_tree
from circuits.solvency import SMALL
from tests.aggregator.strategies import accounts
from tests.circuits.books import fixed_policy

HOLDER = Holder(secret_key=99, sub_account=0, blinding=7)
SETTINGS = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])


def _funded(
    policy: Policy, positions: dict[int, int], level: Level, spare_e8: int
) -> tuple[Policy, Evaluation]:
    """The account with as much cash added as makes its excess non-negative, and `spare_e8` more."""
    ident = next(i for i in range(1, MAX_INSTRUMENTS) if i not in policy.by_id)
    cash = Instrument(
        id=ident,
        symbol="USD",
        kind=InstrumentKind.SPOT,
        underlying="USD",
        class_id=0,
        group_id=0,
        mark_e12=PRICE_SCALE,
        unit_e6=0,
        max_quantity_e8=largest_quantity_e8(PRICE_SCALE),
        risk_e12=(0,) * SCENARIOS,
        addon_im=Addon(0, 0),
        addon_mm=Addon(0, 0),
    )
    policy = replace(policy, instruments=tuple(sorted((*policy.instruments, cash), key=lambda i: i.id)))
    check_policy(policy)
    try:
        need_e8 = max(0, -evaluate(policy, positions, level).excess_e6) * 100 + spare_e8
        return policy, evaluate(policy, {**positions, ident: need_e8}, level)
    except InputError:
        assume(False)
        raise


def _inputs(policy: Policy, evaluation: Evaluation) -> Inputs:
    try:
        return assign(SMALL, policy, build_tree(policy), evaluation, HOLDER, 0, 5)
    except CannotProveError:
        assume(False)
        raise


def _accepted(circuit: ReadyCircuit, inputs: Inputs) -> bool:
    try:
        circuit.witness(encode_inputs(circuit.compiled, inputs))
    except CannotProveError:
        return False
    return True


def _ask(inputs: Inputs, amount: int, level: Level) -> Inputs:
    return {**inputs, "amount": [amount], "requirementAndLevel": [amount + (int(level) << 80)]}


@SETTINGS
@given(accounts(), st.sampled_from(list(Level)), st.sampled_from([0, 1, 12345678]))
def test_the_excess_is_the_largest_provable_amount(
    account: tuple[Policy, dict[int, int]], level: Level, spare_e8: int
) -> None:
    policy, evaluation = _funded(*account, level, spare_e8)
    inputs, circuit = _inputs(policy, evaluation), ready(SMALL.name)
    assert _accepted(circuit, _ask(inputs, evaluation.excess_e6, level))
    assert not _accepted(circuit, _ask(inputs, evaluation.excess_e6 + 1, level))


@SETTINGS
@given(accounts(), st.sampled_from(list(Level)))
def test_each_claim_is_the_smallest_the_circuit_takes(
    account: tuple[Policy, dict[int, int]], level: Level
) -> None:
    policy, evaluation = _funded(*account, level, 10**12)
    inputs, circuit = _inputs(policy, evaluation), ready(SMALL.name)
    assert _accepted(circuit, _ask(inputs, 0, level))
    for name in ("scanRisk", "contingency", "totalRisk"):
        for index, value in enumerate(inputs[name]):
            if value:
                lowered = {**inputs, name: [v - (i == index) for i, v in enumerate(inputs[name])]}
                assert not _accepted(circuit, _ask(lowered, 0, level)), (name, index)


def test_a_negative_excess_proves_nothing_at_all() -> None:
    policy = fixed_policy()
    evaluation = evaluate(policy, {30: -(10**8)}, Level.IM)
    assert evaluation.excess_e6 < 0
    inputs = assign(SMALL, policy, build_tree(policy), evaluation, HOLDER, 0, 5)
    with pytest.raises(CannotProveError, match="M7 excess"):
        ready(SMALL.name).witness(encode_inputs(ready(SMALL.name).compiled, inputs))
