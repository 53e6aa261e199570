"""What all parts of the store stand on: a connection inside somebody's transaction."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy as sa


class Connected(ABC):
    """Whoever subclasses this says in whose transaction the methods of the store run."""

    @abstractmethod
    def _transaction(self) -> AbstractContextManager[sa.Connection]:
        """A connection inside a transaction."""

    def _rows(self, query: sa.Select[Any]) -> list[sa.RowMapping]:
        with self._transaction() as connection:
            return list(connection.execute(query).mappings())

    def _row(self, query: sa.Select[Any]) -> sa.RowMapping | None:
        with self._transaction() as connection:
            return connection.execute(query).mappings().first()

    def _write(self, statement: sa.Executable) -> int:
        """Run a statement; returns how many rows it changed."""
        with self._transaction() as connection:
            return connection.execute(statement).rowcount
