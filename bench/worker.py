"""One prover alone in a process, so that its memory can be told: python -m bench.worker key.zkey witness.wtns

Each line "prove" on standard input is answered with its time in seconds, and the end of the input with the peak memory.
The peers in bench/peers speak the same way.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path


def main() -> None:
    """Opens the key, then answers."""
    from circuits import _native
    from circuits.groth16 import open_key, prove

    zkey, wtns = (Path(argument) for argument in sys.argv[1:3])
    start = time.perf_counter()
    key = open_key(zkey)
    witness = _native.read_wtns(wtns)
    _answer("setup", time.perf_counter() - start)
    for command in sys.stdin:
        if command.strip() != "prove":
            raise SystemExit(f"unknown command {command.strip()!r}")
        start = time.perf_counter()
        prove(key, witness)
        _answer("prove", time.perf_counter() - start)
    _answer("peakMegabytes", round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def _answer(name: str, figure: float) -> None:
    print(json.dumps({name: figure}), flush=True)


if __name__ == "__main__":
    main()
