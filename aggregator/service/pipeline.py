"""Many proofs with one key: the witness of the next account is made while the present one is proven."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from threading import Event, Semaphore
from typing import TypeVar

from aggregator.model.errors import CounterfoilError

T = TypeVar("T")
P = TypeVar("P")
R = TypeVar("R")

PROVING_AT_ONCE = 1
"""One proof uses all cores; how many at once give the most is measured by bench/batch.py."""


def pipeline(
    items: Sequence[T],
    prepare: Callable[[T], P],
    prove: Callable[[P], R],
    at_once: int = PROVING_AT_ONCE,
) -> Iterator[tuple[int, R | CounterfoilError]]:
    """The place and result of each item, or its error, as they are done; at most `at_once` in `prove`, one more ahead.

    Any error but a CounterfoilError is a defect and ends the run, as an interrupt does: items that were not begun are
    dropped, and those in work are waited for.
    """
    slots = Semaphore(at_once + 1)
    stopped = Event()

    def prepare_one(item: T) -> P:
        slots.acquire()
        if stopped.is_set():
            raise CancelledError
        return prepare(item)

    def prove_one(prepared: Future[P]) -> R:
        try:
            return prove(prepared.result())
        finally:
            slots.release()

    with ThreadPoolExecutor(1, "prepare") as preparing, ThreadPoolExecutor(at_once, "prove") as proving:
        prepared = [preparing.submit(prepare_one, item) for item in items]
        places = {proving.submit(prove_one, future): place for place, future in enumerate(prepared)}
        waiting = set(places)
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in sorted(done, key=places.__getitem__):
                    error = future.exception()
                    if error is not None and not isinstance(error, CounterfoilError):
                        raise error
                    yield places[future], error if error is not None else future.result()
        finally:
            stopped.set()
            for pool in (preparing, proving):
                pool.shutdown(wait=False, cancel_futures=True)
            slots.release()
