"""Compile, key, witness, prove and verify, with snarkjs beside it on the same key and witness.

python -m bench.proofs [--snarkjs]     writes bench/results/proofs.json
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from aggregator.margin.native import evaluate
from aggregator.model.policy import Level
from bench.record import seconds, write
from circuits import _native
from circuits.artifacts import ready, to_native
from circuits.assignment import Holder, assign, encode_inputs, public_signals
from circuits.groth16 import open_key, prove, setup_dev
from circuits.policy_tree import build_tree
from circuits.solvency import SIZES, Size, build
from circuits.verifiers import native, pyecc
from tests.circuits.books import ACCOUNT, fixed_policy

SNARKJS = Path("tests/node/node_modules/snarkjs/build/cli.cjs")


def measure(size: Size, folder: Path, with_snarkjs: bool) -> dict[str, Any]:
    """All figures of one circuit."""
    start = time.perf_counter()
    compiled = build(size)
    compile_s = time.perf_counter() - start
    circuit = ready(size.name)
    zkey = folder / f"{size.name}.zkey"
    policy = fixed_policy()
    evaluation = evaluate(policy, ACCOUNT, Level.IM)
    tree = build_tree(policy)
    inputs = assign(size, policy, tree, evaluation, Holder(1, 0, 2), evaluation.excess_e6, 3)
    encoded, public = encode_inputs(circuit.compiled, inputs), public_signals(inputs)
    key_s = seconds(lambda: setup_dev(circuit.native, zkey), runs=3)
    key = open_key(zkey, circuit.native)
    witness = circuit.native.witness(encoded)
    proof = prove(key, witness)
    figures: dict[str, Any] = {
        "rows": compiled.n_constraints,
        "keyMegabytes": round(zkey.stat().st_size / 1e6, 1),
        "seconds": {
            "compile": round(compile_s, 3),
            "handToRust": seconds(lambda: to_native(compiled), runs=3),
            "policyTree": seconds(lambda: build_tree(policy)),
            "key": key_s,
            "openKey": seconds(lambda: open_key(zkey)),
            "witness": seconds(lambda: circuit.native.witness(encoded)),
            "prove": seconds(lambda: prove(key, witness)),
            "verifyRust": seconds(lambda: native.verify(key.verification_key, public, proof), runs=20),
            "verifyPyEcc": seconds(lambda: pyecc.verify(key.verification_key, public, proof), runs=3),
        },
    }
    if with_snarkjs:
        wtns = folder / f"{size.name}.wtns"
        _native.write_wtns(wtns, witness)
        figures["snarkjs"] = _beside_snarkjs(zkey, wtns, folder, figures["seconds"]["prove"]["median"])
    return figures


def _beside_snarkjs(zkey: Path, wtns: Path, folder: Path, ours: float) -> dict[str, float]:
    """Wall time of `snarkjs groth16 prove` on the same files, node's start included (0.2 s)."""
    command = [
        "node",
        str(SNARKJS),
        "groth16",
        "prove",
        zkey,
        wtns,
        folder / "proof.json",
        folder / "public.json",
    ]
    took = seconds(lambda: subprocess.run([str(c) for c in command], check=True, capture_output=True), runs=3)
    return {"proveSeconds": took["median"], "timesOurs": round(took["median"] / ours, 1)}


def main() -> None:
    """Measures both circuits."""
    with tempfile.TemporaryDirectory() as name:
        figures = {size.name: measure(size, Path(name), "--snarkjs" in sys.argv) for size in SIZES.values()}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    write("proofs", {"circuits": json.loads(json.dumps(figures)), "peakMegabytes": round(peak / 1024)})


if __name__ == "__main__":
    main()
