"""A public value that nobody could foresee, hashed for so long that nobody could try many.

Source: snarkjs `misc.js` (`rngFromBeaconParams`): SHA-256 applied 2^n times to the value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from aggregator.model.errors import InputError

MIN_ITERATIONS: Final = 10
"""What snarkjs takes at least."""
MAX_ITERATIONS: Final = 32
"""More than an hour of hashing on one core; it has to be repeated by whoever verifies."""
_REPORT_EVERY: Final = 1 << 16


def seed(value: bytes, iterations: int, progress: Callable[[float], object] = lambda _: None) -> bytes:
    """The 32 bytes after 2^iterations hashes.

    Raises: InputError for a value or a number of iterations that a key cannot hold or nobody would repeat.
    """
    if not 1 <= len(value) <= 255:
        raise InputError(f"the beacon's value has {len(value)} bytes, not 1 to 255; give it as hex")
    if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
        raise InputError(
            f"the beacon is to be hashed 2^{iterations} times; choose {MIN_ITERATIONS} to {MAX_ITERATIONS}"
        )
    total = 1 << iterations
    done = 0
    while done < total:
        for _ in range(min(_REPORT_EVERY, total - done)):
            value = hashlib.sha256(value).digest()
        done += min(_REPORT_EVERY, total - done)
        progress(done / total)
    return value
