"""Valuations that are kept: a point of an account's history, and the events that follow from it."""

from __future__ import annotations

import json
from typing import Final

from aggregator.fixed import format_decimal
from aggregator.margin import evaluate
from aggregator.model.policy import Level
from aggregator.service import provenance
from aggregator.service.library import Case
from aggregator.service.valuing import Json, summary_of
from aggregator.store.archive import Valuation
from aggregator.store.everything import AllRecords

LOW: Final = "health-low:"
"""Mark of an account whose health is below the threshold."""


def value_case(case: Case, now: int) -> tuple[Valuation, int | None]:
    """The valuation of a case, and its MM health in 1e-6 (None without a requirement or a complete snapshot).

    Raises InputError for a position that the policy does not price.
    """
    summary, health_e6 = None, None
    if case.snapshot.complete:
        positions = case.positions
        im, mm = (evaluate(case.policy, positions, level) for level in (Level.IM, Level.MM))
        summary, health_e6 = summary_of(im, mm), mm.health_e6
    where = provenance.of_snapshot(case.snapshot)
    point: Json = {
        "snapshot": case.row.id,
        "policy": case.stored_policy.id,
        "cutTime": case.snapshot.cut_time,
        "valuedAt": now,
        "complete": case.snapshot.complete,
        "failedChains": where["failedChains"],
        "trust": where["trust"],
        "asOf": where["asOf"],
        "summary": summary,
    }
    return (
        Valuation(0, case.row.account, case.row.id, case.stored_policy.id, now, json.dumps(point)),
        health_e6,
    )


def keep_valuation(
    records: AllRecords, one: Valuation, health_e6: int | None, below_e6: int, now: int
) -> bool:
    """Keep a valuation and tell of it; a margin call is told once, when MM health falls below `below_e6`.

    Returns whether it is new.
    """
    if not records.add_valuation(one):
        return False
    point = json.loads(one.document)
    records.add_event("health", one.account, one.document, now)
    if health_e6 is None or not below_e6:
        return True
    name = LOW + one.account
    low, was_low = health_e6 < below_e6, records.mark(name) == "low"
    if low != was_low:
        records.set_mark(name, "low" if low else "high")
    if low and not was_low:
        call = {
            "reason": "health",
            "health": format_decimal(health_e6, 6),
            "threshold": format_decimal(below_e6, 6),
            "snapshot": one.snapshot,
            "policy": one.policy,
            "summary": point["summary"],
        }
        records.add_event("margin-call", one.account, json.dumps(call), now)
    return True
