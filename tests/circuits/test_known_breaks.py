"""Breaks that other proof systems and solvency circuits had, replayed in our terms. Each has to fail, by name.

The design has no index of a tier and no flag for one, so the first two breaks are told in terms of the claims that took
their place. An attack is run as a dishonest prover runs it: the witness program is lenient, and what is asserted is
which rows refuse. Where an attack leaves all other rows satisfied, nothing but the named equation stands against it.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cache

import pytest

from aggregator.margin.native import evaluate
from aggregator.model.policy import Acceptance, Level, Policy
from circuits import _native
from circuits.artifacts import to_native
from circuits.assignment import Inputs, assign, commitment, encode_inputs
from circuits.field import MODULUS
from circuits.policy_tree import build_tree
from circuits.poseidon import poseidon
from circuits.r1cs import Builder, CircuitBuildError, Lc
from tests.circuits.rows import Rows
from tests.circuits.test_solvency import (
    CONTEXT,
    HOLDER,
    POLICY,
    TINY,
    _recommit,
    _swap,
    honest,
    slot_of,
    tiny,
    tree,
)

E8 = 10**8


@cache
def _native_circuit() -> _native.Circuit:
    return to_native(tiny())


def refusing(inputs: Inputs) -> set[str]:
    """The equations with a row that a dishonest prover's witness does not satisfy."""
    encoded = encode_inputs(tiny(), {name: [v % MODULUS for v in values] for name, values in inputs.items()})
    _, rows = _native_circuit().tampered(encoded, [], b"")
    return {tiny().label_of_row(row) for row in rows}


def refused_decompositions(inputs: Inputs) -> set[str]:
    """The range checks, by name, whose sum of bits is not the value."""
    rows = Rows(tiny(), _native_circuit())
    return {rows.op_of[row].label for row in rows.native_run(inputs).broken if row in rows.op_of}


def statement(positions: dict[int, int], amount: int = 0, level: Level = Level.IM) -> Inputs:
    """The true statement about an account, to be tampered with."""
    evaluation = evaluate(POLICY, positions, level)
    return copy.deepcopy(assign(TINY, POLICY, tree(), evaluation, HOLDER, amount, CONTEXT))


def test_the_statements_that_are_tampered_with_are_true() -> None:
    assert refusing(honest()) == set()
    assert refusing(statement({2: 5 * E8})) == set()


# Tiers


def test_a_small_balance_does_not_get_a_full_tiers_value() -> None:
    """A flag that no row ties to the balance said "this tier is full", and a small balance got the tier's whole value.

    Here the charge of a tier is its line at the balance. A line of a later tier is below zero at a small balance; the
    prover who claims it, as if the earlier tier were full, would be paid for its haircut.
    """
    inputs = statement({2: 5 * E8})
    slope, intercept = inputs["slopes"][1], inputs["intercepts"][0]
    line = -(-(slope * 5 * E8 * 10**6 + intercept) // 10**20)
    assert line < 0
    inputs["contingency"][0] = line
    assert refusing(inputs) == {"M4 contingency"}
    inputs["contingency"][0] = 0
    assert refusing(inputs) == {"M4 contingency"}


def test_a_large_balance_does_not_stay_in_the_first_tier() -> None:
    """The converse: of 200 ETH the second hundred costs more, and the charge of the first tier alone is refused."""
    inputs = statement({2: 200 * E8})
    first_tier = -(-inputs["slopes"][0] * 200 * E8 * 10**6 // 10**20)
    assert 0 < first_tier < inputs["contingency"][0]
    inputs["contingency"][0] = first_tier
    assert refusing(inputs) == {"M4 contingency"}


# Indices


@pytest.mark.parametrize("ident", [4096, 5000, MODULUS - 1, 2 + (1 << 12)])
def test_an_instrument_id_does_not_escape_its_range(ident: int) -> None:
    """A lookup index outside its table read what the prover liked. A leaf has to be in the tree, up to id 4095."""
    inputs = statement({2: 5 * E8})
    inputs["leafId"][TINY.slots - 1] = ident
    assert "S8 policy path" in refusing(_recommit(inputs))


def test_a_leaf_of_the_provers_own_does_not_get_into_the_tree() -> None:
    """The same with a consistent path of the prover's own: leaf, siblings and blocks, up to a root that is another."""
    inputs = statement({4095: 2 * E8})
    slot = TINY.slots - 1
    inputs["leafMark"][slot] *= 1000
    for name, width in (("siblings0", 8), ("siblings1", 8), ("blocks", 64)):
        node = _node(inputs, name, slot)
        start = slot * width if name != "blocks" else 0
        honest_nodes = inputs[name][start : start + width]
        inputs[name][start + honest_nodes.index(_node(statement({4095: 2 * E8}), name, slot))] = node
    assert refusing(inputs) == {"S5 policy blocks"}


def _node(inputs: Inputs, name: str, slot: int) -> int:
    """The node that the slot's path puts among `name`, as the circuit computes it."""
    risk = inputs["leafRisk"][slot * 16 : (slot + 1) * 16]
    names = ("leafId", "leafClass", "leafGroup", "leafMark", "leafUnit", "leafMax", "leafLong", "leafShort")
    node = poseidon(
        [v % MODULUS for v in [poseidon([r % MODULUS for r in risk]), *(inputs[n][slot] for n in names)]]
    )
    for below in ("siblings0", "siblings1"):
        if name == below:
            return node
        node = poseidon(inputs[below][slot * 8 : (slot + 1) * 8])
    return node


@pytest.mark.parametrize("gap", [1 << 12, MODULUS - 1, MODULUS - 2])
def test_a_group_id_does_not_escape_its_range(gap: int) -> None:
    """Ids of groups are told by their gaps, so a gap that wraps would make a second cell of a group, or an old id."""
    inputs = statement({2: 5 * E8})
    inputs["groupGaps"][1] = gap
    assert "S7 group cells" in refusing(inputs)


def test_a_class_cell_holds_one_class() -> None:
    """Two flags in a cell would make a class that is neither, which no instrument is in."""
    inputs = statement({2: 5 * E8})
    inputs["classCells"][1] = 1
    assert "S6 class cells" in refusing(inputs)


# Packed fields


def test_a_debt_does_not_move_into_the_neighbouring_field() -> None:
    """Price, debt and equity were packed into one hash input without a range check on the price: a debt of 1 in the
    middle field equals a price of 2^64 more. Source: github.com/binance/zkmerkle-proof-of-solvency/issues/4 (2023).

    Our slot word is 2^96 id + q + 2^80. A debt of USDC (id 10) has the same word as 2^96 more of USDC itself (id 9),
    so the attested commitment opens to both; S9 refuses the second.
    """
    debt = {10: -40_000 * E8}
    inputs = statement({9: 1})
    slot = TINY.slots - 1
    inputs["quantity"][slot] = (1 << 96) - 40_000 * E8
    inputs["commitment"] = [commitment(TINY, tree().document_hash, HOLDER.blinding, debt)]
    found = refusing(inputs)
    assert "S11 commitment" not in found
    assert "S9 quantity" in found


def test_a_quantity_does_not_reach_into_the_next_slot_of_its_pair() -> None:
    """Two slots share a hash input, 2^128 apart: the same attack one field further."""
    debt = {9: 7 * E8, 10: -40_000 * E8}
    inputs = statement({1: 1, 9: 1})
    slot = TINY.slots - 2
    assert slot % 2 == 0
    shared = (10 << 96) - 40_000 * E8 - (9 << 96) - 1
    inputs["quantity"][slot] = (9 << 96) - (1 << 96) + 7 * E8 + (shared << 128)
    inputs["commitment"] = [commitment(TINY, tree().document_hash, HOLDER.blinding, debt)]
    found = refusing(inputs)
    assert "S11 commitment" not in found
    assert "S9 quantity" in found


def test_a_loss_is_not_paid_by_the_scenario_it_shares_a_word_with() -> None:
    """Two scenarios share a word, 2^126 apart: a loss in the even one could be borrowed from a gain in the odd one."""
    inputs = statement({30: E8})
    inputs["scanRisk"][0] = 0
    assert refusing(inputs) == {"M2 scan risk"}


def test_an_amount_does_not_turn_into_a_level() -> None:
    """Amount and level share a public signal, 2^80 apart: an excess at MM must not be shown as one at IM."""
    inputs = statement({2: 5 * E8}, amount=10**9, level=Level.MM)
    inputs["amount"] = [(1 << 80) + 10**9]
    inputs["requirementAndLevel"] = [(1 << 80) + 10**9]
    assert "S1 amount and level" in refusing(inputs)


# Sums


@pytest.mark.parametrize(
    ("name", "claim"),
    [
        ("scanRisk", "M2 scan risk claim 0"),
        ("contingency", "M4 contingency claim 0"),
        ("totalRisk", "M3 total risk claim"),
    ],
)
def test_a_claim_does_not_wrap_the_sum(name: str, claim: str) -> None:
    """A sum mod r has no sign: a charge of r - x lowers the requirement by x unless its range is checked. Merkle-sum
    trees without range checks let an exchange hide liabilities so. Source: Chalkias, Chatzigiannis, Ji, "Broken Proofs
    of Solvency in Blockchain Custodial Wallets and Exchanges" (2022).
    """
    inputs = statement({2: 5 * E8})
    inputs[name][0] = MODULUS - 10**12
    assert claim in refused_decompositions(inputs)


def test_an_amount_above_the_excess_does_not_wrap() -> None:
    """E - requirement - amount < 0 is close to r, not to 0."""
    excess = evaluate(POLICY, {2: 5 * E8}, Level.IM).excess_e6
    assert refusing(statement({2: 5 * E8}, amount=excess)) == set()
    assert refusing(statement({2: 5 * E8}, amount=excess + 1)) == {"M7 excess"}


def test_a_circuit_whose_sums_could_wrap_is_not_built() -> None:
    """The builder knows every interval, so that this class of break ends before there is a circuit."""
    b = Builder("wrap")
    x, y = (b.range_check(wire, 200, "wide") for wire in b.private("x", 2))
    with pytest.raises(CircuitBuildError, match="could wrap"):
        b.mul(x, y)
    many = Lc.sum([x * (1 << 52), y * (1 << 54)])
    with pytest.raises(CircuitBuildError, match="could wrap"):
        b.range_check(many, 80, "a wide sum")


# Groups and slots


def test_one_asset_does_not_count_in_two_groups() -> None:
    """A balance split over two entries of the same asset got the first, cheapest tier twice."""
    split = statement({2: 90 * E8, 3: 80 * E8})
    assert refusing(split) == set()
    split["groupGaps"][1] = MODULUS - 1
    for name, width in (("slopes", 6), ("intercepts", 5)):
        split[name][width : 2 * width] = split[name][0:width]
    last = TINY.groups * (TINY.slots - 1)
    split["groupPointers"][last : last + 3] = [0, 1, 0]
    split["contingency"] = [
        evaluate(POLICY, {i: q}, Level.IM).groups[0].charge_e6 for i, q in ((2, 90 * E8), (3, 80 * E8))
    ]
    split["contingency"].append(0)
    assert refusing(split) == {"S7 group cells"}


def test_a_slot_does_not_point_at_a_group_of_the_same_lines() -> None:
    """A second cell with the same lines under another id is another group: its hash is not the leaf's."""
    split = statement({2: 90 * E8, 3: 80 * E8})
    for name, width in (("slopes", 6), ("intercepts", 5)):
        split[name][width : 2 * width] = split[name][0:width]
    last = TINY.groups * (TINY.slots - 1)
    split["groupPointers"][last : last + 3] = [0, 1, 0]
    assert "M4 group sums" in refusing(split)


def test_a_repeated_slot_is_refused() -> None:
    """The same holding counted twice."""
    inputs = statement({1: E8, 2: 5 * E8})
    source, target = TINY.slots - 1, TINY.slots - 2
    for name, values in inputs.items():
        width = tiny().input_names[name][1] // TINY.slots
        if name.startswith(
            ("leaf", "siblings", "classP", "classN", "groupP", "groupN", "quantity", "short", "unused")
        ):
            values[target * width : (target + 1) * width] = values[source * width : (source + 1) * width]
    inputs["contingency"][0], inputs["scanRisk"][0], inputs["totalRisk"][0] = 5 * 10**9, 5 * 10**9, 6 * 10**9
    assert refusing(_recommit(inputs)) == {"S10 slot order"}


def test_unsorted_slots_are_refused() -> None:
    """With slots in any order a repeat cannot be seen by comparing neighbours."""
    assert refusing(_recommit(_swap(statement({1: E8, 2: 5 * E8}), TINY.slots - 2, TINY.slots - 1))) == {
        "S10 slot order"
    }


def test_a_negative_quantity_is_no_huge_holding() -> None:
    """-q and r - q are one field element: a debt given as a holding of r - q opens the same commitment."""
    inputs = statement({10: -40_000 * E8})
    slot = slot_of(4095)
    inputs["short"][slot] = 0
    inputs["quantity"][slot] = MODULUS - 40_000 * E8
    found = refusing(inputs)
    assert "S11 commitment" not in found
    assert "S9 quantity" in found


# Replay


@pytest.mark.parametrize(
    "own",
    [
        replace(POLICY, instruments=tuple(replace(i, symbol=f"X{i.symbol}") for i in POLICY.instruments)),
        replace(POLICY, instruments=(replace(POLICY.instruments[0], mark_e12=1), *POLICY.instruments[1:])),
        replace(POLICY, acceptance=Acceptance(pool_range_e6=0)),
        replace(POLICY, epoch=POLICY.epoch + 1),
    ],
    ids=["ids of other tokens", "marks", "acceptance", "epoch"],
)
def test_what_was_counted_under_one_policy_is_not_proven_under_another(own: Policy) -> None:
    """A holder has its positions counted under a policy of its own: a worthless token by the id of ETH, a pool taken
    apart at invented marks, everything accepted. The attested commitment does not open under the venue's root.
    """
    account = {2: 5 * E8}
    inputs = statement(account)
    attested = commitment(TINY, build_tree(own).document_hash, HOLDER.blinding, account)
    assert refusing({**inputs, "commitment": [attested]}) == {"S11 commitment"}
    opened = {**inputs, "commitment": [attested], "documentHash": [build_tree(own).document_hash]}
    assert refusing(opened) == {"S4 policy root"}
