"""A ceremony on a large circuit, ours and snarkjs's: python -m bench.interop [--circuit NAME] [--snarkjs] [--full].

Powers of tau are made here, so the key is a rehearsal. With --snarkjs both directions run: snarkjs reads our circuit
and adds a contribution, which we take in; with that key we prove, and snarkjs verifies; snarkjs proves, and we verify.
With --full snarkjs also makes the first key, which has to be ours byte for byte, and runs `zkey verify` on the last:
each a quarter of an hour for solvency-16, hours for solvency-64. Not part of `python -m bench`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aggregator.margin.native import evaluate
from aggregator.model.policy import Level
from bench.record import RESULTS, write
from circuits import _native, ceremony, formats
from circuits.artifacts import ReadyCircuit
from circuits.assignment import Holder, assign, encode_inputs, public_signals
from circuits.ceremony.run import compile_again
from circuits.groth16 import open_key, prove
from circuits.policy_tree import build_tree
from circuits.solvency import SIZES
from circuits.verifiers import native
from tests.circuits.books import ACCOUNT, fixed_policy

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


def measure(name: str, snarkjs: str, folder: Path) -> dict[str, Any]:
    """The steps of a ceremony of one circuit, in seconds, and what snarkjs says of its files."""
    circuit = compile_again(name)
    power = circuit.native.domain_size.bit_length()
    ptau, directory = folder / "powers.ptau", folder / "ceremony"
    seconds, theirs = dict[str, float](), dict[str, float]()
    timed(seconds, "powers", lambda: _native.make_powers(ptau, power, True, "bench"))
    timed(seconds, "firstKey", lambda: ceremony.init(circuit, ptau, directory))
    for number in range(2):
        before, after = directory / f"{number:04}.zkey", folder / f"{number}.zkey"
        timed(seconds, "contribute", lambda a=before, b=after: ceremony.contribute(a, b, "bench"))  # type: ignore[misc]
        timed(seconds, "receive", lambda a=after: ceremony.receive(directory, a))  # type: ignore[misc]
    figures: dict[str, Any] = {"rows": circuit.native.n_constraints, "power": power}
    if snarkjs != "no":
        figures["snarkjs"] = both_ways(circuit, directory, folder, theirs)
    timed(seconds, "beacon", lambda: ceremony.apply_beacon(directory, BEACON, BEACON_ITERATIONS))
    timed(seconds, "verify", lambda: ceremony.verify(circuit, ptau, directory))
    last = max(directory.glob("*.zkey"))
    if snarkjs == "full":
        figures["snarkjs"] |= whole(directory / "circuit.r1cs", ptau, directory / "0000.zkey", last, theirs)
    figures |= {"ptauBytes": ptau.stat().st_size, "zkeyBytes": last.stat().st_size, "seconds": seconds}
    if snarkjs != "no":
        figures["snarkjs"]["seconds"] = theirs
    return figures


def both_ways(
    circuit: ReadyCircuit, directory: Path, folder: Path, seconds: dict[str, float]
) -> dict[str, bool]:
    """A contribution of snarkjs, taken in; proofs under that key by us and by snarkjs, each verified by the other."""
    printed: list[str] = []

    def theirs(name: str, *arguments: str | Path) -> None:
        timed(seconds, name, lambda: printed.append(run_snarkjs(*arguments)))

    theirs("r1csInfo", "r1cs", "info", directory / "circuit.r1cs")
    key, before = folder / "theirs.zkey", directory / "0002.zkey"
    theirs("contribute", "zkey", "contribute", before, key, "--name=snarkjs", "-e=dice")
    ceremony.receive(directory, key)
    evaluation = evaluate(fixed_policy(), ACCOUNT, Level.IM)
    tree = build_tree(fixed_policy())
    inputs = assign(circuit.size, fixed_policy(), tree, evaluation, Holder(1, 0, 2), evaluation.excess_e6, 3)
    witness = circuit.witness(encode_inputs(circuit.compiled, inputs))
    opened = open_key(key, circuit.native)
    proof = prove(opened, witness)
    files = {name: folder / f"{name}.json" for name in ("vk", "public", "proof", "theirPublic", "theirProof")}
    files["public"].write_text(json.dumps(formats.encode_public(public_signals(inputs))))
    files["proof"].write_text(json.dumps(formats.encode_proof(proof)))
    _native.write_wtns(folder / "witness.wtns", witness)
    theirs("exportKey", "zkey", "export", "verificationkey", key, files["vk"])
    theirs("verifyOurs", "groth16", "verify", files["vk"], files["public"], files["proof"])
    theirs(
        "prove", "groth16", "prove", key, folder / "witness.wtns", files["theirProof"], files["theirPublic"]
    )
    public = formats.parse_public(json.loads(files["theirPublic"].read_bytes()))
    native.verify(
        opened.verification_key, public, formats.parse_proof(json.loads(files["theirProof"].read_bytes()))
    )
    return {
        "r1csInfoAgrees": f"# of Constraints: {circuit.native.n_constraints}\n" in printed[0],
        "weTakeItsContribution": True,
        "exportedKeyIsOurs": json.loads(files["vk"].read_bytes())
        == json.loads(json.dumps(formats.encode_verification_key(opened.verification_key))),
        "verifiesOurProof": "OK!" in printed[3],
        "weVerifyItsProof": list(public) == list(public_signals(inputs)),
    }


def whole(r1cs: Path, ptau: Path, first: Path, last: Path, seconds: dict[str, float]) -> dict[str, bool]:
    """What takes snarkjs longest: its own first key, and `zkey verify` of our last."""
    printed: list[str] = []
    own = first.parent.parent / "own.zkey"
    timed(seconds, "setup", lambda: run_snarkjs("groth16", "setup", r1cs, ptau, own))
    timed(seconds, "zkeyVerify", lambda: printed.append(run_snarkjs("zkey", "verify", r1cs, ptau, last)))
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in (own, first)]
    return {"firstKeyIsOurs": digests[0] == digests[1], "zkeyVerifyAccepts": "ZKey Ok!" in printed[0]}


def main() -> None:
    """Measures one circuit and keeps the others' figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--circuit", choices=sorted(SIZES), default="solvency-16")
    how = parser.add_mutually_exclusive_group()
    for option, text in (("snarkjs", "both directions"), ("full", "also its first key and `zkey verify`")):
        how.add_argument(
            f"--{option}", dest="snarkjs", action="store_const", const=option, default="no", help=text
        )
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
