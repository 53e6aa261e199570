"""A circuit of a few rows and powers of tau for it, so that a whole ceremony takes milliseconds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from circuits import _native
from circuits.artifacts import ReadyCircuit, to_native
from circuits.field import encode
from circuits.r1cs import Builder
from circuits.solvency import Size

POWER = 6
BEACON = bytes.fromhex("00c0ffee")


@dataclass(frozen=True)
class Stage:
    """A ceremony with two contributions and a beacon, made once and copied by each test."""

    ptau: Path
    directory: Path
    sent: tuple[Path, ...]


def square(times: int = 1) -> ReadyCircuit:
    """x = times y^2 with x public: 25 = 5^2."""
    b = Builder("square")
    x, y = b.public("x"), b.private("y", 1)[0]
    b.equal(b.mul(y, y) * times, x)
    compiled = b.compile()
    return ReadyCircuit(Size(2, 1, 1), compiled, to_native(compiled), compiled.digest())


def square_witness(circuit: ReadyCircuit) -> bytes:
    """The witness of 25 = 5^2."""
    return circuit.witness(encode([25, 5]))


def make_powers(path: Path, power: int = POWER) -> Path:
    """Powers of tau in a file."""
    _native.make_powers(path, power, True, "tests")
    return path


def rewound(stage: Stage, keys: int) -> Path:
    """The folder as it was when it had so many keys."""
    document = json.loads((stage.directory / "ceremony.json").read_bytes())
    for key in document["keys"][keys:]:
        (stage.directory / key["file"]).unlink()
    document["keys"] = document["keys"][:keys]
    (stage.directory / "ceremony.json").write_text(json.dumps(document))
    return stage.directory
