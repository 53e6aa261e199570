"""What verifying and finishing a ceremony refuses, and what its commands leave alone."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from aggregator.model.errors import CounterfoilError, FormatError, InputError
from circuits import ceremony
from circuits.ceremony import beacons, record
from tests.circuits.rehearsal import Stage, make_powers, rewound, square


def test_too_few_participants_or_no_beacon_finish_nothing(stage: Stage, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    for count, reason in ((3, "no beacon at its end"), (2, "has 1 participants")):
        directory = rewound(stage, count)
        with pytest.raises(InputError, match=reason):
            ceremony.finish(square(), stage.ptau, directory, keys, accept_unknown_powers=True)
    assert not keys.exists()


def test_powers_that_nobody_published_need_a_voucher(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="whoever made it alone could forge proofs"):
        ceremony.finish(square(), stage.ptau, stage.directory, tmp_path / "keys")


def test_a_transcript_that_lies_about_the_powers_is_refused(stage: Stage, tmp_path: Path) -> None:
    path = stage.directory / "ceremony.json"
    document = json.loads(path.read_bytes())
    document["powers"]["origin"] = "powersOfTau28_hez_final_17"
    path.write_text(json.dumps(document))
    with pytest.raises(FormatError, match="is not powersOfTau28_hez_final_17, as the transcript says"):
        ceremony.finish(square(), stage.ptau, stage.directory, tmp_path / "keys")


def test_another_circuit_powers_file_or_changed_folder_is_refused(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="verify it with the version that began it"):
        ceremony.verify(square(3), stage.ptau, stage.directory)
    with pytest.raises(FormatError, match="is not the powers file that the ceremony began with"):
        ceremony.verify(square(), make_powers(tmp_path / "other.ptau"), stage.directory)
    for name in ("circuit.r1cs", "0001.zkey"):
        path = stage.directory / name
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        with pytest.raises(FormatError, match=f"{name} was changed"):
            ceremony.verify(square(), stage.ptau, stage.directory)
        path.write_bytes(good)


def test_a_transcript_that_tells_another_story_is_refused(stage: Stage) -> None:
    path = stage.directory / "ceremony.json"
    document = json.loads(path.read_bytes())
    document["keys"][1]["name"] = "mallory"
    path.write_text(json.dumps(document))
    with pytest.raises(FormatError, match="does not have the contributions that the transcript lists"):
        ceremony.verify(square(), stage.ptau, stage.directory)


def test_a_key_from_other_powers_is_refused_whatever_the_transcript_says(
    stage: Stage, tmp_path: Path
) -> None:
    """A coordinator who swaps the powers file under a finished ceremony."""
    other = make_powers(tmp_path / "other.ptau")
    path = stage.directory / "ceremony.json"
    document = json.loads(path.read_bytes())
    document["powers"]["blake2b"] = record.blake2b_of(other)
    path.write_text(json.dumps(document))
    with pytest.raises(FormatError, match=r"was not made from other\.ptau and this circuit"):
        ceremony.verify(square(), other, stage.directory)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": "counterfoil/ceremony/2"}, "schema"),
        ({"keys": []}, "has 0 entries"),
        ({"keys": [{"file": "../x", "sha256": "0", "name": "", "contribution": ""}]}, "does not match"),
        ({"keys": [{"file": "0001.zkey", "sha256": "0", "name": "", "contribution": ""}]}, "in place 0"),
        ({"powers": None}, "is not a JSON object"),
    ],
)
def test_a_malformed_transcript_document_is_refused(
    stage: Stage, change: dict[str, object], reason: str
) -> None:
    path = stage.directory / "ceremony.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | change))
    with pytest.raises(FormatError, match=reason):
        record.load(stage.directory)


def test_a_transcript_survives_its_document(stage: Stage) -> None:
    loaded = record.load(stage.directory)
    assert record.parse(record.encode(loaded), "x") == loaded


def test_folders_and_files_in_use_are_left_alone(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not empty"):
        ceremony.init(square(), stage.ptau, stage.directory)
    (tmp_path / "out.zkey").write_bytes(b"mine")
    with pytest.raises(InputError, match="exists"):
        ceremony.contribute(stage.sent[0], tmp_path / "out.zkey", "me")
    assert (tmp_path / "out.zkey").read_bytes() == b"mine"
    with pytest.raises(InputError, match=r"ceremony\.json cannot be read"):
        record.load(tmp_path)


@pytest.mark.parametrize("name", ["", "x" * 65, "é" * 33, "a\nb"])
def test_names_are_short_and_printable(stage: Stage, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="printable bytes"):
        ceremony.contribute(stage.sent[0], tmp_path / "out.zkey", name)


def test_beacons_are_bounded() -> None:
    value = b"\1"
    for _ in range(1 << 10):
        value = hashlib.sha256(value).digest()
    assert beacons.seed(b"\1", 10) == value
    for bad, iterations in ((b"", 10), (bytes(256), 10), (b"\1", 9), (b"\1", 33)):
        with pytest.raises(CounterfoilError, match="beacon"):
            beacons.seed(bad, iterations)
