"""The tiny circuit with its key and one proof, made once per run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from circuits import _native
from circuits.field import encode
from circuits.groth16 import ProvingKey, open_key, prove, setup_dev
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
