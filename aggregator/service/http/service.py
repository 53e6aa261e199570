"""What every handler works with: settings, store, chains, rules, and threads for computing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from aiohttp import web

from aggregator.model.errors import NotFoundError
from aggregator.service.events import Broker
from aggregator.service.http.limits import RateLimits
from aggregator.service.http.metrics import Metrics
from aggregator.service.http.problems import RefusalError
from aggregator.service.library import Kept, Library
from aggregator.service.market import Desks
from aggregator.service.settings import ServiceSettings
from aggregator.service.venue import AcceptedKey, VenueRules
from aggregator.service.venue_file import load_venue
from aggregator.store import Home
from aggregator.store.asynchronous import AsyncStore
from aggregator.store.callers import ApiKey
from chains.networks import Network
from chains.relayer import Signer
from circuits.keys import verification_key_id

T = TypeVar("T")
MOST_WAITING: Final = 64
"""Computations that may wait for a thread before callers are sent away."""
KEYS_FOR_S: Final = 1.0
"""How long the list of API keys is believed before it is read again."""
ANSWERS_KEPT: Final = 512


@dataclass
class Service:
    """One running service."""

    settings: ServiceSettings
    home: Home
    store: AsyncStore
    broker: Broker
    networks: tuple[Network, ...]
    threads: ThreadPoolExecutor
    library: Library = field(default_factory=Library)
    metrics: Metrics = field(default_factory=Metrics)
    limits: RateLimits = field(default_factory=RateLimits)
    answers: Kept[bytes] = field(default_factory=lambda: Kept(ANSWERS_KEPT))
    own_keys: dict[str, AcceptedKey] = field(default_factory=dict)
    desks: Desks = field(default_factory=Desks)
    wake_jobs: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.time
    stopping: bool = False
    tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    signer: Signer | None = None
    followed: set[str] = field(default_factory=set)
    """Keys of the relayer's journal that a job is following."""
    _keys: tuple[ApiKey, ...] = ()
    _keys_until: float = 0.0
    _venues: Mapping[str, VenueRules] = field(default_factory=dict)
    _waiting: int = 0

    def __post_init__(self) -> None:
        self._venues = {name: load_venue(path) for name, path in self.settings.venues.items()}

    def now(self) -> int:
        """Unix seconds."""
        return int(self.clock())

    @property
    def venues(self) -> Mapping[str, VenueRules]:
        """The configured venues' rules by id."""
        return self._venues

    def venue(self, name: str) -> VenueRules:
        """The rules of a venue; raises NotFoundError."""
        if name not in self._venues:
            raise NotFoundError(f"there is no venue {name!r} here; list them with GET /v1/venues")
        return self._venues[name]

    def accepted_keys(self) -> dict[str, AcceptedKey]:
        """Every verification key that a venue here accepts, and this machine's own."""
        found = dict(self.own_keys)
        for rules in self._venues.values():
            found |= rules.verification_keys
        return found

    def add_own_key(self, key: AcceptedKey) -> None:
        """Offer a verification key of this machine."""
        self.own_keys[verification_key_id(key.key)] = key

    async def compute(self, work: Callable[[], T]) -> T:
        """Run `work` in a thread. Raises RefusalError when too much waits for one already."""
        if self._waiting >= MOST_WAITING:
            raise RefusalError(503, "the service is busy; ask again in a moment", {"Retry-After": "1"})
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.threads, work)
        finally:
            self._waiting -= 1

    async def api_keys(self) -> tuple[ApiKey, ...]:
        """The API keys, at most a second old."""
        if time.monotonic() >= self._keys_until:
            self._keys = tuple(await self.store.read(lambda records: records.api_keys()))
            self._keys_until = time.monotonic() + KEYS_FOR_S
        return self._keys


SERVICE: Final = web.AppKey("service", Service)
