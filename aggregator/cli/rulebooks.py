"""Rulebooks side by side, as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aggregator.cli import tables
from aggregator.cli.tables import Table
from aggregator.margin.rulebooks import LevelResult
from aggregator.model.policy import Level
from aggregator.service.rulebooks import SOURCES, Compared

if TYPE_CHECKING:
    from rich.console import Console


def render_rulebooks(console: Console, compared: Sequence[Compared], *, in_words: bool) -> None:
    """Side by side at IM and MM, then where each comes from; `in_words` adds each part."""
    for n, level in enumerate((Level.IM, Level.MM)):
        rows = [_row(one.result.rulebook, *one.levels[n]) for one in compared]
        columns = ("Rulebook", ">Required", ">Excess", ">Health", ">Isolated", "Decided by")
        console.print(Table(f"Under each rulebook, at {level.name} (USD)", columns, rows).draw())
    sources = [
        (one.result.rulebook, SOURCES[one.kind], str(one.path), ", ".join(one.result.ignored) or "none")
        for one in compared
    ]
    console.print(Table("Sources", ("Rulebook", "Follows", "Parameters", "Without credit"), sources).draw())
    if in_words:
        for one in compared:
            for level_result, _ in one.levels:
                for line in level_result.lines:
                    console.print(f"{one.result.rulebook} {level_result.level.name}: {line}")
    console.print("Only the native rulebook can be proven; the others are reports.")


def _row(name: str, level: LevelResult, isolated_e6: int) -> tuple[str, ...]:
    return (
        *(name, tables.usd_up(level.requirement_e6), tables.usd_down(level.excess_e6)),
        *(tables.health(level.health_e6), tables.usd_up(isolated_e6), level.binding),
    )
