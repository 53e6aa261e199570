"""The PostgreSQL that tests run on starts empty for each test."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.postgres import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]


@pytest.mark.parametrize("_again", [1, 2])
def test_each_test_gets_an_empty_database(postgres_url: str, _again: int) -> None:
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        assert sa.inspect(connection).get_table_names() == []
        connection.execute(sa.text("CREATE TABLE t (n integer)"))
        assert connection.execute(sa.text("SHOW server_encoding")).scalar() == "UTF8"
    engine.dispose()
