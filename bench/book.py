"""A book valued exactly, against the float product of the same book: python -m bench.book.

The float product is what a desk would write with NumPy and SciPy: positions as a CSR matrix (accounts x instruments)
times the risk arrays (instruments x 32). It gives scenario P&L in floats and nothing else: no classes, no worst
scenario, no contingency, no correlation, no add-ons, no rounding. Ours gives all of M1-M7 at both levels, exactly.
The readings alternate.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from aggregator.margin.book import Book
from aggregator.margin.native import evaluate
from aggregator.model.policy import Addon, Instrument, Level, Line, Policy
from bench.record import write
from tests.aggregator.markets import policy as shipped_policy

POSITIONS = 20
MAIN = 100_000
SIZES = (1_000, 10_000, MAIN, 1_000_000)
TICKS = 100
CHECKED = 200


@dataclass(frozen=True)
class Accounts:
    """Accounts as rows of instrument ids and quantities in 1e-8."""

    starts: NDArray[np.int64]
    ids: NDArray[np.int64]
    quantities: NDArray[np.int64]

    def positions(self, account: int) -> dict[int, int]:
        rows = slice(self.starts[account], self.starts[account + 1])
        return dict(zip(self.ids[rows].tolist(), self.quantities[rows].tolist(), strict=True))


def accounts(policy: Policy, count: int) -> Accounts:
    """Twenty different instruments to an account, a few hundred to a few million USD each, either side."""
    source = np.random.default_rng(2026)
    listed = [i for i in policy.instruments if i.mark_e12 > 0]
    picks = np.argpartition(source.random((min(count, 20_000), len(listed))), POSITIONS, axis=1)[
        :, :POSITIONS
    ]
    picks = np.sort(np.tile(picks, (-(-count // len(picks)), 1))[:count], axis=1)
    usd = np.exp(source.normal(9.5, 1.5, size=picks.shape))
    scale = np.array([max(i.mark_e12, 10**12) for i in listed]) / 1e12
    limits = np.array([min(i.max_quantity_e8, 2**62) for i in listed])
    sides = np.where(source.random(picks.shape) < 0.6, 1, -1)
    sizes = np.minimum(usd / scale[picks] * 1e8, limits[picks] * 0.9).astype(np.int64) + 1
    ids = np.array([i.id for i in listed])
    starts = np.arange(count + 1, dtype=np.int64) * POSITIONS
    return Accounts(starts, ids[picks].ravel(), (sides * sizes).ravel())


def matrices(policy: Policy, held: Accounts) -> tuple[Any, NDArray[np.float64]]:
    """The same book in floats: quantities (accounts x instruments) and risk (instruments x 32) in USD."""
    column = np.zeros(4096, dtype=np.int32)
    column[[i.id for i in policy.instruments]] = np.arange(len(policy.instruments))
    shape = (len(held.starts) - 1, len(policy.instruments))
    quantities = csr_matrix(
        (held.quantities / 1e8, column[held.ids], held.starts.astype(np.int32)), shape=shape
    )
    return quantities, np.array([i.risk_e12 for i in policy.instruments], dtype=np.float64) / 1e12


def readings(works: dict[str, Callable[[], object]], runs: int) -> dict[str, dict[str, float]]:
    """Wall and processor seconds of each work, taken in turn; medians and the smallest."""
    wall: dict[str, list[float]] = {name: [] for name in works}
    processor: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(runs):
        for name, work in works.items():
            before, spent = time.perf_counter(), time.process_time()
            work()
            wall[name].append(time.perf_counter() - before)
            processor[name].append(time.process_time() - spent)
    return {
        name: {
            "min": round(min(wall[name]), 6),
            "median": round(statistics.median(wall[name]), 6),
            "processor": round(statistics.median(processor[name]), 6),
        }
        for name in works
    }


def full(policy: Policy, count: int, pool: ThreadPoolExecutor) -> tuple[Book, Accounts, dict[str, Any]]:
    """Every account valued, beside the float product on one thread (as SciPy runs it) and on two."""
    held = accounts(policy, count)
    start = time.perf_counter()
    book = Book(policy)
    book.add_arrays(held.starts, held.ids, held.quantities)
    loaded = time.perf_counter() - start
    quantities, risk = matrices(policy, held)
    halves = [quantities[: count // 2], quantities[count // 2 :]]
    times = readings(
        {
            "exact": book.revalue,
            "floatProduct": lambda: quantities @ risk,
            "floatProductTwoThreads": lambda: list(pool.map(lambda half: half @ risk, halves)),
        },
        runs=5 if count > MAIN else 25,
    )
    figures = {
        "accounts": count,
        "loadSeconds": round(loaded, 3),
        "memoryBytes": book.memory_bytes,
        "seconds": times,
        "timesFaster": {
            name: round(times[name]["median"] / times["exact"]["median"], 2)
            for name in ("floatProduct", "floatProductTwoThreads")
        },
        "timesFasterByFastestRun": {
            name: round(times[name]["min"] / times["exact"]["min"], 2)
            for name in ("floatProduct", "floatProductTwoThreads")
        },
    }
    return book, held, figures


def reduceat(policy: Policy, held: Accounts, count: int) -> float:
    """Seconds of the same product in NumPy alone, over `count` accounts."""
    quantities, risk = matrices(policy, held)
    part = quantities[:count]
    start = time.perf_counter()
    np.add.reduceat(part.data[:, None] * risk[part.indices], part.indptr[:-1], axis=0)
    return round(time.perf_counter() - start, 3)


def moved(policy: Policy, asset: str, step: int) -> Policy:
    """Every number of an asset's instruments and lines moved by `step` thousandths."""

    def scaled(value: int) -> int:
        return value * (1000 + step) // 1000

    def line(one: Line) -> Line:
        return replace(one, slope_e12=scaled(one.slope_e12))

    def addon(one: Addon) -> Addon:
        return Addon(scaled(one.long_e12), scaled(one.short_e12))

    def instrument(one: Instrument) -> Instrument:
        return replace(
            one,
            mark_e12=scaled(one.mark_e12),
            risk_e12=tuple(map(scaled, one.risk_e12)),
            addon_im=addon(one.addon_im),
            addon_mm=addon(one.addon_mm),
        )

    chosen = {i.group_id for i in policy.instruments if i.underlying == asset and i.group_id}
    groups = tuple(
        replace(g, lines_im=tuple(map(line, g.lines_im)), lines_mm=tuple(map(line, g.lines_mm)))
        if g.id in chosen
        else g
        for g in policy.groups
    )
    changed = tuple(instrument(i) if i.underlying == asset else i for i in policy.instruments)
    return replace(policy, groups=groups, instruments=changed)


def ticks(book: Book, base: Policy, asset: str) -> dict[str, Any]:
    """Ticks of one asset: from the new policy object to every account that holds it valued."""
    policies = [moved(base, asset, -1 - n % 7) for n in range(TICKS)]
    times, touched = [], 0
    for policy in policies:
        start = time.perf_counter()
        touched = book.tick(policy)
        times.append(time.perf_counter() - start)
    book.tick(base)
    times.sort()
    return {
        "asset": asset,
        "instruments": sum(i.underlying == asset for i in base.instruments),
        "ticks": TICKS,
        "shareOfAccounts": round(touched / len(book), 4),
        "seconds": {
            "p50": round(times[TICKS // 2], 6),
            "p99": round(times[TICKS * 99 // 100], 6),
        },
    }


def narrow_tick(book: Book, base: Policy) -> dict[str, Any]:
    """Ticks of one option alone."""
    one = next(i for i in base.instruments if i.kind.value == "option" and i.mark_e12 > 10**12)
    alone = replace(one, underlying="one option")
    listed = replace(base, instruments=tuple(alone if i.id == one.id else i for i in base.instruments))
    book.tick(listed)
    return ticks(book, listed, "one option")


def check(book: Book, policy: Policy, held: Accounts) -> int:
    """Compares accounts with the reference engine; returns how many."""
    for level in Level:
        excess = book.excess_e6(level)
        for account in np.linspace(0, len(book) - 1, CHECKED).astype(int).tolist():
            truth = evaluate(policy, held.positions(account), level)
            assert excess[account] == truth.excess_e6, account
    return CHECKED


def main() -> None:
    """Full valuations at every size, ticks and trades at the main one."""
    policy = shipped_policy("standard")
    figures: dict[str, Any] = {
        "loadAverage": round(os.getloadavg()[0], 1),
        "positions": POSITIONS,
        "scenarios": len(policy.scenarios),
        "instruments": len(policy.instruments),
        "classes": len(policy.classes),
        "full": [],
    }
    with ThreadPoolExecutor(2) as pool:
        for size in SIZES:
            book, held, result = full(policy, size, pool)
            figures["kernel"] = book.kernel
            figures["full"].append(result)
            if size != MAIN:
                continue
            figures["numpyReduceatSeconds"] = reduceat(policy, held, MAIN)
            assets = sorted({i.underlying for i in policy.instruments if i.class_id})
            figures["ticks"] = [ticks(book, policy, asset) for asset in assets]
            figures["ticks"].append(narrow_tick(book, policy))
            book.tick(policy)
            figures["checkedAgainstReference"] = check(book, policy, held)
            start = time.perf_counter()
            for account in range(1000):
                book.trade(account * 97, {int(held.ids[account * 97 * POSITIONS]): 1})
            figures["tradeSeconds"] = round((time.perf_counter() - start) / 1000, 7)
            start = time.perf_counter()
            below = book.below(Level.MM)
            figures["belowMaintenance"] = {
                "accounts": len(below),
                "seconds": round(time.perf_counter() - start, 6),
            }
    write("book", figures)


if __name__ == "__main__":
    main()
