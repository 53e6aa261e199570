"""Which proving key belongs to which circuit: found by the circuit's digest, made once per machine for development."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from aggregator.model.errors import InputError
from circuits.artifacts import ReadyCircuit
from circuits.groth16 import ProvingKey, open_key, setup_dev


class KeyKind(StrEnum):
    """Who could forge proofs with a key: whoever made it (`dev`), or only all participants of a ceremony together."""

    DEV = "dev"
    CEREMONY = "ceremony"


def kind_of(key: ProvingKey) -> KeyKind:
    """The kind of an opened key."""
    return KeyKind.DEV if key.is_dev else KeyKind.CEREMONY


def verification_key_id(verification_key: bytes) -> str:
    """SHA-256 of a verification key's bytes as 0x hex: what bundles and registries name."""
    return "0x" + hashlib.sha256(verification_key).hexdigest()


def default_key_directory() -> Path:
    """$COUNTERFOIL_KEYS, or counterfoil/keys under the user's cache directory."""
    given = os.environ.get("COUNTERFOIL_KEYS")
    if given:
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "counterfoil" / "keys"


def dev_key_path(circuit: ReadyCircuit, directory: Path | None = None) -> Path:
    """Where the dev key of a circuit is kept: the name holds the circuit's digest."""
    return (directory or default_key_directory()) / f"{circuit.size.name}-{circuit.digest[2:18]}.dev.zkey"


def ensure_dev_key(
    circuit: ReadyCircuit, directory: Path | None = None, progress: Callable[[float], object] | None = None
) -> ProvingKey:
    """Opens this machine's dev key of a circuit, making it first when there is none (seconds).

    `progress` is called with 0..1 while a key is made.
    Raises: InputError when the folder cannot be written; FormatError when a file of that name is malformed.
    """
    path = dev_key_path(circuit, directory)
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise InputError(
                f"no dev key can be written to {path.parent} ({error.strerror}); set COUNTERFOIL_KEYS to another folder"
            ) from error
        setup_dev(circuit.native, path, progress)
    return open_key(path, circuit.native)
