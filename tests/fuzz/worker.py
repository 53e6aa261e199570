"""The child process: runs cases of targets, tells which one it is at, and writes what it finds.

python -m tests.fuzz.worker SEED CASES SECONDS JOURNAL FINDINGS TARGET:FIRST ..

The journal is 16 bytes in a mapped file: the number of the target on the command line and the case it is at. So when
this process dies, whoever started it knows the input that did it.
"""

from __future__ import annotations

import json
import mmap
import resource
import struct
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.fuzz.target import Target, case

MEMORY_ABOVE_START = 1 << 30
"""Address space that a case may take beyond what the process has before the first one."""


def main(targets: dict[str, Target]) -> None:
    """Runs until the cases or the seconds are used up. Of `targets` those that the command line names."""
    seed, cases, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    journal_path, findings_path, *names = sys.argv[4:]
    with open(journal_path, "r+b") as file, tempfile.TemporaryDirectory() as folder:
        journal = mmap.mmap(file.fileno(), 16)
        todo = []
        for place, entry in enumerate(names):
            name, _, first = entry.rpartition(":")
            target = targets[name]
            todo.append((place, target, target.seeds(Path(folder)), int(first)))
        for _, target, seeds, _ in todo:
            target.run(seeds[0])
        _limit_memory()
        end = time.monotonic() + seconds if seconds else 0.0
        for place, target, seeds, first in todo:
            until = time.monotonic() + seconds * target.weight / sum(t.weight for _, t, _, _ in todo)
            _run(
                target,
                seeds,
                seed,
                first,
                cases * target.weight // 10,
                until if end else 0.0,
                place,
                journal,
                findings_path,
            )


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_ABOVE_START
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _run(
    target: Target,
    seeds: list[bytes],
    seed: int,
    first: int,
    cases: int,
    until: float,
    place: int,
    journal: mmap.mmap,
    findings_path: str,
) -> None:
    known: set[str] = set()
    number = first
    while (number < cases) if not until else (time.monotonic() < until):
        data = case(target, seeds, seed, number)
        journal[:] = struct.pack("<qq", place, number)
        found = attempt(target, data)
        if found is not None:
            error, lines = found
            if lines not in known:
                known.add(lines)
                record = {
                    "target": target.name,
                    "case": number,
                    "error": error,
                    "at": lines,
                    "input": data.hex(),
                }
                with open(findings_path, "a", encoding="utf-8") as out:
                    out.write(json.dumps(record) + "\n")
        number += 1
    journal[:] = struct.pack("<qq", place + 1, 0)


def attempt(target: Target, data: bytes) -> tuple[str, str] | None:
    """None when the target does as it should with this input, else the error and where it comes from."""
    try:
        target.run(data)
    except target.allowed:
        return None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a panic of the core is a BaseException
        frames = traceback.extract_tb(error.__traceback__)[-3:]
        return f"{type(error).__name__}: {error}"[:500], " < ".join(
            f"{Path(f.filename).name}:{f.lineno}" for f in frames
        )
    return None


if __name__ == "__main__":
    from tests.fuzz.targets import by_name

    main(by_name())
