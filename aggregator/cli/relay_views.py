"""The relayer's journal as a table and as JSON: what was signed, what was sent, and how far it has come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aggregator.cli.tables import Table

if TYPE_CHECKING:
    from rich.console import Console

    from chains.relayer import IntentStatus


def render_status(console: Console, entries: Sequence[IntentStatus], *, in_full: bool) -> None:
    """One row per entry, and what a person should look at; with `in_full` also the hashes."""
    if not entries:
        console.print("Nothing of this kind is in the journal.")
        return
    rows = [
        (e.intent.key, f"eip155:{e.intent.chain_id}", e.intent.label, e.intent.state.value, f"{e.age_s} s")
        for e in entries
    ]
    console.print(Table("Journal", ("Key", "Chain", "What", "State", ">Unchanged for"), rows).draw())
    for entry in entries:
        intent = entry.intent
        notes = (("reason", intent.reason), ("giving up", intent.giving_up), ("alert", intent.alert))
        for name, text in notes:
            if text:
                console.print(f"{intent.key}: {name}: {text}")
        if in_full:
            console.print(f"  sender       {intent.sender}")
            for number, known in enumerate(entry.hashes, 1):
                console.print(f"  attempt {number}    {known}")
