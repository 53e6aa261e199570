"""What the service does by itself: decided once, also across a restart, and told once."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from aggregator.model.errors import NotFoundError
from aggregator.policy.quotes import PriceQuote
from aggregator.service.background import (
    look_at_registry,
    moved,
    noted,
    prove_again,
    queue,
    read_accounts,
    routines_of,
)
from aggregator.service.history import keep_valuation, value_case
from aggregator.service.http.health import read_case
from aggregator.service.http.service import Service
from aggregator.service.jobs import new_job_id
from aggregator.store import Home, Link
from aggregator.store.archive import Valuation
from tests.aggregator.service.scene import CUT, NOW, OWNER
from tests.aggregator.service.serving import Running, serving, settings
from tests.aggregator.service.stored import Stored, at_that_time, fill


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A home of its own, whose account has an address."""
    made = fill(Home(tmp_path_factory.mktemp("background") / "home"))
    with made.home.store() as store:
        store.add_link(Link(OWNER, "main", CUT, CUT + 10**6, "0x01"), now=CUT)
    return made


def jobs(running: Running, kind: str) -> list[dict[str, object]]:
    found = running.get("/v1/jobs?limit=200").data["items"]
    return [job for job in found if job["kind"] == kind]


def test_nothing_runs_that_is_not_configured(running: Running) -> None:
    assert [routine.name for routine in routines_of(running.service)] == ["tidy"]


def test_each_account_is_read_once_in_a_stretch_of_time(own: Stored, nowhere: str) -> None:
    chosen = settings(data__networks=(nowhere,), background__snapshot_every_s=100)
    for _ in range(2):
        with serving(own.home, chosen, at_that_time) as running:
            service = running.service
            for _ in range(3):
                running.run(read_accounts(service))
            wait_for_jobs(running)
            assert len(jobs(running, "snapshot")) == 1
    with serving(own.home, chosen, at_that_time) as running:
        running.service.clock = lambda: NOW + 100
        running.run(read_accounts(running.service))
        assert len(jobs(running, "snapshot")) == 2
        wait_for_jobs(running)


def wait_for_jobs(running: Running) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if all(j["state"] in ("done", "failed") for j in running.get("/v1/jobs?limit=200").data["items"]):
            return
        time.sleep(0.05)
    raise AssertionError("jobs are still under way")


def test_a_bundle_about_to_expire_is_proven_again_once(own: Stored, nowhere: str) -> None:
    chosen = settings(data__networks=(nowhere,), background__reprove_before_s=60)

    def later(service: Service) -> None:
        at_that_time(service)
        service.clock = lambda: CUT + 600 - 30

    with serving(own.home, settings(data__networks=(nowhere,)), at_that_time) as running:
        running.service.settings = chosen
        running.run(prove_again(running.service))
        assert jobs(running, "proof") == []
    for _ in range(2):
        with serving(own.home, chosen, later) as running:
            running.run(prove_again(running.service))
            wait_for_jobs(running)
            (job,) = jobs(running, "proof")
            assert job["account"] == "main"
    with own.home.store() as store:
        (asked,) = (json.loads(job.request) for job in store.jobs() if job.kind == "proof")
    assert (asked["snapshot"], asked["amountE6"], asked["lifetimeSeconds"]) == (
        own.snapshot,
        str(100_000 * 10**6),
        570,
    )


@pytest.mark.parametrize(
    ("after", "least", "expected"),
    [
        ({"ETH": 1000}, 1, False),
        ({"ETH": 1010}, 10_000, True),
        ({"ETH": 1009}, 10_000, False),
        ({"ETH": 990}, 10_000, True),
        ({"BTC": 1}, 10_000, True),
        ({}, 1, False),
    ],
)
def test_a_price_has_moved_by_a_share(after: dict[str, int], least: int, expected: bool) -> None:
    before = {"ETH": PriceQuote(1000, 1)}
    fresh = {name: PriceQuote(price, 2) for name, price in after.items()}
    assert moved(before, fresh, least) is expected
    stale = {name: replace(quote, stale=True) for name, quote in fresh.items()}
    assert moved(before, stale, least) is False


def test_a_margin_call_is_told_when_health_falls_and_not_again(own: Stored) -> None:
    with own.home.store() as store:
        start = store.last_event()
        policies = [store.add_policy(f"p{n}".encode(), name="p", root=n, now=n) for n in range(5)]
        healths = [2_000_000, 900_000, 800_000, 1_500_000, 700_000]
        for policy, health in zip(policies, healths, strict=True):
            one = Valuation(0, "main", own.snapshot, policy, NOW, '{"summary": null}')
            assert keep_valuation(store, one, health, 1_000_000, NOW) is True
            assert keep_valuation(store, one, health, 1_000_000, NOW) is False
        kinds = [event.kind for event in store.events(start)]
        calls = [json.loads(e.data)["health"] for e in store.events(start) if e.kind == "margin-call"]
    assert kinds.count("health") == 5
    assert calls == ["0.9", "0.7"]


def test_an_incomplete_snapshot_is_kept_without_a_value(running: Running, stored: Stored) -> None:
    def case(snapshot: str) -> object:
        return running.run(read_case(running.service, "main", snapshot, stored.policy))

    valuation, health = value_case(case(stored.incomplete), NOW)  # type: ignore[arg-type]
    assert (health, json.loads(valuation.document)["summary"]) == (None, None)
    assert json.loads(valuation.document)["complete"] is False
    valuation, health = value_case(case(stored.snapshot), NOW)  # type: ignore[arg-type]
    assert json.loads(valuation.document)["summary"]["equityUsd"] == "110000"


def test_the_registry_is_told_of_when_it_changes(own: Stored) -> None:
    covered = {"status": "covered", "pledges": [{"venue": OWNER, "amountUsd": "5"}]}
    called = {**covered, "status": "called", "deadline": NOW}
    with own.home.store() as store:
        account, start = store.account("main"), store.last_event()
        for shown in (covered, covered, called, called, {**called, "status": "failed"}, covered, called):
            noted(account, shown, NOW)(store)
        kinds = [event.kind for event in store.events(start)]
    assert kinds == ["pledge", "margin-call", "pledge", "pledge", "pledge", "margin-call", "pledge"]


def test_without_a_registry_nothing_is_looked_at(running: Running) -> None:
    running.run(look_at_registry(running.service))


def test_a_job_decided_on_twice_is_one(tmp_path: Path) -> None:
    with Home(tmp_path / "home").store() as store:
        for _ in range(2):
            queue(store, "seed", "policy", None, {}, 1)
        assert [job.id for job in store.jobs()] == [new_job_id("seed")]
        assert new_job_id("seed") != new_job_id("other") != new_job_id()
        with pytest.raises(NotFoundError):
            store.job(new_job_id("other"))
