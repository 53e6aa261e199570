"""Long work as rows of the store: queued, run, and finished in one transaction with what it made.

A job that was under way when the process ended is run again from its request, up to five times. Its effect and its
result are written together, so an attempt that was cut off has left nothing, and one that was not is not repeated.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from aggregator.model.errors import CounterfoilError
from aggregator.service.events import Broker
from aggregator.store.asynchronous import AsyncStore
from aggregator.store.everything import AllRecords
from aggregator.store.work import Job

log: Final = logging.getLogger("counterfoil.jobs")

MOST_ATTEMPTS: Final = 5
IDLE_S: Final = 5.0
STAGE_EVERY_S: Final = 0.5
"""Stages that follow each other faster than this are not all written down."""

Json = dict[str, Any]
Finish = Callable[[AllRecords], Json]
"""Writes what a job made and returns its result, in the transaction that ends the job."""
Work = Callable[[Job, Callable[[str], None]], Awaitable[Finish]]
"""Does a job; the second argument says what is under way, from any thread."""
Ended = Callable[[str, str], None]


def new_job_id(seed: str | None = None) -> str:
    """The id of a new job; the same seed gives the same id."""
    if seed is None:
        return "j" + secrets.token_hex(8)
    return "j" + hashlib.sha256(seed.encode()).hexdigest()[:16]


def job_json(job: Job) -> Json:
    """A job as the interface shows it."""
    return {
        "id": job.id,
        "kind": job.kind,
        "account": job.account,
        "state": job.state.value,
        "stage": job.stage,
        "attempts": job.attempts,
        "createdAt": job.created_at,
        "updatedAt": job.updated_at,
        "result": None if job.result is None else json.loads(job.result),
        "problem": None if job.problem is None else json.loads(job.problem),
    }


class JobRunner:
    """Runs the jobs of a store, `at_once` of them at a time."""

    def __init__(
        self,
        store: AsyncStore,
        broker: Broker,
        works: Mapping[str, Work],
        problem_of: Callable[[CounterfoilError], Json],
        *,
        at_once: int,
        ended: Ended = lambda _kind, _state: None,
    ) -> None:
        """`works` maps a kind to what does it; `ended` is told each kind and state."""
        self._store = store
        self._broker = broker
        self._works = works
        self._problem_of = problem_of
        self._at_once = at_once
        self._ended = ended
        self._awake = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """A job was queued."""
        self._awake.set()

    async def resume(self) -> None:
        """Queue again what was under way when the last process ended, and fail what was tried too often."""

        def again(records: AllRecords) -> None:
            now = int(time.time())
            for job in records.unfinished_jobs():
                if job.attempts >= MOST_ATTEMPTS and job.state.value == "running":
                    records.fail_job(job.id, json.dumps(_interrupted(job)), now)
                    records.add_event("job", job.account, _event(job, "failed", "failed"), now)
                elif job.state.value == "running":
                    records.requeue_job(job.id, now)

        await self._store.write(again)

    async def run(self) -> None:
        """Run jobs until cancelled; then those under way are cancelled too, and found again by `resume`."""
        try:
            while True:
                self._awake.clear()
                while len(self._running) < self._at_once and (job := await self._next()) is not None:
                    task = asyncio.create_task(self._do(job))
                    self._running.add(task)
                    task.add_done_callback(functools.partial(self._after, job))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._awake.wait(), IDLE_S)
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _next(self) -> Job | None:
        now = int(time.time())
        return await self._store.write(lambda records: records.start_job(now, tuple(self._works)))

    async def _do(self, job: Job) -> None:
        stages = _Stages(self._store, self._broker, job)
        following = asyncio.create_task(stages.write())
        try:
            finish = await self._works[job.kind](job, stages.tell)
        except CounterfoilError as error:
            await self._fail(job, self._problem_of(error))
            return
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

        def end(records: AllRecords) -> None:
            now = int(time.time())
            result = finish(records)
            records.finish_job(job.id, json.dumps(result), now)
            records.add_event("job", job.account, _event(job, "done", "done", result=result), now)

        try:
            await self._store.write(end)
        except CounterfoilError as error:
            await self._fail(job, self._problem_of(error))
            return
        self._ended(job.kind, "done")
        self._broker.wake()

    async def _fail(self, job: Job, problem: Json) -> None:
        def fail(records: AllRecords) -> None:
            now = int(time.time())
            records.fail_job(job.id, json.dumps(problem), now)
            records.add_event("job", job.account, _event(job, "failed", "failed", problem=problem), now)

        await self._store.write(fail)
        self._ended(job.kind, "failed")
        self._broker.wake()

    def _after(self, job: Job, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._awake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("job broke", exc_info=error, extra={"fields": {"job": job.id, "kind": job.kind}})
            ending = asyncio.get_running_loop().create_task(self._fail(job, _defect()))
            self._running.add(ending)
            ending.add_done_callback(self._running.discard)


class _Stages:
    """What a job is about, taken from any thread and written down now and then."""

    def __init__(self, store: AsyncStore, broker: Broker, job: Job) -> None:
        self._store, self._broker, self._job = store, broker, job
        self._loop = asyncio.get_running_loop()
        self._latest = ""
        self._changed = asyncio.Event()

    def tell(self, stage: str) -> None:
        """What is under way."""
        self._loop.call_soon_threadsafe(self._set, stage)

    def _set(self, stage: str) -> None:
        self._latest = stage
        self._changed.set()

    async def write(self) -> None:
        """Write each stage until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._store.write(functools.partial(self._note, self._latest))
            self._broker.wake()
            await asyncio.sleep(STAGE_EVERY_S)

    def _note(self, stage: str, records: AllRecords) -> None:
        now, job = int(time.time()), self._job
        records.set_stage(job.id, stage, now)
        records.add_event("job", job.account, _event(job, "running", stage), now)


def _event(job: Job, state: str, stage: str, **more: object) -> str:
    return json.dumps({"job": job.id, "kind": job.kind, "state": state, "stage": stage, **more})


def _defect() -> Json:
    return {
        "type": "urn:counterfoil:problem:error",
        "title": "CounterfoilError",
        "status": 500,
        "detail": "the job met a defect of the service; its log has the traceback",
        "exitCode": 1,
    }


def _interrupted(job: Job) -> Json:
    return {
        "type": "urn:counterfoil:problem:interrupted",
        "title": "Interrupted",
        "status": 503,
        "detail": f"the job was cut off {job.attempts} times; look at the log, then ask for it again",
    }
