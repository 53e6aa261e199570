"""Contracts of other projects, from their npm packages in tests/node-protocols, as artifacts to deploy."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from chains.contracts import Artifact

FOLDER = Path(__file__).parents[1] / "node-protocols"
PACKAGES = FOLDER / "node_modules"


@cache
def installed() -> Path:
    """The folder of the npm packages, installed on first use where set-up has not done it."""
    if not (PACKAGES / ".package-lock.json").is_file():
        npm = shutil.which("npm")
        assert npm is not None, "npm is not installed"
        subprocess.run([npm, "ci", "--loglevel=error"], cwd=FOLDER, capture_output=True, check=True)
    return PACKAGES


@cache
def odd_tokens() -> dict[str, Artifact]:
    """tests/node-protocols/contracts, compiled now."""
    node = shutil.which("node")
    assert node is not None, "node is not installed"
    installed()
    done = subprocess.run([node, "compile.mjs"], cwd=FOLDER, capture_output=True, check=True)
    return {
        name: Artifact(name, made["abi"], bytes.fromhex(made["bytecode"]), b"", "")
        for name, made in json.loads(done.stdout).items()
    }


def published(path: str, libraries: dict[str, str] | None = None) -> Artifact:
    """The artifact at `path` in node_modules, with the addresses of its libraries filled in."""
    raw: dict[str, Any] = json.loads((installed() / path).read_text())
    code = str(raw["bytecode"]).removeprefix("0x")
    for names in raw.get("linkReferences", {}).values():
        for name, places in names.items():
            address = (libraries or {})[name].removeprefix("0x").lower()
            for place in places:
                start, end = 2 * place["start"], 2 * (place["start"] + place["length"])
                code = code[:start] + address + code[end:]
    return Artifact(Path(path).stem, raw["abi"], bytes.fromhex(code), b"", "")
