"""Every test of the store's records runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from aggregator.store import Home, Store, schema
from tests.postgres import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.prepare()
    return made


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, home: Home) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{home.database}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="session")
def _shared(postgres: str) -> str:
    """A PostgreSQL store that tests share, each after it was emptied."""
    url = postgres.replace("postgresql://", "postgresql+psycopg://")
    Store(url, "here").close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, home: Home) -> str:
    """The URL of a store without a row of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{home.database}"
    url = str(request.getfixturevalue("_shared"))
    engine = sa.create_engine(url)
    names = ", ".join(name for name in schema.metadata.tables if name != schema.version.name)
    with engine.begin() as connection:
        connection.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY"))
    engine.dispose()
    return url


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store(url, "here") as opened:
        yield opened
