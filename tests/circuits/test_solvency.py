"""The statement under attack: what a malicious prover would claim, each refused by a row, not by our own program."""

from __future__ import annotations

import copy
from functools import cache
from itertools import combinations

import pytest

from aggregator.margin.native import Evaluation, evaluate
from aggregator.model.errors import CannotProveError
from aggregator.model.policy import Level
from aggregator.model.units import MAX_CLASSES
from aggregator.policy import check_policy
from circuits import reference
from circuits.artifacts import ready, to_native
from circuits.assignment import Holder, Inputs, assign, commitment, encode_inputs
from circuits.field import MODULUS, decode, encode
from circuits.hashing import COMMITMENT_ARITY, TAG_COMMITMENT, chain
from circuits.policy_tree import PolicyTree, build_tree
from circuits.r1cs import CompiledCircuit
from circuits.solvency import LARGE, SMALL, Size, build
from tests.circuits.books import ACCOUNT, fixed_policy

TINY = Size(slots=8, classes=2, groups=3)
POLICY = fixed_policy()
HOLDER = Holder(secret_key=0x1234_5678_9ABC, sub_account=3, blinding=0xFEED_5EED)
CONTEXT = 777


@cache
def tree() -> PolicyTree:
    check_policy(POLICY)
    return build_tree(POLICY)


@cache
def tiny() -> CompiledCircuit:
    return build(TINY)


@cache
def account(level: Level) -> Evaluation:
    return evaluate(POLICY, ACCOUNT, level)


@cache
def _honest(level: Level, short_by: int) -> Inputs:
    evaluation = account(level)
    return assign(TINY, POLICY, tree(), evaluation, HOLDER, evaluation.excess_e6 - short_by, CONTEXT)


def honest(level: Level = Level.IM, short_by: int = 0) -> Inputs:
    """Inputs of the true statement, to be tampered with; `short_by` leaves some slack in the amount."""
    return copy.deepcopy(_honest(level, short_by))


def refused_by(inputs: Inputs) -> str | None:
    """The equation whose row refuses the witness that a lenient program makes from these inputs."""
    witness = reference.run(tiny(), decode(encode_inputs(tiny(), inputs)), strict=False)
    row = reference.first_violation(tiny(), witness)
    return None if row is None else tiny().label_of_row(row)


def accepted(inputs: Inputs) -> bool:
    """Whether no row refuses these inputs."""
    return refused_by(inputs) is None


def slot_of(instrument_id: int) -> int:
    held = sorted(ACCOUNT)
    return TINY.slots - len(held) + held.index(instrument_id)


@pytest.mark.parametrize("level", list(Level))
def test_the_whole_excess_is_provable_and_one_unit_more_is_not(level: Level) -> None:
    assert accepted(honest(level))
    assert not accepted(honest(level, short_by=-1))


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_both_circuits_accept_the_same_excess(size: Size) -> None:
    circuit = ready(size.name)
    evaluation = account(Level.IM)
    inputs = assign(size, POLICY, tree(), evaluation, HOLDER, evaluation.excess_e6, CONTEXT)
    witness = circuit.witness(encode_inputs(circuit.compiled, inputs))
    assert circuit.native.first_violation(witness) is None
    inputs = assign(size, POLICY, tree(), evaluation, HOLDER, evaluation.excess_e6 + 1, CONTEXT)
    with pytest.raises(CannotProveError, match="M7 excess"):
        circuit.witness(encode_inputs(circuit.compiled, inputs))


def test_an_empty_account_proves_nothing_but_zero() -> None:
    evaluation = evaluate(POLICY, {}, Level.IM)
    assert accepted(assign(TINY, POLICY, tree(), evaluation, HOLDER, 0, CONTEXT))
    assert not accepted(assign(TINY, POLICY, tree(), evaluation, HOLDER, 1, CONTEXT))


def test_the_rust_witness_equals_the_reference() -> None:
    inputs = encode_inputs(tiny(), honest())
    assert to_native(tiny()).witness(inputs) == encode(reference.run(tiny(), decode(inputs)))


def test_the_domains_are_those_of_the_design() -> None:
    for size, domain in ((SMALL, 1 << 16), (LARGE, 1 << 18)):
        compiled = ready(size.name).compiled
        assert compiled.n_constraints + compiled.n_public + 1 <= domain


@pytest.mark.parametrize("name", ["accountId", "commitment", "policyRoot", "requirementAndLevel"])
@pytest.mark.parametrize("delta", [1, -1, 1 << 80])
def test_every_public_input_is_bound(name: str, delta: int) -> None:
    inputs = honest(short_by=10)
    inputs[name][0] += delta
    assert not accepted(inputs)


def test_the_context_is_bound_by_a_row() -> None:
    wire = tiny().input_names["context"][0]
    rows = [r for r in range(tiny().n_constraints) if any(w == wire for w, _ in tiny().a.row(r))]
    assert [tiny().label_of_row(r) for r in rows] == ["S2 context"]


@pytest.mark.parametrize("name", ["scanRisk", "contingency", "totalRisk"])
def test_a_claimed_bound_one_unit_too_small_is_refused(name: str) -> None:
    for index, value in enumerate(honest()[name]):
        if value == 0:
            continue
        inputs = honest(short_by=10**9)
        inputs[name][index] = value - 1
        if name == "scanRisk":
            inputs["totalRisk"][0] += 1
        assert not accepted(inputs), (name, index)


@pytest.mark.parametrize("name", ["scanRisk", "contingency", "totalRisk"])
def test_a_claimed_bound_too_large_only_hurts(name: str) -> None:
    inputs = honest(short_by=10**9)
    inputs[name][0] += 1
    if name == "scanRisk":
        inputs["totalRisk"][0] += 2
    assert accepted(inputs)


@pytest.mark.parametrize("name", ["scanRisk", "contingency", "totalRisk", "amount"])
def test_a_negative_claim_as_a_huge_field_element_is_refused(name: str) -> None:
    inputs = honest(short_by=10**9)
    inputs[name][0] = MODULUS - 1
    if name == "amount":
        inputs["requirementAndLevel"][0] = (1 << 80) - 1
    assert not accepted(inputs)


def _shift(instrument_id: int, quantity: int) -> Inputs:
    """An account that holds `quantity` of one instrument instead, committed to consistently, amount 0."""
    inputs = honest()
    index = slot_of(instrument_id)
    inputs["quantity"][index], inputs["short"][index] = abs(quantity) % MODULUS, int(quantity < 0)
    inputs["commitment"] = [
        commitment(TINY, tree().document_hash, HOLDER.blinding, {**ACCOUNT, instrument_id: quantity})
    ]
    return _amount(inputs, 0)


def _amount(inputs: Inputs, amount: int, level: Level = Level.IM) -> Inputs:
    inputs["amount"] = [amount]
    inputs["requirementAndLevel"] = [amount + (int(level) << 80)]
    return inputs


def test_a_quantity_at_the_position_limit_is_accepted_and_one_more_refused() -> None:
    limit = POLICY.by_id[1].max_quantity_e8
    assert accepted(_shift(1, limit))
    assert not accepted(_shift(1, limit + 1))


@pytest.mark.parametrize("quantity", [1 << 80, (1 << 80) + 1, -(1 << 80), MODULUS - 5, (MODULUS + 1) // 2])
def test_a_quantity_beyond_its_bound_is_refused(quantity: int) -> None:
    assert not accepted(_shift(9, quantity))


def test_a_debt_cannot_be_flipped_into_a_holding() -> None:
    inputs = honest()
    inputs["short"][slot_of(10)] = 0
    assert not accepted(inputs)


@pytest.mark.parametrize("flag", [2, MODULUS - 1, (MODULUS + 1) // 2])
def test_the_sign_is_a_bit(flag: int) -> None:
    inputs = _amount(honest(), 0)
    inputs["short"][slot_of(10)] = flag
    assert not accepted(inputs)


def _swap(inputs: Inputs, i: int, j: int, size: Size = TINY) -> Inputs:
    for name, values in inputs.items():
        width = tiny().input_names[name][1] // size.slots
        per_slot = name.startswith(
            ("leaf", "siblings", "classPointers", "classNone", "groupPointers", "groupNone")
        )
        if per_slot or name in ("quantity", "short", "unused"):
            a, b = slice(i * width, (i + 1) * width), slice(j * width, (j + 1) * width)
            values[a], values[b] = values[b], values[a]
    return inputs


def _recommit(inputs: Inputs) -> Inputs:
    words = [
        (ident << 96) + (-q if short else q) + (1 << 80)
        for ident, q, short in zip(inputs["leafId"], inputs["quantity"], inputs["short"], strict=True)
    ]
    pairs = [words[i] + (words[i + 1] << 128) for i in range(0, len(words), 2)]
    inputs["commitment"] = [
        chain(COMMITMENT_ARITY, [TAG_COMMITMENT, *inputs["blinding"], *inputs["documentHash"], *pairs])
    ]
    return inputs


def test_unsorted_slots_are_refused() -> None:
    assert accepted(_recommit(_amount(honest(), 0)))
    assert refused_by(_recommit(_swap(_amount(honest(), 0), 6, 7))) == "S10 slot order"


def test_a_repeated_slot_is_refused() -> None:
    inputs = _amount(honest(), 0)
    for name, values in inputs.items():
        width = tiny().input_names[name][1] // TINY.slots
        if name.startswith(("leaf", "siblings", "classP", "classN", "groupP", "groupN")) or name in (
            "quantity",
            "short",
        ):
            values[7 * width : 8 * width] = values[6 * width : 7 * width]
    assert not accepted(_recommit(inputs))


def test_an_unused_flag_on_a_used_slot_is_refused() -> None:
    inputs = _amount(honest(), 0)
    inputs["unused"][7] = 1
    assert not accepted(inputs)


def test_the_null_instrument_holds_nothing() -> None:
    evaluation = evaluate(POLICY, {}, Level.IM)
    inputs = assign(TINY, POLICY, tree(), evaluation, HOLDER, 0, CONTEXT)
    inputs["quantity"][0] = 1
    assert not accepted(_recommit(inputs))


FIELDS = ["leafId", "leafClass", "leafGroup", "leafMark", "leafUnit", "leafMax", "leafLong", "leafShort"]


@pytest.mark.parametrize("name", [*FIELDS, "leafRisk", "siblings0", "siblings1", "blocks"])
def test_no_leaf_field_can_be_changed(name: str) -> None:
    inputs = _amount(honest(), 0)
    width = len(inputs[name]) // TINY.slots if name != "blocks" else 1
    inputs[name][slot_of(3) * width if name != "blocks" else 0] += 1
    assert not accepted(inputs)


def test_a_leaf_of_another_level_is_refused() -> None:
    inputs = _amount(honest(Level.MM), 0, Level.IM)
    inputs["level"] = [1]
    assert not accepted(inputs)


def test_a_level_that_is_no_bit_is_refused() -> None:
    inputs = _amount(honest(Level.MM), 0)
    inputs["level"], inputs["requirementAndLevel"] = [2], [2 << 80]
    assert not accepted(inputs)


@pytest.mark.parametrize("name", ["trees", "scanFactors", "documentHash", "correlations"])
def test_no_header_field_can_be_changed(name: str) -> None:
    inputs = _amount(honest(), 0)
    inputs[name][0] += 1
    assert not accepted(_recommit(inputs))


def test_a_class_cannot_be_left_out() -> None:
    inputs = _amount(honest(), 0)
    i = slot_of(4095)
    inputs["classPointers"][2 * i + 1], inputs["classNone"][i] = 0, 1
    inputs["scanRisk"][1] = 0
    assert refused_by(inputs) == "M2 class sums"


def test_a_slot_cannot_point_at_another_class() -> None:
    inputs = _amount(honest(), 0)
    i = slot_of(4095)
    inputs["classPointers"][2 * i : 2 * i + 2] = [1, 0]
    assert refused_by(inputs) == "M2 class sums"


def test_one_class_cannot_have_two_cells() -> None:
    """A long in one cell and its hedge in a twin cell must not be scanned apart."""
    inputs = _amount(
        assign(TINY, POLICY, tree(), evaluate(POLICY, {31: 10**8}, Level.IM), HOLDER, 0, CONTEXT), 0
    )
    inputs["classCells"] = [int(c == 2) for cell in range(TINY.classes) for c in TINY.cell_ids(cell)]
    assert refused_by(inputs) == "S6 class cells"


def test_the_cells_can_stand_for_any_choice_of_classes() -> None:
    """A cell has flags only for the ids that leave room for the cells before and after it, and needs no others."""
    for size in (TINY, SMALL, LARGE):
        for chosen in combinations(range(1, MAX_CLASSES + 1), size.classes):
            assert all(c in size.cell_ids(cell) for cell, c in enumerate(chosen))
        assert [size.cell_ids(0)[0], size.cell_ids(size.classes - 1)[-1]] == [1, MAX_CLASSES]
    assert "classCells" not in ready("solvency-64").compiled.input_names


def test_a_group_cannot_be_left_out_or_swapped() -> None:
    i = slot_of(4095)
    for pointers, none in (([0, 0, 0], 1), ([1, 0, 0], 0), ([0, 0, 1], 0), ([0, 0, 0], 0), ([1, 1, -1], 0)):
        inputs = _amount(honest(), 0)
        inputs["groupPointers"][3 * i : 3 * i + 3], inputs["groupNone"][i] = pointers, none
        assert refused_by(inputs) == "M4 group sums", pointers


def test_two_cells_cannot_hold_one_group() -> None:
    """An asset counted in two cells would get the first, cheapest tier twice."""
    evaluation = evaluate(POLICY, {2: 90 * 10**8, 3: 80 * 10**8}, Level.IM)
    inputs = assign(TINY, POLICY, tree(), evaluation, HOLDER, 0, CONTEXT)
    assert accepted(inputs)
    inputs["groupGaps"][1] = MODULUS - 1
    for name, width in (("slopes", 6), ("intercepts", 5)):
        inputs[name][width : 2 * width] = inputs[name][0:width]
    last = 3 * (TINY.slots - 1)
    inputs["groupPointers"][last : last + 3] = [0, 1, 0]
    inputs["contingency"] = [
        evaluate(POLICY, {i: q}, Level.IM).groups[0].charge_e6 for i, q in ((2, 90 * 10**8), (3, 80 * 10**8))
    ] + [0]
    assert refused_by(inputs) == "S7 group cells"


@pytest.mark.parametrize("name", ["slopes", "intercepts"])
def test_no_line_of_a_group_can_be_softened(name: str) -> None:
    inputs = _amount(honest(), 0)
    inputs[name][0] -= 1
    assert not accepted(inputs)


def test_lanes_cannot_borrow_from_each_other() -> None:
    """A loss in an even scenario must not be paid by the odd one it shares a word with."""
    evaluation = evaluate(POLICY, {30: 10**8}, Level.IM)
    inputs = assign(TINY, POLICY, tree(), evaluation, HOLDER, 0, CONTEXT)
    inputs["scanRisk"][0] = 0
    assert refused_by(inputs) == "M2 scan risk"


@pytest.mark.parametrize("drop", ["secretKey", "subAccount", "blinding"])
def test_the_holder_is_bound(drop: str) -> None:
    inputs = _amount(honest(), 0)
    inputs[drop][0] += 1
    assert not accepted(inputs)


def test_an_account_too_large_for_a_circuit_is_named() -> None:
    evaluation = account(Level.IM)
    with pytest.raises(CannotProveError, match="8 positions and solvency-4"):
        assign(Size(4, 2, 3), POLICY, tree(), evaluation, HOLDER, 0, CONTEXT)
    with pytest.raises(CannotProveError, match="2 risk classes and solvency-8"):
        assign(Size(8, 1, 3), POLICY, tree(), evaluation, HOLDER, 0, CONTEXT)
    with pytest.raises(CannotProveError, match="3 netting groups and solvency-8"):
        assign(Size(8, 2, 1), POLICY, tree(), evaluation, HOLDER, 0, CONTEXT)
    with pytest.raises(CannotProveError, match="provable amount"):
        assign(TINY, POLICY, tree(), evaluation, HOLDER, -1, CONTEXT)


def test_a_holder_shows_no_secret() -> None:
    assert "1234" not in repr(HOLDER)
    assert str(HOLDER.secret_key) not in repr(HOLDER)
