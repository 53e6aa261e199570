"""All parts of the store together, for whoever brings a transaction."""

from __future__ import annotations

from aggregator.store.archive import ArchiveRecords
from aggregator.store.callers import CallerRecords
from aggregator.store.listing import ListingRecords
from aggregator.store.records import Records
from aggregator.store.work import WorkRecords


class AllRecords(Records, ListingRecords, ArchiveRecords, WorkRecords, CallerRecords):
    """A holder's documents, what proves and values them, work under way, and callers."""
