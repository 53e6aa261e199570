"""Runs command lines in this process, through the same function as the installed command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aggregator.cli.main import run
from tests.aggregator.cli.scene import Files


@dataclass(frozen=True)
class Outcome:
    """What a command line left: its exit code and what it printed."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """stdout as JSON."""
        return json.loads(self.out)

    def refused(self, code: int, *parts: str) -> None:
        """Exactly one error sentence that holds `parts`, nothing on stdout, and this exit code."""
        errors = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, self.err
        assert self.out == ""
        for part in parts:
            assert part in errors[0]
        assert "Traceback" not in self.err
        assert self.code == code


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


Invoke = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def invoke(home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Invoke:
    monkeypatch.setenv("COUNTERFOIL_HOME", str(home))

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return call


NETWORK = """
name = "Nowhere"
chain_id = 31337999
endpoints = ["http://127.0.0.1:9"]

[native]
symbol = "ETH"

[rpc]
timeout_s = 1
attempts = 1
"""


@pytest.fixture
def dead_network(tmp_path: Path) -> Path:
    """A network file whose only endpoint answers nothing (port 9, discard)."""
    path = tmp_path / "nowhere.toml"
    path.write_text(NETWORK)
    return path


@pytest.fixture
def unset_network(dead_network: Path) -> Path:
    """The same network with its endpoint left to a variable that nobody sets."""
    dead_network.write_text(NETWORK.replace("http://127.0.0.1:9", "${COUNTERFOIL_TEST_RPC}"))
    return dead_network
