"""Static analysis of the contracts with Slither: python -m bench.slither

Slither pins other versions of web3 than ours, so it lives in an environment of its own, made from PyPI at the first
run. Fails when a detector finds something in our own sources that docs/registry.md does not explain; imported sources
are counted too, and named as theirs.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from pathlib import Path
from typing import Any, Final

from bench.record import write

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
CONTRACTS: Final = ROOT / "chains" / "contracts"
ENVIRONMENT: Final = ROOT / ".venv" / "slither"
VERSION: Final = "0.11.6"
ROOTS: Final = ("SolvencyRegistry", "Groth16Verifier", "RegistryTimelock", "BalanceReader", "SignatureReader")
EXPLAINED: Final = frozenset(
    {
        "assembly",
        "incorrect-equality",
        "low-level-calls",
        "missing-zero-check",
        "naming-convention",
        "pragma",
        "timestamp",
        "too-many-digits",
        "unused-return",
    }
)
"""Detectors whose findings in our sources docs/registry.md explains, one by one."""


def program() -> Path:
    """The slither command, installed if it is not yet."""
    found = ENVIRONMENT / "bin" / "slither"
    if not found.exists():
        venv.create(ENVIRONMENT, with_pip=True)
        pip = [ENVIRONMENT / "bin" / "pip", "install", "--quiet", f"slither-analyzer=={VERSION}"]
        subprocess.run(pip, check=True)
    return found


def findings(name: str, folder: Path) -> list[dict[str, Any]]:
    """What all detectors say of one contract and what it imports."""
    report = folder / f"{name}.json"
    command = [program(), f"src/{name}.sol", "--solc", HERE / "solc.cjs", "--json", report]
    done = subprocess.run(command, cwd=CONTRACTS, capture_output=True, text=True, check=False)
    if not report.exists():
        raise SystemExit(f"slither did not analyse {name}: {done.stderr[-2000:]}")
    document = json.loads(report.read_text())
    if not document["success"]:
        raise SystemExit(f"slither did not analyse {name}: {document['error']}")
    return list(document["results"].get("detectors", []))


def is_own(finding: dict[str, Any]) -> bool:
    """Whether it is in a source of ours."""
    places = (element["source_mapping"]["filename_relative"] for element in finding["elements"])
    return any(place.startswith("src/") for place in places)


def main() -> None:
    """Analyses, records, and fails for what is not explained."""
    with tempfile.TemporaryDirectory() as folder:
        every = {f["id"]: f for name in ROOTS for f in findings(name, Path(folder))}.values()
    own = [f for f in every if is_own(f)]

    def counted(found: list[dict[str, Any]]) -> dict[str, int]:
        return dict(sorted(Counter(f"{f['impact']}: {f['check']}" for f in found).items()))

    unexplained = [f["description"] for f in own if f["check"] not in EXPLAINED]
    write(
        "slither",
        {
            "slither": VERSION,
            "contracts": list(ROOTS),
            "own": counted(own),
            "imported": counted([f for f in every if not is_own(f)]),
            "unexplained": unexplained,
        },
    )
    if unexplained:
        sys.exit("\n".join(["slither found what docs/registry.md does not explain:", *unexplained]))


if __name__ == "__main__":
    main()
