"""Opens the store: one SQLite file by default, or PostgreSQL by URL; each change is one transaction.

A store of an earlier schema is brought to the present one when it is opened, in one transaction. On SQLite writers
wait for each other from their first statement; on PostgreSQL a lock of the transaction does the same, so that a check
and the write that rests on it are never apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from aggregator.model.errors import ConflictError, CounterfoilError, InputError, StoreError
from aggregator.store import schema
from aggregator.store.everything import AllRecords

BUSY_TIMEOUT_MS: Final = 10_000
WRITERS: Final = 0x636F756E746572
"""PostgreSQL's advisory lock of writers: "counter" in ASCII."""
READ_ONLY: Final = {"counterfoil_read": True}


class Store(AllRecords):
    """A store at a SQLAlchemy `url`; its tables are made when they are absent."""

    def __init__(self, url: str, where: str) -> None:
        """`where` names the store in messages. Raises InputError when it cannot be opened."""
        self._where = where
        try:
            self._engine = sa.create_engine(url)
        except (sa.exc.ArgumentError, ImportError) as error:
            raise InputError(f"the store {where} cannot be opened ({error}); check its URL") from error
        prepare_engine(self._engine)
        try:
            with self._transaction() as connection:
                bring_up_to_date(connection, where)
        except CounterfoilError:
            self.close()
            raise

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the database."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with translated_errors(self._where), self._engine.begin() as connection:
            yield connection


def prepare_engine(engine: sa.Engine) -> None:
    """Set how transactions begin. Connections with the option `READ_ONLY` do not wait for writers."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_connect)
        event.listen(engine, "begin", _sqlite_begin)
    else:
        event.listen(engine, "begin", _postgres_begin)


@contextmanager
def translated_errors(where: str) -> Iterator[None]:
    """Errors of the database as errors of this distribution; `where` names the store."""
    try:
        yield
    except IntegrityError as error:
        raise ConflictError(f"the store {where} refused a conflicting entry ({error.orig})") from error
    except DatabaseError as error:
        raise StoreError(
            f"the store {where} cannot be used ({error.orig}); move it away or give another --home"
        ) from error
    except PoolTimeoutError as error:
        raise StoreError(f"the store {where} is too busy; try again") from error


def bring_up_to_date(connection: sa.Connection, where: str) -> None:
    """Make or migrate the tables on a connection in a writer's transaction.

    Raises InputError when the store is of a later version than this program.
    """
    found = stored_version(connection)
    if found == schema.SCHEMA_VERSION:
        return
    if found is not None and found > schema.SCHEMA_VERSION:
        raise InputError(
            f"the store {where} has schema version {found}, this program reads {schema.SCHEMA_VERSION}; "
            "use the counterfoil that wrote it or another --home"
        )
    from aggregator.store.migrations import migrate

    migrate(connection, found)


def stored_version(connection: sa.Connection) -> int | None:
    """The schema version of a store, None for an empty database."""
    if not sa.inspect(connection).has_table(schema.version.name):
        return None
    return connection.execute(sa.select(schema.version.c.version)).scalar()


def _sqlite_connect(connection: Any, _record: object) -> None:
    # The driver's own BEGIN comes too late to make a read and the write after it one transaction.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _sqlite_begin(connection: sa.Connection) -> None:
    reading = connection.get_execution_options().get("counterfoil_read")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _postgres_begin(connection: sa.Connection) -> None:
    if not connection.get_execution_options().get("counterfoil_read"):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITERS})")
