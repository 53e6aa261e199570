"""Who calls the service: API keys, answers given to idempotency keys, and webhooks.

A key's secret is 256 random bits, so one round of SHA-256 hides it; only that is stored. A webhook's secret has to be
stored as it is, because deliveries are signed with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from aggregator.model.errors import ConflictError, NotFoundError
from aggregator.store import schema
from aggregator.store.connected import Connected


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret: `hash` is SHA-256 of that, hex. `scopes` are sorted."""

    id: str
    name: str
    hash: str
    scopes: tuple[str, ...]
    rate_per_minute: int
    created_at: int
    revoked_at: int | None = None

    def __repr__(self) -> str:
        return f"ApiKey(id={self.id!r}, name={self.name!r})"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered to an idempotency key; `request_hash` is SHA-256 of the request, hex."""

    caller: str
    key: str
    request_hash: str
    status: int
    location: str
    body: str
    stored_at: int


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where events of some kinds are posted to. `failures` counts deliveries in a row that failed."""

    id: str
    url: str
    kinds: tuple[str, ...]
    secret: str
    created_at: int
    failures: int

    def __repr__(self) -> str:
        return f"Webhook(id={self.id!r})"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one webhook."""

    webhook: str
    event: int
    attempts: int
    next_at: int


class CallerRecords(Connected):
    """Keys, answers and webhooks."""

    def add_api_key(self, key: ApiKey) -> None:
        """Store a new key."""
        self._write(
            schema.api_keys.insert().values(
                id=key.id,
                name=key.name,
                hash=key.hash,
                scopes=",".join(key.scopes),
                rate_per_minute=key.rate_per_minute,
                created_at=key.created_at,
            )
        )

    def api_keys(self) -> list[ApiKey]:
        """All keys, oldest first; revoked ones as well."""
        table = schema.api_keys
        rows = self._rows(sa.select(table).order_by(table.c.created_at, table.c.id))
        return [ApiKey(**{**row, "scopes": tuple(row["scopes"].split(","))}) for row in rows]

    def revoke_api_key(self, key: str, now: int) -> None:
        """Let a key open nothing any more; raises NotFoundError, ConflictError when it was revoked already."""
        table = schema.api_keys
        row = self._row(sa.select(table.c.revoked_at).where(table.c.id == key))
        if row is None:
            raise NotFoundError(f"there is no key {key!r}; run: counterfoil serve key list")
        if row["revoked_at"] is not None:
            raise ConflictError(f"key {key} was revoked already; nothing is left to do")
        self._write(sa.update(table).where(table.c.id == key).values(revoked_at=now))

    def add_answer(self, answer: Answer) -> None:
        """Remember what was answered, in the same transaction as what it did; ConflictError when there is one."""
        table = schema.answers
        with self._transaction() as connection:
            same = (table.c.caller == answer.caller) & (table.c.key == answer.key)
            if connection.execute(sa.select(table.c.status).where(same)).first() is not None:
                raise ConflictError(
                    f"the idempotency key {answer.key!r} was used at the same time; ask again"
                )
            values = {name: getattr(answer, name) for name in answer.__slots__}
            connection.execute(table.insert().values(**values))

    def answer(self, caller: str, key: str) -> Answer | None:
        """What was answered to a caller's idempotency key."""
        table = schema.answers
        row = self._row(sa.select(table).where(table.c.caller == caller, table.c.key == key))
        return None if row is None else Answer(**row)

    def forget_answers(self, before: int) -> int:
        """Remove answers stored before a second; returns how many."""
        table = schema.answers
        return self._write(sa.delete(table).where(table.c.stored_at < before))

    def add_webhook(self, hook: Webhook) -> None:
        """Store a new webhook."""
        self._write(
            schema.webhooks.insert().values(
                id=hook.id,
                url=hook.url,
                kinds=",".join(hook.kinds),
                secret=hook.secret,
                created_at=hook.created_at,
                failures=hook.failures,
            )
        )

    def webhooks(self) -> list[Webhook]:
        """All webhooks, oldest first."""
        table = schema.webhooks
        rows = self._rows(sa.select(table).order_by(table.c.created_at, table.c.id))
        return [Webhook(**{**row, "kinds": tuple(row["kinds"].split(","))}) for row in rows]

    def remove_webhook(self, key: str) -> None:
        """Forget a webhook and what was on its way to it; raises NotFoundError."""
        with self._transaction() as connection:
            connection.execute(sa.delete(schema.deliveries).where(schema.deliveries.c.webhook == key))
            table = schema.webhooks
            if connection.execute(sa.delete(table).where(table.c.id == key)).rowcount != 1:
                raise NotFoundError(f"there is no webhook {key!r}; list them with GET /v1/webhooks")

    def due_deliveries(self, now: int, limit: int = 50) -> list[Delivery]:
        """Deliveries to be tried now, oldest event first."""
        table = schema.deliveries
        query = sa.select(table).where(table.c.next_at <= now).order_by(table.c.event).limit(limit)
        return [Delivery(**row) for row in self._rows(query)]

    def end_delivery(self, one: Delivery, *, delivered: bool) -> None:
        """A delivery arrived, or was given up."""
        hooks, table = schema.webhooks, schema.deliveries
        with self._transaction() as connection:
            connection.execute(
                sa.delete(table).where(table.c.webhook == one.webhook, table.c.event == one.event)
            )
            failures = 0 if delivered else hooks.c.failures + 1
            connection.execute(sa.update(hooks).where(hooks.c.id == one.webhook).values(failures=failures))

    def put_off_delivery(self, one: Delivery, next_at: int) -> None:
        """Try a delivery again later; it has failed once more."""
        hooks, table = schema.webhooks, schema.deliveries
        with self._transaction() as connection:
            connection.execute(
                sa.update(table)
                .where(table.c.webhook == one.webhook, table.c.event == one.event)
                .values(attempts=one.attempts + 1, next_at=next_at)
            )
            connection.execute(
                sa.update(hooks).where(hooks.c.id == one.webhook).values(failures=hooks.c.failures + 1)
            )
