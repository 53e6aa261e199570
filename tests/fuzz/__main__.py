"""python -m tests.fuzz [--seconds N] [--cases N] [--seed N] [--save DIR] [--list] [target ..]

Fuzzes the named targets, or all; prints findings and exits with 1 when there are any. With --save each finding's input
goes to a file that tests/vectors/fuzz can take.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

from tests.fuzz.runner import fuzz
from tests.fuzz.targets import TARGETS, by_name


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="target", help="default: all")
    parser.add_argument("--seconds", type=float, default=0.0, help="for how long, over all targets")
    parser.add_argument("--cases", type=int, default=1000, help="cases of each target, without --seconds")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes other cases")
    parser.add_argument("--save", type=Path, help="a folder for the inputs of findings")
    parser.add_argument("--list", action="store_true", help="only list the targets")
    given = parser.parse_args()
    if given.list:
        print("\n".join(target.name for target in TARGETS))
        return 0
    if unknown := [name for name in given.targets if name not in by_name()]:
        parser.error(f"no such target: {', '.join(unknown)}; --list shows them")
    targets = [by_name()[name] for name in given.targets] or list(TARGETS)
    findings = fuzz(targets, given.seed, given.cases, given.seconds)
    for finding in findings:
        print(
            f"{finding.target} case {finding.case}: {finding.error}\n  at {finding.at}\n  {finding.input[:300]!r}"
        )
        if given.save:
            given.save.mkdir(parents=True, exist_ok=True)
            name = f"{finding.target}-{hashlib.sha256(finding.input).hexdigest()[:8]}"
            (given.save / name).write_bytes(finding.input)
    print(f"{len(targets)} targets, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
