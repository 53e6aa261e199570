"""The margin engine: the provable rulebook and the report that explains its numbers."""

from __future__ import annotations

from aggregator.margin.native import Evaluation, evaluate, positions_by_id

__all__ = ["Evaluation", "evaluate", "positions_by_id"]
