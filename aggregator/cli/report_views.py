"""A margin report as tables: by position, chain, asset and class, and one summary of both levels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aggregator.cli import tables
from aggregator.cli.tables import Table
from aggregator.fixed import format_down

if TYPE_CHECKING:
    from aggregator.margin import Evaluation, Report
    from aggregator.margin.report import LevelReport


def level_json(found: Evaluation) -> dict[str, object]:
    """An account at one level: 1e-20 USD, 1e-6 USD, and health in 1e-6 or None."""
    return {
        "equityE20": str(found.equity_e20),
        "requirementE6": str(found.requirement_e6),
        "excessE6": str(found.excess_e6),
        "healthE6": None if found.health_e6 is None else str(found.health_e6),
    }


def positions_table(report: Report) -> Table:
    """Quantity, mark and value of every position (M1)."""
    rows = [
        (
            p.instrument.symbol,
            p.instrument.kind.value,
            tables.quantity(p.quantity_e8),
            tables.price(p.instrument.mark_e12),
            tables.value_down(p.value_e20),
        )
        for p in report.im.positions
    ]
    rows.append(("Equity", "", "", "", tables.value_down(report.equity_e20)))
    columns = ("Instrument", "Kind", ">Quantity", ">Mark USD", ">Value USD")
    return Table("Positions", columns, rows, total=1)


def chains_table(report: Report) -> Table:
    """What lies where."""
    rows = [
        (
            chain.chain,
            tables.value_down(chain.assets_e20),
            tables.value_down(chain.debts_e20),
            tables.value_down(chain.net_e20),
            tables.value_up(chain.addon_im_e20),
        )
        for chain in report.chains
    ]
    total = (
        "All",
        tables.value_down(sum(c.assets_e20 for c in report.chains)),
        tables.value_down(sum(c.debts_e20 for c in report.chains)),
        tables.value_down(report.equity_e20),
        tables.value_up(report.im.addon_e20),
    )
    columns = ("Chain", ">Assets USD", ">Debts USD", ">Net USD", ">Add-ons (IM) USD")
    return Table("By chain", columns, [*rows, total], total=1)


def assets_table(report: Report) -> Table:
    """The net quantity of each asset over all chains and its haircut at both levels (M4)."""
    rows = [
        (
            im.name,
            format_down(im.gross_e14, 14, 4),
            format_down(im.net_e14, 14, 4),
            tables.usd_up(im.charge_e6),
            tables.usd_up(mm.charge_e6),
            _held_as(im.members),
        )
        for im, mm in zip(report.im.groups, report.mm.groups, strict=True)
    ]
    columns = ("Asset", ">Gross", ">Net", ">Haircut IM", ">Haircut MM", "Held as")
    return Table("By asset (the haircut, in USD, is on the net over all chains)", columns, rows)


def _held_as(symbols: Sequence[str]) -> str:
    """Instruments of one asset without their chains, each with the number of chains when there are several."""
    counts = Counter(symbol.partition("@")[0] for symbol in symbols)
    return ", ".join(name if count == 1 else f"{name} on {count} chains" for name, count in counts.items())


def classes_table(report: Report) -> Table:
    """The worst scenario of each class (M2), and what correlation credits (M3)."""
    rows = [(c.name, tables.usd_up(c.scan_risk_e6), c.binding or "none loses") for c in report.im.classes]
    rows += [
        ("Added up", tables.usd_up(report.im.scan_sum_e6), ""),
        ("Together", tables.usd_up(report.im.correlated_e6), "after correlation between the classes"),
    ]
    return Table("By risk class", ("Class", ">Scan risk USD", "Worst scenario"), rows, total=2)


def summary_table(report: Report) -> Table:
    """Equity, requirement, excess and health at both levels, and what one account saves (M6, M7)."""
    levels = (report.im, report.mm)

    def row(name: str, *values: str) -> tuple[str, ...]:
        return (name, *values)

    def parts(level: LevelReport) -> tuple[str, str, str]:
        return (
            tables.value_up(level.scan_e20),
            tables.usd_up(level.contingency_e6),
            tables.value_up(level.addon_e20),
        )

    scan, haircuts, addons = zip(*(parts(level) for level in levels), strict=True)
    rows = [
        row("Equity", *(tables.value_down(report.equity_e20) for _ in levels)),
        row("Scan risk x factor", *scan),
        row("Haircuts", *haircuts),
        row("Add-ons", *addons),
        row("Requirement", *(tables.usd_up(level.requirement_e6) for level in levels)),
        row("Excess", *(tables.usd_down(level.excess_e6) for level in levels)),
        row("Health factor", *(tables.health(level.health_e6) for level in levels)),
        row("Isolated requirement", *(tables.usd_up(level.isolated.requirement_e6) for level in levels)),
        row("Capital saved by cross margin", *(tables.usd_down(level.isolated.saved_e6) for level in levels)),
    ]
    return Table("Margin", ("USD", ">Initial (IM)", ">Maintenance (MM)"), rows, total=2)


def report_tables(report: Report) -> tuple[Table, ...]:
    """All tables, from the positions to the summary."""
    return (
        positions_table(report),
        chains_table(report),
        assets_table(report),
        classes_table(report),
        summary_table(report),
    )
