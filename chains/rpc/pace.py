"""How fast an endpoint is asked, and when it is left alone: a rate limit and a circuit breaker.

Both take the time as a parameter, so they hold no clock and tests need no waiting.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Pacer:
    """A token bucket of one second's worth of requests. Times are seconds of any clock that never goes back.

    `per_s` 0 means no limit. A batch counts as many requests as it holds, and a larger one than the bucket makes the
    next one wait longer.
    """

    per_s: int
    _tokens: float = 0.0
    _at: float | None = None

    def delay_s(self, now: float, requests: int) -> float:
        """Take `requests` out of the bucket; how long to wait before sending them."""
        if not self.per_s:
            return 0.0
        if self._at is None:
            self._tokens, self._at = float(self.per_s), now
        self._tokens = min(float(self.per_s), self._tokens + (now - self._at) * self.per_s) - requests
        self._at = now
        return max(0.0, -self._tokens / self.per_s)


@dataclass
class Breaker:
    """Leaves an endpoint alone for `rest_s` after `failures` in a row, then lets one request through.

    `failures` 0 means never. A success closes it, a failure of the one request opens it again.
    """

    failures: int
    rest_s: float
    _row: int = 0
    _until: float = 0.0
    _trying: bool = False

    def resting_s(self, now: float) -> float:
        """How long no request may be sent; 0 lets this one through."""
        if not self.failures or self._row < self.failures:
            return 0.0
        if now < self._until:
            return self._until - now
        if self._trying:
            return self.rest_s
        self._trying = True
        return 0.0

    def succeeded(self) -> None:
        """The endpoint answered."""
        self._row = 0
        self._trying = False

    def failed(self, now: float) -> None:
        """The endpoint did not answer."""
        self._row += 1
        self._trying = False
        if self.failures and self._row >= self.failures:
            self._until = now + self.rest_s

    def gave_up(self) -> None:
        """The one request ended without saying anything about the endpoint, for example because it was cancelled."""
        self._trying = False
