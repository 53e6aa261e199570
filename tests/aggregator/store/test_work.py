"""Jobs, events, keys, answers, evidence and valuations: nothing is lost, doubled or shown."""

from __future__ import annotations

import asyncio

import pytest

from aggregator.model.errors import ConflictError, InputError, NotFoundError
from aggregator.store import Home, Store
from aggregator.store.archive import ChainNodes, Valuation
from aggregator.store.asynchronous import AsyncStore
from aggregator.store.callers import Answer, ApiKey, Webhook
from aggregator.store.everything import AllRecords
from aggregator.store.work import JobState


def queue(store: AllRecords, key: str, kind: str = "proof") -> None:
    store.add_job(key, kind=kind, account=None, request="{}", now=1)


def test_a_job_is_queued_once_under_an_id(store: Store) -> None:
    for _ in range(2):
        queue(store, "j1")
    queue(store, "j2")
    assert [job.id for job in store.jobs()] == ["j2", "j1"]
    assert [job.id for job in store.jobs(before=store.job("j2").number)] == ["j1"]
    with pytest.raises(NotFoundError, match="no job 'j3'"):
        store.job("j3")


def test_a_job_is_started_oldest_first_and_ends_once(store: Store) -> None:
    queue(store, "j1")
    queue(store, "j2", "relay")
    assert store.start_job(2, ["relay"]) == store.job("j2")
    first = store.start_job(2, ["proof", "relay"])
    assert first is not None
    assert (first.id, first.state, first.attempts) == ("j1", JobState.RUNNING, 1)
    assert store.start_job(2, ["proof", "relay"]) is None
    store.set_stage("j1", "half", 3)
    store.finish_job("j1", '{"a":1}', 4)
    done = store.job("j1")
    assert (done.state, done.result, done.updated_at) == (JobState.DONE, '{"a":1}', 4)
    with pytest.raises(ConflictError, match="outcome stands"):
        store.finish_job("j1", "{}", 5)
    with pytest.raises(ConflictError, match="outcome stands"):
        store.fail_job("j1", "{}", 5)
    with pytest.raises(ConflictError, match="outcome stands"):
        store.requeue_job("j1", 5)
    assert store.job("j1") == done


def test_a_job_that_was_cut_off_can_be_started_again(store: Store) -> None:
    queue(store, "j1")
    store.start_job(2, ["proof"])
    assert [job.id for job in store.unfinished_jobs()] == ["j1"]
    store.requeue_job("j1", 3)
    again = store.start_job(4, ["proof"])
    assert again is not None
    assert again.attempts == 2


def test_events_are_numbered_without_reuse_and_reach_their_webhooks(store: Store) -> None:
    hook = Webhook("w1", "https://a.example/", ("health", "job"), "00", 1, 0)
    store.add_webhook(hook)
    assert store.last_event() == 0
    numbers = [store.add_event(kind, None, "{}", 5) for kind in ("job", "proof", "health")]
    assert [event.number for event in store.events(0)] == numbers == sorted(set(numbers))
    assert [event.kind for event in store.events(numbers[0])] == ["proof", "health"]
    assert store.last_event() == numbers[-1]
    due = store.due_deliveries(5)
    assert [d.event for d in due] == [numbers[0], numbers[2]]
    assert store.due_deliveries(4) == []
    store.put_off_delivery(due[0], 99)
    assert [d.event for d in store.due_deliveries(98)] == [numbers[2]]
    assert store.webhooks()[0].failures == 1
    store.end_delivery(due[1], delivered=True)
    assert store.webhooks()[0].failures == 0
    assert [(d.event, d.attempts) for d in store.due_deliveries(99)] == [(numbers[0], 1)]
    store.remove_webhook("w1")
    assert (store.due_deliveries(99), store.webhooks()) == ([], [])


def test_keys_are_listed_and_revoked_once(store: Store) -> None:
    key = ApiKey("00aa", "desk", "ff" * 32, ("read", "verify"), 60, 1)
    store.add_api_key(key)
    assert store.api_keys() == [key]
    store.revoke_api_key("00aa", 9)
    assert store.api_keys()[0].revoked_at == 9
    with pytest.raises(ConflictError):
        store.revoke_api_key("00aa", 10)
    with pytest.raises(NotFoundError):
        store.revoke_api_key("00ab", 10)


def test_an_answer_is_kept_once_per_caller_and_key(store: Store) -> None:
    answer = Answer("me", "k", "00", 200, "", "{}", 5)
    store.add_answer(answer)
    assert store.answer("me", "k") == answer
    assert store.answer("you", "k") is None
    with pytest.raises(ConflictError, match="at the same time"):
        store.add_answer(answer)
    assert store.forget_answers(5) == 0
    assert store.forget_answers(6) == 1
    assert store.answer("me", "k") is None


def snapshot(store: Store, home: Home, document: bytes = b"{}") -> str:
    if not store.accounts():
        home.create_account(store, "one", sub_account=2**32 - 1, key_file=None, now=2**31)
    return store.add_snapshot(document, account="one", cut_time=2**31, complete=True, now=2**32)


def test_evidence_shares_its_nodes(store: Store, home: Home) -> None:
    first, second = snapshot(store, home, b"1"), snapshot(store, home, b"2")
    shared, own = b"\x01" * 40, b"\x02" * 600
    chains = [ChainNodes("eip155:1", b"\x07", (shared, own))]
    store.add_evidence(first, chains)
    store.add_evidence(first, [])
    store.add_evidence(second, [ChainNodes("eip155:1", b"\x08", (shared,))])
    assert store.evidence(first) == tuple(chains)
    assert store.evidence(second)[0].nodes == (shared,)
    assert store.has_evidence([first, second, "0x0"]) == {first, second}
    with pytest.raises(NotFoundError, match="no evidence"):
        store.evidence("0x0")


def test_a_snapshot_is_valued_once_under_a_policy(store: Store, home: Home) -> None:
    key = snapshot(store, home)
    policies = [store.add_policy(f"{n}".encode(), name="p", root=n, now=n) for n in range(2)]
    for policy in policies:
        one = Valuation(0, "one", key, policy, 9, "{}")
        assert store.add_valuation(one) is True
        assert store.add_valuation(one) is False
    found = store.valuations("one")
    assert [v.policy for v in found] == policies[::-1]
    assert [v.policy for v in store.valuations("one", before=found[0].number)] == policies[:1]


def test_what_a_policy_was_built_from_stays_as_it_was_first(store: Store) -> None:
    policy = store.add_policy(b"p", name="p", root=1, now=1)
    store.add_policy_inputs(policy, b"a")
    store.add_policy_inputs(policy, b"b")
    assert (store.policy_inputs(policy), store.policy_inputs("0x0")) == (b"a", None)
    assert store.has_inputs([policy, "0x0"]) == {policy}


def test_marks_are_replaced(store: Store) -> None:
    assert store.mark("x") is None
    store.set_mark("x", "1")
    store.set_mark("x", "2")
    assert store.mark("x") == "2"


def asynchronous(url: str) -> str:
    return url.replace("sqlite://", "sqlite+aiosqlite://")


async def test_work_that_fails_leaves_nothing(url: str) -> None:
    store = await AsyncStore.open(asynchronous(url), "here")

    def work(records: AllRecords) -> None:
        queue(records, "j1")
        records.add_event("job", None, "{}", 1)
        raise InputError("no")

    with pytest.raises(InputError, match="no"):
        await store.write(work)
    assert await store.read(lambda r: (r.jobs(), r.events(0))) == ([], [])
    await store.close()


async def test_writers_at_once_lose_nothing(url: str) -> None:
    """A count that each reads and writes again: any two that overlap would lose one."""
    stores = [await AsyncStore.open(asynchronous(url), "here") for _ in range(2)]

    def count(records: AllRecords) -> None:
        records.set_mark("n", str(int(records.mark("n") or 0) + 1))
        records.add_event("job", None, "{}", 1)

    await asyncio.gather(*(store.write(count) for store in stores for _ in range(20)))
    assert await stores[0].read(lambda r: (r.mark("n"), len(r.events(0)))) == ("40", 40)
    for store in stores:
        await store.close()


async def test_readers_go_beside_a_writer(url: str) -> None:
    store = await AsyncStore.open(asynchronous(url), "here")
    await store.write(lambda records: records.set_mark("n", "1"))
    inside = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(records: AllRecords) -> None:
        records.set_mark("n", "2")
        loop.call_soon(inside.set)

    writing = asyncio.create_task(store.write(slow))
    found = await asyncio.wait_for(store.read(lambda records: records.mark("n")), 5)
    assert found in ("1", "2")
    await writing
    assert inside.is_set()
    assert await store.read(lambda records: records.mark("n")) == "2"
    await store.close()
