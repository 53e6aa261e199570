"""A report as JSON (schema `counterfoil/report/1`): amounts in USD and quantities as exact decimal strings."""

from __future__ import annotations

from typing import Final

from aggregator.fixed import format_decimal
from aggregator.margin.native import PositionValue
from aggregator.margin.report import ClassReport, GroupReport, LevelReport, Report, chain_of

REPORT_SCHEMA: Final = "counterfoil/report/1"


def _position(position: PositionValue) -> dict[str, object]:
    instrument = position.instrument
    return {
        "symbol": instrument.symbol,
        "kind": instrument.kind.value,
        "underlying": instrument.underlying,
        "chain": chain_of(instrument.symbol),
        "quantity": format_decimal(position.quantity_e8, 8),
        "markUsd": format_decimal(instrument.mark_e12, 12),
        "valueUsd": format_decimal(position.value_e20, 20),
    }


def _class(one: ClassReport) -> dict[str, object]:
    return {
        "class": one.name,
        "scanRiskUsd": format_decimal(one.scan_risk_e6, 6),
        "bindingScenario": one.binding,
        "scenarios": [{"name": s.name, "pnlUsd": format_decimal(s.pnl_e20, 20)} for s in one.scenarios],
        "contributions": [
            {
                "symbol": c.symbol,
                "quantity": format_decimal(c.quantity_e8, 8),
                "pnlPerUnitUsd": format_decimal(c.risk_e12, 12),
                "pnlUsd": format_decimal(c.pnl_e20, 20),
            }
            for c in one.contributions
        ],
    }


def _group(one: GroupReport) -> dict[str, object]:
    return {
        "group": one.name,
        "members": list(one.members),
        "net": format_decimal(one.net_e14, 14),
        "gross": format_decimal(one.gross_e14, 14),
        "chargeUsd": format_decimal(one.charge_e6, 6),
        "lines": [
            {
                "slopeUsd": format_decimal(t.line.slope_e12, 12),
                "interceptUsd": format_decimal(t.line.intercept_e26, 26),
                "chargeUsd": format_decimal(t.charge_e6, 6),
                "binding": t.binding,
            }
            for t in one.tiers
        ],
    }


def _level(one: LevelReport) -> dict[str, object]:
    return {
        "level": one.level.name,
        "scanFactor": format_decimal(one.scan_factor_e6, 6),
        "classes": [_class(c) for c in one.classes],
        "scanSumUsd": format_decimal(one.scan_sum_e6, 6),
        "correlationCreditUsd": format_decimal(one.correlation_credit_e6, 6),
        "correlatedScanUsd": format_decimal(one.correlated_e6, 6),
        "scanUsd": format_decimal(one.scan_e20, 20),
        "groups": [_group(g) for g in one.groups],
        "contingencyUsd": format_decimal(one.contingency_e6, 6),
        "addons": [
            {
                "symbol": p.instrument.symbol,
                "rateUsd": format_decimal(p.addon_rate_e12, 12),
                "addonUsd": format_decimal(p.addon_e20, 20),
            }
            for p in one.positions
            if p.addon_e20
        ],
        "addonUsd": format_decimal(one.addon_e20, 20),
        "requirementUsd": format_decimal(one.requirement_e6, 6),
        "excessUsd": format_decimal(one.excess_e6, 6),
        "health": None if one.health_e6 is None else format_decimal(one.health_e6, 6),
        "isolatedRequirementUsd": format_decimal(one.isolated.requirement_e6, 6),
        "capitalSavedUsd": format_decimal(one.isolated.saved_e6, 6),
        "isolated": [
            {"symbol": symbol, "requirementUsd": format_decimal(requirement, 6)}
            for symbol, requirement in one.isolated.by_symbol
        ],
    }


def to_json(report: Report) -> dict[str, object]:
    """The JSON value of a report, ready for `canonical_json`."""
    return {
        "schema": REPORT_SCHEMA,
        "policy": {
            "name": report.policy_name,
            "epoch": report.policy_epoch,
            "asOf": report.policy_as_of,
            "expires": report.policy_expires,
        },
        "status": report.status.value,
        "equityUsd": format_decimal(report.equity_e20, 20),
        "positions": [_position(p) for p in report.im.positions],
        "chains": [
            {
                "chain": c.chain,
                "assetsUsd": format_decimal(c.assets_e20, 20),
                "debtsUsd": format_decimal(c.debts_e20, 20),
                "netUsd": format_decimal(c.net_e20, 20),
                "addonImUsd": format_decimal(c.addon_im_e20, 20),
            }
            for c in report.chains
        ],
        "im": _level(report.im),
        "mm": _level(report.mm),
    }
