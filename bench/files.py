"""The files that provers are measured on: a key, a circuit and a witness of the fixed account."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from aggregator.margin.native import evaluate
from aggregator.model.policy import Level
from circuits import _native
from circuits.artifacts import ReadyCircuit, ready
from circuits.assignment import Holder, assign, encode_inputs, public_signals
from circuits.groth16 import ProvingKey, open_key, setup_dev
from circuits.policy_tree import build_tree
from circuits.solvency import Size
from tests.circuits.books import ACCOUNT, fixed_policy

SNARKJS = Path("tests/node/node_modules/snarkjs/build/cli.cjs")


@dataclass(frozen=True)
class Files:
    """What one circuit is measured with."""

    circuit: ReadyCircuit
    key: ProvingKey
    inputs: bytes
    witness: bytes
    public: tuple[int, ...]
    zkey: Path
    wtns: Path


def prepare(size: Size, folder: Path) -> Files:
    """Makes a dev key and a witness in `folder`."""
    circuit = ready(size.name)
    zkey, wtns = (folder / f"{size.name}.{kind}" for kind in ("zkey", "wtns"))
    policy = fixed_policy()
    evaluation = evaluate(policy, ACCOUNT, Level.IM)
    inputs = assign(size, policy, build_tree(policy), evaluation, Holder(1, 0, 2), evaluation.excess_e6, 3)
    encoded = encode_inputs(circuit.compiled, inputs)
    setup_dev(circuit.native, zkey)
    witness = circuit.native.witness(encoded)
    _native.write_wtns(wtns, witness)
    key = open_key(zkey, circuit.native)
    return Files(circuit, key, encoded, witness, tuple(public_signals(inputs)), zkey, wtns)


def snarkjs_prove(files: Files, folder: Path) -> tuple[float, int]:
    """Wall time of `snarkjs groth16 prove` in seconds, node's start included (0.2 s), and its peak memory in MB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    arguments = [files.zkey, files.wtns, folder / "proof.json", folder / "public.json"]
    start = time.perf_counter()
    subprocess.run(
        ["node", str(SNARKJS), "groth16", "prove", *map(str, arguments)], check=True, capture_output=True
    )
    took = time.perf_counter() - start
    # The largest of all children so far: exact when snarkjs is the largest, which it is by far.
    return took, round(max(before, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024)


class Conversation:
    """A prover in a process of its own that answers lines, as bench/worker.py does."""

    def __init__(self, command: Sequence[str | Path]) -> None:
        self._process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.setup_seconds = self._read("setup")
        self.peak_megabytes = 0

    def ask(self, command: str) -> float:
        """Seconds that `command` took.

        Raises: RuntimeError when the process has ended or answers something else.
        """
        if self._process.stdin is None or self._process.poll() is not None:
            raise RuntimeError("the prover has ended: see its message above")
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return self._read(command)

    def _read(self, name: str) -> float:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"the prover ended without an answer to {name}: see its message above")
        return float(json.loads(line)[name])

    def __enter__(self) -> Conversation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        if kind is None:
            self.peak_megabytes = int(self._read("peakMegabytes"))
        else:
            self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def ours(files: Files) -> Conversation:
    """Our prover in a fresh process."""
    return Conversation([sys.executable, "-m", "bench.worker", files.zkey, files.wtns])
