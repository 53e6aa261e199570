"""How often a caller may ask: one token bucket per key, or per address for callers without one."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

MOST_CALLERS: Final = 10_000
BURST_SHARE: Final = 6
"""A full bucket holds a sixth of a minute's requests, and at least one."""


class RateLimits:
    """Buckets in memory; the callers longest unheard are forgotten first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` counts seconds."""
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, per_minute: int) -> float:
        """Let one request through and return 0, or return the seconds until the next one may come."""
        size = max(1.0, per_minute / BURST_SHARE)
        now = self._clock()
        held, then = self._buckets.pop(caller, (size, now))
        held = min(size, held + (now - then) * per_minute / 60)
        wait = 0.0 if held >= 1 else (1 - held) * 60 / per_minute
        self._buckets[caller] = (held - 1 if wait == 0 else held, now)
        if len(self._buckets) > MOST_CALLERS:
            self._buckets.popitem(last=False)
        return wait
