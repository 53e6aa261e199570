"""What the commands believe of a bundle's own words: nothing that they can compare, and they say what they cannot."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import aggregator.web
from aggregator.cli import relaying
from aggregator.cli.framework import Settings
from aggregator.service.http.operations import document_bytes
from chains.relayer import Outcome, State
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
        path = write(says_more)
        invoke(*command, path).refused(4, str(path), "has been altered", "ask the holder for a new one")
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


def test_every_screen_that_shows_a_bundle_shows_that_its_key_is_dev(
    invoke: Invoke,
    write: Callable[..., Path],
    key_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As a table and as JSON. What asks a chain, `registry show` too, is in test_main_job; the rest is below."""
    monkeypatch.setattr(relaying, "send", lambda *_: Outcome("k", State.PLANNED))
    monkeypatch.setattr(relaying, "coin_of", lambda *_: "ETH")
    path, venue = write(), tmp_path / "venue.toml"
    entry = f'''
[[verification_keys]]
file = "verification_key.json"
kind = "dev"
circuit = "{bundle().circuit}"
circuit_digest = "{bundle().circuit_digest}"
'''
    venue.write_text(VENUE.replace("verification_keys = []", entry))
    screens: dict[tuple[object, ...], str] = {
        ("proof", "verify", path): "solvency-16, dev  a dev key: whoever made it could forge proofs",
        ("proof", "verify", path, "--verification-key", key_file): "called solvency-16, dev by the bundle",
        ("venue", "check", path, "--venue", venue, "--offline"): "solvency-16, dev key",
        ("relay", "submit", path, "--signer", "env:NO_KEY"): "called solvency-16, dev by the bundle",
    }
    for command, words in screens.items():
        assert words in invoke(*command).out, command
        assert invoke(*command, "--json").data["keyKind"] == "dev", command


def test_every_answer_of_the_service_that_shows_a_bundle_has_the_kind_of_its_key() -> None:
    """By the document of the API: whatever lists a bundle's amount and venue also says `keyKind`."""
    schemas = json.loads(document_bytes())["components"]["schemas"]
    shown = [name for name, schema in schemas.items() if shows_a_bundle(schema.get("properties", {}))]
    assert shown == ["BundleEntry"]
    statement = schemas["Verdict"]["properties"]["statement"]
    for schema in (schemas["BundleEntry"], statement):
        assert "keyKind" in schema["required"]
    assert "kind" in schemas["VerificationKey"]["required"]


def shows_a_bundle(properties: dict[str, Any]) -> bool:
    return {"amountUsd", "level", "expiry", "venue"} <= properties.keys()


def test_the_dashboard_says_it_too() -> None:
    """In its table of bundles, when one was made, and on the venue's page."""
    pages = Path(aggregator.web.__file__).parent / "static" / "app"
    proofs = (pages / "proofs.mjs").read_text()
    assert "keyTag(b.keyKind)" in proofs
    assert "made.keyKind" in proofs
    assert "bundle.circuit.key" in (pages / "venue.mjs").read_text()


def test_what_is_wrong_in_a_file_names_the_file(
    invoke: Invoke, write: Callable[..., Path], tmp_path: Path
) -> None:
    """And the place in it: a bundle holds its proof, there is no proof.json."""
    path = write(lambda d: d["proof"]["pi_a"].__setitem__(0, 1))
    place = "bundle.proof: pi_a[0] is not a decimal string"
    invoke("proof", "verify", path).refused(2, str(path), place, "ask the holder for the bundle again")
    bad = tmp_path / "bad.json"
    bad.write_text("{}")
    asked = ("--policy", bad, "--amount", "1", "--venue", "0x" + "01" * 20)
    asked += ("--registry", "eip155:1:0x" + "02" * 20)
    for content in ("{}", "{"):
        bad.write_text(content)
        invoke("proof", "make", "main", *asked, "--attestation", bad).refused(2, str(bad))
        invoke("proof", "verify", bad).refused(2, str(bad))
        folder = tmp_path / "ceremony"
        folder.mkdir(exist_ok=True)
        (folder / "ceremony.json").write_text(content)
        invoke("ceremony", "receive", bad, "--dir", folder).refused(2, "ceremony.json")


def test_the_first_dev_key_has_a_bar_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """In place of the line of the step, which comes back after it; and nothing where stderr is no terminal."""
    for terminal in (True, False):
        out = io.StringIO()
        settings = Settings()
        settings.progress_console = Console(file=out, force_terminal=terminal, width=100)
        with settings.step("Making the proof") as step:
            step("opening the key")
            for share in (0.0, 0.4, 1.0):
                step.share("Making the dev key, once per machine", share)
            step("computing the witness")
        shown = out.getvalue()
        assert ("Making the dev key, once per machine" in shown and "100 %" in shown) is terminal
        assert bool(shown) is terminal
    assert capsys.readouterr().err.count("Making the proof: ") == 2


def test_the_venues_page_leads_with_refused() -> None:
    page = (Path(aggregator.web.__file__).parent / "static" / "app" / "venue.mjs").read_text()
    assert "error instanceof RefusedError" in page
    assert '`${refused ? "Refused: " : ""}${name}: ' in page
