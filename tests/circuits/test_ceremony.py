"""A ceremony from the first key to an installed one, and what the coordinator and participants do not take."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from aggregator.model.errors import CounterfoilError, FormatError, InputError
from circuits import _native, ceremony
from circuits.ceremony import beacons, record, run
from circuits.groth16 import open_key, prove, setup_dev
from circuits.keys import KeyKind, kind_of
from circuits.verifiers import native
from tests.circuits.malformed import join_sections, section, spliced, split_sections, with_section
from tests.circuits.rehearsal import BEACON, Stage, make_powers, rewound, square, square_witness


def test_a_whole_ceremony_verifies_and_its_key_is_called_one(stage: Stage, tmp_path: Path) -> None:
    circuit, keys = square(), tmp_path / "keys"
    done = ceremony.verify(circuit, stage.ptau, stage.directory)
    assert [(e.name, e.iterations) for e in done.entries] == [("alice", None), ("bob", None), ("beacon", 10)]
    assert (done.participants, done.ends_with_beacon) == (2, True)
    last = open_key(done.key, circuit.native)
    assert kind_of(last, keys) is KeyKind.DEV
    _, key = ceremony.finish(circuit, stage.ptau, stage.directory, keys, accept_unknown_powers=True)
    assert kind_of(key, keys) is kind_of(last, keys) is KeyKind.CEREMONY
    assert kind_of(key, tmp_path) is KeyKind.DEV
    native.verify(key.verification_key, [25], prove(key, square_witness(circuit)))


def test_contributions_to_a_dev_key_do_not_make_it_a_ceremony(stage: Stage, tmp_path: Path) -> None:
    circuit, keys = square(), tmp_path / "keys"
    ceremony.finish(circuit, stage.ptau, stage.directory, keys, accept_unknown_powers=True)
    setup_dev(circuit.native, tmp_path / "dev.zkey")
    ceremony.contribute(tmp_path / "dev.zkey", tmp_path / "more.zkey", "me")
    key = open_key(tmp_path / "more.zkey", circuit.native)
    assert (key.contributions, kind_of(key, keys)) == (1, KeyKind.DEV)


def test_a_record_of_another_key_or_form_does_not_count(stage: Stage, tmp_path: Path) -> None:
    circuit, keys = square(), tmp_path / "keys"
    _, key = ceremony.finish(circuit, stage.ptau, stage.directory, keys, accept_unknown_powers=True)
    (path,) = keys.glob("*.verified.json")
    good = json.loads(path.read_bytes())
    for changed in (
        "",
        "[]",
        "{",
        json.dumps(good | {"verificationKeyId": "0x" + "0" * 64}),
        json.dumps(good | {"schema": "x"}),
    ):
        path.write_text(changed)
        assert kind_of(key, keys) is KeyKind.DEV


def test_keys_in_between_may_be_deleted(stage: Stage) -> None:
    for name in ("0000.zkey", "0001.zkey", "0002.zkey"):
        (stage.directory / name).unlink()
    assert ceremony.verify(square(), stage.ptau, stage.directory).participants == 2


def test_two_contributions_differ_with_the_same_text(stage: Stage, tmp_path: Path) -> None:
    first = stage.directory / "0000.zkey"
    hashes = {ceremony.contribute(first, tmp_path / f"{n}.zkey", "a", b"same").contribution for n in range(2)}
    assert len(hashes) == 2


# What the coordinator does not take in


def test_a_replayed_or_returned_key_is_refused(stage: Stage) -> None:
    directory = rewound(stage, 3)
    for file in (stage.sent[0], stage.sent[1], directory / "0000.zkey"):
        with pytest.raises(FormatError, match=r"has no contribution that is not in 0002\.zkey already"):
            ceremony.receive(directory, file)


def test_a_contribution_to_an_older_key_is_refused(stage: Stage, tmp_path: Path) -> None:
    ceremony.contribute(stage.directory / "0000.zkey", tmp_path / "late.zkey", "carol")
    with pytest.raises(FormatError, match=r"was not made on 0002\.zkey; send 0002\.zkey to its maker"):
        ceremony.receive(rewound(stage, 3), tmp_path / "late.zkey")


def test_two_contributions_at_once_are_refused(stage: Stage) -> None:
    with pytest.raises(FormatError, match="has 2 new contributions"):
        ceremony.receive(rewound(stage, 1), stage.sent[1])


def test_a_key_of_another_ceremony_is_refused(stage: Stage, tmp_path: Path) -> None:
    ceremony.init(square(3), stage.ptau, tmp_path / "other")
    with pytest.raises(FormatError, match="is a key of another circuit or ceremony"):
        ceremony.receive(stage.directory, tmp_path / "other" / "0000.zkey")


@pytest.mark.parametrize(
    ("number", "at", "reason"),
    [
        (3, 0, "IC. was changed"),
        (4, 12, "coefficients. was changed"),
        (5, 0, "points A. was changed"),
        (7, 0, "points B2. was changed"),
    ],
)
def test_a_key_with_anything_else_changed_is_refused(
    stage: Stage, tmp_path: Path, number: int, at: int, reason: str
) -> None:
    data = stage.sent[1].read_bytes()
    part = section(data, number)
    bad = tmp_path / "bad.zkey"
    bad.write_bytes(with_section(data, number, spliced(part, at, bytes([part[at] ^ 1]))))
    with pytest.raises(FormatError, match=reason):
        ceremony.receive(rewound(stage, 2), bad)


@pytest.mark.parametrize("number", [8, 9])
def test_points_that_are_not_divided_by_the_secret_are_refused(
    stage: Stage, tmp_path: Path, number: int
) -> None:
    """The section of the key before: good points, one factor short."""
    bad = tmp_path / "bad.zkey"
    before = section(stage.sent[0].read_bytes(), number)
    bad.write_bytes(with_section(stage.sent[1].read_bytes(), number, before))
    with pytest.raises(FormatError, match="is not that of the first key divided by delta"):
        ceremony.receive(rewound(stage, 2), bad)


HEADER_DELTA = 2 * (4 + 32) + 12 + 64 + 64 + 128 + 128
CONTRIBUTION_BYTES = 64 * 3 + 128 + 64 + 8 + 2 + len("alice")


@pytest.mark.parametrize(
    ("at", "source", "width", "reason"),
    [
        (0, 64, 64, "changed delta by another secret"),
        (64, 128, 64, "does not follow from the contributions before"),
        (320, 320 - 64, 64, "does not follow from the contributions before"),
    ],
)
def test_a_forged_contribution_is_refused(
    stage: Stage, tmp_path: Path, at: int, source: int, width: int, reason: str
) -> None:
    """Bytes of bob's contribution replaced by others of it."""
    data = stage.sent[1].read_bytes()
    part = section(data, 10)
    start = 64 + 4 + CONTRIBUTION_BYTES
    changed = spliced(part, start + at, part[start + source : start + source + width])
    bad = tmp_path / "bad.zkey"
    bad.write_bytes(with_section(data, 10, changed))
    with pytest.raises(FormatError, match=reason):
        ceremony.receive(rewound(stage, 2), bad)


def test_a_stolen_proof_of_knowledge_is_refused(stage: Stage, tmp_path: Path) -> None:
    """Alice's point p d in bob's contribution."""
    data = stage.sent[1].read_bytes()
    part = section(data, 10)
    start = 64 + 4 + CONTRIBUTION_BYTES
    alice = part[64 + 4 + 192 : 64 + 4 + 320]
    bad = tmp_path / "bad.zkey"
    bad.write_bytes(with_section(data, 10, spliced(part, start + 192, alice)))
    with pytest.raises(FormatError, match="contribution 2 does not prove that its maker knew the secret"):
        ceremony.receive(rewound(stage, 2), bad)


def test_a_delta_that_no_contribution_leads_to_is_refused(stage: Stage, tmp_path: Path) -> None:
    """The header of the key before, with the points that belong to it."""
    data, before = stage.sent[1].read_bytes(), stage.sent[0].read_bytes()
    for number in (2, 8, 9):
        data = with_section(data, number, section(before, number))
    (tmp_path / "bad.zkey").write_bytes(data)
    with pytest.raises(FormatError, match="delta is not that of the last contribution"):
        ceremony.receive(rewound(stage, 2), tmp_path / "bad.zkey")


def test_a_beacon_that_is_not_its_value_is_refused(stage: Stage) -> None:
    path = stage.directory / "0003.zkey"
    data = path.read_bytes()
    part = section(data, 10)
    assert part.endswith(BEACON)
    path.write_bytes(with_section(data, 10, part[:-1] + b"\xef"))
    last, first = path, stage.directory / "0000.zkey"
    with pytest.raises(ValueError, match="contribution 3 is not what its beacon gives"):
        _native.verify_ceremony(last, first, run.beacon_seeds(run.entries(last)[1], lambda _: None))
    with pytest.raises(ValueError, match="its seed was not given"):
        _native.verify_ceremony(last, first, [])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda part: part[:-1], "ends too early"),
        (lambda part: part + b"\0", "1 bytes too many"),
        (lambda part: spliced(part, 64, b"\xff\xff\xff\xff"), "ends too early|is not a point"),
        (lambda part: spliced(part, 64 + 4, bytes(64)), "delta of contribution 1 is not a point"),
        (lambda part: spliced(part, 64 + 4 + 384, b"\1"), "neither a plain one nor a beacon"),
        (lambda part: spliced(part, 64 + 4 + 388, b"\6"), "cut off"),
        (lambda part: spliced(part, 64 + 4 + 392, b"\4"), "has parameter 4 after 0"),
        (lambda part: spliced(part, 64 + 4 + 393, b"\7"), "cut off"),
        (lambda part: spliced(part, 64 + 4 + 394, b"\xff"), "is not UTF-8"),
    ],
)
def test_a_malformed_transcript_is_refused(stage: Stage, tmp_path: Path, change: object, reason: str) -> None:
    assert callable(change)
    data = stage.sent[0].read_bytes()
    (tmp_path / "bad.zkey").write_bytes(with_section(data, 10, change(section(data, 10))))
    with pytest.raises(FormatError, match=reason) as refusal:
        ceremony.receive(rewound(stage, 1), tmp_path / "bad.zkey")
    assert "bad.zkey: section 10 (contributions)" in str(refusal.value)


def test_a_truncated_key_is_refused(stage: Stage, tmp_path: Path) -> None:
    data = stage.sent[0].read_bytes()
    directory = rewound(stage, 1)
    for length in (0, 11, 100, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.zkey").write_bytes(data[:length])
        with pytest.raises(FormatError, match=r"cut\.zkey"):
            ceremony.receive(directory, tmp_path / "cut.zkey")
    head, sections = split_sections(data)
    (tmp_path / "cut.zkey").write_bytes(join_sections(head, [s for s in sections if s[0] != 9]))
    with pytest.raises(FormatError, match=r"section 9 \(points H\) is missing"):
        ceremony.contribute(tmp_path / "cut.zkey", tmp_path / "out.zkey", "me")
    assert sorted(e.name for e in directory.iterdir()) == ["0000.zkey", "ceremony.json", "circuit.r1cs"]


def test_every_flipped_byte_but_of_a_name_is_refused(stage: Stage, tmp_path: Path) -> None:
    """Names are not hashed by the format, so a participant's hash is what identifies a contribution."""
    data, rng = stage.sent[1].read_bytes(), random.Random(8)
    directory, bad = rewound(stage, 2), tmp_path / "bad.zkey"
    _, good = run.entries(stage.sent[1])
    for at in rng.sample(range(len(data)), 80):
        bad.write_bytes(spliced(data, at, bytes([data[at] ^ 1 << rng.randrange(7)])))
        try:
            taken = ceremony.receive(directory, bad)
        except CounterfoilError:
            continue
        assert taken.contribution == good[-1].contribution
        assert any(name in data[at - 8 : at + 8] for name in (b"alice", b"bob"))
        rewound(stage, 2)


def test_what_was_checked_is_what_is_taken(stage: Stage, tmp_path: Path) -> None:
    """A file that is exchanged, or cut off, while it is checked changes nothing: the coordinator has a copy."""
    upload, good = tmp_path / "upload.zkey", stage.sent[1].read_bytes()
    for swapped in (b"not a key at all", b""):
        upload.write_bytes(good)

        def swap(_share: float, swapped: bytes = swapped) -> None:
            with upload.open("r+b") as file:
                file.truncate(0)
                file.write(swapped)

        made = ceremony.receive(rewound(stage, 2), upload, swap)
        assert (stage.directory / made.file).read_bytes() == good
        assert made.sha256 == hashlib.sha256(good).hexdigest()
        assert not list(stage.directory.glob(".*"))


def test_powers_that_are_cut_off_meanwhile_do_not_end_the_process(stage: Stage, tmp_path: Path) -> None:
    ptau = Path(shutil.copy(stage.ptau, tmp_path / "powers.ptau"))
    made = ceremony.init(square(), ptau, tmp_path / "c", lambda _: ptau.write_bytes(b""))
    assert made.powers.blake2b == record.blake2b_of(stage.ptau)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_only_files_are_read(stage: Stage, tmp_path: Path, kind: str) -> None:
    """Opening a pipe would wait for its writer for ever."""
    odd = tmp_path / "odd.zkey"
    if kind == "pipe":
        os.mkfifo(odd)
    elif kind == "folder":
        odd.mkdir()
    else:
        odd.symlink_to("/dev/zero")
    with pytest.raises(InputError, match="not a regular file"):
        ceremony.receive(rewound(stage, 2), odd)
    with pytest.raises(InputError, match="not a regular file"):
        ceremony.init(square(), odd, tmp_path / "c")
    assert not (tmp_path / "c").exists()
    for opened in (_native.ProvingKey.open, _native.read_transcript, _native.read_powers):
        with pytest.raises(ValueError, match="not a regular file"):
            opened(odd)


def test_a_participants_beacon_is_refused_and_not_hashed(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would pass for the announced one, and its maker would say for how long everybody hashes."""
    directory, sent = rewound(stage, 3), tmp_path / "m.zkey"
    _native.apply_beacon(directory / "0002.zkey", sent, "mallory", b"chosen", 10, beacons.seed(b"chosen", 10))
    monkeypatch.setattr(beacons, "seed", lambda *_: pytest.fail("hashed"))
    with pytest.raises(FormatError, match="adds a beacon and no secret"):
        ceremony.receive(directory, sent)
    assert len(record.load(directory).keys) == 3


def test_nothing_comes_after_the_beacon(stage: Stage, tmp_path: Path) -> None:
    late = tmp_path / "late.zkey"
    ceremony.contribute(stage.directory / "0003.zkey", late, "late")
    with pytest.raises(FormatError, match="nothing comes after it"):
        ceremony.receive(stage.directory, late)
    with pytest.raises(InputError, match="ends with a beacon already"):
        ceremony.apply_beacon(stage.directory, BEACON, 10)


def test_a_beacon_in_the_middle_is_no_end(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a folder of a version that took a participant's beacon in."""
    monkeypatch.setattr(run, "_only_new", lambda _c, copy, file, _l: run.entries(copy, file)[1][-1])
    directory, late = stage.directory, stage.directory.parent / "late.zkey"
    ceremony.contribute(directory / "0003.zkey", late, "late")
    last = directory / "0004.zkey"
    shutil.copy(late, last)
    loaded, entry = record.load(directory), run.entries(last)[1][-1]
    key = record.KeyFile(last.name, record.sha256_of(last), entry.name, entry.contribution)
    record.save(directory, replace(loaded, keys=(*loaded.keys, key)))
    with pytest.raises(FormatError, match="has a beacon as contribution 3"):
        ceremony.verify(square(), stage.ptau, directory)


def test_the_announced_beacon_is_asked_for(stage: Stage, tmp_path: Path) -> None:
    for value in (b"another", b""):
        with pytest.raises(FormatError, match="the beacon is 0x00c0ffee, not 0x"):
            ceremony.verify(square(), stage.ptau, stage.directory, beacon=value)
    assert ceremony.verify(square(), stage.ptau, stage.directory, beacon=BEACON).beacon == "0x00c0ffee"
    with pytest.raises(FormatError, match="the beacon is missing"):
        ceremony.verify(square(), stage.ptau, rewound(stage, 3), beacon=BEACON)


def test_a_forged_transcript_is_found_before_its_beacon_is_hashed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stage.directory / "0003.zkey"
    data = path.read_bytes()
    part = section(data, 10)
    start = 64 + 4 + CONTRIBUTION_BYTES
    path.write_bytes(with_section(data, 10, spliced(part, start + 192, part[64 + 4 + 192 : 64 + 4 + 320])))
    loaded, found = record.load(stage.directory), run.entries(path)[1]
    keys = [
        replace(key, contribution=entry.contribution)
        for key, entry in zip(loaded.keys[1:], found, strict=True)
    ]
    keys[-1] = replace(keys[-1], sha256=record.sha256_of(path))
    record.save(stage.directory, replace(loaded, keys=(loaded.keys[0], *keys)))
    for number in (1, 2):
        (stage.directory / record.key_name(number)).unlink()
    monkeypatch.setattr(beacons, "seed", lambda *_: pytest.fail("hashed"))
    with pytest.raises(FormatError, match="contribution 2 does not prove"):
        ceremony.verify(square(), stage.ptau, stage.directory)


def test_a_failed_begin_is_not_in_the_way(stage: Stage, tmp_path: Path) -> None:
    """Neither in a new folder nor in an empty one that is there."""
    small, there = make_powers(tmp_path / "small.ptau", 1), tmp_path / "there"
    there.mkdir()
    for directory in (tmp_path / "new", there):
        with pytest.raises(FormatError, match="powers"):
            ceremony.init(square(), small, directory)
        ceremony.init(square(), stage.ptau, directory)
        names = sorted(path.name for path in directory.iterdir())
        assert names == ["0000.zkey", "ceremony.json", "circuit.r1cs"]
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("number", "change", "reason"),
    [
        (3, lambda part: part[:-64], r"section 3 \(IC\) should have"),
        (4, lambda part: part[:-4], r"section 4 \(coefficients\) should have"),
        (4, lambda part: spliced(part, 8, b"\xff" * 4), "past the domain"),
        (5, lambda part: part[:-64], r"section 5 \(points A\) should have"),
        (5, lambda part: spliced(part, 64, b"\xff" * 64), r"points A\): point 1 has a coordinate"),
        (6, lambda part: part[:-64], r"section 6 \(points B1\) should have"),
        (6, lambda part: spliced(part, 0, b"\1" + bytes(63)), r"points B1\): point 0 is not on the curve"),
        (7, lambda part: part + bytes(128), r"section 7 \(points B2\) should have"),
        (7, lambda part: spliced(part, 128, b"\xff" * 128), r"points B2\): point 1 has a coordinate"),
    ],
)
def test_nobody_contributes_to_a_malformed_key(
    stage: Stage, tmp_path: Path, number: int, change: Callable[[bytes], bytes], reason: str
) -> None:
    data = stage.sent[0].read_bytes()
    (tmp_path / "bad.zkey").write_bytes(with_section(data, number, change(section(data, number))))
    with pytest.raises(FormatError, match=reason) as refusal:
        ceremony.contribute(tmp_path / "bad.zkey", tmp_path / "out.zkey", "me")
    assert str(tmp_path / "bad.zkey") in str(refusal.value)
    assert not (tmp_path / "out.zkey").exists()
