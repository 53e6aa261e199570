"""The relayer's memory: one effect per key, one nonce per intent, nothing forgotten."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from aggregator.model.errors import FormatError, InputError, TransactionError
from chains.relayer import Attempt, Fees, Intent, Journal, Kind, SignedTransaction, State
from chains.relayer.journal_db import metadata

FEES = Fees(100, 1)
NONE = Attempt("", 0, b"", FEES, 0)


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
    return journal.sign(intent(key), pending_nonce=pending, gas=21_000, fees=FEES, sign=signing(key))


def stored(journal: Journal, key: str) -> Intent:
    """What the journal has under `key`."""
    found = journal.find(key)
    assert found is not None
    return found


def settle(journal: Journal, key: str, state: State, reason: str = "") -> bool:
    """Settle what the journal has under `key`."""
    return journal.settle(stored(journal, key), state, reason)


def nonce_of(journal: Journal, key: str) -> int | None:
    """The nonce an intent has got."""
    return stored(journal, key).nonce


def test_nonces_are_given_once(journal: Journal) -> None:
    """The chain's pending nonce counts, and those in the journal that the chain does not know yet."""
    for key in ("a", "b", "c"):
        journal.intend(intent(key))
        assert sign(journal, key, pending=7)
    assert [nonce_of(journal, k) for k in "abc"] == [7, 8, 9]
    settle(journal, "a", State.FINAL)
    settle(journal, "b", State.FAILED, "taken")
    for one in (intent("d", sender="0xOther"), intent("e", chain_id=2), intent("f")):
        journal.intend(one)
        journal.sign(one, pending_nonce=7, gas=1, fees=FEES, sign=signing(one.key))
    assert [nonce_of(journal, k) for k in "def"] == [7, 7, 10], "a node that lags does not bring 7 and 8 back"
    assert [i.key for i in journal.live(1, "0xS")] == ["c", "f"]


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
        journal.sign(intent("a"), pending_nonce=0, gas=1, fees=FEES, sign=refuse)
    found = journal.find("a")
    assert found is not None
    assert (found.state, found.nonce) == (State.INTENT, None)
    assert journal.attempts("a") == []
    assert sign(journal, "a")


def test_another_effect_under_a_key_is_refused_also_when_final(journal: Journal) -> None:
    journal.intend(intent("a"))
    sign(journal, "a")
    for _ in range(2):
        for change in ({"fingerprint": "g"}, {"chain_id": 2}, {"sender": "0xOther"}):
            with pytest.raises(TransactionError, match="already the key of another transaction"):
                journal.intend(intent("a", **change))
        settle(journal, "a", State.FINAL)
    assert journal.intend(intent("a")).state is State.FINAL


@pytest.mark.parametrize("ending", [State.FAILED, State.REPLACED])
def test_an_effect_that_did_not_come_about_starts_anew(journal: Journal, ending: State) -> None:
    journal.intend(intent("a"))
    sign(journal, "a")
    assert settle(journal, "a", ending, "gone")
    assert journal.intend(intent("a", fingerprint="g")).state is State.INTENT
    found = journal.find("a")
    assert found is not None
    assert (found.state, found.reason) == (State.INTENT, "")


def test_replacements_keep_the_nonce(journal: Journal) -> None:
    journal.intend(intent("a"))
    with pytest.raises(TransactionError, match="nothing to replace"):
        journal.replace(stored(journal, "a"), NONE, FEES.raised(), signing("a"))
    sign(journal, "a", pending=3)
    (first,) = journal.attempts("a")
    assert journal.replace(stored(journal, "a"), first, FEES.raised(), signing("a'"))
    assert not journal.replace(stored(journal, "a"), first, FEES.raised(), signing("a''")), "one came between"
    assert [(a.hash, a.nonce, a.fees) for a in journal.attempts("a")] == [
        ("a/3", 3, FEES),
        ("a'/3", 3, Fees(113, 2)),
    ]


def test_settled_intents_do_not_move(journal: Journal) -> None:
    """A late look at the chain cannot take a final intent back."""
    journal.intend(intent("a"))
    sign(journal, "a")
    late, (attempt,) = stored(journal, "a"), journal.attempts("a")
    assert journal.settle(late, State.FINAL)
    in_block = {"transaction_hash": "x", "block_number": 1, "block_hash": "y", "gas_used": 1}
    assert not journal.broadcast(late)
    assert not journal.uprooted(late)
    assert not journal.settle(late, State.FAILED, "late")
    assert not journal.abandon("a", "late")
    assert not journal.replace(late, attempt, FEES.raised(), signing("a'"))
    assert not journal.included(late, contract_address=None, **in_block)  # type: ignore[arg-type]
    journal.alert("a", "late")
    found = stored(journal, "a")
    assert (found.state, found.alert, found.reason) == (State.FINAL, "", "")


def test_only_what_was_never_signed_is_abandoned(journal: Journal) -> None:
    """The process that abandons it has read it before another one signed it."""
    journal.intend(intent("a"))
    sign(journal, "a")
    assert not journal.abandon("a", "it would revert")
    assert stored(journal, "a").state is State.SIGNED
    journal.intend(intent("b"))
    assert journal.abandon("b", "it would revert")
    assert (stored(journal, "b").state, stored(journal, "b").reason) == (State.FAILED, "it would revert")
    assert not sign(journal, "b")
    assert not journal.abandon("unknown", "")


def test_a_late_look_does_not_touch_the_next_incarnation(journal: Journal) -> None:
    """What was seen of the nonce that was lost says nothing about the call that was made anew, with another one."""
    journal.intend(intent("a"))
    sign(journal, "a", pending=3)
    late, (attempt,) = stored(journal, "a"), journal.attempts("a")
    settle(journal, "a", State.REPLACED, "taken")
    journal.intend(intent("a"))
    sign(journal, "a", pending=3)
    assert nonce_of(journal, "a") == 4
    in_block = {"transaction_hash": "x", "block_number": 1, "block_hash": "y", "gas_used": 1}
    assert not journal.settle(late, State.FINAL)
    assert not journal.broadcast(late)
    assert not journal.included(late, contract_address=None, **in_block)  # type: ignore[arg-type]
    assert not journal.replace(late, attempt, FEES.raised(), signing("a'"))
    assert (stored(journal, "a").state, len(journal.attempts("a"))) == (State.SIGNED, 1)


def test_it_is_settled_in_the_block_that_was_looked_at(journal: Journal) -> None:
    """Another process has seen it in another block meanwhile: the look that settles it has to be made again."""
    journal.intend(intent("a"))
    sign(journal, "a")
    before = stored(journal, "a")
    assert journal.included(
        before, transaction_hash="a/0", block_number=1, block_hash="y", gas_used=1, contract_address=None
    )
    assert not journal.settle(before, State.REPLACED, "no receipt was seen")
    assert not journal.uprooted(before)
    assert journal.settle(stored(journal, "a"), State.FINAL)
    assert journal.settled_bytes(1, "0xS", 0) == b"raw"
    assert journal.settled_bytes(1, "0xS", 1) is None


def test_other_data_is_not_signed_under_a_key(journal: Journal) -> None:
    """It failed and was made anew with other data, between the reading and the signing."""
    journal.intend(intent("a"))
    assert not journal.sign(intent("a", data=b"\x02"), pending_nonce=0, gas=1, fees=FEES, sign=signing("a"))
    assert stored(journal, "a").nonce is None


def test_the_journal_outlives_its_process(journal: Journal) -> None:
    journal.intend(intent("a", data=b"\x00\xff", target=None))
    sign(journal, "a", pending=5)
    with Journal(journal.location) as reopened:
        assert reopened.find("a") == journal.find("a")
        assert reopened.attempts("a") == journal.attempts("a")
        assert reopened.find("b") is None


def shape(path: Path) -> list[tuple[str, str]]:
    """Tables and indexes of a journal's file; the columns of each."""
    with sqlite3.connect(path) as db:
        names = db.execute(
            "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
        ).fetchall()
        found = [
            (name, str(sorted(db.execute(f"SELECT * FROM pragma_{kind}(?)", (name,)).fetchall(), key=str)))  # noqa: S608
            for (name,) in names
            for kind in ("table_xinfo", "index_xinfo")
        ]
    db.close()
    return found


def test_the_migrations_make_what_the_program_uses(tmp_path: Path) -> None:
    """The tables of the code are those of the newest version."""
    Journal(tmp_path / "new").close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'declared'}")
    metadata.create_all(engine)
    engine.dispose()
    made = [one for one in shape(tmp_path / "new") if one[0] != "alembic_version"]
    assert made == shape(tmp_path / "declared")


def test_a_journal_of_the_first_version_goes_on(tmp_path: Path) -> None:
    """Columns, indexes and the lowest free nonce are added, rows stay."""
    path = tmp_path / "old"
    with Journal(path) as new:
        new.intend(intent("a"))
        sign(new, "a", pending=4)
        new.intend(intent("b"))
        sign(new, "b", pending=6)
        settle(new, "b", State.FINAL)
    with sqlite3.connect(path) as db:
        for name in ("intents_by_sender", "intents_by_state", "intents_by_change", "attempts_by_key"):
            db.execute(f"DROP INDEX {name}")
        db.execute("DROP TABLE nonces")
        db.execute("DROP TABLE alembic_version")
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
        opened.intend(intent("c"))
        sign(opened, "c", pending=6)
        assert nonce_of(opened, "c") == 7
    Journal(tmp_path / "new").close()
    assert dict(shape(path)).keys() == dict(shape(tmp_path / "new")).keys()


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
    """A signer that thinks holds nobody up: the second is faster, and what the first signs is thrown away."""
    journal.intend(intent("a"))
    inside, go = threading.Event(), threading.Event()
    answers: list[bool] = []

    def slow(nonce: int) -> SignedTransaction:
        inside.set()
        assert go.wait(5)
        return SignedTransaction(b"raw", f"slow/{nonce}")

    def work(signer: Callable[[int], SignedTransaction]) -> None:
        with Journal(journal.location) as own:
            answers.append(own.sign(intent("a"), pending_nonce=0, gas=1, fees=FEES, sign=signer))

    first = threading.Thread(target=work, args=(slow,))
    first.start()
    assert inside.wait(5)
    second = threading.Thread(target=work, args=(signing("a"),))
    second.start()
    second.join(5)
    assert answers == [True]
    go.set()
    first.join()
    assert answers == [True, False]
    assert [a.hash for a in journal.attempts("a")] == ["a/0"]


def test_a_nonce_that_is_taken_while_it_is_signed_is_signed_anew(journal: Journal) -> None:
    """The slower one gets the next nonce; its first signature is nowhere."""
    for key in ("slow", "fast"):
        journal.intend(intent(key))

    def overtaken(nonce: int) -> SignedTransaction:
        sign(journal, "fast")
        return SignedTransaction(b"raw", f"slow/{nonce}")

    assert journal.sign(intent("slow"), pending_nonce=0, gas=1, fees=FEES, sign=overtaken)
    assert (nonce_of(journal, "fast"), nonce_of(journal, "slow")) == (0, 1)
    assert [a.hash for a in journal.attempts("slow")] == ["slow/1"]


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


def test_a_journal_of_an_earlier_version_in_a_database_goes_on(postgres_url: str) -> None:
    """Version 3 is what there was before Alembic kept count."""
    with Journal(postgres_url) as new:
        new.intend(intent("a"))
        sign(new, "a", pending=4)
        settle(new, "a", State.FINAL)
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL search_path TO counterfoil_relayer")
        for name in ("intents_by_sender", "intents_by_state", "intents_by_change", "attempts_by_key"):
            connection.exec_driver_sql(f"DROP INDEX {name}")
        connection.exec_driver_sql("DROP TABLE nonces, alembic_version")
        connection.exec_driver_sql("UPDATE version SET version = 3")
    engine.dispose()
    with Journal(postgres_url) as opened:
        opened.intend(intent("b"))
        sign(opened, "b", pending=4)
        assert (nonce_of(opened, "a"), nonce_of(opened, "b")) == (4, 5)


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
    assert not journal.sign(intent("b"), pending_nonce=4, **same)  # type: ignore[arg-type]
    assert journal.sign(intent("b"), pending_nonce=3, **same)  # type: ignore[arg-type]
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
        db.execute("PRAGMA user_version = 5")
    db.close()
    with pytest.raises(FormatError, match="of version 4"):
        Journal(later)
