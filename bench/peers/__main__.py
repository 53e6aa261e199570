"""Ours, snarkjs, gnark and ark-groth16 in turn, in one run: python -m bench.peers writes bench/results/peers.json.

Every round makes one proof with each prover, so that a busy machine slows all alike. All of them get two cores.

- ours and snarkjs prove on the same `.zkey` and `.wtns`;
- gnark and ark-groth16 read the same `.r1cs` and `.wtns` and make a key of their own;
- gnark's prover also solves and checks every row; that part is measured alone and taken off for `timesOurs`.

Needs Go, Rust and Node. Sources: bench/peers/gnark and bench/peers/ark.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.files import Conversation, Files, ours, prepare, snarkjs_prove
from bench.record import write
from circuits.solvency import SIZES, Size

HERE = Path(__file__).parent
BUILD = HERE.parent.parent / "target" / "peers"
THREADS = 2
ROUNDS = 5
VERSIONS = {"gnark": "0.15.0", "ark-groth16": "0.6.0"}


def build() -> dict[str, Path]:
    """The two programs of the peers.

    Raises: SystemExit when a tool is missing or a build fails.
    """
    for tool, advice in (
        ("go", "install Go 1.25 or later"),
        ("cargo", "install Rust"),
        ("node", "install Node"),
    ):
        if shutil.which(tool) is None:
            raise SystemExit(f"{tool} is not installed: {advice} and run python -m bench.peers again")
    BUILD.mkdir(parents=True, exist_ok=True)
    programs = {"gnark": BUILD / "gnark", "ark-groth16": BUILD / "release" / "counterfoil-peer-ark"}
    for command, folder in (
        (["go", "build", "-o", str(programs["gnark"]), "."], HERE / "gnark"),
        (["cargo", "build", "--quiet", "--release", "--target-dir", str(BUILD)], HERE / "ark"),
    ):
        if subprocess.run(command, cwd=folder, check=False).returncode:
            raise SystemExit(f"{' '.join(command)} in {folder} failed: see its message above")
    return programs


def compare(size: Size, folder: Path, programs: dict[str, Path]) -> dict[str, Any]:
    """Medians of one circuit, and how many times ours they are."""
    files = prepare(size, folder)
    r1cs = folder / f"{size.name}.r1cs"
    files.circuit.native.write_r1cs(r1cs)
    times: dict[str, list[float]] = {}
    with ExitStack() as stack:
        provers = {"ours": stack.enter_context(ours(files))}
        for name, program in programs.items():
            provers[name] = stack.enter_context(Conversation([program, r1cs, files.wtns]))
        for prover in provers.values():
            prover.ask("prove")
        for _ in range(ROUNDS):
            _round(files, folder, provers, times)
        for name in programs:
            provers[name].ask("verify")
    medians = {name: statistics.median(values) for name, values in times.items()}
    out: dict[str, Any] = {"rows": files.circuit.compiled.n_constraints}
    for name in ("ours", "snarkjs", *programs):
        alone = medians[name] - medians.get(f"{name} solve", 0)
        out[name] = {
            "proveSeconds": round(medians[name], 4),
            "fastestSeconds": round(min(times[name]), 4),
            "timesOurs": round(alone / medians["ours"], 2),
            "peakMegabytes": int(times["snarkjs memory"][-1])
            if name == "snarkjs"
            else provers[name].peak_megabytes,
        }
        if name in VERSIONS:
            out[name]["setupSeconds"] = round(provers[name].setup_seconds, 2)
            out[name]["version"] = VERSIONS[name]
        if f"{name} solve" in medians:
            out[name]["ofWhichSolveSeconds"] = round(medians[f"{name} solve"], 4)
    return out


def _round(
    files: Files, folder: Path, provers: dict[str, Conversation], times: dict[str, list[float]]
) -> None:
    for name, prover in provers.items():
        times.setdefault(name, []).append(prover.ask("prove"))
    times.setdefault("gnark solve", []).append(provers["gnark"].ask("solve"))
    took, megabytes = snarkjs_prove(files, folder)
    times.setdefault("snarkjs", []).append(took)
    times.setdefault("snarkjs memory", []).append(megabytes)
    print(
        ", ".join(f"{name} {values[-1]:.3f}" for name, values in times.items()), file=sys.stderr, flush=True
    )


def main() -> None:
    """Measures both circuits on two cores."""
    programs = build()
    cores = sorted(os.sched_getaffinity(0))[:THREADS]
    os.sched_setaffinity(0, cores)
    os.environ.update(RAYON_NUM_THREADS=str(THREADS), GOMAXPROCS=str(THREADS))
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        for size in SIZES.values():
            folder = Path(name) / size.name
            folder.mkdir()
            figures[size.name] = compare(size, folder, programs)
    write("peers", {"threads": len(cores), "rounds": ROUNDS, "circuits": figures})


if __name__ == "__main__":
    main()
