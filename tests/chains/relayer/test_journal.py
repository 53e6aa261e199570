"""The relayer's memory: one effect per key, one nonce per intent, nothing forgotten."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from aggregator.model.errors import FormatError, InputError, TransactionError
from chains.relayer import Fees, Intent, Journal, Kind, SignedTransaction, State

FEES = Fees(100, 1)


@pytest.fixture
def journal(location: Path | str) -> Iterator[Journal]:
    """An empty journal."""
    with Journal(location) as opened:
        yield opened


def intent(key: str, **changes: object) -> Intent:
    """An intent to call a contract."""
    values: dict[str, object] = {
        "chain_id": 1,
        "sender": "0xS",
        "label": "a call",
        "target": "0xT",
        "data": b"\x01",
        "fingerprint": "f",
        "state": State.INTENT,
    }
    return Intent(key=key, **{**values, **changes})  # type: ignore[arg-type]


def signing(key: str) -> Callable[[int], SignedTransaction]:
    """A signer whose hash tells key and nonce."""
    return lambda nonce: SignedTransaction(b"raw", f"{key}/{nonce}")


def sign(journal: Journal, key: str, pending: int = 0) -> bool:
    """Sign under `key`."""
    return journal.sign(key, pending_nonce=pending, gas=21_000, fees=FEES, sign=signing(key))


def nonce_of(journal: Journal, key: str) -> int | None:
    """The nonce an intent has got."""
    found = journal.find(key)
    assert found is not None
    return found.nonce


def test_nonces_are_given_once(journal: Journal) -> None:
    """The chain's pending nonce counts, and those in the journal that the chain does not know yet."""
    for key in ("a", "b", "c"):
        journal.intend(intent(key))
        assert sign(journal, key, pending=7)
    assert [nonce_of(journal, k) for k in "abc"] == [7, 8, 9]
    journal.settle("a", State.FINAL)
    journal.settle("b", State.FAILED, "taken")
    journal.intend(intent("d", sender="0xOther"))
    journal.intend(intent("e", chain_id=2))
    journal.intend(intent("f"))
    for key in "def":
        sign(journal, key, pending=7)
    assert [nonce_of(journal, k) for k in "def"] == [7, 7, 7]
    assert [i.key for i in journal.live(1, "0xS")] == ["f", "c"]


def test_an_intent_is_signed_once(journal: Journal) -> None:
    journal.intend(intent("a"))
    assert sign(journal, "a")
    assert not sign(journal, "a")
    assert not sign(journal, "unknown")
    assert [a.hash for a in journal.attempts("a")] == ["a/0"]


def test_a_failing_signer_leaves_the_intent_as_it_was(journal: Journal) -> None:
    journal.intend(intent("a"))

    def refuse(nonce: int) -> SignedTransaction:
        raise TransactionError(f"no signature for {nonce}")

    with pytest.raises(TransactionError):
        journal.sign("a", pending_nonce=0, gas=1, fees=FEES, sign=refuse)
    found = journal.find("a")
    assert found is not None
    assert (found.state, found.nonce) == (State.INTENT, None)
    assert journal.attempts("a") == []
    assert sign(journal, "a")


def test_another_effect_under_a_key_is_refused_also_when_final(journal: Journal) -> None:
    journal.intend(intent("a"))
    for _ in range(2):
        for change in ({"fingerprint": "g"}, {"chain_id": 2}, {"sender": "0xOther"}):
            with pytest.raises(TransactionError, match="already the key of another transaction"):
                journal.intend(intent("a", **change))
        journal.settle("a", State.FINAL)
    assert journal.intend(intent("a")).state is State.FINAL


@pytest.mark.parametrize("ending", [State.FAILED, State.REPLACED])
def test_an_effect_that_did_not_come_about_starts_anew(journal: Journal, ending: State) -> None:
    journal.intend(intent("a"))
    journal.settle("a", ending, "gone")
    assert journal.intend(intent("a", fingerprint="g")).state is State.INTENT
    found = journal.find("a")
    assert found is not None
    assert (found.state, found.reason) == (State.INTENT, "")


def test_replacements_keep_the_nonce(journal: Journal) -> None:
    journal.intend(intent("a"))
    with pytest.raises(TransactionError, match="nothing to replace"):
        journal.replace("a", FEES.raised(), signing("a"))
    sign(journal, "a", pending=3)
    journal.replace("a", FEES.raised(), signing("a'"))
    assert [(a.hash, a.nonce, a.fees) for a in journal.attempts("a")] == [
        ("a/3", 3, FEES),
        ("a'/3", 3, Fees(113, 2)),
    ]


def test_settled_intents_do_not_move(journal: Journal) -> None:
    """A late look at the chain cannot take a final intent back."""
    journal.intend(intent("a"))
    sign(journal, "a")
    journal.settle("a", State.FINAL)
    journal.broadcast("a")
    journal.settle("a", State.FAILED, "late")
    assert not journal.replace("a", FEES.raised(), signing("a'"))
    journal.included(
        "a", transaction_hash="x", block_number=1, block_hash="y", gas_used=1, contract_address=None
    )
    found = journal.find("a")
    assert found is not None
    assert found.state is State.FINAL


def test_the_journal_outlives_its_process(journal: Journal) -> None:
    journal.intend(intent("a", data=b"\x00\xff", target=None))
    sign(journal, "a", pending=5)
    with Journal(journal.location) as reopened:
        assert reopened.find("a") == journal.find("a")
        assert reopened.attempts("a") == journal.attempts("a")
        assert reopened.find("b") is None


def test_a_journal_of_the_first_version_goes_on(tmp_path: Path) -> None:
    """Columns are added, rows stay."""
    path = tmp_path / "old"
    with Journal(path) as new:
        new.intend(intent("a"))
        sign(new, "a", pending=4)
    with sqlite3.connect(path) as db:
        for column in ("expires_at", "giving_up", "alert"):
            db.execute(f"ALTER TABLE intents DROP COLUMN {column}")
        for column in ("kind", "sent_at", "ordinal"):
            db.execute(f"ALTER TABLE attempts DROP COLUMN {column}")
        db.execute("PRAGMA user_version = 1")
    db.close()
    with Journal(path) as opened:
        assert nonce_of(opened, "a") == 4
        (attempt,) = opened.attempts("a")
        assert (attempt.kind, attempt.sent_at) == (Kind.CALL, None)
        opened.sent(attempt.hash)
        assert opened.attempts("a")[0].sent_at is not None


def test_relayers_at_once_never_share_a_nonce(journal: Journal) -> None:
    """Eight threads, each with a journal of its own over the same database."""
    keys = [f"{thread}/{number}" for thread in range(8) for number in range(5)]
    for key in keys:
        journal.intend(intent(key))

    def work(thread: int) -> None:
        with Journal(journal.location) as own:
            for number in range(5):
                assert sign(own, f"{thread}/{number}", pending=3)

    threads = [threading.Thread(target=work, args=(t,)) for t in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [i.nonce for i in journal.live(1, "0xS")] == list(range(3, 3 + len(keys)))


def test_one_intent_signed_by_two_at_once_is_signed_once(journal: Journal) -> None:
    """The second sees what the first has written, also when it began before the first was done."""
    journal.intend(intent("a"))
    inside, go = threading.Event(), threading.Event()
    answers: list[bool] = []

    def slow(nonce: int) -> SignedTransaction:
        inside.set()
        go.wait(5)
        return SignedTransaction(b"raw", f"slow/{nonce}")

    def work(signer: Callable[[int], SignedTransaction]) -> None:
        with Journal(journal.location) as own:
            answers.append(own.sign("a", pending_nonce=0, gas=1, fees=FEES, sign=signer))

    first = threading.Thread(target=work, args=(slow,))
    first.start()
    assert inside.wait(5)
    second = threading.Thread(target=work, args=(signing("a"),))
    second.start()
    go.set()
    first.join()
    second.join()
    assert sorted(answers) == [False, True]
    assert [a.hash for a in journal.attempts("a")] == ["slow/0"]


def test_a_url_that_cannot_be_used_is_refused_without_its_password(tmp_path: Path) -> None:
    for url in (
        "mysql://user:hunter2@localhost/x",
        "postgresql+psycopg://user:hunter2@127.0.0.1:1/x",
        "postgresql+nodriver://user:hunter2@127.0.0.1/x",
        "hunter2",
    ):
        with pytest.raises(InputError) as caught:
            Journal(url)
        assert "hunter2" not in str(caught.value)


def test_a_journal_of_a_later_version_in_a_database_is_refused(postgres_url: str) -> None:
    Journal(postgres_url).close()
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE counterfoil_relayer.version SET version = 9")
    engine.dispose()
    with pytest.raises(FormatError, match="version 9"):
        Journal(postgres_url)


def test_a_database_that_goes_away_is_named(postgres_url: str) -> None:
    """What was not written down was not done."""
    with Journal(postgres_url) as journal:
        engine = sa.create_engine(postgres_url)
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA counterfoil_relayer CASCADE")
        engine.dispose()
        with pytest.raises(TransactionError, match="cannot be used"):
            journal.intend(intent("a"))


def test_exactly_one_nonce_or_none(journal: Journal) -> None:
    journal.intend(intent("a"))
    sign(journal, "a", pending=4)
    journal.intend(intent("b"))
    same = {"gas": 1, "fees": FEES, "sign": signing("b"), "exactly": True}
    assert not journal.sign("b", pending_nonce=4, **same)  # type: ignore[arg-type]
    assert journal.sign("b", pending_nonce=3, **same)  # type: ignore[arg-type]
    assert [i.key for i in journal.live(1, "0xS")] == ["b", "a"]


def test_other_files_are_refused(tmp_path: Path) -> None:
    """Text, another application's database, and a journal of a later version."""
    text = tmp_path / "text"
    text.write_text("not a database, but long enough to look like a file of some kind" * 20)
    with pytest.raises(FormatError, match="is not a relayer journal"):
        Journal(text)
    foreign = tmp_path / "foreign"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE other (x)")
    db.close()
    with pytest.raises(FormatError, match="is not a relayer journal"):
        Journal(foreign)
    later = tmp_path / "later"
    Journal(later).close()
    with sqlite3.connect(later) as db:
        db.execute("PRAGMA user_version = 4")
    db.close()
    with pytest.raises(FormatError, match="of version 3"):
        Journal(later)
