"""Secrets in files: 32 bytes as 64 hex digits, readable by their owner only.

A secret is never an argument of a command and never part of a message.
"""

from __future__ import annotations

import re
import secrets
import stat
from pathlib import Path
from typing import Final

from aggregator.model.errors import KeyFileError
from aggregator.store.files import write_whole
from circuits.field import MODULUS

SECRET_BYTES: Final = 32
OWNER_ONLY: Final = 0o600
_HEX: Final = re.compile(rb"(?:0x)?([0-9a-fA-F]*)\s*", re.ASCII)
_READ_LIMIT: Final = 4096


def read_secret(path: Path, what: str) -> int:
    """The 32-byte secret in `path` as a big-endian integer; `what` names it in messages ("holder key").

    Raises KeyFileError when the file is missing, open to other users, not hex or not 32 bytes. The message
    never holds a part of the secret.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            data = file.read(_READ_LIMIT)
    except IsADirectoryError as error:
        raise KeyFileError(f"{what} {path} is a folder; give the file in it") from error
    except OSError as error:
        raise KeyFileError(f"{what} {path} cannot be read ({error.strerror}); check the path") from error
    if mode & 0o077:
        raise KeyFileError(f"{what} {path} is open to other users (mode {mode:04o}); run: chmod 600 {path}")
    found = _HEX.fullmatch(data)
    if found is None:
        raise KeyFileError(f"{what} {path} is not hex; it holds {SECRET_BYTES} bytes as 64 hex digits")
    digits = found.group(1)
    if len(digits) != 2 * SECRET_BYTES:
        raise KeyFileError(
            f"{what} {path} holds {len(digits)} hex digits instead of {2 * SECRET_BYTES}; "
            "restore it from its backup"
        )
    return int(digits, 16)


def read_holder_key(path: Path) -> int:
    """The holder key in `path`: a BN254 scalar in 1..r-1. Raises KeyFileError."""
    key = read_secret(path, "holder key")
    if not 0 < key < MODULUS:
        raise KeyFileError(f"holder key {path} is not in 1..r-1 of BN254; restore it from its backup")
    return key


def new_holder_key() -> int:
    """A uniform scalar in 1..r-1 from the operating system's generator, by rejection."""
    while True:
        key = int.from_bytes(secrets.token_bytes(SECRET_BYTES), "big") >> 2
        if 0 < key < MODULUS:
            return key


def write_secret(path: Path, secret: int) -> None:
    """Write a new key file with mode 0600. Raises InputError when it exists: it may be the only copy."""
    write_whole(path, f"{secret:064x}\n".encode(), mode=OWNER_ONLY, replace=False)
