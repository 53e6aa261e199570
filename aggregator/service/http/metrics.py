"""Prometheus metrics. Labels are operations, states and kinds: never an address, an account or a key."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The metrics of one service."""

    def __init__(self) -> None:
        """All start at zero."""
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "counterfoil_requests", "Answers given.", ["operation", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "counterfoil_request_seconds",
            "Time to answer, streams left out.",
            ["operation"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.verdicts = Counter("counterfoil_verdicts", "Bundles checked.", ["good"], registry=self.registry)
        self.jobs = Counter("counterfoil_jobs", "Jobs ended.", ["kind", "state"], registry=self.registry)
        self.listeners = Gauge("counterfoil_listeners", "Open event streams.", registry=self.registry)
        self.deliveries = Counter(
            "counterfoil_deliveries", "Webhook deliveries tried.", ["result"], registry=self.registry
        )

    def text(self) -> bytes:
        """All of them in Prometheus's text format."""
        return generate_latest(self.registry)
