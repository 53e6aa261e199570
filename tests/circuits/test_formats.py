"""iden3 formats: round trips, and malformed JSON and files refused by field, section and reason."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.model.errors import FormatError
from circuits import _native, formats
from circuits.field import MODULUS
from circuits.formats.layout import BASE_FIELD_ORDER, join
from tests.circuits.conftest import TinyProof
from tests.circuits.malformed import join_sections, section, spliced, split_sections, with_section

Q = BASE_FIELD_ORDER
PROOF_BYTES = st.lists(st.integers(0, Q - 1), min_size=8, max_size=8).map(join)


@given(PROOF_BYTES)
def test_a_proof_round_trips(proof: bytes) -> None:
    value = json.loads(json.dumps(formats.encode_proof(proof)))
    assert formats.parse_proof(value) == proof


def test_a_proof_reads_as_snarkjs_writes_it() -> None:
    proof = formats.encode_proof(join([1, 2, 3, 4, 5, 6, 7, 8]))
    assert proof == {
        "pi_a": ["1", "2", "1"],
        "pi_b": [["3", "4"], ["5", "6"], ["1", "0"]],
        "pi_c": ["7", "8", "1"],
        "protocol": "groth16",
        "curve": "bn128",
    }


@given(st.lists(st.integers(0, MODULUS - 1), max_size=6))
def test_public_inputs_round_trip(values: list[int]) -> None:
    assert formats.parse_public(json.loads(json.dumps(formats.encode_public(values)))) == values


def test_a_verification_key_round_trips(tiny_proof: TinyProof) -> None:
    key = tiny_proof.key.verification_key
    value = json.loads(json.dumps(formats.encode_verification_key(key)))
    assert value["nPublic"] == 2
    assert len(value["IC"]) == 3
    assert formats.parse_verification_key(value) == key


def test_a_malformed_verification_key_is_not_encoded(tiny_proof: TinyProof) -> None:
    with pytest.raises(FormatError, match="alpha is the point at infinity"):
        formats.encode_verification_key(bytes(64) + tiny_proof.key.verification_key[64:])
    with pytest.raises(FormatError, match="3 bytes"):
        formats.encode_verification_key(b"abc")


@pytest.mark.parametrize("length", [0, 255, 257])
def test_a_proof_of_another_length_is_not_encoded(length: int) -> None:
    with pytest.raises(FormatError, match=f"{length} bytes, not 256"):
        formats.encode_proof(bytes(length))


Change = Callable[[Any], object]


def _set(*path: Any) -> Change:
    """Sets the entry at the path (its last element is the value) and returns the whole."""

    def apply(value: Any) -> object:
        target = value
        for step in path[:-2]:
            target = target[step]
        target[path[-2]] = path[-1]
        return value

    return apply


def _drop(name: str) -> Change:
    def apply(value: Any) -> object:
        del value[name]
        return value

    return apply


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda _: [], "not a JSON object"),
        (lambda _: None, "not a JSON object"),
        (_set("protocol", "plonk"), 'protocol is not "groth16"'),
        (_drop("curve"), 'curve is not "bn128"'),
        (_drop("pi_a"), "pi_a is not a list of 3"),
        (_set("pi_a", ["1", "2"]), "pi_a is not a list of 3"),
        (_set("pi_a", 0, 1), r"pi_a\[0\] is not a decimal string"),
        (_set("pi_a", 0, "01"), r"pi_a\[0\] is not a decimal string"),
        (_set("pi_a", 0, "-1"), r"pi_a\[0\] is not a decimal string"),
        (_set("pi_a", 0, "0x1"), r"pi_a\[0\] is not a decimal string"),
        (_set("pi_a", 0, "1 "), r"pi_a\[0\] is not a decimal string"),
        (_set("pi_a", 0, "1\n"), r"pi_a\[0\] is not a decimal string"),
        (_set("pi_a", 0, "\u0661"), r"pi_a\[0\] is not a decimal string"),
        (_set("pi_a", 0, ""), r"pi_a\[0\] is not a decimal string"),
        (_set("pi_a", 0, "1" * 100000), r"pi_a\[0\] is not a decimal string"),
        (_set("pi_a", 1, str(Q)), r"pi_a\[1\] is not below the field order"),
        (_set("pi_a", ["0", "1", "0"]), "third coordinate must be 1"),
        (_set("pi_c", 2, "2"), "pi_c is not an affine point"),
        (_set("pi_b", ["1", "2", "3"]), r"pi_b\[0\] is not a list of 2"),
        (_set("pi_b", []), "pi_b is not a list of 3 pairs"),
        (_set("pi_b", 2, ["0", "1"]), "third coordinate must be 1, 0"),
        (_set("pi_b", 1, 1, str(1 << 256)), r"pi_b\[1\]\[1\] is not below"),
    ],
)
def test_a_malformed_proof_is_refused(change: Change, reason: str) -> None:
    value = formats.encode_proof(join([1, 2, 3, 4, 5, 6, 7, 8]))
    with pytest.raises(FormatError, match=reason):
        formats.parse_proof(change(copy.deepcopy(value)))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({}, "not a list"),
        ("12", "not a list"),
        ([1], "input 0 is not a decimal string"),
        (["1", "+2"], "input 1 is not a decimal string"),
        ([str(MODULUS)], "input 0 is not below the field order"),
    ],
)
def test_malformed_public_inputs_are_refused(value: object, reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        formats.parse_public(value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_set("protocol", "fflonk"), "protocol"),
        (_set("nPublic", 1), "nPublic is not the number of IC points less one"),
        (_set("nPublic", "2"), "nPublic"),
        (_set("nPublic", True), "nPublic"),
        (_set("IC", []), "IC is not a list of points"),
        (_drop("IC"), "IC is not a list of points"),
        (_set("IC", 1, ["0", "1", "0"]), r"IC\[1\] is not an affine point"),
        (_set("vk_gamma_2", 0, 0, str(Q)), r"vk_gamma_2\[0\]\[0\] is not below"),
        (_drop("vk_delta_2"), "vk_delta_2 is not a list"),
    ],
)
def test_a_malformed_verification_key_json_is_refused(
    tiny_proof: TinyProof, change: Change, reason: str
) -> None:
    value = formats.encode_verification_key(tiny_proof.key.verification_key)
    with pytest.raises(FormatError, match=reason):
        formats.parse_verification_key(change(value))


@pytest.fixture
def files(tiny_proof: TinyProof, tmp_path: Path) -> dict[str, Path]:
    """One good file of each kind."""
    paths = {kind: tmp_path / f"tiny.{kind}" for kind in ("r1cs", "wtns", "zkey")}
    tiny_proof.circuit.write_r1cs(paths["r1cs"])
    _native.write_wtns(paths["wtns"], tiny_proof.witness)
    paths["zkey"].write_bytes(tiny_proof.key_path.read_bytes())
    return paths


READERS: dict[str, Callable[[Path], object]] = {
    "r1cs": formats.read_r1cs_header,
    "wtns": formats.read_wtns_header,
    "zkey": formats.read_zkey_header,
}
CORE_READERS: dict[str, Callable[[Path], object]] = {
    "r1cs": _native.Circuit.read_r1cs,
    "wtns": _native.read_wtns,
    "zkey": _native.ProvingKey.open,
}
KINDS = pytest.mark.parametrize("kind", READERS)


def test_headers(files: dict[str, Path]) -> None:
    assert formats.read_r1cs_header(files["r1cs"]) == formats.R1csHeader(17, 0, 2, 2, 17, 14)
    assert formats.read_wtns_header(files["wtns"]) == formats.WtnsHeader(17)
    assert formats.read_zkey_header(files["zkey"]) == formats.ZkeyHeader(17, 2, 32, 0)


@KINDS
def test_both_readers_name_file_and_reason(files: dict[str, Path], kind: str) -> None:
    """The header reader and the core refuse the same damage."""
    path = files[kind]
    data = path.read_bytes()
    head, sections = split_sections(data)
    header_section = 2 if kind == "zkey" else 1
    cases = [
        (b"", "not a|header bytes"),
        (data[:8], "truncated|header bytes"),
        (b"PK\3\4" + data[4:], f'does not start with "{kind}"'),
        (spliced(data, 4, b"\3"), "version 3 is not supported"),
        (spliced(data, 4, b"\0"), "version 0 is not supported"),
        (data[:-1], "is truncated|ends before"),
        (data[:30], "is truncated|ends before"),
        (data + b"x", "1 bytes follow the last section"),
        (join_sections(head, sections[1:]), f"section {sections[0][0]} .* is missing"),
        (join_sections(head, [*sections, sections[0]]), f"section {sections[0][0]} comes twice"),
        (with_section(data, header_section, section(data, header_section)[:20]), "ends too early"),
        (
            with_section(data, header_section, spliced(section(data, header_section), 5, b"\1")),
            "not that of BN254",
        ),
    ]
    for damaged, reason in cases:
        path.write_bytes(damaged)
        with pytest.raises(FormatError, match=reason) as refusal:
            READERS[kind](path)
        assert str(path) in str(refusal.value)
        with pytest.raises(ValueError, match=reason) as core_refusal:
            CORE_READERS[kind](path)
        assert str(path) in str(core_refusal.value)


@KINDS
def test_an_absurd_section_count_is_refused(files: dict[str, Path], kind: str) -> None:
    path = files[kind]
    path.write_bytes(spliced(path.read_bytes(), 8, b"\xff\xff\xff\xff"))
    with pytest.raises(FormatError, match="sections are more than any"):
        READERS[kind](path)
    with pytest.raises(ValueError, match="ends before the header of section"):
        CORE_READERS[kind](path)


@KINDS
def test_a_missing_file_is_an_operating_system_error(tmp_path: Path, kind: str) -> None:
    for readers in (READERS, CORE_READERS):
        with pytest.raises(FileNotFoundError):
            readers[kind](tmp_path / "none")


def constraints_with(data: bytes, at: int, new: bytes) -> bytes:
    return with_section(data, 2, spliced(section(data, 2), at, new))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: constraints_with(d, 0, b"\xff\xff\xff\xff"), "row 0 has 4294967295 terms"),
        (lambda d: constraints_with(d, 4, b"\x11"), "row 0 uses wire 17, there are 17"),
        (lambda d: constraints_with(d, 8, b"\xff" * 32), "row 0 has a coefficient not below the prime"),
        (lambda d: with_section(d, 2, section(d, 2)[:-1]), r"section 2 \(constraints\) ends too early"),
        (
            lambda d: with_section(d, 2, section(d, 2) + b"\0"),
            r"section 2 \(constraints\) has 1 bytes too many",
        ),
        (lambda d: with_section(d, 1, spliced(section(d, 1), 48, b"\xff")), "do not fit together"),
        (
            lambda d: with_section(d, 1, spliced(section(d, 1), 40, b"\xff" * 8)),
            "number of inputs is too large",
        ),
        (
            lambda d: with_section(with_section(d, 1, spliced(section(d, 1), 60, b"\0")), 2, b""),
            "must be equal and not 0",
        ),
        (
            lambda d: join_sections(d[:8], [*split_sections(d)[1], (4, b"\1\0\0\0")]),
            "custom gates are not supported",
        ),
    ],
)
def test_a_damaged_r1cs_is_refused(
    files: dict[str, Path], change: Callable[[bytes], bytes], reason: str
) -> None:
    path = files["r1cs"]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=reason) as refusal:
        _native.Circuit.read_r1cs(path)
    assert str(path) in str(refusal.value)


def test_outputs_of_an_r1cs_count_as_public(files: dict[str, Path]) -> None:
    path = files["r1cs"]
    data = path.read_bytes()
    one_output = b"\1\0\0\0" + b"\1\0\0\0"
    path.write_bytes(with_section(data, 1, spliced(section(data, 1), 40, one_output)))
    assert _native.Circuit.read_r1cs(path).n_public == 2
    assert formats.read_r1cs_header(path).n_outputs == 1


def test_a_damaged_wtns_is_refused(files: dict[str, Path]) -> None:
    path = files["wtns"]
    data = path.read_bytes()
    path.write_bytes(with_section(data, 2, section(data, 2)[:-32]))
    with pytest.raises(ValueError, match="should have 17 elements"):
        _native.read_wtns(path)
    with pytest.raises(FormatError, match="should have 544 bytes, it has 512"):
        formats.read_wtns_header(path)
    path.write_bytes(with_section(data, 2, b"\xff" * 544))
    with pytest.raises(ValueError, match=r"element \d+ is not below"):
        _native.read_wtns(path)


def test_a_key_for_another_protocol_is_refused(files: dict[str, Path]) -> None:
    path = files["zkey"]
    path.write_bytes(with_section(path.read_bytes(), 1, b"\2\0\0\0"))
    with pytest.raises(FormatError, match="does not say Groth16"):
        formats.read_zkey_header(path)
