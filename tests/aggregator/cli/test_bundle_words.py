"""What the commands believe of a bundle's own words: nothing that they can compare, and they say what they cannot."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from circuits.artifacts import ready
from circuits.bundle import encode_bundle
from circuits.formats.snarkjs import encode_verification_key
from circuits.keys import ensure_dev_key
from circuits.solvency import SMALL
from tests.aggregator.cli.conftest import Invoke
from tests.aggregator.service.scene import NOW, bundle

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture(autouse=True)
def _at_that_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: float(NOW))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes the scene's bundle, edited, to a file."""

    def made(edit: Edit = lambda _: None) -> Path:
        document = json.loads(encode_bundle(bundle()))
        edit(document)
        path = tmp_path / "bundle.json"
        path.write_text(json.dumps(document))
        return path

    return made


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    key = ensure_dev_key(ready(SMALL.name)).verification_key
    path = tmp_path / "verification_key.json"
    path.write_text(json.dumps(encode_verification_key(key)))
    return path


def called_ceremony(document: dict[str, Any]) -> None:
    document["circuit"]["key"] = "ceremony"


def test_a_dev_key_that_is_called_ceremony_is_refused(invoke: Invoke, write: Callable[..., Path]) -> None:
    invoke("proof", "verify", write(called_ceremony)).refused(
        4, "by the verification key it is a dev key", "altered"
    )
    honest = invoke("proof", "verify", write(), "--json")
    assert (honest.code, honest.data["keyKind"], honest.data["keyKindChecked"]) == (0, "dev", True)
    assert "a dev key: whoever made it could forge proofs" in invoke("proof", "verify", write()).out


def test_of_a_key_from_a_file_the_kind_is_not_known(
    invoke: Invoke, write: Callable[..., Path], key_file: Path
) -> None:
    given = ("--verification-key", key_file)
    shown = invoke("proof", "verify", write(called_ceremony), *given)
    assert shown.code == 0, shown.err
    assert "called solvency-16, ceremony by the bundle, not checked" in shown.out
    data = invoke("proof", "verify", write(called_ceremony), *given, "--json").data
    assert (data["keyKind"], data["keyKindChecked"]) == ("ceremony", False)
    assert "a dev key" in invoke("proof", "verify", write(), *given).out


def says_more(document: dict[str, Any]) -> None:
    document["statement"]["amountUsd"] = "100001"


def test_an_altered_bundle_is_not_malformed(
    invoke: Invoke, write: Callable[..., Path], tmp_path: Path
) -> None:
    """Every command that reads one says the same, with the exit code for what is not to be relied on."""
    venue = tmp_path / "venue.toml"
    venue.write_text(VENUE)
    for command in (
        ("proof", "verify"),
        ("venue", "check", "--venue", venue),
        ("venue", "pledge", "--venue", venue, "--amount", "1", "--signer", "env:NO_KEY"),
        ("relay", "submit", "--signer", "env:NO_KEY"),
    ):
        invoke(*command, write(says_more)).refused(4, "has been altered", "ask the holder for a new one")
        problem = invoke(*command, write(says_more), "--json")
        assert (problem.code, problem.data["type"]) == (4, "urn:counterfoil:problem:proof-refused")


VENUE = f"""
venue = "0x{"fe" * 20}"
chain_id = 31337001
registry = "0x{"11" * 20}"
amount_usd = "1"
level = "IM"
attestors = ["0x{"01" * 20}"]
threshold = 1
max_age_s = 900
coverages = []
chains = []
least_trust = "single-rpc"
accept_dev_keys = true
policies = []
verification_keys = []
"""


def test_a_circuit_that_is_called_another_is_refused(invoke: Invoke, write: Callable[..., Path]) -> None:
    path = write(lambda document: document["circuit"].update(digest="0x" + "00" * 32))
    invoke("proof", "verify", path).refused(4, "the bundle calls its circuit's digest 0x0000", "altered")


def test_no_word_of_a_bundle_can_redraw_the_terminal(
    invoke: Invoke, write: Callable[..., Path], key_file: Path
) -> None:
    """Not even in the sentence that refuses it."""
    words = (("circuit", "name"), ("policy", "name"), ("policy", "publisher"), ("statement", "amountUsd"))
    for part, field in words:
        path = write(lambda d, part=part, field=field: d[part].update({field: "\x1b[2K good \x1b[1A"}))
        result = invoke("proof", "verify", path, "--verification-key", key_file)
        result.refused(2, f"bundle.{part}.{field}", "printable")
        assert "\x1b" not in result.err
