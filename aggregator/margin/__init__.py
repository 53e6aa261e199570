"""The margin engine: the provable rulebook and the report that explains its numbers."""

from __future__ import annotations

from aggregator.margin.explain import explain
from aggregator.margin.native import Evaluation, evaluate, positions_by_id
from aggregator.margin.report import Report, Status, make_report
from aggregator.margin.report_json import to_json

__all__ = [
    "Evaluation",
    "Report",
    "Status",
    "evaluate",
    "explain",
    "make_report",
    "positions_by_id",
    "to_json",
]
