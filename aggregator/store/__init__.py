"""What stays on the user's machine: the home directory, key files and the database."""

from __future__ import annotations

from aggregator.store.database import Store
from aggregator.store.files import naming, read_whole, write_whole
from aggregator.store.home import Home
from aggregator.store.keyfile import new_holder_key, read_holder_key, read_secret, write_secret
from aggregator.store.ownership import Link, Revocation
from aggregator.store.records import Account, Entry, StoredSnapshot, document_id

__all__ = [
    "Account",
    "Entry",
    "Home",
    "Link",
    "Revocation",
    "Store",
    "StoredSnapshot",
    "document_id",
    "naming",
    "new_holder_key",
    "read_holder_key",
    "read_secret",
    "read_whole",
    "write_secret",
    "write_whole",
]
