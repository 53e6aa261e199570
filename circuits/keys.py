"""Which proving key belongs to which circuit, and whether a ceremony made it.

A dev key is found by the circuit's digest and made once per machine. A key counts as a ceremony's only on a machine
that verified the ceremony's transcript (`counterfoil ceremony finish`): that leaves a record beside the keys, named by
the verification key. Contributions alone say nothing, since whoever has a dev key can add some.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

from aggregator.model.errors import InputError
from circuits.artifacts import ReadyCircuit
from circuits.groth16 import ProvingKey, open_key, setup_dev

VERIFIED_SCHEMA: Final = "counterfoil/verified-ceremony/1"


class KeyKind(StrEnum):
    """Who could forge proofs with a key: whoever made it (`dev`), or only all participants of a ceremony together."""

    DEV = "dev"
    CEREMONY = "ceremony"


def kind_of(key: ProvingKey, directory: Path | None = None) -> KeyKind:
    """The kind of an opened key, by the records in `directory` (this machine's by default)."""
    if key.is_dev:
        return KeyKind.DEV
    key_id = verification_key_id(key.verification_key)
    try:
        record = json.loads(_record_path(key_id, directory or default_key_directory()).read_bytes())
    except (OSError, ValueError):
        return KeyKind.DEV
    good = isinstance(record, dict) and record.get("schema") == VERIFIED_SCHEMA
    return KeyKind.CEREMONY if good and record.get("verificationKeyId") == key_id else KeyKind.DEV


def record_verified(circuit: ReadyCircuit, key: ProvingKey, transcript_sha256: str, directory: Path) -> None:
    """Notes that the ceremony behind an opened key was verified on this machine."""
    key_id = verification_key_id(key.verification_key)
    record = {
        "schema": VERIFIED_SCHEMA,
        "circuit": circuit.size.name,
        "circuitDigest": circuit.digest,
        "verificationKeyId": key_id,
        "transcriptSha256": transcript_sha256,
    }
    _record_path(key_id, directory).write_text(json.dumps(record, indent=1) + "\n")


def _record_path(key_id: str, directory: Path) -> Path:
    return directory / f"{key_id[2:]}.verified.json"


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


def ceremony_key_path(circuit: ReadyCircuit, directory: Path | None = None) -> Path:
    """Where `counterfoil ceremony finish` puts the key of a circuit."""
    return (
        directory or default_key_directory()
    ) / f"{circuit.size.name}-{circuit.digest[2:18]}.ceremony.zkey"


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
