"""A real PostgreSQL for tests: one server for the session, one empty database for each that asks.

Import the fixtures `postgres` and `postgres_url` where they are needed.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

ATTEMPTS = 4


def _start(folder: Path) -> Any:
    with warnings.catch_warnings():
        # The package asks for a runtime directory at import and takes the temporary one where there is none.
        warnings.simplefilter("ignore")
        get_server = importlib.import_module("pgserver").get_server
        return get_server(folder, cleanup_mode="stop")


def _started(folder: Path) -> Any:
    """A server; a busy machine may need more than the ten seconds that the package gives it."""
    for n in range(ATTEMPTS - 1):
        try:
            return _start(folder / str(n))
        except (OSError, subprocess.SubprocessError):
            continue
    return _start(folder / "last")


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The libpq URI of the session's server, which listens on a socket file only.

    It lies outside pytest's own directory: where tests run as root the server runs as another user, and each
    session of pytest closes that directory to others again.
    """
    folder = Path(tempfile.mkdtemp(prefix="counterfoil-pg-"))
    try:
        server = _started(folder)
        try:
            yield str(server.get_uri())
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """The SQLAlchemy URL of an empty database, which is dropped after the test."""
    name = f"t{uuid.uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    yield postgres.replace("postgresql://", "postgresql+psycopg://").replace("/postgres?", f"/{name}?")
    with psycopg.connect(postgres, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
