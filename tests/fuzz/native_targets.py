"""The Rust parsers, through the Python boundary that users reach them by."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from circuits import _native
from circuits.field import encode
from circuits.formats import read_r1cs_header, read_wtns_header, read_zkey_header
from tests.circuits.malformed import join_sections, split_sections
from tests.circuits.tiny import tiny, u32
from tests.fuzz.mutate import mutate_bytes, mutate_sections
from tests.fuzz.target import Target, scratch

PUBLIC = encode([35, 777])
INPUTS = encode([35, 777, 5, 7])


@cache
def _key_file() -> Path:
    path = scratch() / "seed.zkey"
    _native.setup_dev(tiny().build(), path)
    return path


@cache
def _key() -> _native.ProvingKey:
    return _native.ProvingKey.open(_key_file())


def _witness() -> bytes:
    return tiny().build().witness(INPUTS)


def _file(data: bytes) -> Path:
    path = scratch() / f"case-{os.getpid()}"
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def _r1cs_seeds(folder: Path) -> list[bytes]:
    path = folder / "tiny.r1cs"
    tiny().build().write_r1cs(path)
    return [path.read_bytes()]


def _read_r1cs(data: bytes) -> None:
    path = _file(data)
    circuit = _native.Circuit.read_r1cs(path)
    header = read_r1cs_header(path)
    assert (circuit.n_wires, circuit.n_constraints) == (header.n_wires, header.n_constraints)
    circuit.write_r1cs(path)
    again = _native.Circuit.read_r1cs(path)
    assert (again.n_wires, again.n_public, again.n_inputs) == (
        circuit.n_wires,
        circuit.n_public,
        circuit.n_inputs,
    )
    if circuit.n_wires == 17:
        circuit.first_violation(_witness())


def _setup(data: bytes) -> None:
    """A key for whatever constraint system is read; one that is made proves nothing false."""
    circuit = _native.Circuit.read_r1cs(_file(data))
    if circuit.n_wires > 1000 or circuit.domain_size > 1024:
        return
    path = scratch() / "made.zkey"
    _native.setup_dev(circuit, path)
    key = _native.ProvingKey.open(path)
    assert key.matches(circuit)
    if circuit.n_wires == 17 and circuit.first_violation(_witness()) is None:
        key.prove(_witness())


def _wtns_seeds(folder: Path) -> list[bytes]:
    path = folder / "tiny.wtns"
    _native.write_wtns(path, _witness())
    return [path.read_bytes()]


def _read_wtns(data: bytes) -> None:
    path = _file(data)
    witness = _native.read_wtns(path)
    assert read_wtns_header(path).n_wires * 32 == len(witness)
    _key().prove(witness)


def _zkey_seeds(folder: Path) -> list[bytes]:
    return [_key_file().read_bytes()]


def _read_zkey(data: bytes) -> None:
    path = _file(data)
    key = _native.ProvingKey.open(path)
    header = read_zkey_header(path)
    assert (header.n_wires, header.n_public, header.domain_size) == (
        key.n_wires,
        key.n_public,
        key.domain_size,
    )
    key.matches(tiny().build())
    proof = key.prove(_witness() if key.n_wires == 17 else encode([1] * key.n_wires))
    assert _native.verify(
        key.verifying_key(), PUBLIC if key.n_public == 2 else encode([1] * key.n_public), proof
    )


def _proof_seeds(folder: Path) -> list[bytes]:
    return [_key().prove(_witness()) for _ in range(2)]


def _verify_proof(data: bytes) -> None:
    """Bytes that are accepted are those of a proof; nobody finds one by editing another."""
    if _native.verify(_key().verifying_key(), PUBLIC, data):
        assert data in _known_proofs()
        return


@cache
def _known_proofs() -> set[bytes]:
    return set()


def _proof_seeds_kept(folder: Path) -> list[bytes]:
    seeds = _proof_seeds(folder)
    _known_proofs().update(seeds)
    return seeds


@cache
def _one_proof() -> bytes:
    return _key().prove(_witness())


def _vk_seeds(folder: Path) -> list[bytes]:
    return [_key().verifying_key()]


def _verify_key(data: bytes) -> None:
    accepted = _native.verify(data, PUBLIC, _one_proof())
    assert accepted == (data == _key().verifying_key())
    _native.alpha_beta(data)


def _public_seeds(folder: Path) -> list[bytes]:
    return [PUBLIC]


def _verify_public(data: bytes) -> None:
    """One spelling of each public input, and only the proven ones."""
    assert _native.verify(_key().verifying_key(), data, _one_proof()) == (data == PUBLIC)


def _parts_seeds(folder: Path) -> list[bytes]:
    n_wires, n_public, n_inputs, coefs, a, b, c, h, program = tiny().arguments()
    parts = [u32([n_wires, n_public, n_inputs]), coefs, *a, *b, *c, *h, program]
    return [join_sections(b"fuzz\1\0\0\0", list(enumerate(parts, start=1)))]


def _circuit(data: bytes) -> None:
    """Matrices and the program stream. What is accepted runs without leaving its bounds."""
    try:
        parts = dict(split_sections(data)[1])
    except IndexError:
        return
    numbers = parts.get(1, b"").ljust(12, b"\0")
    counts = [int.from_bytes(numbers[i : i + 4], "little") for i in (0, 4, 8)]
    blocks = [parts.get(n, b"") for n in range(2, 16)]
    csr = [(blocks[i], blocks[i + 1], blocks[i + 2]) for i in (1, 4, 7, 10)]
    circuit = _native.Circuit(*counts, blocks[0], csr[0], csr[1], csr[2], csr[3], blocks[13])
    if circuit.n_inputs <= 1000:
        inputs = INPUTS if circuit.n_inputs == 4 else encode([1] * circuit.n_inputs)
        circuit.first_violation(circuit.tampered(inputs, [5], encode([1]))[0])
        circuit.first_violation(circuit.witness(inputs))


def _poseidon(data: bytes) -> None:
    _native.poseidon(data[0] if data else 0, data[1:])


_REFUSALS = (ValueError,)

TARGETS = (
    Target("r1cs", _r1cs_seeds, _read_r1cs, mutate_sections, _REFUSALS),
    Target("r1cs-setup", _r1cs_seeds, _setup, mutate_sections, _REFUSALS, weight=2),
    Target("wtns", _wtns_seeds, _read_wtns, mutate_sections, _REFUSALS, weight=5),
    Target("zkey", _zkey_seeds, _read_zkey, mutate_sections, _REFUSALS),
    Target("program", _parts_seeds, _circuit, mutate_sections, _REFUSALS, weight=30),
    Target("proof-bytes", _proof_seeds_kept, _verify_proof, mutate_bytes, _REFUSALS),
    Target("verification-key-bytes", _vk_seeds, _verify_key, mutate_bytes, _REFUSALS),
    Target("public-bytes", _public_seeds, _verify_public, mutate_bytes, _REFUSALS, weight=5),
    Target("poseidon", lambda _: [b"\2" + encode([1, 2, 3, 4])], _poseidon, mutate_bytes, _REFUSALS),
)
