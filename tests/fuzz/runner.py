"""Runs targets in a child process, so that an abort, a hang or a flood of memory is a finding and not the end."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.target import Target, case

HANG_S = 20.0
"""A case that takes longer hangs; the slowest take a tenth of a second."""
START_S = 120.0
MAX_DEATHS = 20
WORKER = "tests.fuzz.worker"


@dataclass(frozen=True)
class Finding:
    """An input that a parser does not stand."""

    target: str
    case: int
    error: str
    at: str
    input: bytes


def fuzz(targets: Sequence[Target], seed: int, cases: int = 0, seconds: float = 0.0) -> list[Finding]:
    """Everything found in `cases` cases of each target of weight 10, or in `seconds` over all targets."""
    findings: list[Finding] = []
    firsts = [0] * len(targets)
    started = 0
    deaths = 0
    with tempfile.TemporaryDirectory(prefix="counterfoil-fuzz-") as name:
        folder = Path(name)
        while started < len(targets) and deaths < MAX_DEATHS:
            part = targets[started:]
            place, number, reason = _child(part, firsts[started:], seed, cases, seconds, folder)
            if reason is None:
                break
            deaths += 1
            target = part[place]
            seeds = target.seeds(folder)
            findings.append(Finding(target.name, number, reason, "", case(target, seeds, seed, number)))
            started += place
            firsts[started] = number + 1
            if seconds:
                started += 1
        records = folder / "findings"
        lines = records.read_text(encoding="utf-8").splitlines() if records.exists() else []
    for line in lines:
        r = json.loads(line)
        findings.append(Finding(r["target"], r["case"], r["error"], r["at"], bytes.fromhex(r["input"])))
    return findings


def _child(
    targets: Sequence[Target], firsts: Sequence[int], seed: int, cases: int, seconds: float, folder: Path
) -> tuple[int, int, str | None]:
    """One child: the place and case it died at, and how; None when it finished."""
    journal = folder / "journal"
    journal.write_bytes(struct.pack("<qq", -1, 0))
    entries = [f"{target.name}:{first}" for target, first in zip(targets, firsts, strict=True)]
    command = [sys.executable, "-m", WORKER, str(seed), str(cases), str(seconds), str(journal)]
    with (folder / "stderr").open("w+b") as errors:
        process = subprocess.Popen(
            [*command, str(folder / "findings"), *entries],
            stderr=errors,
            env={**os.environ, "TMPDIR": str(folder)},
        )
        last, since = (-1, 0), time.monotonic()
        try:
            while process.poll() is None:
                time.sleep(0.02)
                now = struct.unpack("<qq", journal.read_bytes())
                if now != last:
                    last, since = now, time.monotonic()
                if time.monotonic() - since > (HANG_S if last[0] >= 0 else START_S):
                    process.kill()
                    process.wait()
                    return max(0, last[0]), last[1], "hang"
        finally:
            process.kill()
            process.wait()
        last = struct.unpack("<qq", journal.read_bytes())
        if process.returncode == 0:
            return 0, 0, None
        errors.seek(0)
        text = errors.read().decode(errors="replace")[-1500:]
    if last[0] < 0:
        raise RuntimeError(f"the fuzz worker did not start: {text}")
    code = process.returncode
    how = signal.Signals(-code).name if code < 0 else f"exit {code}"
    return last[0], last[1], f"{how}: {text.strip()}"
