"""The tiny circuit with its key and one proof, and a small ceremony, each made once per run."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from circuits import _native, ceremony
from circuits.ceremony import record
from circuits.field import encode
from circuits.groth16 import ProvingKey, open_key, prove, setup_dev
from tests.circuits.rehearsal import BEACON, Stage, make_powers, square
from tests.circuits.tiny import tiny

TINY_PUBLIC = [35, 777]


@dataclass(frozen=True)
class TinyProof:
    """A circuit, its development key, a true witness and a proof of it."""

    circuit: _native.Circuit
    key_path: Path
    key: ProvingKey
    witness: bytes
    public: list[int]
    proof: bytes


@pytest.fixture(scope="session")
def tiny_proof(tmp_path_factory: pytest.TempPathFactory) -> TinyProof:
    path = tmp_path_factory.mktemp("tiny") / "tiny.zkey"
    circuit = tiny().build()
    setup_dev(circuit, path)
    key = open_key(path, circuit)
    witness = circuit.witness(encode([*TINY_PUBLIC, 5, 7]))
    return TinyProof(circuit, path, key, witness, TINY_PUBLIC, prove(key, witness))


@pytest.fixture(scope="session")
def whole_ceremony(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    root = tmp_path_factory.mktemp("ceremony")
    ptau, directory = make_powers(root / "powers.ptau"), root / "ceremony"
    ceremony.init(square(), ptau, directory)
    sent = []
    for number, name in enumerate(("alice", "bob")):
        sent.append(root / f"{name}.zkey")
        ceremony.contribute(directory / record.key_name(number), sent[-1], name, b"dice")
        ceremony.receive(directory, sent[-1])
    ceremony.apply_beacon(directory, BEACON, 10)
    return Stage(ptau, directory, tuple(sent))


@pytest.fixture
def stage(whole_ceremony: Stage, tmp_path: Path) -> Stage:
    return Stage(
        whole_ceremony.ptau,
        Path(shutil.copytree(whole_ceremony.directory, tmp_path / "ceremony")),
        whole_ceremony.sent,
    )
