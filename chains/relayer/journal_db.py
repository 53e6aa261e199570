"""The journal's tables, and the two databases they live in: one SQLite file, or PostgreSQL by URL.

A journal of an earlier version is brought to the present one when it is opened, in one transaction (Alembic).

Several processes may share either. Whoever writes does so alone, so that two relayers on one key never give one nonce
twice: SQLite by BEGIN IMMEDIATE, PostgreSQL by a lock on the table of intents. Readers never wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from aggregator.model.errors import FormatError, InputError, TransactionError
from chains.relayer.migrations import migrate

VERSION: Final = 4
"""Of the schema; its migration is the newest under `migrations/versions`."""
POSTGRES_SCHEMA: Final = "counterfoil_relayer"
"""A schema of its own, so that the journal can share a database with anything else."""
_BUSY_S: Final = 30
metadata: Final = sa.MetaData()
_Whole: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_LIVE: Final = sa.text("state IN ('signed', 'broadcast', 'included')")

intents: Final = sa.Table(
    "intents",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("chain_id", _Whole, nullable=False),
    sa.Column("sender", sa.Text, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("target", sa.Text),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Column("fingerprint", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("nonce", _Whole),
    sa.Column("gas", _Whole),
    sa.Column("block_number", _Whole),
    sa.Column("block_hash", sa.Text),
    sa.Column("transaction_hash", sa.Text),
    sa.Column("gas_used", _Whole),
    sa.Column("contract_address", sa.Text),
    sa.Column("changed_at", _Whole, nullable=False),
    sa.Column("expires_at", _Whole),
    sa.Column("giving_up", sa.Text, nullable=False, server_default=""),
    sa.Column("alert", sa.Text, nullable=False, server_default=""),
    sqlite_strict=True,
)
sa.Index(
    "live_nonce",
    *(intents.c.chain_id, intents.c.sender, intents.c.nonce),
    unique=True,
    sqlite_where=_LIVE,
    postgresql_where=_LIVE,
)
sa.Index("intents_by_sender", intents.c.chain_id, intents.c.sender, intents.c.state, intents.c.nonce)
sa.Index("intents_by_state", intents.c.state, intents.c.changed_at)
sa.Index("intents_by_change", intents.c.changed_at, intents.c.key)
attempts: Final = sa.Table(
    "attempts",
    metadata,
    sa.Column("hash", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("nonce", _Whole, nullable=False),
    sa.Column("raw", sa.LargeBinary, nullable=False),
    sa.Column("max_fee_wei", sa.Text, nullable=False),
    sa.Column("priority_fee_wei", sa.Text, nullable=False),
    sa.Column("signed_at", _Whole, nullable=False),
    sa.Column("kind", sa.Text, nullable=False, server_default="call"),
    sa.Column("sent_at", _Whole),
    sa.Column("ordinal", _Whole, nullable=False, server_default="0"),
    sqlite_strict=True,
)
sa.Index("attempts_by_key", attempts.c.key, attempts.c.ordinal)
nonces: Final = sa.Table(
    "nonces",
    metadata,
    sa.Column("chain_id", _Whole, primary_key=True),
    sa.Column("sender", sa.Text, primary_key=True),
    sa.Column("next_nonce", _Whole, nullable=False),
    sqlite_strict=True,
)
"""The lowest nonce of a sender that nothing settled has had."""
_version: Final = sa.Table("version", sa.MetaData(), sa.Column("version", sa.Integer, nullable=False))


class Database:
    """An open journal database."""

    def __init__(self, location: Path | str) -> None:
        """Open or create the journal at a file's path or an SQLAlchemy URL (`postgresql+psycopg://..`).

        Raises:
            FormatError: what is there is something else, or of a later version.
            InputError: the URL cannot be used.
        """
        self._engine, self.where = _engine(location)
        self._is_sqlite = self._engine.dialect.name == "sqlite"
        try:
            with self.writing() as connection:
                if self._is_sqlite:
                    self._prepare_sqlite(connection)
                else:
                    self._prepare_postgres(connection)
        except (FormatError, InputError):
            self.close()
            raise
        except TransactionError as error:
            self.close()
            if self._is_sqlite:
                cause = error.__cause__
                raise FormatError(
                    f"{self.where} is not a relayer journal ({cause}); name another file"
                ) from error
            raise InputError(str(error)) from error

    def close(self) -> None:
        """Let go of it."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that sees one state of the journal. Raises TransactionError when the database fails."""
        with self._reported(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction, alone: it happens whole or not at all. Raises TransactionError when the database fails."""
        with self._reported(), self._engine.connect() as connection:
            if self._is_sqlite:
                connection = connection.execution_options(counterfoil_alone=True)
            with connection.begin():
                if not self._is_sqlite and self._has_tables(connection):
                    connection.exec_driver_sql(f"LOCK TABLE {POSTGRES_SCHEMA}.intents IN EXCLUSIVE MODE")
                yield connection

    @contextmanager
    def _reported(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise TransactionError(
                f"the relayer journal {self.where} cannot be used; nothing is sent that is not in it; "
                "run again when the database answers"
            ) from cause

    def _prepare_sqlite(self, connection: sa.Connection) -> None:
        version = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
        tables = int(connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one())
        if version == VERSION:
            return
        if version > VERSION or (version == 0 and tables):
            raise FormatError(
                f"{self.where} is not a relayer journal of version {VERSION}; name another file"
            )
        migrate(connection, version or None)
        connection.exec_driver_sql(f"PRAGMA user_version = {VERSION}")

    def _prepare_postgres(self, connection: sa.Connection) -> None:
        # Two processes that start at once: the second waits here, and then finds all made.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock(hashtext('{POSTGRES_SCHEMA}'))")
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {POSTGRES_SCHEMA}")
        _version.metadata.create_all(connection)
        found = connection.execute(sa.select(_version.c.version)).scalar()
        if found == VERSION:
            return
        if found is not None and found > VERSION:
            raise FormatError(
                f"{self.where} holds a relayer journal of version {found}, this program reads {VERSION}; "
                "use the counterfoil that wrote it or another database"
            )
        # The migrations name tables without their schema.
        connection.exec_driver_sql(f"SET LOCAL search_path TO {POSTGRES_SCHEMA}")
        migrate(connection, found)
        change = _version.insert() if found is None else sa.update(_version)
        connection.execute(change.values(version=VERSION))

    def _has_tables(self, connection: sa.Connection) -> bool:
        found = connection.exec_driver_sql(f"SELECT to_regclass('{POSTGRES_SCHEMA}.intents')")
        return found.scalar() is not None


def _engine(location: Path | str) -> tuple[sa.Engine, str]:
    if isinstance(location, Path):
        engine = sa.create_engine(sa.URL.create("sqlite", database=str(location)))
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)
        return engine, str(location)
    try:
        url = sa.make_url(location)
        where = url.render_as_string(hide_password=True)
        if url.get_backend_name() != "postgresql":
            raise InputError(f"the relayer journal {where} is neither a file nor postgresql; correct the URL")
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        options = {"schema_translate_map": {None: POSTGRES_SCHEMA}}
        return sa.create_engine(url, pool_pre_ping=True, execution_options=options), where
    except (ArgumentError, NoSuchModuleError):
        # Without the cause: it may repeat the URL, and with it a password.
        raise InputError("the relayer journal's URL is not one of a database; correct it") from None
    except ModuleNotFoundError as error:
        raise InputError(
            f"the relayer journal's URL needs the package {error.name}; install counterfoil[postgres]"
        ) from error


def _on_connect(connection: Any, _record: object) -> None:
    # The driver begins no transaction by itself; `_on_begin` does.
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_S * 1000}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _on_begin(connection: sa.Connection) -> None:
    alone = connection.get_execution_options().get("counterfoil_alone", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if alone else "BEGIN")
