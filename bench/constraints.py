"""Where the rows of each circuit go. python -m bench.constraints writes bench/constraints.json; a test compares it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from circuits.artifacts import ready
from circuits.solvency import SIZES

TABLE = Path(__file__).parent / "constraints.json"


def count() -> dict[str, Any]:
    """Rows, wires, non-zero coefficients and rows per equation of both circuits."""
    table = {}
    for name, size in SIZES.items():
        compiled = ready(name).compiled
        by_label = compiled.constraints_by_label()
        per_slot = ("S8", "S9", "S10", "M1", "M5", "M2 class", "M4 group")
        slot_rows = sum(n for label, n in by_label.items() if label.startswith(per_slot))
        table[name] = {
            "rows": compiled.n_constraints,
            "wires": compiled.n_wires,
            "nonzeros": sum(len(m.idx) for m in (compiled.a, compiled.b, compiled.c)),
            "rowsPerSlot": slot_rows // size.slots,
            "rowsByEquation": by_label,
            "policyRulesReliedOn": compiled.assumptions,
        }
    return table


if __name__ == "__main__":
    TABLE.write_text(json.dumps(count(), indent=2) + "\n")
    print(TABLE.read_text(), end="")
