"""From an account and a policy to the circuit's inputs: the holder's side of the statement.

Nothing here is trusted: whatever this module gets wrong, the circuit refuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aggregator.margin.native import Evaluation
from aggregator.model.errors import CannotProveError
from aggregator.model.policy import Level, Policy
from aggregator.model.units import LINES_PER_GROUP, MAX_CLASSES, TOTAL_BOUND
from circuits.field import MODULUS, encode
from circuits.hashing import COMMITMENT_ARITY, TAG_COMMITMENT, account_id, chain
from circuits.policy_tree import PolicyTree, correlations
from circuits.r1cs import CompiledCircuit
from circuits.solvency import Size

PUBLIC_NAMES = ("accountId", "commitment", "policyRoot", "requirementAndLevel", "context")
LEVEL_SHIFT = 80

Inputs = dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder's secrets and sub-account number. Its repr shows none of them."""

    secret_key: int
    sub_account: int
    blinding: int

    def __repr__(self) -> str:
        return f"Holder(sub_account={self.sub_account})"

    @property
    def account_id(self) -> int:
        """The public account id."""
        return account_id(self.secret_key, self.sub_account)


def encode_requirement(amount_e6: int, level: Level) -> int:
    """The public signal amount + 2^80 level."""
    return amount_e6 + (int(level) << LEVEL_SHIFT)


def commitment(size: Size, document_hash: int, blinding: int, positions: Mapping[int, int]) -> int:
    """The hiding commitment to an account's slots (S11).

    `positions` maps instrument ids to non-zero quantities in 1e-8 units.
    Raises CannotProveError when there are more positions than slots.
    """
    words = [(slot_id << 96) + quantity + (1 << 80) for slot_id, quantity in _slots(size, positions)]
    words += [0] * (size.slots % 2)
    pairs = [words[i] + (words[i + 1] << 128) for i in range(0, size.slots, 2)]
    return chain(COMMITMENT_ARITY, [TAG_COMMITMENT, blinding, document_hash, *pairs])


def _slots(size: Size, positions: Mapping[int, int]) -> list[tuple[int, int]]:
    held = sorted((i, q) for i, q in positions.items() if q)
    if len(held) > size.slots:
        raise CannotProveError(
            f"the account has {len(held)} positions and {size.name} holds {size.slots}; "
            "use a larger circuit or close some"
        )
    return [(0, 0)] * (size.slots - len(held)) + held


def assign(
    size: Size,
    policy: Policy,
    tree: PolicyTree,
    evaluation: Evaluation,
    holder: Holder,
    amount_e6: int,
    context: int,
) -> Inputs:
    """All inputs of the circuit by name, public ones first.

    `evaluation` holds the claims L, C, R; `amount_e6` is what is to be proven, 0 <= amount < 2^80.
    Raises CannotProveError when the account does not fit the circuit.
    """
    level = evaluation.level
    positions = {p.instrument.id: p.quantity_e8 for p in evaluation.positions}
    if not 0 <= amount_e6 < TOTAL_BOUND:
        raise CannotProveError(
            f"the amount {amount_e6}e-6 USD is not in 0..2^80-1; ask for a provable amount"
        )
    return {
        "accountId": [holder.account_id],
        "commitment": [commitment(size, tree.document_hash, holder.blinding, positions)],
        "policyRoot": [tree.root],
        "requirementAndLevel": [encode_requirement(amount_e6, level)],
        "context": [context],
        "amount": [amount_e6],
        "level": [int(level)],
        "secretKey": [holder.secret_key],
        "subAccount": [holder.sub_account],
        "blinding": [holder.blinding],
        "trees": [tree.tree(Level.IM), tree.tree(Level.MM)],
        "scanFactors": [policy.scan_factor_im_e6, policy.scan_factor_mm_e6],
        "documentHash": [tree.document_hash],
        "correlations": list(correlations(policy)),
        "blocks": list(tree.blocks(level)),
        **_cells(size, policy, evaluation),
        **_slot_inputs(size, tree, evaluation, positions),
        "totalRisk": [evaluation.correlated_e6],
    }


def _used_classes(evaluation: Evaluation) -> list[int]:
    return sorted({p.instrument.class_id for p in evaluation.positions if p.instrument.class_id})


def _cells(size: Size, policy: Policy, evaluation: Evaluation) -> Inputs:
    classes = _class_ids(size, evaluation)
    scan = {c.class_id: c.scan_risk_e6 for c in evaluation.classes}
    groups = [(g.group_id, g.charge_e6) for g in evaluation.groups]
    if len(groups) > size.groups:
        raise CannotProveError(
            f"the account holds {len(groups)} netting groups and {size.name} takes {size.groups}; use a larger circuit"
        )
    gaps, slopes, intercepts, charges = [], [], [], []
    previous = 0
    for group_id, charge in groups:
        lines = policy.group_by_id[group_id].lines(evaluation.level)
        gaps.append(group_id - previous - 1)
        previous = group_id
        slopes += [line.slope_e12 for line in lines]
        intercepts += [line.intercept_e26 for line in lines[1:]]
        charges.append(charge)
    spare = size.groups - len(groups)
    return {
        "classCells": [int(c == k) for cell, k in enumerate(classes) for c in size.cell_ids(cell)],
        "groupGaps": gaps + [0] * spare,
        "slopes": slopes + [0] * (spare * LINES_PER_GROUP),
        "intercepts": intercepts + [0] * (spare * (LINES_PER_GROUP - 1)),
        "scanRisk": [scan.get(k, 0) for k in classes],
        "contingency": charges + [0] * spare,
    }


def _class_ids(size: Size, evaluation: Evaluation) -> list[int]:
    """The class each cell stands for: those in use, filled up with unused ids, increasing."""
    used = _used_classes(evaluation)
    if len(used) > size.classes:
        raise CannotProveError(
            f"the account holds {len(used)} risk classes and {size.name} takes {size.classes}; use a larger circuit"
        )
    spare = [k for k in range(1, MAX_CLASSES + 1) if k not in used]
    return sorted(used + spare[: size.classes - len(used)])


def _slot_inputs(
    size: Size, tree: PolicyTree, evaluation: Evaluation, positions: Mapping[int, int]
) -> Inputs:
    classes = _class_ids(size, evaluation)
    groups = [g.group_id for g in evaluation.groups]
    instruments = {p.instrument.id: p.instrument for p in evaluation.positions}
    fields = ("leafId", "leafClass", "leafGroup", "leafMark", "leafUnit", "leafMax", "leafLong", "leafShort")
    names = ("quantity", "short", "unused", *fields, "leafRisk", "siblings0", "siblings1")
    out: Inputs = {name: [] for name in (*names, "classPointers", "classNone", "groupPointers", "groupNone")}
    for slot_id, quantity in _slots(size, positions):
        opening = tree.open(evaluation.level, slot_id)
        class_id = instruments[slot_id].class_id if slot_id else 0
        group_id = instruments[slot_id].group_id if slot_id else 0
        out["quantity"].append(abs(quantity))
        out["short"].append(int(quantity < 0))
        out["unused"].append(int(slot_id == 0))
        for name, value in zip(fields, opening.fields, strict=True):
            out[name].append(value)
        out["leafRisk"] += opening.risk_words
        out["siblings0"] += opening.siblings0
        out["siblings1"] += opening.siblings1
        out["classPointers"] += [int(class_id == k) for k in classes]
        out["classNone"].append(int(class_id == 0))
        out["groupPointers"] += [int(group_id == g) for g in groups] + [0] * (size.groups - len(groups))
        out["groupNone"].append(int(group_id == 0))
    return out


def encode_inputs(circuit: CompiledCircuit, inputs: Inputs) -> bytes:
    """Lays named inputs out in wire order. Raises KeyError or ValueError when a name or a count does not match."""
    values: list[int] = []
    for name, (_, count) in circuit.input_names.items():
        if len(inputs[name]) != count:
            raise ValueError(f"{name} takes {count} values, not {len(inputs[name])}")
        values += inputs[name]
    return encode(values)


def public_signals(inputs: Inputs) -> tuple[int, ...]:
    """The five public signals, canonical."""
    return tuple(inputs[name][0] % MODULUS for name in PUBLIC_NAMES)
