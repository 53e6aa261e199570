"""The solvency statement at its smallest, for slow tools: one slot, one class, one group, within 2^12 rows.

The same code builds policy, tree, witness and circuit; only its table sizes and a few bit widths are smaller:
2 scenarios, 1 line to a group, 16 instruments, nodes of 2. They are constants of modules, so this runs in a process
of its own:

    python -m tests.circuits.small_instance DIR     writes small.r1cs, small.wtns and small.json
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import aggregator.model.units as units

SIZES = {"SCENARIOS": 2, "MAX_CLASSES": 1, "LINES_PER_GROUP": 1, "MAX_INSTRUMENTS": 16}
for _name, _value in SIZES.items():
    setattr(units, _name, _value)

import circuits.hashing  # noqa: E402

circuits.hashing.POLICY_ARITY = 7  # type: ignore[misc]
circuits.hashing.COMMITMENT_ARITY = 4  # type: ignore[misc]

import circuits.assignment  # noqa: E402
import circuits.policy_tree  # noqa: E402
import circuits.solvency  # noqa: E402
from aggregator.margin.native import evaluate  # noqa: E402
from aggregator.model.policy import (  # noqa: E402
    Addon,
    Instrument,
    InstrumentKind,
    Level,
    Line,
    NettingGroup,
    Policy,
)
from circuits import _native  # noqa: E402
from circuits.artifacts import ReadyCircuit, to_native  # noqa: E402
from circuits.assignment import Holder, assign, encode_inputs, public_signals  # noqa: E402
from circuits.solvency import Size, build  # noqa: E402

for _module, _constants in (
    (circuits.policy_tree, {"FANOUT": 2}),
    (circuits.assignment, {"LEVEL_SHIFT": 56, "TOTAL_BOUND": 1 << 56}),
    (
        circuits.solvency,
        {
            "FANOUT": 2,
            "BLOCKS": 4,
            "CLAIM_BITS": 52,
            "TOTAL_BITS": 56,
            "SQUARE_BITS": 133,
            "CONTINGENCY_BITS": 112,
            "EXCESS_BITS": 104,
        },
    ),
):
    for _name, _value in _constants.items():
        setattr(_module, _name, _value)

E8, E12 = 10**8, 10**12
SIZE = Size(slots=1, classes=1, groups=1)


def small_policy() -> Policy:
    """One instrument with a class, a group and both add-ons."""
    mark = 3000 * E12
    ether = Instrument(
        id=3,
        symbol="ETH@eip155:1",
        kind=InstrumentKind.SPOT,
        underlying="ETH",
        class_id=1,
        group_id=1,
        mark_e12=mark,
        unit_e6=10**6,
        max_quantity_e8=10**6 * E8,
        risk_e12=(-mark // 6, mark // 6),
        addon_im=Addon(mark // 100, mark // 50),
        addon_mm=Addon(mark // 200, mark // 100),
    )
    lines = (Line(mark // 20, 0),)
    return Policy(
        name="small",
        publisher="tests",
        epoch=1,
        as_of=1_790_000_000,
        expires=1_800_000_000,
        classes=("ETH",),
        scenarios=("down", "up"),
        scan_factor_im_e6=1_300_000,
        scan_factor_mm_e6=1_000_000,
        correlation_e6=((10**6,),),
        groups=(NettingGroup(1, "ETH", lines, lines),),
        instruments=(ether,),
    )


def main(directory: Path) -> None:
    """Writes the circuit, a witness that satisfies it, and what a test compares."""
    policy = small_policy()
    compiled = build(SIZE)
    circuit = ReadyCircuit(SIZE, compiled, to_native(compiled), compiled.digest())
    evaluation = evaluate(policy, {3: 25 * E8}, Level.IM)
    tree = circuits.policy_tree.build_tree(policy)
    inputs = assign(SIZE, policy, tree, evaluation, Holder(2026, 1, 1120), evaluation.excess_e6, 77)
    witness = circuit.witness(encode_inputs(compiled, inputs))
    circuit.native.write_r1cs(directory / "small.r1cs")
    _native.write_wtns(directory / "small.wtns", witness)
    numbers = {
        "wires": circuit.native.n_wires,
        "constraints": circuit.native.n_constraints,
        "privateInputs": circuit.native.n_inputs - circuit.native.n_public,
        "public": [str(value) for value in public_signals(inputs)],
        "equations": sorted({compiled.label_of_row(row).split()[0] for row in range(compiled.n_constraints)}),
    }
    (directory / "small.json").write_text(json.dumps(numbers))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
