"""Work that outlives the process: jobs, the events that tell of it, and marks of what was done when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import sqlalchemy as sa

from aggregator.model.errors import ConflictError, NotFoundError
from aggregator.store import schema
from aggregator.store.connected import Connected

WAITING: Final = "waiting"


class JobState(StrEnum):
    """How far a job is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of long work. `request`, `result` and `problem` are JSON; `attempts` counts its starts."""

    number: int
    id: str
    kind: str
    account: str | None
    state: JobState
    stage: str
    attempts: int
    request: str
    result: str | None
    problem: str | None
    created_at: int
    updated_at: int


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One thing that happened; `data` is JSON."""

    number: int
    kind: str
    account: str | None
    at: int
    data: str


class WorkRecords(Connected):
    """Jobs, events and marks."""

    def add_job(self, key: str, *, kind: str, account: str | None, request: str, now: int) -> Job:
        """A new job under the id `key`, or the one that has it already."""
        table = schema.jobs
        with self._transaction() as connection:
            found = connection.execute(sa.select(table.c.id).where(table.c.id == key)).first()
            if found is None:
                connection.execute(
                    table.insert().values(
                        id=key,
                        kind=kind,
                        account=account,
                        state=JobState.QUEUED.value,
                        stage=WAITING,
                        attempts=0,
                        request=request,
                        created_at=now,
                        updated_at=now,
                    )
                )
        return self.job(key)

    def job(self, key: str) -> Job:
        """The job `key`; raises NotFoundError."""
        row = self._row(sa.select(schema.jobs).where(schema.jobs.c.id == key))
        if row is None:
            raise NotFoundError(f"there is no job {key!r}; list them with GET /v1/jobs")
        return _job(row)

    def jobs(self, *, before: int | None = None, limit: int = 50) -> list[Job]:
        """Jobs, newest first, those numbered below `before`."""
        query = sa.select(schema.jobs).order_by(schema.jobs.c.number.desc()).limit(limit)
        if before is not None:
            query = query.where(schema.jobs.c.number < before)
        return [_job(row) for row in self._rows(query)]

    def unfinished_jobs(self) -> list[Job]:
        """Jobs that are queued or running, oldest first."""
        table = schema.jobs
        states = (JobState.QUEUED.value, JobState.RUNNING.value)
        query = sa.select(table).where(table.c.state.in_(states)).order_by(table.c.number)
        return [_job(row) for row in self._rows(query)]

    def start_job(self, now: int, kinds: Sequence[str]) -> Job | None:
        """Mark the oldest queued job of these kinds as running and count the attempt; None when none waits."""
        table = schema.jobs
        with self._transaction() as connection:
            waiting = sa.select(table.c.id).where(
                table.c.state == JobState.QUEUED.value, table.c.kind.in_(kinds)
            )
            key = connection.execute(waiting.order_by(table.c.number).limit(1)).scalar()
            if key is None:
                return None
            connection.execute(
                sa.update(table)
                .where(table.c.id == key)
                .values(state=JobState.RUNNING.value, attempts=table.c.attempts + 1, updated_at=now)
            )
        return self.job(key)

    def requeue_job(self, key: str, now: int) -> None:
        """Give a running job back, to be started again."""
        self._set_job(key, now, JobState.RUNNING, state=JobState.QUEUED.value, stage=WAITING)

    def set_stage(self, key: str, stage: str, now: int) -> None:
        """What a running job is about."""
        self._set_job(key, now, JobState.RUNNING, stage=stage)

    def finish_job(self, key: str, result: str, now: int) -> None:
        """The job is done; raises ConflictError unless it was running, so that no result is recorded twice."""
        self._set_job(key, now, JobState.RUNNING, state=JobState.DONE.value, stage="done", result=result)

    def fail_job(self, key: str, problem: str, now: int) -> None:
        """The job has failed for good; raises ConflictError unless it was running."""
        self._set_job(
            key, now, JobState.RUNNING, state=JobState.FAILED.value, stage="failed", problem=problem
        )

    def _set_job(self, key: str, now: int, expected: JobState, **values: Any) -> None:
        table = schema.jobs
        where = (table.c.id == key) & (table.c.state == expected.value)
        if self._write(sa.update(table).where(where).values(updated_at=now, **values)) != 1:
            raise ConflictError(f"job {key} is not {expected}; its outcome stands as it is")

    def add_event(self, kind: str, account: str | None, data: str, now: int) -> int:
        """Write an event down, and a delivery for every webhook that asked for its kind; returns its number."""
        hooks, deliveries = schema.webhooks, schema.deliveries
        with self._transaction() as connection:
            made = connection.execute(
                schema.events.insert().values(kind=kind, account=account, at=now, data=data)
            )
            number = int(made.inserted_primary_key[0]) if made.inserted_primary_key else 0
            for hook in connection.execute(sa.select(hooks.c.id, hooks.c.kinds)).all():
                if kind in hook.kinds.split(","):
                    connection.execute(
                        deliveries.insert().values(webhook=hook.id, event=number, attempts=0, next_at=now)
                    )
        return number

    def events(self, after: int, limit: int = 500) -> list[StoredEvent]:
        """Events numbered above `after`, oldest first."""
        table = schema.events
        query = sa.select(table).where(table.c.number > after).order_by(table.c.number).limit(limit)
        return [StoredEvent(**row) for row in self._rows(query)]

    def last_event(self) -> int:
        """The highest number of an event, 0 when there is none."""
        row = self._row(sa.select(sa.func.max(schema.events.c.number).label("last")))
        return int(row["last"] or 0) if row is not None else 0

    def mark(self, name: str) -> str | None:
        """What was noted under `name`."""
        row = self._row(sa.select(schema.marks.c.value).where(schema.marks.c.name == name))
        return None if row is None else str(row["value"])

    def set_mark(self, name: str, value: str) -> None:
        """Note something under `name` in place of what was there."""
        table = schema.marks
        with self._transaction() as connection:
            connection.execute(sa.delete(table).where(table.c.name == name))
            connection.execute(table.insert().values(name=name, value=value))


def _job(row: sa.RowMapping) -> Job:
    return Job(**{**row, "state": JobState(row["state"])})
