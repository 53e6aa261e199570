"""A long history costs nothing: what the relayer asks of its journal is answered from an index."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event

from aggregator.model.errors import InputError
from chains.relayer import (
    Fees,
    Intent,
    Journal,
    SignedTransaction,
    State,
    full_key,
    metrics,
    status,
    status_of,
)
from chains.relayer.journal_db import attempts, intents

SETTLED = 20_000
KEY = f"submit:{5:064x}"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    """A journal of many settled submissions of one sender."""
    with Journal(tmp_path_factory.mktemp("history") / "relayer.db") as journal:
        common = {
            "chain_id": 1,
            "sender": "0xS",
            "label": "submit a proof",
            "target": "0xT",
            "state": "final",
        }
        rows = [
            {**common, "key": f"submit:{n:064x}", "data": b"1" * 1250, "fingerprint": str(n), "nonce": n}
            | {"gas": 1, "changed_at": n + 1, "transaction_hash": f"0x{n:064x}", "block_number": n}
            for n in range(SETTLED)
        ]
        signed = {
            "raw": b"2" * 1400,
            "max_fee_wei": "1",
            "priority_fee_wei": "1",
            "signed_at": 1,
            "ordinal": 1,
        }
        with journal._db.writing() as connection:
            connection.execute(intents.insert(), rows)
            made = [
                {**signed, "hash": r["transaction_hash"], "key": r["key"], "nonce": r["nonce"]} for r in rows
            ]
            connection.execute(attempts.insert(), made)
        yield journal


@contextmanager
def no_scan(journal: Journal) -> Iterator[list[str]]:
    """Refuses statements that go through a whole table; one that reads an index in its order is fine."""
    asked: list[tuple[str, Any]] = []
    plans: list[str] = []

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE")):
            asked.append((statement, parameters))

    event.listen(journal._db._engine, "before_cursor_execute", note)
    try:
        yield plans
    finally:
        event.remove(journal._db._engine, "before_cursor_execute", note)
    with journal._db.reading() as connection:
        for statement, parameters in asked:
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            plans += [str(row[3]) for row in rows]
    assert plans
    assert [plan for plan in plans if plan.startswith("SCAN") and "INDEX" not in plan] == []


def test_what_a_relayer_asks(history: Journal) -> None:
    """Signing, following and settling one intent among many, at both ends of the history."""
    new = Intent(f"new:{time.time()}", 1, "0xS", "x", None, b"", "f", State.INTENT)
    with no_scan(history) as plans:
        history.intend(new)
        assert [i.key for i in history.waiting(1, "0xS")] == [new.key]
        assert history.sign(
            new,
            pending_nonce=SETTLED,
            gas=1,
            fees=Fees(1, 1),
            sign=lambda nonce: SignedTransaction(b"x", f"0xnew{nonce}"),
        )
        assert [i.key for i in history.live(1, "0xS")] == [new.key]
        (attempt,) = history.attempts(new.key)
        found = history.find(new.key)
        assert found is not None
        assert history.replace(found, attempt, Fees(2, 2), lambda _: SignedTransaction(b"y", f"{new.key}'"))
        history.sent(attempt.hash)
        assert history.broadcast(found)
        assert history.unsettled_chains("0xS") == [1]
        assert history.settled_bytes(1, "0xS", 7) == b"2" * 1400
        assert history.settle(found, State.FAILED, "over")
    assert not any("TEMP B-TREE FOR ORDER BY" in plan for plan in plans if "attempts" in plan)


def test_what_an_operator_asks(history: Journal) -> None:
    with no_scan(history):
        assert status_of(history, KEY).hashes == (f"0x{5:064x}",)
        assert full_key(history, KEY) == KEY
        with pytest.raises(InputError, match="several intents begin with submit:0"):
            full_key(history, "submit:0")
        assert len(status(history, limit=50)) == 50
        assert len(status(history, limit=50, newest_first=True)) == 50
        assert status(history, unsettled=True) == []
        assert 'state="final"}' in metrics(history)
        assert history.prunable(before=10) == 9


def test_it_is_fast(history: Journal) -> None:
    """Loose bounds on a busy machine: before the indexes these took minutes for 20,000 entries."""
    started = time.perf_counter()
    for n in range(50):
        status_of(history, f"submit:{n:064x}")
        status(history, limit=50, start=n)
    metrics(history)
    assert time.perf_counter() - started < 5
