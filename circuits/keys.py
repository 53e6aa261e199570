"""Which proving key belongs to which circuit, and whether a ceremony made it.

A dev key is found by the circuit's digest and made once per machine. A key counts as a ceremony's only on a machine
that verified the ceremony's transcript (`counterfoil ceremony finish`): that leaves a record beside the keys, named by
the verification key. Contributions alone say nothing, since whoever has a dev key can add some.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Final

from aggregator.model.errors import FormatError, InputError
from aggregator.model.nesting import require_shallow
from circuits.artifacts import ReadyCircuit
from circuits.groth16 import ProvingKey, open_key, setup_dev

VERIFIED_SCHEMA: Final = "counterfoil/verified-ceremony/1"
DEV_SCHEMA: Final = "counterfoil/dev-key/1"
_MAX_RECORD_BYTES: Final = 1 << 16


class KeyKind(StrEnum):
    """Who could forge proofs with a key: whoever made it (`dev`), or only all participants of a ceremony together."""

    DEV = "dev"
    CEREMONY = "ceremony"


def kind_of(key: ProvingKey, directory: Path | None = None) -> KeyKind:
    """The kind of an opened key, by the records in `directory` (this machine's by default)."""
    if key.is_dev:
        return KeyKind.DEV
    key_id = verification_key_id(key.verification_key)
    path = _record_path(key_id, directory or default_key_directory())
    return KeyKind.DEV if read_record(path, VERIFIED_SCHEMA, key_id) is None else KeyKind.CEREMONY


def read_record(path: Path, schema: str, key_id: str) -> str | None:
    """The digest of the circuit that a record says the key is of; None when it is no record of this key."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_RECORD_BYTES)
        require_shallow(data)
        record = json.loads(data)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or (record.get("schema"), record.get("verificationKeyId")) != (
        schema,
        key_id,
    ):
        return None
    digest = record.get("circuitDigest")
    return digest if isinstance(digest, str) else None


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


def _record_path(key_id: str, directory: Path, kind: str = "verified") -> Path:
    return directory / f"{key_id[2:]}.{kind}.json"


def open_own_key(path: Path, circuit: ReadyCircuit) -> ProvingKey:
    """Opens a key that this machine made or verified itself: its record has to say that it is of this circuit.

    A key has no terms of C, so comparing it with a circuit would not be enough.
    Raises: FormatError when it is malformed or of another circuit, or there is no record of it.
    """
    key = open_key(path, circuit.native)
    key_id = verification_key_id(key.verification_key)
    schema, kind = (DEV_SCHEMA, "dev") if key.is_dev else (VERIFIED_SCHEMA, "verified")
    recorded = read_record(_record_path(key_id, path.parent, kind), schema, key_id)
    if recorded != circuit.digest:
        what = (
            "nothing says which circuit it is of" if recorded is None else f"it is of the circuit {recorded}"
        )
        raise FormatError(
            f"{path}: {what}, and this version's is {circuit.digest}; remove the file, and make or verify the key again"
        )
    return key


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
    """Where the dev key of a circuit is kept: the name holds the circuit's digest, whole."""
    return (directory or default_key_directory()) / f"{circuit.size.name}-{circuit.digest[2:]}.dev.zkey"


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
        _make_dev_key(circuit, path, progress)
    return open_own_key(path, circuit)


def _make_dev_key(circuit: ReadyCircuit, path: Path, progress: Callable[[float], object] | None) -> None:
    """The key and the record of which circuit it is of. The record is named by the key, so two that are made at once
    do not mix.
    """
    made = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        setup_dev(circuit.native, made, progress)
        key_id = verification_key_id(open_key(made).verification_key)
        record = {
            "schema": DEV_SCHEMA,
            "circuit": circuit.size.name,
            "circuitDigest": circuit.digest,
            "verificationKeyId": key_id,
        }
        _record_path(key_id, path.parent, "dev").write_text(json.dumps(record, indent=1) + "\n")
        made.replace(path)
    except OSError as error:
        raise InputError(
            f"the dev key {path} cannot be written ({error.strerror}); set COUNTERFOIL_KEYS to another folder"
        ) from error
    finally:
        made.unlink(missing_ok=True)
