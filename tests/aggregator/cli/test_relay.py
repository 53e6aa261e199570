"""`relay status`, `retry` and `cancel`: what the journal says, and nothing sent without --yes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregator.cli.relay_views import cost_up, duration
from chains.relayer import Fees, Intent, Journal, SignedTransaction, State, load_signer
from tests.aggregator.cli.conftest import Invoke
from tests.aggregator.cli.local import Local, local_chains
from tests.postgres import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]

KEY = "pledge:one"
SENDER = "0x" + "11" * 20


def write_down(home: Path, *, chain_id: int = 31337999, sender: str = SENDER, key: str = KEY) -> None:
    """Put one intent into the home's journal: a call without data to an address without code."""
    home.mkdir(mode=0o700, exist_ok=True)
    with Journal(home / "relayer.db") as journal:
        journal.intend(
            Intent(key, chain_id, sender, "pledge margin", "0x" + "22" * 20, b"", "f" + key, State.INTENT)
        )


def settle(home: Path, key: str) -> None:
    with Journal(home / "relayer.db") as journal:
        assert journal.abandon(key, "the registry refused it")


def state(home: Path, key: str = KEY) -> str:
    with Journal(home / "relayer.db") as journal:
        intent = journal.find(key)
    assert intent is not None
    return intent.state.value


def test_status_needs_no_chain_and_makes_nothing(invoke: Invoke, home: Path) -> None:
    assert invoke("relay", "status", "--json").data == []
    invoke("relay", "status", KEY).refused(2, f"no intent {KEY}", "relay status")
    assert not home.exists()


def test_status_shows_what_is_written_down(invoke: Invoke, home: Path) -> None:
    write_down(home)
    write_down(home, key="submit:two")
    settle(home, "submit:two")
    by_key = {entry["key"]: entry for entry in invoke("relay", "status", "--json").data}
    assert {key: entry["state"] for key, entry in by_key.items()} == {KEY: "intent", "submit:two": "failed"}
    assert by_key["submit:two"]["reason"] == "the registry refused it"
    assert [e["key"] for e in invoke("relay", "status", "--unsettled", "--json").data] == [KEY]
    (one,) = invoke("relay", "status", KEY, "--json").data
    assert (one["chain"], one["sender"], one["transactionHashes"]) == ("eip155:31337999", SENDER, [])
    assert "  reason       the registry refused it" in invoke("relay", "status").out
    invoke("relay", "status", "nothing").refused(2, "no intent nothing")


def test_keys_can_be_copied_and_shortened(invoke: Invoke, home: Path) -> None:
    """A key of any length is whole on a line of its own, and its beginning is enough where no other begins so."""
    long, other = "submit:0x" + "ab" * 60, "submit:0x" + "ac" * 60
    for key in (long, other, "pledge:100%_", "pledge:100x"):
        write_down(home, key=key)
    assert {long, other} <= set(invoke("relay", "status").out.splitlines())
    assert invoke("relay", "status", "submit:0xab").out.splitlines()[0] == long
    assert [e["key"] for e in invoke("relay", "status", "submit:0xac", "--json").data] == [other]
    invoke("relay", "status", "submit:").refused(2, "several intents begin with submit:")
    invoke("relay", "status", "").refused(2, "no intent")
    assert [e["key"] for e in invoke("relay", "status", "pledge:100%", "--json").data] == ["pledge:100%_"]
    invoke("relay", "status", "SUBMIT:0xab").refused(2, "no intent SUBMIT:0xab")


def test_a_journal_that_is_not_there(invoke: Invoke, home: Path, tmp_path: Path) -> None:
    """Named, it is an error; the home's own is just not there yet."""
    wrong = ("--journal", tmp_path / "typo.db")
    for command in (("status",), ("metrics",), ("status", KEY), ("prune",)):
        invoke("relay", *command, *wrong).refused(2, "there is no journal at", "typo.db", "--journal")
    assert f"There is no journal at {home / 'relayer.db'} yet." in invoke("relay", "status").out
    assert "there is no journal at" in invoke("relay", "metrics").err
    assert not home.exists()
    assert not (tmp_path / "typo.db").exists()


def test_a_long_history_is_shown_in_part(invoke: Invoke, home: Path) -> None:
    """The newest, and all that is unsettled however old; the rest is counted."""
    write_down(home, key="old")
    for n in range(5):
        write_down(home, key=f"settled:{n}")
        settle(home, f"settled:{n}")
    shown = invoke("relay", "status", "--limit", 2)
    assert [line for line in shown.out.splitlines() if line[0] != " "][:-1] == [
        "old",
        "settled:3",
        "settled:4",
    ]
    assert "3 older entries are settled and not shown" in shown.out
    assert len(invoke("relay", "status", "--json").data) == 6


def test_alerts_have_a_sample_when_there_are_none(invoke: Invoke, home: Path) -> None:
    """An alarm on a series that is not there never rings."""
    write_down(home)
    settle(home, KEY)
    text = invoke("relay", "metrics").out
    assert 'counterfoil_relayer_alerts{chain="eip155:31337999"} 0\n' in text
    assert 'counterfoil_relayer_oldest_unsettled_seconds{chain="eip155:31337999"} 0\n' in text


def test_costs_are_in_units_that_people_read() -> None:
    assert cost_up(4_991_420_000_001, "ETH") == "0.000004992 ETH"
    assert cost_up(499_142, "ETH") == "0.01 gwei of ETH"
    assert cost_up(4_991_420_000, "POL") == "5.00 gwei of POL"
    assert cost_up(0, "ETH") == "0.00 gwei of ETH"
    assert [duration(s) for s in (-1, 59, 60, 7_260, 90_000)] == [
        "0 s",
        "59 s",
        "1 min 0 s",
        "2 h 1 min",
        "1 d 1 h",
    ]


def test_pruning_keeps_what_keeps_it_from_happening_twice(invoke: Invoke, home: Path) -> None:
    """Bytes of old settled entries go; a final key is still done, a failed one can be made anew from its data."""
    for key in ("final", "failed", "live", "new"):
        write_down(home, key=key)
    with Journal(home / "relayer.db") as journal:
        for key in ("final", "failed", "live", "new"):
            intent = journal.find(key)
            assert intent is not None
            assert journal.sign(
                intent,
                pending_nonce=0,
                gas=1,
                fees=Fees(1, 1),
                sign=lambda nonce: SignedTransaction(b"raw", f"0x{nonce:064x}"),
            )
            intent = journal.find(key)
            assert intent is not None
            if key != "live":
                assert journal.settle(intent, State.FAILED if key == "failed" else State.FINAL)
        engine = journal._db._engine
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE intents SET changed_at = 1, data = x'01' WHERE key <> 'new'")
    assert invoke("relay", "prune", "--json").data == {"entries": 2, "pruned": False}
    assert "2 entries have bytes to forget. Nothing was changed." in invoke("relay", "prune").out
    assert invoke("relay", "prune", "--yes", "--json").data == {"entries": 2, "pruned": True}
    assert invoke("relay", "prune", "--yes", "--json").data["entries"] == 0
    with Journal(home / "relayer.db") as journal:
        kept = {i.key: (i.state, i.nonce, i.data, len(journal.attempts(i.key))) for i in journal.all()}
        assert kept == {
            "final": (State.FINAL, 0, b"", 0),
            "failed": (State.FAILED, 1, b"\x01", 0),
            "live": (State.SIGNED, 2, b"\x01", 1),
            "new": (State.FINAL, 3, b"", 1),
        }
        again = Intent("final", 31337999, SENDER, "pledge margin", None, b"\x01", "ffinal", State.INTENT)
        assert journal.intend(again).state is State.FINAL
        journal.intend(Intent("next", 31337999, SENDER, "x", None, b"", "f", State.INTENT))
        found = journal.find("next")
        assert found is not None
        assert journal.sign(
            found,
            pending_nonce=0,
            gas=1,
            fees=Fees(1, 1),
            sign=lambda nonce: SignedTransaction(b"raw", f"0x{nonce:064x}"),
        )
        found = journal.find("next")
        assert found is not None
        assert found.nonce == 4


def test_resuming_is_dry_without_yes(
    invoke: Invoke, home: Path, dead_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says what would be done; with --yes a chain that is away is named, and the journal stays."""
    monkeypatch.setenv("RELAY_KEY", "01" * 32)
    rest = ("--signer", "env:RELAY_KEY", "--networks", dead_network)
    assert "Nothing of this signer" in invoke("relay", "resume", *rest).out
    write_down(home, sender=load_signer("env:RELAY_KEY").address)
    write_down(home, key="other")
    (planned,) = invoke("relay", "resume", *rest, "--json").data
    assert (planned["key"], planned["sent"]) == (KEY, False)
    assert planned["wouldBe"].startswith("tried, and signed and sent")
    result = invoke("relay", "resume", *rest, "--yes", "--json")
    assert (result.code, result.data) == (6, [])
    assert "eip155:31337999: " in result.err
    assert state(home) == "intent"


def test_a_journal_in_a_database_shared_by_machines(
    invoke: Invoke, home: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of a variable; a URL on the command line is refused, as other users see it there."""
    monkeypatch.setenv("JOURNAL_URL", postgres_url)
    with Journal(postgres_url) as journal:
        journal.intend(Intent(KEY, 1, SENDER, "pledge", None, b"", "f", State.INTENT))
    shared = ("--journal", "env:JOURNAL_URL")
    assert [e["key"] for e in invoke("relay", "status", *shared, "--json").data] == [KEY]
    assert (
        'counterfoil_relayer_intents{chain="eip155:1",state="intent"} 1'
        in invoke("relay", "metrics", *shared).out
    )
    invoke("relay", "status", "--journal", "postgresql://u:hunter2@h/x").refused(2, "env:NAME")
    invoke("relay", "status", "--journal", "env:NOT_SET").refused(2, "NOT_SET is not set")
    assert invoke("relay", "metrics").out.count("\n") == invoke("relay", "metrics", "--json").data[
        "metrics"
    ].count("\n")
    assert not home.exists()


@pytest.mark.parametrize("verb", ["retry", "cancel"])
def test_an_unknown_key_and_another_signer_are_refused(
    invoke: Invoke, home: Path, dead_network: Path, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    monkeypatch.setenv("RELAY_KEY", "01" * 32)
    rest = ("--signer", "env:RELAY_KEY", "--networks", dead_network, "--yes")
    write_down(home)
    invoke("relay", verb, "nothing", *rest).refused(2, "no intent nothing")
    invoke("relay", verb, KEY, *rest).refused(2, f"is of {SENDER}, not of", "--signer")
    assert state(home) == "intent"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with local_chains(tmp_path_factory.mktemp("relay")) as running:
        yield running


@pytest.mark.anvil
@pytest.mark.slow
def test_nothing_is_sent_without_yes(local: Local, invoke: Invoke, home: Path) -> None:
    account = local.world.accounts[6]
    chain_id = local.world.home_chain.setup.chain_id
    signer = f"file:{local.key_file('relayer', account.key)}"
    rest = ("--signer", signer, "--networks", local.networks, "--confirmations", 1)
    write_down(home, chain_id=chain_id, sender=account.address)

    dry = invoke("relay", "retry", KEY, *rest, "--json")
    assert (dry.code, dry.data["state"], dry.data["sent"]) == (0, "planned", False)
    told = invoke("relay", "retry", KEY, *rest).out
    assert "Nothing was sent. Add --yes" in told
    assert re.search(r"21,000|25,200", told)
    assert " ETH, from 0x" in told
    invoke("relay", "retry", KEY, *rest, "--max-fee-gwei", 1, "--max-tip-gwei", 2).refused(
        2, "is above the fee's"
    )
    doubtful = invoke("relay", "cancel", KEY, *rest)
    assert "Nothing was sent. Add --yes" in doubtful.out
    assert state(home) == "intent"

    given_up = invoke("relay", "cancel", KEY, *rest, "--yes", "--json")
    assert (given_up.data["state"], given_up.data["cancelled"], state(home)) == ("failed", True, "failed")
    invoke("relay", "cancel", KEY, *rest, "--yes").refused(6, "is failed and cannot be given up")
    assert invoke("relay", "retry", KEY, *rest, "--json").data["sent"] is False
    assert state(home) == "failed"

    done = invoke("relay", "retry", KEY, *rest, "--yes", "--json")
    assert (done.code, done.data["state"]) == (0, "final"), done.err
    assert (done.data["sent"], done.data["already"]) == (True, False)
    again = invoke("relay", "retry", KEY, *rest, "--yes", "--json")
    assert again.data == {**done.data, "sent": False, "already": True}
    assert "Already done in block" in invoke("relay", "retry", KEY, *rest).out
    (entry,) = invoke("relay", "status", KEY, "--json").data
    assert entry["transactionHashes"] == [done.data["transactionHash"]]
    shown = invoke("relay", "status", KEY).out
    assert entry["includedHash"] in shown
    assert f"  block        {entry['blockNumber']}\n" in shown

    write_down(home, chain_id=chain_id, sender=account.address, key="pledge:two")
    (resumed,) = invoke("relay", "resume", *rest, "--yes", "--json").data
    assert (resumed["key"], resumed["state"], resumed["resumed"]) == ("pledge:two", "final", True)
