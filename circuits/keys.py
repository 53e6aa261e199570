"""Proving keys on disk: found by the circuit they belong to, made once per machine for development."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from aggregator.model.errors import FormatError
from circuits import _native
from circuits.artifacts import ReadyCircuit

Progress = Callable[[float], object]


class KeyKind(StrEnum):
    """Who could forge proofs with a key: whoever made it (`dev`), or only all participants of a ceremony together."""

    DEV = "dev"
    CEREMONY = "ceremony"


@dataclass(frozen=True)
class CircuitKey:
    """A proving key that belongs to a circuit."""

    path: Path
    kind: KeyKind
    proving: _native.ProvingKey
    verifying: bytes
    """The verification key, as `circuits.formats` describes it."""

    @property
    def verifying_id(self) -> str:
        """SHA-256 of the verification key, 0x hex: what bundles and registries name."""
        return verifying_key_id(self.verifying)


def verifying_key_id(verifying: bytes) -> str:
    """SHA-256 of a verification key's bytes as 0x hex."""
    return "0x" + hashlib.sha256(verifying).hexdigest()


def default_key_directory() -> Path:
    """$COUNTERFOIL_KEYS, or counterfoil/keys under the user's cache directory."""
    given = os.environ.get("COUNTERFOIL_KEYS")
    if given:
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "counterfoil" / "keys"


def open_key(path: Path, circuit: ReadyCircuit) -> CircuitKey:
    """Opens a `.zkey` and checks that it belongs to the circuit.

    Raises: FormatError naming the file, when it is malformed, or is the key of another circuit.
    """
    try:
        proving = _native.ProvingKey.open(path)
    except ValueError as error:
        raise FormatError(str(error)) from error
    except OSError as error:
        raise FormatError(
            f"the proving key {path} cannot be read ({error.strerror}); check the path"
        ) from error
    if not proving.matches(circuit.native):
        raise FormatError(
            f"the proving key {path} belongs to another circuit than {circuit.size.name}; "
            "use the key of this version, or remove the file to have a dev key made"
        )
    kind = KeyKind.CEREMONY if proving.contributions else KeyKind.DEV
    return CircuitKey(path, kind, proving, proving.verifying_key())


def dev_key_path(circuit: ReadyCircuit, directory: Path) -> Path:
    """Where the dev key of a circuit is kept: the name holds the circuit's digest."""
    return directory / f"{circuit.size.name}-{circuit.digest[:16]}.dev.zkey"


def ensure_dev_key(
    circuit: ReadyCircuit, directory: Path | None = None, progress: Progress | None = None
) -> CircuitKey:
    """Opens this machine's dev key of a circuit, making it first when there is none (seconds).

    `progress` is called with 0..1 while a key is made.
    Raises: FormatError when the directory cannot be written, or holds a malformed file of that name.
    """
    folder = directory or default_key_directory()
    path = dev_key_path(circuit, folder)
    if not path.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _native.setup_dev(circuit.native, path, progress)
        except OSError as error:
            raise FormatError(
                f"no dev key can be written to {folder} ({error.strerror}); set COUNTERFOIL_KEYS to a writable folder"
            ) from error
    return open_key(path, circuit)
