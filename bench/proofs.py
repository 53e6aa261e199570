"""Compile, key, witness, prove and verify, with snarkjs beside it on the same key and witness.

python -m bench.proofs [--snarkjs]     writes bench/results/proofs.json
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.files import Files, ours, prepare, snarkjs_prove
from bench.record import seconds, write
from circuits.artifacts import to_native
from circuits.groth16 import open_key, prove, setup_dev
from circuits.policy_tree import build_tree
from circuits.solvency import SIZES, Size, build
from circuits.verifiers import native, pyecc
from tests.circuits.books import fixed_policy

BATCHES = (10, 100, 1000)
DISTINCT_PROOFS = 8
SNARKJS_RUNS = 3
PROOFS_FOR_MEMORY = 3


def measure(size: Size, folder: Path, with_snarkjs: bool) -> dict[str, Any]:
    """All figures of one circuit."""
    start = time.perf_counter()
    compiled = build(size)
    compile_s = time.perf_counter() - start
    files = prepare(size, folder)
    circuit, key, public, witness = files.circuit, files.key, files.public, files.witness
    policy = fixed_policy()
    proof = prove(key, witness)
    other = folder / "timed.zkey"
    key_s = seconds(lambda: setup_dev(circuit.native, other), runs=3)
    other.unlink()
    # Alternating, so that a busy machine slows both alike.
    proving: list[float] = []
    theirs: list[float] = []
    for _ in range(SNARKJS_RUNS):
        for _ in range(3):
            start = time.perf_counter()
            prove(key, witness)
            proving.append(time.perf_counter() - start)
        if with_snarkjs:
            theirs.append(snarkjs_prove(files, folder)[0])
    prove_s = _spread(proving)
    witness_s = seconds(lambda: circuit.native.witness(files.inputs), runs=9)
    figures: dict[str, Any] = {
        "rows": compiled.n_constraints,
        "keyMegabytes": round(files.zkey.stat().st_size / 1e6, 1),
        "seconds": {
            "compile": round(compile_s, 3),
            "handToRust": seconds(lambda: to_native(compiled), runs=3),
            "policyTree": seconds(lambda: build_tree(policy)),
            "key": key_s,
            "openKey": seconds(lambda: open_key(files.zkey)),
            "witness": witness_s,
            "prove": prove_s,
            "verifyRust": seconds(lambda: native.verify(key.verification_key, public, proof), runs=20),
            "verifyPyEcc": seconds(lambda: pyecc.verify(key.verification_key, public, proof), runs=3),
        },
        "witnessShareOfProve": round(witness_s["median"] / prove_s["median"], 3),
        "freshProcessPeakMegabytes": _peak(files),
        "batchVerification": batches(files),
    }
    if with_snarkjs:
        median = _spread(theirs)["median"]
        figures["snarkjs"] = {
            "proveSeconds": median,
            "timesOurs": round(median / prove_s["median"], 1),
        }
    return figures


def batches(files: Files) -> list[dict[str, float]]:
    """Seconds for each proof of a batch, of a few proofs repeated."""
    vk = files.key.verification_key
    made = [(files.public, prove(files.key, files.witness)) for _ in range(DISTINCT_PROOFS)]
    out = []
    for count in BATCHES:
        items = (made * (count // len(made) + 1))[:count]
        if not native.verify_batch(vk, items):
            raise RuntimeError("a batch of true proofs is refused")
        took = seconds(lambda items=items: native.verify_batch(vk, items), runs=3)  # type: ignore[misc]
        out.append({"proofs": count, "secondsEach": round(took["median"] / count, 7)})
    return out


def _peak(files: Files) -> int:
    """Peak memory in MB of a process that opens the key and makes some proofs; the mapped key counts."""
    with ours(files) as worker:
        for _ in range(PROOFS_FOR_MEMORY):
            worker.ask("prove")
    return worker.peak_megabytes


def _spread(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return {"min": round(ordered[0], 6), "median": round(median, 6), "max": round(ordered[-1], 6)}


def main() -> None:
    """Measures both circuits."""
    with tempfile.TemporaryDirectory() as name:
        figures = {size.name: measure(size, Path(name), "--snarkjs" in sys.argv) for size in SIZES.values()}
    write("proofs", {"circuits": json.loads(json.dumps(figures))})


if __name__ == "__main__":
    main()
