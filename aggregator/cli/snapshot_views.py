"""A snapshot as tables: where it was read, what was read, and what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.cli import tables
from aggregator.cli.tables import Table

if TYPE_CHECKING:
    from rich.console import Console

    from aggregator.model.snapshot import Snapshot


def anchors_table(snapshot: Snapshot) -> Table:
    """One row per anchored block."""
    rows = [
        (
            anchor.chain,
            f"{anchor.number:,}",
            tables.short(anchor.hash),
            f"{snapshot.cut_time - anchor.timestamp} s",
            anchor.finality.value,
            anchor.trust.value,
        )
        for anchor in snapshot.anchors
    ]
    columns = ("Chain", ">Block", "Hash", ">Before cut", "Tag", "Trust")
    return Table("Anchors", columns, rows)


def readings_table(snapshot: Snapshot) -> Table:
    """One row per reading that is not zero, with how it was established; zeros are counted in the title."""
    zeros = sum(not reading.quantity_e8 for reading in snapshot.readings)
    rows = [
        (
            reading.chain,
            tables.short(reading.address),
            reading.instrument.partition("@")[0],
            reading.kind,
            tables.quantity(reading.quantity_e8),
            reading.method.value,
        )
        for reading in snapshot.readings
        if reading.quantity_e8
    ]
    columns = ("Chain", "Address", "Instrument", "Kind", ">Quantity", "Read")
    return Table(f"Readings ({zeros} of zero are not listed)" if zeros else "Readings", columns, rows)


def completeness_lines(snapshot: Snapshot) -> list[str]:
    """Whether everything was read, else one line per thing that is missing."""
    if snapshot.complete:
        proven = sum(reading.method.value == "proven" for reading in snapshot.readings)
        readings = tables.count(len(snapshot.readings), "reading")
        return [
            f"Complete: {readings} on {tables.count(len(snapshot.anchors), 'chain')}, {proven} of them proven "
            f"against the state root; blocks lie {snapshot.time_skew_s} s apart."
        ]
    return missing_lines(snapshot)


def missing_lines(snapshot: Snapshot) -> list[str]:
    """One line per thing that could not be read; none when the snapshot is complete."""
    lines = [
        f"NOT COMPLETE: chain {failed.chain} is missing: {failed.reason}" for failed in snapshot.failed_chains
    ]
    return lines + [f"NOT COMPLETE: {missing} is missing." for missing in snapshot.missing]


def render_snapshot(console: Console, snapshot: Snapshot) -> None:
    """All tables of a snapshot."""
    console.print(f"Snapshot of account {tables.short(f'0x{snapshot.account_id:064x}')}")
    console.print(
        f"  cut      {tables.moment(snapshot.cut_time)}, taken at {tables.moment(snapshot.taken_at)}"
    )
    console.print(anchors_table(snapshot).draw())
    console.print(readings_table(snapshot).draw())
    for line in completeness_lines(snapshot):
        console.print(line)
