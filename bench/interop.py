"""A ceremony on a large circuit, ours and snarkjs's: python -m bench.interop [--circuit NAME] [--snarkjs].

Powers of tau are made here, so the key is a rehearsal. With --snarkjs, `r1cs info` and `zkey verify` run too: minutes
for solvency-16, much longer for solvency-64. Not part of `python -m bench`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.record import RESULTS, write
from circuits import _native, ceremony
from circuits.ceremony.run import compile_again
from circuits.solvency import SIZES

SNARKJS = Path(__file__).parent.parent / "tests" / "node" / "node_modules" / "snarkjs" / "cli.js"
NODE_HEAP_MB = 12_000
BEACON = bytes(range(32))
BEACON_ITERATIONS = 16


def timed(seconds: dict[str, float], name: str, work: Callable[[], object]) -> None:
    """Runs `work` once and notes its wall time."""
    start = time.perf_counter()
    work()
    seconds[name] = round(time.perf_counter() - start, 1)
    print(f"{name}: {seconds[name]} s", flush=True)


def run_snarkjs(*arguments: str | Path) -> str:
    """What snarkjs prints, without colours."""
    node = shutil.which("node")
    if node is None:
        raise SystemExit("node is not installed; run make setup")
    done = subprocess.run(
        [node, f"--max-old-space-size={NODE_HEAP_MB}", str(SNARKJS), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)


def measure(name: str, with_snarkjs: bool, folder: Path) -> dict[str, Any]:
    """The steps of a ceremony of one circuit, in seconds, and what snarkjs says of its files."""
    circuit = compile_again(name)
    power = circuit.native.domain_size.bit_length()
    ptau, directory = folder / "powers.ptau", folder / "ceremony"
    seconds: dict[str, float] = {}
    timed(seconds, "powers", lambda: _native.make_powers(ptau, power, True, "bench"))
    timed(seconds, "firstKey", lambda: ceremony.init(circuit, ptau, directory))
    for number in range(2):
        before, after = directory / f"{number:04}.zkey", folder / f"{number}.zkey"
        timed(seconds, "contribute", lambda a=before, b=after: ceremony.contribute(a, b, "bench"))  # type: ignore[misc]
        timed(seconds, "receive", lambda a=after: ceremony.receive(directory, a))  # type: ignore[misc]
    timed(seconds, "beacon", lambda: ceremony.apply_beacon(directory, BEACON, BEACON_ITERATIONS))
    timed(seconds, "verify", lambda: ceremony.verify(circuit, ptau, directory))
    figures: dict[str, Any] = {
        "rows": circuit.native.n_constraints,
        "power": power,
        "ptauBytes": ptau.stat().st_size,
        "zkeyBytes": (directory / "0003.zkey").stat().st_size,
        "seconds": seconds,
    }
    if with_snarkjs:
        r1cs, theirs = directory / "circuit.r1cs", dict[str, float]()
        printed: list[str] = []
        timed(theirs, "r1csInfo", lambda: printed.append(run_snarkjs("r1cs", "info", r1cs)))
        timed(
            theirs,
            "zkeyVerify",
            lambda: printed.append(run_snarkjs("zkey", "verify", r1cs, ptau, directory / "0003.zkey")),
        )
        figures["snarkjs"] = {
            "r1csInfoAgrees": f"# of Constraints: {circuit.native.n_constraints}\n" in printed[0],
            "zkeyVerifyAccepts": "ZKey Ok!" in printed[1],
            "seconds": theirs,
        }
    return figures


def main() -> None:
    """Measures one circuit and keeps the others' figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--circuit", choices=sorted(SIZES), default="solvency-16")
    parser.add_argument("--snarkjs", action="store_true", help="also have snarkjs check the files")
    parser.add_argument("--note", help="kept with the figures, such as what else the machine was doing")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="counterfoil-interop-") as folder:
        figures = measure(options.circuit, options.snarkjs, Path(folder))
    if options.note:
        figures["note"] = options.note
    kept = RESULTS / "interop.json"
    circuits = json.loads(kept.read_text())["circuits"] if kept.exists() else {}
    write("interop", {"circuits": circuits | {options.circuit: figures}})


if __name__ == "__main__":
    main()
