"""Which circuit a key is of is believed of a record, never of the key: it has no terms of C."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aggregator.model.errors import CannotProveError, FormatError
from aggregator.service import background, verifiers
from chains.contracts import deploy
from circuits import ceremony
from circuits.artifacts import ReadyCircuit, to_native
from circuits.field import encode
from circuits.groth16 import open_key, prove, setup_dev
from circuits.keys import (
    KeyKind,
    ceremony_key_path,
    dev_key_path,
    ensure_dev_key,
    record_verified,
    verification_key_id,
)
from circuits.prover import Prepared, prove_prepared
from circuits.r1cs import Builder
from circuits.solvency import Size
from tests.circuits.rehearsal import square, square_witness


def direct(times: int) -> ReadyCircuit:
    """y^2 = times x: A and B are the same for any `times`, C is not."""
    b = Builder("direct")
    x, y = b.public("x"), b.private("y", 1)[0]
    b.enforce(y, y, x * times)
    compiled = b.compile()
    return ReadyCircuit(Size(2, 1, 1), compiled, to_native(compiled), compiled.digest())


def test_a_dev_key_is_recorded_when_it_is_made(tmp_path: Path) -> None:
    circuit = square(3)
    key = ensure_dev_key(circuit, tmp_path)
    key_id = verification_key_id(key.verification_key)
    (path,) = tmp_path.glob("*.dev.json")
    record = json.loads(path.read_bytes())
    assert (record["circuitDigest"], record["verificationKeyId"]) == (circuit.digest, key_id)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, key.path.name])
    assert ensure_dev_key(circuit, tmp_path).verification_key == key.verification_key


def test_a_key_of_another_c_is_refused(tmp_path: Path) -> None:
    """It matches: only the record tells them apart."""
    circuit, weak = direct(1), direct(2)
    made = ensure_dev_key(weak, tmp_path)
    assert made.native.matches(circuit.native)
    made.path.rename(dev_key_path(circuit, tmp_path))
    with pytest.raises(FormatError, match=f"it is of the circuit {weak.digest}"):
        ensure_dev_key(circuit, tmp_path)


def test_a_key_without_its_record_is_refused(tmp_path: Path) -> None:
    circuit = square(3)
    setup_dev(circuit.native, dev_key_path(circuit, tmp_path))
    with pytest.raises(FormatError, match="nothing says which circuit it is of"):
        ensure_dev_key(circuit, tmp_path)
    ensure_dev_key(circuit, tmp_path / "other")
    (record,) = (tmp_path / "other").glob("*.dev.json")
    for content in (b"", b"[]", b"{", b"[" * 5000, record.read_bytes().replace(b"dev-key/1", b"dev-key/2")):
        record.write_bytes(content)
        with pytest.raises(FormatError, match="nothing says"):
            ensure_dev_key(circuit, tmp_path / "other")


@pytest.mark.parametrize("byte", [0x00, 0x7F, 0xFF])
def test_a_key_that_is_overwritten_while_open_is_at_fault(tmp_path: Path, byte: int) -> None:
    """Not the statement, which is true: the exit code is that of a malformed file."""
    circuit = square()
    path = tmp_path / "k.zkey"
    setup_dev(circuit.native, path)
    key, witness = open_key(path, circuit.native), square_witness(circuit)
    prepared = Prepared((25,), witness)
    good = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(700)
        file.write(bytes([byte]) * (len(good) - 700))
    with pytest.raises(FormatError, match=r"k\.zkey.*make or fetch the key again"):
        prove_prepared(key, prepared)
    path.write_bytes(good)


def test_a_malformed_point_is_the_keys_fault_and_a_false_witness_is_not(tmp_path: Path) -> None:
    circuit = square()
    path = tmp_path / "k.zkey"
    setup_dev(circuit.native, path)
    key, witness = open_key(path, circuit.native), square_witness(circuit)
    with pytest.raises(CannotProveError, match="does not verify"):
        prove(key, witness[:-32] + encode([3]))
    with pytest.raises(CannotProveError, match="bytes given"):
        prove(key, witness[:-32])
    data = bytearray(path.read_bytes())
    data[-900:-300] = b"\xff" * 600
    path.write_bytes(data)
    with pytest.raises(FormatError, match="make or fetch the key again"):
        prove(key, witness)


def test_the_contract_of_a_key_says_what_the_key_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not what somebody types: `dev` until this machine verified the ceremony, and another address then."""
    monkeypatch.setenv("COUNTERFOIL_KEYS", str(tmp_path))
    circuit = square()
    made = ensure_dev_key(circuit, tmp_path)
    ceremony.contribute(made.path, tmp_path / "more.zkey", "me")
    more = open_key(tmp_path / "more.zkey", circuit.native)
    placed: list[tuple[bytes, bool]] = []
    monkeypatch.setattr(deploy, "verifier", lambda _key, *, dev, salt: placed.append((salt, dev)))
    for key in (made, more):
        verifiers.verifier(key)
    record_verified(circuit, more, "00" * 32, tmp_path)
    verifiers.verifier(more, b"\1" * 32)
    assert placed == [(bytes(32), True), (bytes(32), True), (b"\1" * 32, False)]


def test_the_service_offers_the_key_of_a_finished_ceremony_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each under its kind; one whose ceremony nobody verified here is refused as this machine's own."""
    circuit = square()
    monkeypatch.setenv("COUNTERFOIL_KEYS", str(tmp_path))
    monkeypatch.setattr(background, "SIZES", {"square": circuit.size})
    monkeypatch.setattr(background, "ready", lambda _name: circuit)
    assert background._own_keys() == []
    made = ensure_dev_key(circuit, tmp_path)
    finished = ceremony_key_path(circuit, tmp_path)
    ceremony.contribute(made.path, finished, "me")
    with pytest.raises(FormatError, match="nothing says which circuit"):
        background._own_keys()
    record_verified(circuit, open_key(finished), "00" * 32, tmp_path)
    assert [(key.kind, key.circuit_digest) for key in background._own_keys()] == [
        (KeyKind.DEV, circuit.digest),
        (KeyKind.CEREMONY, circuit.digest),
    ]
