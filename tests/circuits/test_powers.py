"""Powers of tau: a file that is damaged or does not hold powers of one tau gives no key."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from circuits import _native
from circuits.field import encode
from circuits.formats.layout import BASE_FIELD_ORDER
from tests.circuits.malformed import (
    g2_outside_the_subgroup,
    join_sections,
    section,
    spliced,
    split_sections,
    with_section,
)
from tests.circuits.rehearsal import POWER, make_powers
from tests.circuits.tiny import tiny

ROWS = 32
"""The domain of the tiny circuit."""
Change = Callable[[bytes], bytes]
Setup = Callable[[bytes], bytes]


@pytest.fixture(scope="module")
def powers(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make_powers(tmp_path_factory.mktemp("powers") / "good.ptau").read_bytes()


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """The first key that powers give, as bytes."""

    def make(data: bytes) -> bytes:
        ptau, key = tmp_path / "powers.ptau", tmp_path / "first.zkey"
        ptau.write_bytes(data)
        _native.setup_first_key(tiny().build(), ptau, key)
        return key.read_bytes()

    return make


def unprepared(data: bytes) -> bytes:
    head, sections = split_sections(data)
    return join_sections(head, [(number, part) for number, part in sections if number < 12])


def swapped(number: int, width: int, first: int, second: int) -> Change:
    """Two points of a section in each other's place: each is good, together they are not."""

    def change(data: bytes) -> bytes:
        part = section(data, number)
        a, b = part[first * width : (first + 1) * width], part[second * width : (second + 1) * width]
        return with_section(data, number, spliced(spliced(part, first * width, b), second * width, a))

    return change


def put(number: int, at: int, new: bytes) -> Change:
    return lambda data: with_section(data, number, spliced(section(data, number), at, new))


def copied(number: int, width: int, to: int, source: int) -> Change:
    return lambda data: put(number, to * width, section(data, number)[source * width : (source + 1) * width])(
        data
    )


def montgomery(values: list[int]) -> bytes:
    return b"".join((v * (1 << 256) % BASE_FIELD_ORDER).to_bytes(32, "little") for v in values)


def test_a_file_tells_what_it_is(powers: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.ptau").write_bytes(powers)
    assert _native.read_powers(tmp_path / "p.ptau") == (POWER, POWER, True, 1)
    (tmp_path / "p.ptau").write_bytes(unprepared(powers))
    assert _native.read_powers(tmp_path / "p.ptau") == (POWER, POWER, False, 1)


def test_an_unprepared_file_gives_the_same_key(powers: bytes, setup: Setup) -> None:
    assert setup(unprepared(powers)) == setup(powers)


def test_a_file_that_the_circuit_fills_gives_a_key(tmp_path: Path, setup: Setup) -> None:
    """The last domain of such a file lacks a power, which has to fall out in both ways of making H."""
    data = make_powers(tmp_path / "full.ptau", 5).read_bytes()
    assert setup(unprepared(data)) == setup(data)


def test_a_key_from_powers_proves(powers: bytes, tmp_path: Path) -> None:
    circuit = tiny().build()
    (tmp_path / "p.ptau").write_bytes(powers)
    _native.setup_first_key(circuit, tmp_path / "p.ptau", tmp_path / "k.zkey")
    _native.contribute(tmp_path / "k.zkey", tmp_path / "k1.zkey", "one", b"")
    key = _native.ProvingKey.open(tmp_path / "k1.zkey")
    assert key.matches(circuit)
    proof = key.prove(circuit.witness(encode([35, 777, 5, 7])))
    assert _native.verify(key.verifying_key(), encode([35, 777]), proof)
    assert not _native.verify(key.verifying_key(), encode([35, 778]), proof)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: d[:-1], "section 15 is truncated"),
        (lambda d: d + b"\0", "1 bytes follow the last section"),
        (lambda d: b"zkey" + d[4:], 'does not start with "ptau"'),
        (lambda d: with_section(d, 1, section(d, 1)[:-1]), r"section 1 \(header\) ends too early"),
        (put(1, 5, b"\1"), "the base field is not that of BN254"),
        (put(1, 36, b"\0"), "are not between"),
        (put(1, 36, b"\x40"), "are not between"),
        (put(1, 40, b"\1"), "are not between"),
        (put(1, 36, b"\5"), r"section 2 \(tau in G1\) should have 4032 bytes for 2\^5"),
        (lambda d: with_section(d, 7, b""), r"section 7 \(contributions\) ends too early"),
        (
            lambda d: join_sections(d[:8], [s for s in split_sections(d)[1] if s[0] != 5]),
            r"section 5 \(beta tau in G1\) is missing",
        ),
        (
            lambda d: join_sections(d[:8], [s for s in split_sections(d)[1] if s[0] != 13]),
            r"section 13 \(Lagrange tau in G2\) is missing",
        ),
        (put(2, 64, b"\xff" * 32), "point 1 has a coordinate that is not below"),
        (put(2, 64, montgomery([1, 3])), r"section 2 \(tau in G1\): point 1 is not on the curve"),
        (put(4, 64 * 3, bytes(64)), r"section 4 \(alpha tau in G1\): point 3 is the point at infinity"),
        (
            put(3, 128 * 2, montgomery(g2_outside_the_subgroup())),
            r"section 3 \(tau in G2\): point 2 is not in the group of order r",
        ),
        (copied(2, 64, 0, 2), r"section 2 \(tau in G1\): its first point is not the generator"),
        (copied(3, 128, 0, 2), r"section 3 \(tau in G2\): its first point is not the generator"),
        (copied(2, 64, 1, 0), "its secret is 1: nobody contributed"),
        (put(4, 0, montgomery([1, 2])), r"section 4 .*: its secret is 1"),
        (put(5, 0, montgomery([1, 2])), r"section 5 .*: its secret is 1"),
        (swapped(2, 64, 5, 6), r"section 2 \(tau in G1\): its points are not consecutive powers"),
        (swapped(2, 64, 60, 61), r"section 2 \(tau in G1\): its points are not consecutive powers"),
        (swapped(4, 64, 0, 1), r"section 4 \(alpha tau in G1\): its points are not consecutive powers"),
        (swapped(5, 64, 30, 31), r"section 5 \(beta tau in G1\): its points are not consecutive powers"),
        (swapped(3, 128, 1, 2), r"are not consecutive powers"),
        (swapped(3, 128, 7, 8), r"section 3 .* are not consecutive powers of the tau of section 2"),
        (lambda d: with_section(d, 6, section(d, 3)[128:256]), r"section 6 .* is not that of section 5"),
        (swapped(12, 64, ROWS - 1, ROWS), r"section 12 \(Lagrange tau in G1\): the domain of 32 rows"),
        (swapped(12, 64, 2 * ROWS, 2 * ROWS + 2), r"section 12 .*: the domain of 32 rows does not follow"),
        (swapped(13, 128, ROWS, ROWS + 1), r"section 13 .*: the domain of 32 rows does not follow"),
        (swapped(14, 64, ROWS, ROWS + 1), r"section 14 .*: the domain of 32 rows does not follow"),
        (swapped(15, 64, ROWS, ROWS + 1), r"section 15 .*: the domain of 32 rows does not follow"),
    ],
)
def test_damaged_powers_give_no_key(powers: bytes, setup: Setup, change: Change, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        setup(change(powers))


def test_no_flipped_byte_changes_the_key(powers: bytes, setup: Setup) -> None:
    """A flip is refused, or it is in a part that this circuit does not use. Nothing panics."""
    good, rng, refused = setup(powers), random.Random(7), 0
    for _ in range(60):
        at = rng.randrange(len(powers))
        try:
            assert setup(spliced(powers, at, bytes([powers[at] ^ 1 << rng.randrange(8)]))) == good
        except ValueError:
            refused += 1
    assert refused > 10


def test_too_few_powers_are_refused(tmp_path: Path, setup: Setup) -> None:
    with pytest.raises(ValueError, match=r"the circuit needs 2\^5 powers, the file has 2\^4"):
        setup(make_powers(tmp_path / "few.ptau", 4).read_bytes())


def test_progress_rises_and_an_interrupt_leaves_nothing(powers: bytes, tmp_path: Path) -> None:
    (tmp_path / "p.ptau").write_bytes(powers)
    seen: list[float] = []
    _native.setup_first_key(tiny().build(), tmp_path / "p.ptau", tmp_path / "k.zkey", seen.append)
    assert seen[0] == 0.0
    assert seen[-1] == 1.0
    assert seen == sorted(seen)

    def stop(done: float) -> None:
        if done > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _native.setup_first_key(tiny().build(), tmp_path / "p.ptau", tmp_path / "other.zkey", stop)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["k.zkey", "p.ptau"]
