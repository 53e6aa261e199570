"""Migrations of the journal, one module per version, run by Alembic on a connection that is open already."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

import sqlalchemy as sa

_ALONE: Final = threading.Lock()
"""Alembic keeps what is under way in its modules: one migration of a process at a time."""
_COUNTED_SINCE: Final = 4
"""Journals of earlier versions were made before Alembic kept count."""


def migrate(connection: sa.Connection, found: int | None) -> None:
    """Bring the journal to the newest version; `found` is its own, None for an empty database."""
    # Loaded here: a journal that is up to date needs none of it.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _ALONE:
        if found is not None and found < _COUNTED_SINCE:
            command.stamp(config, f"{found:04}")
        command.upgrade(config, "head")
