"""Every number that the README claims, measured again: python -m bench.

bench.peers needs Go besides Rust and Node, and the network the first time. bench.mutation takes some ten minutes on two
free cores. `python -m bench.interop --full` is not part of it, because it takes half an hour and more and no figure of
the README comes from it: its results are read in docs/ceremony.md.
"""

from __future__ import annotations

import subprocess
import sys

ALL = (
    ["bench.constraints"],
    ["bench.proofs", "--snarkjs"],
    ["bench.batch"],
    ["bench.gas"],
    ["bench.slither"],
    ["bench.reads"],
    ["bench.relay"],
    ["bench.book"],
    ["bench.service"],
    ["bench.mutation"],
    ["bench.peers"],
    ["bench.table"],
)

if __name__ == "__main__":
    for arguments in ALL:
        print(f"python -m {' '.join(arguments)}", flush=True)
        subprocess.run([sys.executable, "-m", *arguments], check=True)
