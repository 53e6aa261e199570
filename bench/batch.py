"""Proofs per minute over many accounts with one loaded key: one after the other, overlapped, and several at once.

python -m bench.batch [accounts]     writes bench/results/batch.json
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from aggregator.margin.native import Evaluation, evaluate
from aggregator.model.policy import Level
from aggregator.service.pipeline import PROVING_AT_ONCE, pipeline
from bench.record import write
from circuits.artifacts import ready
from circuits.assignment import Holder
from circuits.groth16 import ProvingKey, open_key, setup_dev
from circuits.policy_tree import build_tree
from circuits.prover import Prepared, Proof, prepare, prove_prepared
from circuits.solvency import SIZES
from circuits.verifiers import native
from tests.circuits.books import ACCOUNT, fixed_policy

DEFAULT_ACCOUNTS = 16
POLICY = fixed_policy()
TREE = build_tree(POLICY)


def accounts(count: int) -> list[tuple[Holder, Evaluation]]:
    """Different holders of different quantities."""
    made = []
    for n in range(count):
        positions = {ident: quantity * (100 + n) // 100 for ident, quantity in ACCOUNT.items()}
        made.append((Holder(1000 + n, 0, 2000 + n), evaluate(POLICY, positions, Level.IM)))
    return made


def measure(name: str, key: ProvingKey, count: int) -> dict[str, Any]:
    """Proofs per minute of one circuit, by the way of working."""
    circuit = ready(name)

    def prepared(account: tuple[Holder, Evaluation]) -> Prepared:
        holder, evaluation = account
        return prepare(circuit, POLICY, TREE, evaluation, holder, evaluation.excess_e6, 3)

    def proven(statement: Prepared) -> Proof:
        return prove_prepared(key, statement)

    def serial(books: list[tuple[Holder, Evaluation]]) -> list[Proof]:
        return [proven(prepared(book)) for book in books]

    def at_once(n: int, books: list[tuple[Holder, Evaluation]]) -> list[Proof]:
        return [proof for _, proof in pipeline(books, prepared, proven, n) if isinstance(proof, Proof)]

    books = accounts(count)
    serial(books[:1])
    ways = {
        "oneAfterTheOther": serial,
        "witnessOverlapped": lambda b: at_once(1, b),
        "twoAtOnce": lambda b: at_once(2, b),
        "threeAtOnce": lambda b: at_once(3, b),
    }
    rates: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(3):
        for way, run in ways.items():
            start = time.perf_counter()
            proofs = run(books)
            rates[way].append(60 * count / (time.perf_counter() - start))
            assert len(proofs) == count
            native.verify(key.verification_key, proofs[-1].public, proofs[-1].proof)
    return {way: round(sorted(found)[1], 1) for way, found in rates.items()}


def main() -> None:
    """Measures both circuits."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_ACCOUNTS
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in SIZES:
            zkey = Path(folder) / f"{name}.zkey"
            setup_dev(ready(name).native, zkey)
            figures[name] = measure(name, open_key(zkey, ready(name).native), count)
            print(name, figures[name], file=sys.stderr, flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    write(
        "batch",
        {
            "accounts": count,
            "proofsPerMinute": figures,
            "provingAtOnceByDefault": PROVING_AT_ONCE,
            "peakMegabytes": round(peak / 1024),
        },
    )


if __name__ == "__main__":
    main()
