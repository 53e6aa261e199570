"""The store for a process with an event loop: the same records, each piece of work one transaction.

On SQLite one writer at a time is let in, so that none waits in the database; readers go beside it (WAL).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from aggregator.model.errors import CounterfoilError, InputError
from aggregator.store.database import READ_ONLY, bring_up_to_date, prepare_engine, translated_errors
from aggregator.store.everything import AllRecords

T = TypeVar("T")
POOL_SIZE: Final = 8


class BoundRecords(AllRecords):
    """The records on one connection, whose transaction belongs to somebody else."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        yield self._connection


class AsyncStore:
    """Opened by `open`; close it with `close`."""

    def __init__(self, engine: AsyncEngine, where: str) -> None:
        """Use `open`."""
        self._engine = engine
        self._readers = engine.execution_options(**READ_ONLY)
        self._writing = asyncio.Lock()
        self._where = where

    @classmethod
    async def open(cls, url: str, where: str) -> AsyncStore:
        """The store at a SQLAlchemy URL (`sqlite+aiosqlite:///...` or `postgresql+psycopg://...`), brought up to date.

        Raises InputError.
        """
        try:
            engine = create_async_engine(
                url, pool_size=POOL_SIZE, max_overflow=0, pool_pre_ping=not url.startswith("sqlite")
            )
        except (sa.exc.ArgumentError, ImportError) as error:
            raise InputError(f"the store {where} cannot be opened ({error}); check its URL") from error
        prepare_engine(engine.sync_engine)
        if engine.dialect.name == "sqlite":
            event.listen(engine.sync_engine, "connect", _write_ahead)
        store = cls(engine, where)
        try:
            await store._call(lambda connection: bring_up_to_date(connection, where))
        except CounterfoilError:
            await store.close()
            raise
        return store

    @property
    def dialect(self) -> str:
        """ "sqlite" or "postgresql"."""
        return self._engine.dialect.name

    async def close(self) -> None:
        """Release the database."""
        await self._engine.dispose()

    async def write(self, work: Callable[[AllRecords], T]) -> T:
        """Run `work` in one writer's transaction: all of it happens, or none. Raises what it raises."""
        return await self._call(lambda connection: work(BoundRecords(connection)))

    async def read(self, work: Callable[[AllRecords], T]) -> T:
        """Run `work` in one transaction that only reads."""
        with translated_errors(self._where):
            async with self._readers.begin() as connection:
                return await connection.run_sync(lambda inner: work(BoundRecords(inner)))

    async def _call(self, work: Callable[[sa.Connection], T]) -> T:
        with translated_errors(self._where):
            async with self._writing, self._engine.begin() as connection:
                return await connection.run_sync(work)


def _write_ahead(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()
