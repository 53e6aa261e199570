"""Keys: what `setup_dev` writes is complete and atomic, and a damaged `.zkey` is refused by section and reason."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from aggregator.model.errors import CannotProveError, FormatError, InputError
from circuits import _native
from circuits.field import MODULUS, encode
from circuits.formats import read_zkey_header
from circuits.formats.layout import BASE_FIELD_ORDER
from circuits.groth16 import open_key, prove, setup_dev
from circuits.verifiers import native
from tests.circuits.conftest import TinyProof
from tests.circuits.malformed import (
    g2_outside_the_subgroup,
    join_sections,
    section,
    spliced,
    split_sections,
    with_section,
)
from tests.circuits.tiny import Spec, tiny

SECTION_NAMES = {
    1: "protocol",
    2: "header",
    3: "IC",
    4: "coefficients",
    5: "points A",
    6: "points B1",
    7: "points B2",
    8: "points C",
    9: "points H",
    10: "contributions",
}
HEADER_NUMBERS = 2 * (4 + 32)
"""Where n_wires stands in section 2; n_public and domain_size follow, then the points."""
HEADER_POINTS = HEADER_NUMBERS + 12
R_512 = (1 << 512) % MODULUS


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[bytes], _native.ProvingKey]:
    def open_bytes(data: bytes) -> _native.ProvingKey:
        path = tmp_path / "changed.zkey"
        path.write_bytes(data)
        return _native.ProvingKey.open(path)

    return open_bytes


def lem(value: int) -> bytes:
    """A coordinate as the file holds it."""
    return (value * (1 << 256) % BASE_FIELD_ORDER).to_bytes(32, "little")


def test_a_dev_key_proves_and_verifies(tiny_proof: TinyProof) -> None:
    key = tiny_proof.key
    assert (key.n_wires, key.n_public, key.domain_size, key.contributions, key.is_dev) == (17, 2, 32, 0, True)
    native.verify(key.verification_key, tiny_proof.public, tiny_proof.proof)


def test_proofs_are_randomised(tiny_proof: TinyProof) -> None:
    other = prove(tiny_proof.key, tiny_proof.witness)
    assert all(other[i : i + 64] != tiny_proof.proof[i : i + 64] for i in (0, 64, 128, 192))
    native.verify(tiny_proof.key.verification_key, tiny_proof.public, other)


def test_two_dev_keys_of_one_circuit_differ(tiny_proof: TinyProof, tmp_path: Path) -> None:
    setup_dev(tiny_proof.circuit, tmp_path / "other.zkey")
    other = open_key(tmp_path / "other.zkey", tiny_proof.circuit)
    assert other.verification_key != tiny_proof.key.verification_key
    assert not _native.verify(other.verification_key, encode(tiny_proof.public), tiny_proof.proof)


def test_a_public_input_that_no_row_uses_is_bound(tiny_proof: TinyProof) -> None:
    """Wire 2 of the tiny circuit is in no row; a proof for one value of it must not hold for another."""
    assert not _native.verify(tiny_proof.key.verification_key, encode([35, 778]), tiny_proof.proof)


def test_progress_rises_from_0_to_1(tiny_proof: TinyProof, tmp_path: Path) -> None:
    seen: list[float] = []
    setup_dev(tiny_proof.circuit, tmp_path / "k.zkey", seen.append)
    assert seen[0] == 0.0
    assert seen[-1] == 1.0
    assert seen == sorted(seen)


def test_a_setup_that_is_stopped_leaves_nothing(tiny_proof: TinyProof, tmp_path: Path) -> None:
    def stop(done: float) -> None:
        if done > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        setup_dev(tiny_proof.circuit, tmp_path / "k.zkey", stop)
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_replaced_whole_and_readable_by_others(tiny_proof: TinyProof, tmp_path: Path) -> None:
    path = tmp_path / "k.zkey"
    path.write_bytes(b"old")
    setup_dev(tiny_proof.circuit, path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["k.zkey"]
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    assert open_key(path, tiny_proof.circuit).is_dev


def test_a_folder_that_is_not_there_is_named(tiny_proof: TinyProof, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        setup_dev(tiny_proof.circuit, tmp_path / "none" / "k.zkey")
    with pytest.raises(InputError, match="cannot be read"):
        open_key(tmp_path / "none.zkey")


def test_a_key_of_another_circuit_is_refused(tiny_proof: TinyProof) -> None:
    """The same sizes, one coefficient changed."""
    rows = tiny().rows
    rows[12] = ({3: 1, 4: 2}, {0: 1}, {15: 1})
    other = Spec(rows=rows, hints=[{3: 1}, {3: 1, 4: 2}]).build()
    with pytest.raises(FormatError, match="made for another circuit"):
        open_key(tiny_proof.key_path, other)
    assert open_key(tiny_proof.key_path, tiny().build()) == tiny_proof.key


def test_a_false_witness_is_not_proven(tiny_proof: TinyProof) -> None:
    false = tiny_proof.circuit.witness(encode([36, 777, 5, 7]))
    with pytest.raises(CannotProveError, match="does not satisfy the circuit"):
        prove(tiny_proof.key, false)
    unchecked = tiny_proof.key.native.prove(false, check=False)
    assert not _native.verify(tiny_proof.key.verification_key, encode([36, 777]), unchecked)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: w[:-32], "takes 17 elements"),
        (lambda w: w + bytes(32), "takes 17 elements"),
        (lambda w: b"", "takes 17 elements"),
        (lambda w: bytes(32) + w[32:], "wire 0 is not 1"),
        (lambda w: spliced(w, 32, MODULUS.to_bytes(32, "little")), "element 1 is not below"),
    ],
)
def test_a_malformed_witness_is_refused(
    tiny_proof: TinyProof, change: Callable[[bytes], bytes], reason: str
) -> None:
    with pytest.raises(CannotProveError, match=reason):
        prove(tiny_proof.key, change(tiny_proof.witness))


@pytest.mark.parametrize("number", SECTION_NAMES)
def test_a_section_that_is_missing_short_long_or_doubled_is_named(
    tiny_proof: TinyProof, opened: Callable[[bytes], _native.ProvingKey], number: int
) -> None:
    data = tiny_proof.key_path.read_bytes()
    head, sections = split_sections(data)
    named = rf"section {number} \({SECTION_NAMES[number]}\)"
    with pytest.raises(ValueError, match=f"{named} is missing"):
        opened(join_sections(head, [s for s in sections if s[0] != number]))
    with pytest.raises(ValueError, match=named):
        opened(with_section(data, number, section(data, number)[:-1]))
    with pytest.raises(ValueError, match=named):
        opened(with_section(data, number, b""))
    with pytest.raises(ValueError, match=f"section {number} comes twice"):
        opened(join_sections(head, [*sections, (number, b"")]))
    if number != 10:  # contributions have a variable length
        with pytest.raises(ValueError, match=named):
            opened(with_section(data, number, section(data, number) + b"\0"))


def test_a_file_cut_anywhere_is_refused(tiny_proof: TinyProof, opened: Callable[[bytes], object]) -> None:
    data = tiny_proof.key_path.read_bytes()
    rng = random.Random(1)
    for length in [0, 3, 4, 11, 12, 13, 23, 24, len(data) - 1, *rng.sample(range(len(data)), 100)]:
        with pytest.raises(ValueError, match=r"truncated|ends before|header bytes"):
            opened(data[:length])
    with pytest.raises(ValueError, match="1 bytes follow the last section"):
        opened(data + b"\0")


def header_with(data: bytes, at: int, new: bytes) -> bytes:
    return with_section(data, 2, spliced(section(data, 2), at, new))


def term_with(data: bytes, at: int, new: bytes) -> bytes:
    """The first term of section 4 with some bytes changed: matrix 0, row 4, wire 8, value 12."""
    return with_section(data, 4, spliced(section(data, 4), 4 + at, new))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: b"wtns" + d[4:], 'does not start with "zkey"'),
        (lambda d: spliced(d, 4, b"\2"), "version 2 is not supported"),
        (lambda d: with_section(d, 1, b"\2\0\0\0"), "does not say Groth16"),
        (lambda d: header_with(d, 4, b"\1"), "the base field is not that of BN254"),
        (lambda d: header_with(d, 40, b"\2"), "the scalar field is not that of BN254"),
        (lambda d: header_with(d, HEADER_NUMBERS, b"\2"), "do not fit together"),
        (lambda d: header_with(d, HEADER_NUMBERS + 4, b"\x11"), "do not fit together"),
        (lambda d: header_with(d, HEADER_NUMBERS + 8, b"\x21"), "do not fit together"),
        (lambda d: header_with(d, HEADER_NUMBERS + 8, b"\x40"), "points H.* should have 4096 bytes"),
        (lambda d: header_with(d, HEADER_POINTS, bytes(64)), "alpha1 is not a point"),
        (lambda d: header_with(d, HEADER_POINTS, lem(1) + lem(3)), "alpha1 is not a point"),
        (lambda d: header_with(d, HEADER_POINTS, b"\xff" * 32), "alpha1 is not a point"),
        (
            lambda d: header_with(d, HEADER_POINTS + 64, lem(1) + lem(2)),
            "beta differs between the two groups",
        ),
        (
            lambda d: header_with(d, HEADER_POINTS + 384, lem(1) + lem(2)),
            "delta differs between the two groups",
        ),
        (
            lambda d: header_with(d, HEADER_POINTS + 256, b"".join(map(lem, g2_outside_the_subgroup()))),
            "gamma2 is not a point of the curve's group of order r",
        ),
        (lambda d: with_section(d, 3, bytes(64 * 3)), "public input 0 is not a point"),
        (lambda d: with_section(d, 3, section(d, 3)[:128] + bytes(64)), "public input 2 is not a point"),
        (lambda d: term_with(d, 0, b"\2"), "term 0 is of matrix 2"),
        (lambda d: term_with(d, 4, b"\x20"), "row 32 past the domain"),
        (lambda d: term_with(d, 8, b"\x11"), "wire 17 past the last"),
        (lambda d: term_with(d, 12, b"\xff" * 32), "coefficient not below the field order"),
        (
            lambda d: with_section(d, 4, b"\xff\xff\xff\xff" + section(d, 4)[4:]),
            "should have 4294967295 terms",
        ),
    ],
)
def test_a_damaged_key_is_refused_when_it_is_opened(
    tiny_proof: TinyProof,
    opened: Callable[[bytes], object],
    change: Callable[[bytes], bytes],
    reason: str,
) -> None:
    with pytest.raises(ValueError, match=reason):
        opened(change(tiny_proof.key_path.read_bytes()))


@pytest.mark.parametrize("number", [5, 6, 7, 8, 9])
def test_damaged_points_are_found_when_a_proof_is_made(
    tiny_proof: TinyProof, opened: Callable[[bytes], _native.ProvingKey], number: int
) -> None:
    data = tiny_proof.key_path.read_bytes()
    part = section(data, number)
    size = 128 if number == 7 else 64
    unreadable = opened(with_section(data, number, b"\xff" * len(part)))
    with pytest.raises(ValueError, match=f"section {number}: point [0-9]+ is malformed"):
        unreadable.prove(tiny_proof.witness)
    turned = opened(with_section(data, number, part[size:] + part[:size]))
    with pytest.raises(ValueError, match="does not verify"):
        turned.prove(tiny_proof.witness)


def test_terms_in_any_order_give_the_same_key(
    tiny_proof: TinyProof, opened: Callable[[bytes], _native.ProvingKey]
) -> None:
    data = tiny_proof.key_path.read_bytes()
    terms = section(data, 4)
    lines = [terms[i : i + 44] for i in range(4, len(terms), 44)]
    random.Random(3).shuffle(lines)
    key = opened(with_section(data, 4, terms[:4] + b"".join(lines)))
    assert key.matches(tiny_proof.circuit)
    native.verify(key.verifying_key(), tiny_proof.public, key.prove(tiny_proof.witness))


def test_coefficients_are_stored_as_snarkjs_does(tiny_proof: TinyProof) -> None:
    """c 2^512 mod r: the first term is A[0] = 1 x, and the last ones are the extra rows of the public inputs."""
    terms = section(tiny_proof.key_path.read_bytes(), 4)
    one = R_512.to_bytes(32, "little")

    def term(row: int, wire: int) -> bytes:
        return b"".join(x.to_bytes(4, "little") for x in (0, row, wire)) + one

    assert terms[4:48] == term(0, 3)
    assert terms[-132:] == term(14, 0) + term(15, 1) + term(16, 2)


def test_random_damage_never_panics(
    tiny_proof: TinyProof, opened: Callable[[bytes], _native.ProvingKey]
) -> None:
    """Any changed byte gives ValueError, or a key whose proof still verifies (an unused byte), never RuntimeError."""
    data = tiny_proof.key_path.read_bytes()
    rng = random.Random(5)
    refused = 0
    for _ in range(400):
        at = rng.randrange(len(data))
        try:
            opened(spliced(data, at, bytes([data[at] ^ 1 << rng.randrange(8)]))).prove(tiny_proof.witness)
        except ValueError:
            refused += 1
    assert refused > 200


def test_the_header_reader_agrees_with_the_core(tiny_proof: TinyProof) -> None:
    header = read_zkey_header(tiny_proof.key_path)
    key = tiny_proof.key
    assert (header.n_wires, header.n_public, header.domain_size, header.contributions) == (
        key.n_wires,
        key.n_public,
        key.domain_size,
        key.contributions,
    )
