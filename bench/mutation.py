"""Which rows of the statement are needed: python -m bench.mutation [--rows N] [--processes N] [CIRCUIT ..].

Every row of the statement at its smallest (2^12, tests/circuits/small_instance.py), and a sample of the large circuits
that takes as many rows of each equation as there are, up to one bound: 2,000 rows of solvency-64 by default. The kill
criterion is that of tests/circuits/mutation.py.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from bench.record import RESULTS, write

if TYPE_CHECKING:
    from tests.circuits.mutation import Mutants

INSTANCE = "2^12 instance"
DEFAULT = (INSTANCE, "solvency-64")
SAMPLE = 2000
SEED = 1
CONFIRM_EVERY = 10
"""Kills run in the native core once more; on the smallest circuit all runs are native."""


def mutants(name: str) -> Mutants:
    """The search over one circuit. The smallest sets constants of modules, so a process holds one circuit."""
    if name == INSTANCE:
        from tests.circuits import small_instance

        size = small_instance.SIZE
    else:
        from circuits.solvency import SIZES

        size = SIZES[name]
    from tests.circuits.mutation import Mutants

    return Mutants(size)


def measure(name: str, total: int, processes: int) -> dict[str, Any]:
    """Kills rows of one circuit: the rate, the lies that got through by equation, and every survivor."""
    start = time.perf_counter()
    rows = mutants(name).rows
    from tests.circuits.mutation import EXPLAINED
    from tests.circuits.rows import stratified

    sample = stratified(rows, total or (rows.circuit.n_constraints if name == INSTANCE else SAMPLE), SEED)
    tried = [(label, row) for label, found in sample.items() for row in found]
    table: dict[str, Any] = {
        label: {"tried": len(found), "killed": 0, "by": {}} for label, found in sample.items()
    }
    survivors = []
    with ProcessPoolExecutor(processes, get_context("spawn"), _begin, (name,)) as pool:
        for (label, row), lie in zip(
            tried, pool.map(_kill, [row for _, row in tried], chunksize=8), strict=True
        ):
            if lie is None:
                survivors.append({"row": row, "equation": label, "explained": EXPLAINED.get(label)})
                print(f"{name}: row {row} of {label} survives", file=sys.stderr, flush=True)
                continue
            table[label]["killed"] += 1
            table[label]["by"][lie] = table[label]["by"].get(lie, 0) + 1
            if table[label]["killed"] == table[label]["tried"]:
                print(f"{name}: {label}: {table[label]['tried']}", file=sys.stderr, flush=True)
    dead = len(tried) - len(survivors)
    return {
        "rows": rows.circuit.n_constraints,
        "tried": len(tried),
        "killed": dead,
        "rate": round(dead / len(tried), 5),
        "survivors": survivors,
        "unexplained": sum(not survivor["explained"] for survivor in survivors),
        "byEquation": table,
        "seconds": round(time.perf_counter() - start),
    }


_search: list[Mutants] = []
"""The search of a worker process."""


def _begin(name: str) -> None:
    _search.append(mutants(name))


def _kill(row: int) -> str | None:
    return _search[0].kill(row, confirm=row % CONFIRM_EVERY == 0)


def main() -> None:
    """Measures each circuit in a process of its own, because the smallest has other constants."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("circuits", nargs="*", default=DEFAULT)
    parser.add_argument("--rows", type=int, default=0, help="all of the smallest, 2,000 of others")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--one", action="store_true", help="print one circuit's figures as JSON and write nothing"
    )
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.circuits[0], options.rows, options.processes)))
        return
    kept = RESULTS / "mutation.json"
    figures = json.loads(kept.read_text()).get("circuits", {}) if kept.exists() else {}
    for name in options.circuits:
        command = [sys.executable, "-m", "bench.mutation", "--one", name]
        numbers = [f"--rows={options.rows}", f"--processes={options.processes}"]
        done = subprocess.run(
            [*command, *numbers],
            stdout=subprocess.PIPE,
            check=True,
            env={**os.environ, "RAYON_NUM_THREADS": "1"},
        )
        figures[name] = json.loads(done.stdout)
    write("mutation", {"criterion": "strict: tests/circuits/mutation.py", "circuits": figures})


if __name__ == "__main__":
    main()
