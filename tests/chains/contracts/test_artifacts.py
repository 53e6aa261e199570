"""The compiled contracts in the package are what the sources compile to."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from aggregator.model.errors import FormatError
from chains.contracts import artifact

CONTRACTS = Path(__file__).parents[3] / "chains" / "contracts"


@pytest.mark.node
def test_committed_artifacts_equal_a_fresh_compile(tmp_path: Path) -> None:
    """Same file names, same bytes."""
    node = shutil.which("node")
    assert node is not None, "node is not installed"
    subprocess.run([node, "compile.mjs", "--out", str(tmp_path)], cwd=CONTRACTS, check=True)
    fresh = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    committed = {p.name: p.read_bytes() for p in (CONTRACTS / "artifacts").iterdir()}
    assert fresh.keys() == committed.keys()
    assert [name for name in fresh if fresh[name] != committed[name]] == []


def test_artifact_has_abi_and_code() -> None:
    """An artifact names its contract and carries code that starts a constructor."""
    token = artifact("TestToken")
    assert token.name == "TestToken"
    assert token.solc.startswith("0.8.37")
    assert token.bytecode.startswith(b"\x60")
    assert token.deployed_bytecode
    assert {entry.get("name") for entry in token.abi} >= {"mint", "balanceOf", "decimals"}


@pytest.mark.parametrize("name", ["Nothing", "../package", "TestToken.json", ""])
def test_unknown_artifact_is_refused(name: str) -> None:
    """A name outside the package is refused with the names that exist."""
    with pytest.raises(FormatError, match="there is no contract artifact"):
        artifact(name)


def test_artifact_files_are_canonical() -> None:
    """Every artifact's file name is its contract name, and none has an unlinked library."""
    for path in (CONTRACTS / "artifacts").iterdir():
        raw = json.loads(path.read_text())
        assert raw["contractName"] == path.stem
        assert "__$" not in raw["bytecode"]


def test_lock_names_no_host() -> None:
    """The lock file pins packages by name, version and hash; where they come from is the user's setting."""
    lock = json.loads((CONTRACTS / "package-lock.json").read_text())
    assert all("resolved" not in entry for entry in lock["packages"].values())
