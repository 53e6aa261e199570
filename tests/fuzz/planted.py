"""Parsers that break in each way the fuzzer has to find; a worker of its own, run by the tests of the fuzzer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from tests.fuzz.target import Target
from tests.fuzz.worker import main

PLANTED = {
    "planted-key-error": "KeyError",
    "planted-abort": "SIGABRT",
    "planted-hang": "hang",
    "planted-memory": "MemoryError",
}


def _planted(name: str) -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        if b"!" not in data:
            return None
        if name == "planted-key-error":
            return {}[data]
        if name == "planted-abort":
            os.abort()
        if name == "planted-hang":
            time.sleep(1000)
        return bytearray(1 << 34)

    return run


def planted() -> tuple[Target, ...]:
    """Parsers that break on an exclamation mark."""
    return tuple(
        Target(name, lambda _: [b"seed", b"seed"], _planted(name), lambda rng, data, seeds: b"seed!")
        for name in PLANTED
    )


if __name__ == "__main__":
    main({target.name: target for target in planted()})
