"""Runs every benchmark: python -m bench."""

from __future__ import annotations

import subprocess
import sys

ALL = (
    ["bench.constraints"],
    ["bench.proofs", "--snarkjs"],
    ["bench.batch"],
    ["bench.gas"],
    ["bench.reads"],
    ["bench.relay"],
    ["bench.book"],
    ["bench.service"],
    ["bench.mutation"],
    ["bench.table"],
)

if __name__ == "__main__":
    for arguments in ALL:
        print(f"python -m {' '.join(arguments)}", flush=True)
        subprocess.run([sys.executable, "-m", *arguments], check=True)
