"""A report in plain words, with the arithmetic of every number beside it.

Amounts are shown with two decimals, rounded against the holder (values down, requirements up), so that a sum of shown
parts may differ from the shown total in the last digit; the JSON has them exactly.
"""

from __future__ import annotations

from aggregator.fixed import format_decimal, format_down, format_up
from aggregator.margin.report import ClassReport, GroupReport, LevelReport, Report, Status
from aggregator.model.policy import Level

_LEVEL_WORDS = {Level.IM: "initial margin (to open)", Level.MM: "maintenance margin (to keep)"}
_STATUS_WORDS = {
    Status.GOOD: "The account covers its initial margin: it may open positions.",
    Status.RESTRICTED: "The account covers its maintenance margin but not its initial margin: it may only reduce.",
    Status.LIQUIDATABLE: "The account is below its maintenance margin: it can be liquidated.",
}


def _value(value_e20: int) -> str:
    return format_down(value_e20, 20, 2)


def _need(value_e6: int) -> str:
    return format_up(value_e6, 6, 2)


def explain_equity(report: Report) -> list[str]:
    """M1: each position's value and their sum."""
    lines = [f"Equity is the sum of quantity x mark: {_value(report.equity_e20)} USD."]
    lines += [
        f"  {p.instrument.symbol}: {format_decimal(p.quantity_e8, 8)} x {format_down(p.instrument.mark_e12, 12, 2)}"
        f" = {_value(p.value_e20)}"
        for p in report.im.positions
    ]
    return lines


def _explain_class(one: ClassReport) -> list[str]:
    if one.binding is None:
        return [f"Class {one.name}: no scenario loses; scan risk 0.00."]
    lines = [
        f"Class {one.name}: the worst of {len(one.scenarios)} scenarios is '{one.binding}'; "
        f"scan risk {_need(one.scan_risk_e6)}."
    ]
    lines += [
        f"  {c.symbol}: {format_decimal(c.quantity_e8, 8)} x {format_down(c.risk_e12, 12, 2)} = {_value(c.pnl_e20)}"
        for c in one.contributions
    ]
    return lines


def _explain_correlation(report: Report, level: LevelReport) -> list[str]:
    risky = [n for n, c in enumerate(level.classes) if c.scan_risk_e6]
    if not risky:
        return []
    squares = [f"{_need(level.classes[n].scan_risk_e6)}^2" for n in risky]
    crosses = [
        f"2 x {format_decimal(report.correlation_e6[k][m], 6)} x {_need(level.classes[k].scan_risk_e6)} x "
        f"{_need(level.classes[m].scan_risk_e6)}"
        for k in risky
        for m in risky
        if k < m
    ]
    root = f"sqrt({' + '.join(squares + crosses)}) = {_need(level.correlated_e6)}"
    if len(risky) == 1:
        return [f"Across classes: one class is at risk, R = {_need(level.correlated_e6)}."]
    return [
        f"Across classes: R = {root}; added up they would be {_need(level.scan_sum_e6)}, "
        f"so correlation credits {format_down(level.correlation_credit_e6, 6, 2)}."
    ]


def _explain_group(one: GroupReport) -> list[str]:
    net, gross = format_down(one.net_e14, 14, 4), format_down(one.gross_e14, 14, 4)
    held = f"Haircut {one.name}: net {net} of gross {gross} ({', '.join(one.members)})"
    line = next((t.line for t in one.tiers if t.binding), None)
    if line is None:
        return [f"{held}; no tier charges it; 0.00."]
    return [
        f"{held}; the deciding tier is {net} x {format_up(line.slope_e12, 12, 4)} "
        f"{'- ' if line.intercept_e26 else '+ '}{format_up(-line.intercept_e26, 26, 2)} = {_need(one.charge_e6)}."
    ]


def explain_level(report: Report, level: LevelReport) -> list[str]:
    """M2 to M7 at one level."""
    lines = [f"Requirement at {_LEVEL_WORDS[level.level]}:"]
    for one in level.classes:
        lines += _explain_class(one)
    lines += _explain_correlation(report, level)
    for group in level.groups:
        lines += _explain_group(group)
    lines += [
        f"Add-on {p.instrument.symbol}: {format_decimal(abs(p.quantity_e8), 8)} x "
        f"{format_up(p.addon_rate_e12, 12, 4)} = {format_up(p.addon_e20, 20, 2)}."
        for p in level.positions
        if p.addon_e20
    ]
    lines.append(
        f"Requirement = {format_decimal(level.scan_factor_e6, 6)} x {_need(level.correlated_e6)} (scan) + "
        f"{_need(level.contingency_e6)} (haircuts) + {format_up(level.addon_e20, 20, 2)} (add-ons) "
        f"= {_need(level.requirement_e6)} USD."
    )
    lines.append(
        f"Excess = {_value(report.equity_e20)} - {_need(level.requirement_e6)} = "
        f"{format_down(level.excess_e6, 6, 2)} USD."
    )
    if level.health_e6 is not None:
        lines.append(f"Health = equity / requirement = {format_down(level.health_e6, 6, 4)}.")
    more = "less" if level.isolated.saved_e6 >= 0 else "more, because size tiers see the whole,"
    saved = format_down(abs(level.isolated.saved_e6), 6, 2)
    lines.append(
        f"One by one the positions would need {_need(level.isolated.requirement_e6)} USD; "
        f"together they need {saved} USD {more} than that."
    )
    return lines


def explain(report: Report) -> list[str]:
    """Every number of the report in plain words, in the order of M1 to M7."""
    return [
        *explain_equity(report),
        *explain_level(report, report.im),
        *explain_level(report, report.mm),
        _STATUS_WORDS[report.status],
    ]
