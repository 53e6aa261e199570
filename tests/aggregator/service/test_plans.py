"""Plans over HTTP and what of a snapshot they may move; without any chain."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from aggregator.model.anchors import Trust
from aggregator.model.snapshot import Method, make_snapshot
from aggregator.service.planning import HEDGE, REBALANCE, PlanRequest, make_plan, movable
from tests.aggregator.markets import E8
from tests.aggregator.markets import policy as demo_policy
from tests.aggregator.service.scene import reading
from tests.aggregator.service.serving import Running
from tests.aggregator.service.stored import CHAINS, Stored, account_snapshot

PLANS = "/v1/accounts/main/plans"
MONEY = ("asOf", "complete", "cutTime", "failedChains", "missing", "trust")
A, B, C = (f"eip155:{n}" for n in CHAINS)


def test_a_hedge_says_what_to_trade_and_what_if_agrees(running: Running, stored: Stored) -> None:
    asked = {"kind": "hedge", "limitUsd": "30000", "instruments": ["ETH-PERP"]}
    found = running.post(PLANS, asked).data
    assert (found["account"], found["policy"], found["kind"]) == ("main", stored.policy, "hedge")
    assert all(name in found for name in MONEY)
    (step,) = found["steps"]
    assert step == {
        "text": "Sell 10 ETH-PERP at the mark of 3,000.00 USD",
        "symbol": "ETH-PERP",
        "from": None,
        "to": None,
        "quantity": "-10",
        "received": None,
        "costUsd": "15",
    }
    assert found["costUsd"] == "15"
    before, after = (Decimal(found[when]["im"]["excessUsd"]) for when in ("before", "after"))
    assert after > before
    changes = [{"symbol": "ETH-PERP", "quantity": "-10"}, {"symbol": "USD", "quantity": "29985"}]
    moved = running.post("/v1/accounts/main/what-if", {"changes": changes}).data
    assert (moved["before"], moved["after"]) == (found["before"], found["after"])
    wider = running.post(PLANS, {"kind": "hedge"}).data
    assert Decimal(wider["after"]["im"]["excessUsd"]) > after


def test_a_rebalance_says_what_to_move(running: Running) -> None:
    found = running.post(PLANS, {"kind": "rebalance"}).data
    (step,) = found["steps"]
    assert step == {
        "text": f"Move 50000 USDC from {B} to {A}",
        "symbol": "USDC",
        "from": f"USDC@{B}",
        "to": f"USDC@{A}",
        "quantity": "50000",
        "received": "50000",
        "costUsd": "10",
    }
    saved = Decimal(found["before"]["im"]["addonUsd"]) - Decimal(found["after"]["im"]["addonUsd"])
    assert saved == 200
    assert found["costUsd"] == "10"
    target = {"symbol": f"ETH@{C}", "quantity": "1.5"}
    asked = {"kind": "rebalance", "targets": [target], "feeUsd": "1000", "costPpm": 0, "wrappers": True}
    found = running.post(PLANS, asked).data
    assert [step["text"] for step in found["steps"]] == [f"Move 1.5 ETH from {A} to {C}"]


def test_an_empty_plan_says_why(running: Running) -> None:
    found = running.post(PLANS, {"kind": "rebalance", "feeUsd": "1000"}).data
    assert (found["steps"], found["costUsd"]) == ([], "0")
    assert found["before"] == found["after"]
    assert "No move saves more" in found["reason"]
    assert running.post(PLANS, {"kind": "hedge", "limitUsd": "0"}).data["steps"] == []


@pytest.mark.parametrize(
    ("body", "status", "kind", "part"),
    [
        ({}, 400, "invalid-input", "kind"),
        ({"kind": "gamble"}, 400, "invalid-input", "hedge, rebalance"),
        ({"kind": "hedge", "limitUsd": "-1"}, 400, "invalid-input", "at least 0"),
        ({"kind": "hedge", "limitUsd": 5}, 400, "invalid-input", "limitUsd"),
        ({"kind": "hedge", "costPpm": 1_000_001}, 400, "invalid-input", "costPpm"),
        ({"kind": "hedge", "instruments": ["NONE"]}, 400, "invalid-input", "prices no 'NONE'"),
        ({"kind": "hedge", "instruments": []}, 400, "invalid-input", "instruments"),
        ({"kind": "hedge", "wrappers": True}, 400, "invalid-input", "for a rebalance"),
        ({"kind": "rebalance", "instruments": ["ETH-PERP"]}, 400, "invalid-input", "is no token"),
        ({"kind": "rebalance", "targets": [{"symbol": "X"}]}, 400, "invalid-input", "quantity"),
        ({"kind": "rebalance", "policy": "nothing"}, 404, "not-found", "'nothing'"),
        ({"kind": "rebalance", "lot": "1"}, 400, "invalid-input", "unknown field"),
    ],
)
def test_what_cannot_be_planned_is_refused(
    running: Running, body: object, status: int, kind: str, part: str
) -> None:
    running.post(PLANS, body).refused(status, kind, part)


def test_an_incomplete_snapshot_and_an_old_policy_give_no_plan(running: Running, stored: Stored) -> None:
    body = {"kind": "hedge", "snapshot": stored.incomplete}
    running.post(PLANS, body).refused(422, "incomplete-snapshot", A[:-1])
    service = running.service
    then = service.clock
    service.clock = lambda: then() + 10_000
    try:
        running.post(PLANS, {"kind": "hedge"}).refused(422, "expired", "ran out")
    finally:
        service.clock = then


def test_only_what_lies_in_a_wallet_is_moved() -> None:
    """A deposit, a debt and a reported balance are no token in a wallet, also where their instrument is one."""
    taken = account_snapshot(1)
    under = demo_policy()
    wallet = reading(CHAINS[1], f"ETH@{B}", 3)
    lent = replace(reading(CHAINS[1], f"ETH@{B}", 4), kind="collateral", token="0x" + "78" * 20)
    told = replace(
        reading(CHAINS[1], f"USDC@{B}", 9), method=Method.REPORTED, trust=Trust.REPORTED, token="venue"
    )
    made = make_snapshot(
        cut_time=taken.cut_time,
        taken_at=taken.taken_at,
        account_id=1,
        sub_account=0,
        addresses=taken.addresses,
        anchors=taken.anchors,
        readings=[wallet, lent, told],
    )
    assert movable(under, made) == {under.by_symbol[f"ETH@{B}"].id: 3 * E8}
    plan = make_plan(under, made, PlanRequest(REBALANCE))
    assert [(step.source, step.quantity_e8) for step in plan.steps] == [(f"ETH@{B}", 3 * E8)]
    assert make_plan(under, made, PlanRequest(HEDGE)).gain_e6 > 0
