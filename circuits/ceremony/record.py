"""The transcript of a ceremony, `ceremony.json`: which files there are, whose they are, and their digests.

It is for people and for finding files; what it says is checked against the files, never believed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from aggregator.model.errors import FormatError, InputError
from aggregator.model.strictjson import JsonObject, canonical_json, load_json

SCHEMA: Final = "counterfoil/ceremony/1"
FILE_NAME: Final = "ceremony.json"
CIRCUIT_FILE: Final = "circuit.r1cs"
MAX_KEYS: Final = 10_000
_MAX_BYTES: Final = 1 << 24
_HASH: Final = re.compile(r"[0-9a-f]{128}")
_KEY_NAME: Final = re.compile(r"[0-9]{4}\.zkey")
_CHUNK: Final = 1 << 22


@dataclass(frozen=True, slots=True)
class Powers:
    """The phase 1 file. `origin` is the name of a well-known ceremony, or "unknown"."""

    file: str
    blake2b: str
    power: int
    contributions: int
    origin: str


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One key of the chain. The first has no contribution: its `contribution` and `name` are empty."""

    file: str
    sha256: str
    name: str
    contribution: str
    """The hash that its participant publishes: 128 hex digits."""


@dataclass(frozen=True, slots=True)
class Ceremony:
    """A whole transcript."""

    circuit: str
    circuit_digest: str
    r1cs_sha256: str
    circuit_hash: str
    powers: Powers
    keys: tuple[KeyFile, ...]


@contextmanager
def refusals(next_step: str, **copied: Path) -> Iterator[None]:
    """Turns the core's refusals into errors that say what to do next.

    With `copy` and `of` the file that was copied is named, not the copy.
    """

    def named(text: str) -> str:
        return text.replace(str(copied["copy"]), str(copied["of"])) if copied else text

    try:
        yield
    except ValueError as error:
        raise FormatError(f"{named(str(error))}; {next_step}") from error
    except OSError as error:
        raise InputError(
            f"{named(str(error.filename or 'a file'))} cannot be read or written ({error.strerror}); {next_step}"
        ) from error


def open_regular(path: Path) -> BinaryIO:
    """A file opened for reading. Raises OSError, also for a pipe or a device, for which nothing is waited."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return os.fdopen(handle, "rb")


def private_copy(path: Path, folder: Path) -> Path:
    """A copy that nobody else changes or cuts off: what is checked is what is taken. Raises OSError."""
    copy = folder / path.name
    with open_regular(path) as source, copy.open("xb") as target:
        shutil.copyfileobj(source, target, _CHUNK)
    return copy


def sha256_of(path: Path) -> str:
    """SHA-256 of a file as hex."""
    return _digest(path, "sha256")


def blake2b_of(path: Path) -> str:
    """BLAKE2b-512 of a file as hex: what phase 1 files are published with."""
    return _digest(path, "blake2b")


def _digest(path: Path, algorithm: str) -> str:
    hasher = hashlib.new(algorithm)
    with open_regular(path) as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def encode(ceremony: Ceremony) -> bytes:
    """The document of a transcript."""
    powers = ceremony.powers
    return canonical_json(
        {
            "schema": SCHEMA,
            "circuit": {
                "name": ceremony.circuit,
                "digest": ceremony.circuit_digest,
                "r1csSha256": ceremony.r1cs_sha256,
                "hash": ceremony.circuit_hash,
            },
            "powers": {
                "file": powers.file,
                "blake2b": powers.blake2b,
                "power": powers.power,
                "contributions": powers.contributions,
                "origin": powers.origin,
            },
            "keys": [
                {"file": key.file, "sha256": key.sha256, "name": key.name, "contribution": key.contribution}
                for key in ceremony.keys
            ],
        }
    )


def parse(data: bytes, where: str) -> Ceremony:
    """A transcript from untrusted bytes.

    Raises: FormatError naming the field and the reason.
    """
    try:
        value = load_json(data)
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from error
    document = JsonObject(value, where, ("schema", "circuit", "powers", "keys"))
    document.schema(SCHEMA)
    circuit = document.child("circuit", ("name", "digest", "r1csSha256", "hash"))
    powers = document.child("powers", ("file", "blake2b", "power", "contributions", "origin"))
    keys = document.children("keys", _parse_key)
    if not 1 <= len(keys) <= MAX_KEYS:
        document.fail(
            "keys", f"has {len(keys)} entries, not 1 to {MAX_KEYS}; start with counterfoil ceremony init"
        )
    for index, key in enumerate(keys):
        if key.file != key_name(index) or (index == 0) != (not key.contribution):
            document.fail("keys", f"does not have {key_name(index)} in place {index}; restore the document")
    return Ceremony(
        circuit=circuit.text("name"),
        circuit_digest=circuit.text("digest"),
        r1cs_sha256=circuit.text("r1csSha256"),
        circuit_hash=circuit.text("hash", _HASH),
        powers=Powers(
            file=powers.text("file", max_length=1000),
            blake2b=powers.text("blake2b", _HASH),
            power=powers.number("power", 1, 28),
            contributions=powers.number("contributions"),
            origin=powers.text("origin"),
        ),
        keys=keys,
    )


def _parse_key(value: object, where: str) -> KeyFile:
    key = JsonObject(value, where, ("file", "sha256", "name", "contribution"))
    name, contribution = key.value["name"], key.value["contribution"]
    if not isinstance(name, str) or len(name) > 200 or not name.isprintable():
        key.fail("name", "is not a text of at most 200 printable characters; restore the document")
    if contribution != "":
        contribution = key.text("contribution", _HASH)
    return KeyFile(key.text("file", _KEY_NAME), key.text("sha256"), name, contribution)


def key_name(index: int) -> str:
    """The file of key number `index`: 0 is the first key, before any contribution."""
    return f"{index:04}.zkey"


def load(directory: Path) -> Ceremony:
    """The transcript in a ceremony's folder.

    Raises: InputError when there is none, FormatError when it is malformed.
    """
    path = directory / FILE_NAME
    try:
        with open_regular(path) as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give the folder that counterfoil ceremony init made"
        ) from error
    if len(data) > _MAX_BYTES:
        raise FormatError(f"{path} is larger than any transcript; restore it")
    return parse(data, str(path))


def save(directory: Path, ceremony: Ceremony) -> None:
    """Writes the transcript, whole or not at all."""
    place(directory / FILE_NAME, encode(ceremony) + b"\n")


def place(path: Path, data: bytes) -> None:
    """Writes a small file beside its place and moves it there."""
    with refusals("choose a folder that can be written"):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)
