"""Compiled circuits on disk, so that a process need not compile them again (seconds against a tenth).

A file is found by the digest of every source it follows from, so a changed circuit is never read from an old file, and
it begins with the SHA-256 of the rest. One that is damaged, cut off or of another form is as good as none. The digest
of the circuit is computed of what was read, so a file cannot give another circuit under it.

    magic (8)  SHA-256 of what follows (32)  length of the JSON (4)  JSON  coefficients (32 each)  uint32 arrays
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from aggregator.model.nesting import require_shallow
from circuits.field import ELEMENT_BYTES, decode, encode
from circuits.r1cs import CompiledCircuit, Matrix

MAGIC: Final = b"cfcirc\x00\x01"
_CHECKSUM_BYTES: Final = 32
_MATRICES: Final = ("a", "b", "c", "h")
_ROOT: Final = Path(__file__).parent
_FOREIGN_SOURCES: Final = (
    "aggregator/model/units.py",
    "aggregator/model/__init__.py",
    "aggregator/__init__.py",
)


def default_circuit_directory() -> Path:
    """counterfoil/circuits under $XDG_CACHE_HOME, else under ~/.cache."""
    held = os.environ.get("XDG_CACHE_HOME")
    return (Path(held) if held else Path.home() / ".cache") / "counterfoil" / "circuits"


def sources() -> list[Path]:
    """Every file that a compiled circuit can follow from: all Python of this package, and the units of the model."""
    return [*sorted(_ROOT.rglob("*.py")), *(_ROOT.parent / name for name in _FOREIGN_SOURCES)]


@cache
def source_digest() -> str:
    """SHA-256 over the names and contents of `sources`."""
    h = hashlib.sha256(MAGIC)
    for path in sources():
        data = path.read_bytes()
        h.update(f"{path.relative_to(_ROOT.parent)} {len(data)} ".encode())
        h.update(data)
    return h.hexdigest()


def cache_path(name: str, directory: Path | None = None) -> Path:
    """Where the compiled circuit `name` is kept."""
    return (directory or default_circuit_directory()) / f"{name}-{source_digest()[:16]}.circuit"


def load(name: str, directory: Path | None = None) -> tuple[CompiledCircuit, str] | None:
    """The compiled circuit and its digest; None when there is no good file of it."""
    try:
        data = cache_path(name, directory).read_bytes()
        if data[: len(MAGIC)] != MAGIC:
            return None
        start = len(MAGIC) + _CHECKSUM_BYTES
        body = memoryview(data)[start:]
        if hashlib.sha256(body).digest() != data[len(MAGIC) : start]:
            return None
        found = _decode(body)
        return found if found[0].name == name else None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError):
        # The cache is there to save time: whatever is wrong with a file, the circuit is compiled again.
        return None


def store(circuit: CompiledCircuit, digest: str, directory: Path | None = None) -> None:
    """Keeps a compiled circuit, and drops those that other sources made of the same name.

    A cache that cannot be written is no error: the next process compiles again.
    """
    path = cache_path(circuit.name, directory)
    body = _encode(circuit, digest)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(MAGIC + hashlib.sha256(body).digest())
                file.write(body)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        for old in path.parent.glob(f"{circuit.name}-*.circuit"):
            if old != path:
                old.unlink(missing_ok=True)
    except OSError:
        return


def _encode(circuit: CompiledCircuit, digest: str) -> bytes:
    arrays = [getattr(getattr(circuit, m), part) for m in _MATRICES for part in ("ptr", "idx", "coef")]
    arrays.append(circuit.program)
    header = {
        "name": circuit.name,
        "digest": digest,
        "wires": [circuit.n_wires, circuit.n_public, circuit.n_inputs],
        "rowLabels": circuit.row_labels,
        "opLabels": list(circuit.op_labels.items()),
        "assumptions": circuit.assumptions,
        "inputs": [[name, first, count] for name, (first, count) in circuit.input_names.items()],
        "coefs": len(circuit.coefs),
        "arrays": [len(array) for array in arrays],
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    blocks = (array.astype("<u4").tobytes() for array in arrays)
    return b"".join((len(text).to_bytes(4, "little"), text, encode(circuit.coefs), *blocks))


def _decode(body: memoryview) -> tuple[CompiledCircuit, str]:
    size = int.from_bytes(body[:4], "little")
    text = bytes(body[4 : 4 + size])
    require_shallow(text)
    header: dict[str, Any] = json.loads(text)
    at = 4 + size
    coefs = decode(bytes(body[at : at + header["coefs"] * ELEMENT_BYTES]))
    at += header["coefs"] * ELEMENT_BYTES
    arrays = []
    for length in header["arrays"]:
        arrays.append(np.frombuffer(body, dtype="<u4", count=length, offset=at))
        at += 4 * length
    matrices = [Matrix(*arrays[i : i + 3]) for i in range(0, 3 * len(_MATRICES), 3)]
    n_wires, n_public, n_inputs = header["wires"]
    circuit = CompiledCircuit(
        name=header["name"],
        n_wires=n_wires,
        n_public=n_public,
        n_inputs=n_inputs,
        coefs=tuple(coefs),
        a=matrices[0],
        b=matrices[1],
        c=matrices[2],
        h=matrices[3],
        program=arrays[-1],
        row_labels=tuple((first, label) for first, label in header["rowLabels"]),
        op_labels=dict(header["opLabels"]),
        assumptions=header["assumptions"],
        input_names={name: (first, count) for name, first, count in header["inputs"]},
    )
    digest = circuit.digest()
    if digest != header["digest"]:
        raise ValueError("the constraint system is not the one that the file has the digest of")
    return circuit, digest
