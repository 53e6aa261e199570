"""Files that are either whole or absent: written beside their place, flushed, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aggregator.model.errors import CounterfoilError, InputError


def write_whole(path: Path, data: bytes, *, mode: int = 0o644, replace: bool = True) -> None:
    """Write `data` to `path` so that a reader sees the old file or the new one, never a part.

    `replace=False` refuses an existing file. Raises InputError when the file cannot be written.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is not a file and would be replaced by one; choose another place")
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); choose another place") from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        if replace:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)
    except FileExistsError as error:
        raise InputError(f"{path} exists; remove it or choose another name") from error
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}); choose another place") from error
    finally:
        temporary.unlink(missing_ok=True)


def read_whole(path: Path, what: str, *, limit: int = 1 << 26) -> bytes:
    """The bytes of a file given by the user; `what` names it in the InputError ("the bundle")."""
    try:
        with path.open("rb") as file:
            data = file.read(limit + 1)
    except IsADirectoryError as error:
        raise InputError(f"{what} {path} is a folder; give the file in it") from error
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read ({error.strerror}); check the path") from error
    except ValueError as error:
        raise InputError(
            f"{what} {str(path)!r} is not the name of a file ({error}); check the path"
        ) from error
    if len(data) > limit:
        raise InputError(f"{what} {path} is larger than {limit} bytes; check that it is the right file")
    return data


@contextmanager
def naming(where: object) -> Iterator[None]:
    """Put the name of what is read, a file or an id, before every error of the tree that reading it raises."""
    try:
        yield
    except CounterfoilError as error:
        raise type(error)(f"{where}: {error}") from error
