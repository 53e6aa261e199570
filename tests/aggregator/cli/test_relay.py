"""`relay status`, `retry` and `cancel`: what the journal says, and nothing sent without --yes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from chains.relayer import Intent, Journal, State
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
        journal.settle(key, State.FAILED, "the registry refused it")


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
    assert "submit:two: reason: the registry refused it" in invoke("relay", "status").out
    invoke("relay", "status", "nothing").refused(2, "no intent nothing")


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
    assert "Nothing was sent. Add --yes" in invoke("relay", "retry", KEY, *rest).out
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
    assert invoke("relay", "retry", KEY, *rest, "--yes", "--json").data == done.data
    (entry,) = invoke("relay", "status", KEY, "--json").data
    assert entry["transactionHashes"] == [done.data["transactionHash"]]
    assert entry["includedHash"] in invoke("relay", "status", KEY).out
