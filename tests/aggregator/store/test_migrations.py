"""A home of the first schema becomes one of the present schema and keeps all it held."""

from __future__ import annotations

import multiprocessing
import sqlite3
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from aggregator.model.errors import InputError
from aggregator.store import Home, Store, schema

VERSION_1 = """
CREATE TABLE schema_version (version INTEGER NOT NULL, PRIMARY KEY (version));
CREATE TABLE accounts (
    name VARCHAR(64) NOT NULL, account_id VARCHAR(66) NOT NULL, sub_account INTEGER NOT NULL,
    key_file TEXT NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (name), UNIQUE (account_id));
CREATE TABLE attested (
    address VARCHAR(42) NOT NULL, account_id VARCHAR(66) NOT NULL, PRIMARY KEY (address));
CREATE TABLE policies (
    number INTEGER NOT NULL, id VARCHAR(18) NOT NULL, name TEXT NOT NULL, root VARCHAR(66) NOT NULL,
    stored_at INTEGER NOT NULL, document TEXT NOT NULL, PRIMARY KEY (number), UNIQUE (id));
CREATE TABLE links (
    address VARCHAR(42) NOT NULL, chain VARCHAR(64) NOT NULL, account VARCHAR(64) NOT NULL,
    issued_at INTEGER NOT NULL, signature TEXT NOT NULL, PRIMARY KEY (address, chain),
    FOREIGN KEY(account) REFERENCES accounts (name));
CREATE TABLE snapshots (
    number INTEGER NOT NULL, id VARCHAR(18) NOT NULL, account VARCHAR(64) NOT NULL, cut_time INTEGER NOT NULL,
    complete BOOLEAN NOT NULL, blinding VARCHAR(66) NOT NULL, stored_at INTEGER NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (number), UNIQUE (id), FOREIGN KEY(account) REFERENCES accounts (name));
CREATE TABLE bundles (
    number INTEGER NOT NULL, id VARCHAR(18) NOT NULL, account VARCHAR(64) NOT NULL, snapshot VARCHAR(18) NOT NULL,
    stored_at INTEGER NOT NULL, document TEXT NOT NULL, PRIMARY KEY (number), UNIQUE (id),
    FOREIGN KEY(account) REFERENCES accounts (name), FOREIGN KEY(snapshot) REFERENCES snapshots (id));
INSERT INTO schema_version VALUES (1);
INSERT INTO accounts VALUES ('main', '0x0b', 3, '/keys/main.key', 7);
INSERT INTO links VALUES ('0x1111111111111111111111111111111111111111', '', 'main', 8, '0x22');
INSERT INTO attested VALUES ('0x1111111111111111111111111111111111111111', '0x0b');
INSERT INTO policies VALUES (1, '0x00000000000000aa', 'p', '0x01', 9, '{}');
INSERT INTO snapshots VALUES (1, '0x00000000000000bb', 'main', 5, 1, '0x1234', 9, '{"s":1}');
INSERT INTO bundles VALUES (1, '0x00000000000000cc', 'main', '0x00000000000000bb', 9, '{"b":1}');
"""
"""What the program of schema version 1 made, and one row in each table."""
TABLES = ("accounts", "links", "attested", "policies", "snapshots", "bundles")


def contents(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with sqlite3.connect(path) as connection:
        found = {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in TABLES}  # noqa: S608
    connection.close()
    return found


@pytest.fixture
def old_home(home: Home) -> Home:
    with sqlite3.connect(home.database) as connection:
        connection.executescript(VERSION_1)
    connection.close()
    return home


def test_a_home_of_version_1_is_upgraded_without_loss(old_home: Home) -> None:
    """What has columns by now has them behind the old ones: its link has run out, its address is held for a year."""
    before = contents(old_home.database)
    for _ in range(2):
        with old_home.store() as store:
            after = contents(old_home.database)
            assert {
                name: [row[: len(before[name][0])] for row in rows] for name, rows in after.items()
            } == before
            (link,) = store.links("main")
            assert (link.issued_at, link.expiry, link.signature) == (8, 0, "0x22")
            (row,) = after["attested"]
            assert row[2] == 0
            assert abs(int(str(row[3])) - time.time() - 366 * 86_400) < 600
            assert store.snapshot("main").blinding == 0x1234
            store.add_job("j1", kind="proof", account="main", request="{}", now=1)
    with sqlite3.connect(old_home.database) as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(4,)]
    connection.close()


def test_an_upgrade_that_fails_leaves_the_old_home(old_home: Home) -> None:
    with sqlite3.connect(old_home.database) as connection:
        connection.execute("CREATE TABLE webhooks (in_the_way TEXT)")
    connection.close()
    with pytest.raises(InputError, match="webhooks already exists"):
        old_home.store()
    with sqlite3.connect(old_home.database) as connection:
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(1,)]
        connection.execute("DROP TABLE webhooks")
    connection.close()
    assert names == {*TABLES, "schema_version", "webhooks"}
    old_home.store().close()


def test_migrations_make_the_tables_that_the_code_uses(empty_url: str) -> None:
    Store(empty_url, "here").close()
    engine = sa.create_engine(empty_url)
    found = sa.inspect(engine)
    assert set(found.get_table_names()) == {*schema.metadata.tables, "alembic_version"}
    for name, table in schema.metadata.tables.items():
        columns = {c["name"]: c for c in found.get_columns(name)}
        assert {c.name: c.nullable for c in table.columns} == {n: c["nullable"] for n, c in columns.items()}
        for column in table.columns:
            wanted = column.type.compile(engine.dialect)
            assert columns[column.name]["type"].compile(engine.dialect) == wanted, (name, column.name)
        assert {k["name"] for k in found.get_indexes(name) if not k["unique"]} == {
            index.name for index in table.indexes
        }
    engine.dispose()


def test_a_store_of_a_later_version_is_refused(empty_url: str) -> None:
    Store(empty_url, "here").close()
    engine = sa.create_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE schema_version SET version = 99"))
    engine.dispose()
    with pytest.raises(InputError, match="schema version 99"):
        Store(empty_url, "here")


def _open(url: str, failures: multiprocessing.Queue[str]) -> None:
    try:
        Store(url, "here").close()
    except InputError as error:
        failures.put(str(error))


def test_processes_that_open_a_new_store_at_once_agree(empty_url: str) -> None:
    context = multiprocessing.get_context("spawn")
    failures: multiprocessing.Queue[str] = context.Queue()
    processes = [context.Process(target=_open, args=(empty_url, failures)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert failures.empty()
