"""What evidence proved again, as tables and as JSON: the blocks it rests on, the layouts, and what stays unproven."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.cli import tables
from aggregator.cli.snapshot_views import missing_lines
from aggregator.cli.tables import Table

if TYPE_CHECKING:
    from rich.console import Console

    from aggregator.model.snapshot import Snapshot
    from chains.balances import EvidenceReport


def evidence_json(snapshot: Snapshot, report: EvidenceReport, *, described: bool) -> dict[str, object]:
    """The report as JSON. `described` says whether the readings were compared with network files."""
    return {
        "verified": True,
        "complete": snapshot.complete,
        "readings": len(snapshot.readings),
        "proven": report.proven,
        "anchors": [
            {"chain": a.chain, "number": str(a.number), "hash": a.hash, "trust": a.trust.value}
            for a in snapshot.anchors
        ],
        "layouts": [
            {
                "chain": layout.chain,
                "token": layout.token,
                "layout": layout.layout,
                "origin": layout.origin,
                "codeHash": layout.code_hash,
            }
            for layout in report.layouts
        ],
        "unproven": [
            {
                "chain": r.chain,
                "address": r.address,
                "instrument": r.instrument,
                "quantityE8": str(r.quantity_e8),
                "method": r.method.value,
            }
            for r in report.unproven
        ],
        "described": described,
    }


def render_evidence(console: Console, snapshot: Snapshot, report: EvidenceReport, *, described: bool) -> None:
    """The report in words and tables."""
    anchors = [(a.chain, f"{a.number:,}", a.hash, a.trust.value) for a in snapshot.anchors]
    console.print(Table("Blocks it rests on", ("Chain", ">Block", "Hash", "Trust"), anchors).draw())
    if report.layouts:
        layouts = [
            (x.chain, tables.short(x.token), x.layout, x.origin, tables.short(x.code_hash))
            for x in report.layouts
        ]
        columns = ("Chain", "Token", "Layout", "Known from", "Code hash")
        console.print(Table("Storage layouts it rests on", columns, layouts).draw())
    if report.unproven:
        unproven = [
            (
                *(r.chain, tables.short(r.address), r.instrument.partition("@")[0]),
                *(tables.quantity(r.quantity_e8), r.method.value),
            )
            for r in report.unproven
        ]
        columns = ("Chain", "Address", "Instrument", ">Quantity", "Read")
        console.print(Table("Not proven, and not checked here", columns, unproven).draw())
    console.print(f"Proven again: {report.proven} of {len(snapshot.readings)} readings, without a chain.")
    if described:
        console.print("Tokens, pools and configured layouts are those of the network files.")
    else:
        console.print("Tokens and pools were not compared with network files; add --networks to do so.")
    for line in missing_lines(snapshot):
        console.print(line)
