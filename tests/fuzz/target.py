"""What a fuzz target is, and the input of its n-th case."""

from __future__ import annotations

import atexit
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aggregator.model.errors import CounterfoilError
from tests.fuzz.mutate import Mutator


@dataclass(frozen=True)
class Target:
    """A parser under attack.

    `seeds` makes valid inputs in a scratch folder; `run` returns or raises one of `allowed`, and raises anything else,
    AssertionError included, when the parser is wrong.
    """

    name: str
    seeds: Callable[[Path], list[bytes]]
    run: Callable[[bytes], object]
    mutate: Mutator
    allowed: tuple[type[BaseException], ...] = (CounterfoilError,)
    weight: int = 10
    """Share of the cases of a run, relative to 10."""


def case(target: Target, seeds: list[bytes], seed: int, number: int) -> bytes:
    """The input of case `number`: the seeds themselves first, then mutations. The same for the same arguments."""
    if number < len(seeds):
        return seeds[number]
    rng = random.Random(f"{seed}/{target.name}/{number}")
    return target.mutate(rng, rng.choice(seeds), seeds)


@cache
def scratch() -> Path:
    """A folder of this process, removed at its end; the runner removes those of children that it had to kill."""
    folder = tempfile.mkdtemp(prefix="counterfoil-fuzz-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
