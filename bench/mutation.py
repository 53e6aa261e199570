"""How many rows of the statement are needed, by a stratified sample: python -m bench.mutation [rows per equation]."""

from __future__ import annotations

import sys
import time

from bench.record import write
from tests.circuits.mutation import SIZE, killed, mutants, stratified

DEFAULT_PER_LABEL = 150


def main() -> None:
    """Kills the sample and writes the rate with every survivor."""
    per_label = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PER_LABEL
    start = time.perf_counter()
    table, survivors = {}, []
    for label, rows in stratified(per_label, seed=1).items():
        alive = [row for row in rows if not killed(row)]
        survivors += [{"row": row, "equation": label} for row in alive]
        table[label] = {"tried": len(rows), "killed": len(rows) - len(alive)}
        print(f"{label}: {len(rows) - len(alive)} of {len(rows)}", file=sys.stderr, flush=True)
    tried, dead = (sum(row[key] for row in table.values()) for key in ("tried", "killed"))
    write(
        "mutation",
        {
            "circuit": f"{SIZE.slots} slots, {SIZE.classes} classes, {SIZE.groups} groups",
            "rows": mutants()[0].circuit.n_constraints,
            "tried": tried,
            "killed": dead,
            "rate": round(dead / tried, 4),
            "survivors": survivors,
            "byEquation": table,
            "seconds": round(time.perf_counter() - start),
        },
    )


if __name__ == "__main__":
    main()
