"""`counterfoil ceremony`: a whole ceremony on command lines, each saying what to do next, and its refusals."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from circuits import ceremony
from circuits.formats import parse_verification_key
from circuits.groth16 import setup_dev
from circuits.keys import verification_key_id
from tests.aggregator.cli.conftest import Invoke
from tests.circuits.rehearsal import square


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the ceremony is; the circuit of a few rows stands in for the one of 2^16."""
    monkeypatch.setattr(ceremony, "compile_again", lambda _name: square())
    monkeypatch.setattr("circuits.artifacts.ready", lambda _name: square())
    monkeypatch.setenv("COUNTERFOIL_KEYS", str(tmp_path / "keys"))
    return tmp_path


def test_a_ceremony_from_powers_to_proving_key(
    invoke: Invoke, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ptau, directory = folder / "powers.ptau", folder / "ceremony"
    assert "rehearsals only" in invoke("ceremony", "powers", "--power", 6, "--out", ptau).out
    invoke("ceremony", "powers", "--power", 6, "--out", ptau).refused(2, "exists")

    began = invoke("ceremony", "init", "--ptau", ptau, "--dir", directory)
    assert began.code == 0
    assert f"send {directory / '0000.zkey'} to the first participant" in began.out
    assert "warning: powers.ptau is no published powers file" in began.err

    for number, name in enumerate(("alice", "bob")):
        key, out = directory / f"{number:04}.zkey", folder / f"{name}.zkey"
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"dice")))
        given = invoke("ceremony", "contribute", key, "--out", out, "--name", name, "--text", "-", "--json")
        assert given.code == 0
        assert len(given.data["contribution"]) == 128
        taken = invoke("ceremony", "receive", out, "--dir", directory)
        assert taken.code == 0
        assert given.data["contribution"] in "".join(taken.out.split())
        assert f"send {directory / f'{number + 1:04}.zkey'} to the next participant" in taken.out
        invoke("ceremony", "receive", out, "--dir", directory).refused(
            2, "has no contribution that is not in"
        )

    early = ("ceremony", "finish", "--ptau", ptau, "--dir", directory, "--accept-unknown-powers")
    invoke(*early).refused(2, "no beacon at its end")
    invoke("ceremony", "beacon", "--dir", directory, "--value", "xyz").refused(2, "is not hex")
    ended = invoke("ceremony", "beacon", "--dir", directory, "--value", "0x00c0ffee", "--iterations", 10)
    assert "counterfoil ceremony finish" in ended.out

    checked = invoke("ceremony", "verify", "--ptau", ptau, "--dir", directory, "--json")
    assert (checked.data["verified"], checked.data["participants"]) == (True, 2)
    last = directory / "0003.zkey"
    assert invoke("proof", "key", "--proving-key", last, "--json").data["kind"] == "dev"
    invoke(*early[:-1]).refused(2, "whoever made it alone could forge proofs")

    vk = folder / "verification_key.json"
    done = invoke(*early, "--out", vk, "--json")
    assert (done.code, done.data["keyKind"]) == (0, "ceremony")
    assert done.data["keyId"] == verification_key_id(parse_verification_key(json.loads(vk.read_bytes())))
    for arguments in ((), ("--proving-key", last)):
        shown = invoke("proof", "key", *arguments, "--json").data
        assert (shown["kind"], shown["id"]) == ("ceremony", done.data["keyId"])


def test_a_dev_key_is_called_dev(invoke: Invoke, folder: Path) -> None:
    setup_dev(square().native, folder / "dev.zkey")
    contributed = (
        "ceremony",
        "contribute",
        folder / "dev.zkey",
        "--out",
        folder / "more.zkey",
        "--name",
        "me",
    )
    assert invoke(*contributed).code == 0
    for name in ("dev.zkey", "more.zkey"):
        assert "dev key" in invoke("proof", "key", "--proving-key", folder / name).out


def test_files_that_are_not_what_they_should_be(invoke: Invoke, folder: Path) -> None:
    missing = folder / "none"
    invoke("ceremony", "init", "--ptau", missing, "--dir", folder / "c").refused(2, "none cannot be read")
    (folder / "bad.ptau").write_bytes(b"ptau\1\0\0\0")
    invoke("ceremony", "init", "--ptau", folder / "bad.ptau", "--dir", folder / "c").refused(
        2, "12 header bytes"
    )
    invoke("ceremony", "receive", missing, "--dir", folder).refused(2, "ceremony.json cannot be read")
    bad = ("ceremony", "contribute", folder / "bad.ptau", "--out", folder / "out.zkey", "--name", "me")
    invoke(*bad).refused(2, "12 header bytes")
    assert not (folder / "out.zkey").exists()
    assert not (folder / "c").exists()
