"""What happened, told to every listener: events are rows of the store first, and only then sent.

One task reads new rows and hands each to every listener's queue, encoded once. A listener that does not keep up is
cut off; it comes back with the number of the last event it saw, and misses nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Final

from aggregator.model.errors import CounterfoilError
from aggregator.store.asynchronous import AsyncStore
from aggregator.store.work import StoredEvent

KINDS: Final = ("margin-call", "health", "job", "snapshot", "policy", "proof", "pledge")
PAGE: Final = 500
MOST_BEHIND: Final = 1_000
"""Events that may wait for one listener."""
LOOK_EVERY_S: Final = 2.0
"""How often the store is looked at when nobody says that something happened."""


def event_json(event: StoredEvent) -> dict[str, object]:
    """An event as the interface shows it."""
    return {
        "id": event.number,
        "kind": event.kind,
        "account": event.account,
        "at": event.at,
        "data": json.loads(event.data),
    }


def encode_event(event: StoredEvent) -> bytes:
    """A server-sent event."""
    data = json.dumps(event_json(event), ensure_ascii=False, separators=(",", ":"))
    return f"id: {event.number}\nevent: {event.kind}\ndata: {data}\n\n".encode()


@dataclass(eq=False)
class Listener:
    """Somebody who wants events of some kinds, of one account or all. None in the queue ends it."""

    kinds: frozenset[str]
    account: str | None
    queue: asyncio.Queue[tuple[StoredEvent, bytes] | None] = field(
        default_factory=lambda: asyncio.Queue(MOST_BEHIND)
    )
    cut_off: bool = False

    def wants(self, event: StoredEvent) -> bool:
        """Whether an event is for this listener."""
        return event.kind in self.kinds and self.account in (None, event.account)


class Broker:
    """Hands events on. `wake` after a transaction that wrote one."""

    def __init__(self, store: AsyncStore) -> None:
        """Start it with `begin` and `run`."""
        self._store = store
        self._listeners: set[Listener] = set()
        self._awake = asyncio.Event()
        self._last = 0

    async def begin(self) -> None:
        """Remember where the events stand; before the first listener, so that none of what follows is passed over."""
        self._last = await self._store.read(lambda records: records.last_event())

    def wake(self) -> None:
        """Something was written."""
        self._awake.set()

    async def run(self) -> None:
        """Hand events on until cancelled; a store that cannot be read for a moment is tried again."""
        while True:
            self._awake.clear()
            with contextlib.suppress(CounterfoilError):
                await self._hand_on()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), LOOK_EVERY_S)

    async def _hand_on(self) -> None:
        while True:
            found = await self._page(self._last)
            for event in found:
                encoded = encode_event(event)
                for listener in self._listeners:
                    if not listener.cut_off and listener.wants(event):
                        self._offer(listener, (event, encoded))
                self._last = event.number
            if len(found) < PAGE:
                return

    async def _page(self, after: int) -> list[StoredEvent]:
        return await self._store.read(lambda records: records.events(after, PAGE))

    def _offer(self, listener: Listener, item: tuple[StoredEvent, bytes]) -> None:
        try:
            listener.queue.put_nowait(item)
        except asyncio.QueueFull:
            listener.cut_off = True

    def end(self) -> None:
        """Let every listener go, after what waits for it already."""
        for listener in self._listeners:
            with contextlib.suppress(asyncio.QueueFull):
                listener.queue.put_nowait(None)

    @property
    def listeners(self) -> int:
        """How many there are."""
        return len(self._listeners)

    @contextlib.contextmanager
    def _listening(self, listener: Listener) -> Iterator[None]:
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)

    async def follow(
        self, listener: Listener, after: int | None, *, once: bool, idle_s: float
    ) -> AsyncGenerator[bytes]:
        """Events after the one numbered `after` (from now on without it), encoded; b"" when nothing came for `idle_s`.

        Ends when the broker ends, when the listener fell behind, or with `once` after what is there already.
        """
        with self._listening(listener):
            seen = await self._store.read(lambda records: records.last_event()) if after is None else after
            if after is not None:
                async for event in self._stored(seen):
                    seen = event.number
                    if listener.wants(event):
                        yield encode_event(event)
            while not once and not listener.cut_off:
                try:
                    item = await asyncio.wait_for(listener.queue.get(), idle_s)
                except TimeoutError:
                    yield b""
                    continue
                if item is None:
                    return
                if item[0].number > seen:
                    yield item[1]

    async def _stored(self, after: int) -> AsyncIterator[StoredEvent]:
        while True:
            found = await self._page(after)
            for event in found:
                after = event.number
                yield event
            if len(found) < PAGE:
                return
