"""The store keeps one owner per address and one account per key; a failure changes nothing."""

from __future__ import annotations

import sqlite3
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from aggregator.model.errors import InputError, KeyFileError
from aggregator.store import Home, Link, Store, document_id, read_holder_key
from circuits.hashing import account_id

ADDRESS = "0x" + "ab" * 20


def _link(account: str, address: str = ADDRESS, issued_at: int = 5) -> Link:
    return Link(address=address, account=account, issued_at=issued_at, expiry=100, signature="0x01")


def test_the_option_beats_the_environment_beats_the_default() -> None:
    assert Home.locate("/a", {"COUNTERFOIL_HOME": "/b"}).root == Path("/a")
    assert Home.locate(None, {"COUNTERFOIL_HOME": "/b"}).root == Path("/b")
    assert Home.locate(None, {}).root == Path.home() / ".counterfoil"


def test_the_home_is_closed_to_others(home: Home, store: Store) -> None:
    assert [stat.S_IMODE(path.stat().st_mode) for path in (home.root, home.keys)] == [0o700, 0o700]


def test_an_account_is_the_hash_of_its_key_and_number(home: Home, store: Store) -> None:
    made = home.create_account(store, "main", sub_account=3, key_file=None, now=1)
    assert made.account_id == account_id(read_holder_key(home.keys / "main.key"), 3)
    assert store.account("main") == made
    assert store.accounts() == [made]


def test_one_key_makes_many_sub_accounts_but_each_once(home: Home, store: Store) -> None:
    home.create_account(store, "main", sub_account=0, key_file=None, now=1)
    key = home.keys / "main.key"
    home.create_account(store, "hedge", sub_account=1, key_file=key, now=1)
    with pytest.raises(InputError, match="account 'main' already"):
        home.create_account(store, "again", sub_account=0, key_file=key, now=1)
    assert [account.name for account in store.accounts()] == ["hedge", "main"]


def test_a_taken_name_keeps_the_first_key(home: Home, store: Store) -> None:
    home.create_account(store, "main", sub_account=0, key_file=None, now=1)
    before = (home.keys / "main.key").read_bytes()
    with pytest.raises(InputError, match="account 'main' exists"):
        home.create_account(store, "main", sub_account=1, key_file=None, now=1)
    assert (home.keys / "main.key").read_bytes() == before


def test_a_key_file_left_from_elsewhere_is_not_overwritten(home: Home, store: Store) -> None:
    (home.keys / "main.key").write_text("precious")
    with pytest.raises(InputError, match="exists; remove it or choose another name"):
        home.create_account(store, "main", sub_account=0, key_file=None, now=1)
    assert store.accounts() == []
    assert (home.keys / "main.key").read_text() == "precious"


def test_when_the_store_refuses_the_new_key_is_removed(
    home: Home, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Store, _account: object) -> None:
        raise InputError("no")

    monkeypatch.setattr(Store, "add_account", refuse)
    with pytest.raises(InputError, match="no"):
        home.create_account(store, "main", sub_account=0, key_file=None, now=1)
    assert list(home.keys.iterdir()) == []


def test_a_bad_key_file_makes_no_account(home: Home, store: Store, tmp_path: Path) -> None:
    short = tmp_path / "short.key"
    short.write_text("11" * 31)
    short.chmod(0o600)
    with pytest.raises(KeyFileError, match="62 hex digits"):
        home.create_account(store, "main", sub_account=0, key_file=short, now=1)
    assert store.accounts() == []


@pytest.mark.parametrize("name", ["", "../x", "a/b", "Main", "0xab", ".hidden", "a" * 41, "ä"])
def test_a_name_that_is_no_file_name_is_refused(home: Home, store: Store, name: str) -> None:
    with pytest.raises(InputError, match="cannot name an account"):
        home.create_account(store, name, sub_account=0, key_file=None, now=1)
    assert list(home.keys.iterdir()) == []


@pytest.mark.parametrize("number", [-1, 2**32])
def test_a_sub_account_number_has_32_bits(home: Home, store: Store, number: int) -> None:
    with pytest.raises(InputError, match="outside"):
        home.create_account(store, "main", sub_account=number, key_file=None, now=1)


def test_an_address_belongs_to_one_account(home: Home, store: Store) -> None:
    for name in ("one", "two"):
        home.create_account(store, name, sub_account=0, key_file=None, now=1)
    store.add_link(_link("one"), now=8)
    with pytest.raises(InputError, match="is linked to account 'one'"):
        store.add_link(_link("two", issued_at=6), now=8)
    store.add_link(_link("one", issued_at=7), now=8)
    assert store.links() == [_link("one", issued_at=7)]
    assert store.links("two") == []


def test_a_contract_account_is_linked_chain_by_chain_to_one_account(home: Home, store: Store) -> None:
    for name in ("one", "two"):
        home.create_account(store, name, sub_account=0, key_file=None, now=1)
    for chain in ("eip155:1", "eip155:10"):
        store.add_link(replace(_link("one"), chain=chain), now=8)
    assert [link.holder for link in store.links("one")] == [f"eip155:1:{ADDRESS}", f"eip155:10:{ADDRESS}"]
    with pytest.raises(InputError, match="is linked to account 'one'"):
        store.add_link(replace(_link("two"), chain="eip155:137"), now=8)


@pytest.mark.parametrize("address", ["0xAB" + "ab" * 19, "ab" * 20, "0x12", ADDRESS + "\n"])
def test_an_address_is_stored_in_one_spelling_only(home: Home, store: Store, address: str) -> None:
    home.create_account(store, "one", sub_account=0, key_file=None, now=1)
    with pytest.raises(InputError, match="not a lower-case"):
        store.add_link(_link("one", address=address), now=8)


def test_a_link_needs_its_account(store: Store) -> None:
    with pytest.raises(InputError, match="there is no account 'nobody'"):
        store.add_link(_link("nobody"), now=8)


def test_documents_are_found_by_id_prefix_and_newest_by_label(home: Home, store: Store) -> None:
    home.create_account(store, "one", sub_account=0, key_file=None, now=1)
    first = store.add_snapshot(b'{"a":1}', account="one", cut_time=1, complete=True, now=9)
    second = store.add_snapshot(b'{"a":2}', account="one", cut_time=2, complete=True, now=9)
    assert first == document_id(b'{"a":1}')
    assert store.snapshot(first[:8]).document == b'{"a":1}'
    assert store.snapshot("one").document == b'{"a":2}'
    assert [entry.id for entry in store.snapshots()] == [second, first]
    with pytest.raises(InputError, match="give more digits"):
        store.snapshot("0x")
    with pytest.raises(InputError, match="holds no snapshot 'two'"):
        store.snapshot("two")


def test_each_snapshot_has_its_own_blinding_that_no_repr_shows(home: Home, store: Store) -> None:
    home.create_account(store, "one", sub_account=0, key_file=None, now=1)
    ids = [
        store.add_snapshot(f"{n}".encode(), account="one", cut_time=1, complete=True, now=9) for n in range(2)
    ]
    first, second = (store.snapshot(key) for key in ids)
    assert first.blinding != second.blinding
    assert store.snapshot(ids[0]).blinding == first.blinding
    assert str(first.blinding) not in repr(first)


def test_the_same_document_is_stored_once(store: Store) -> None:
    ids = {store.add_policy(b"{}", name="p", root=1, now=n) for n in range(3)}
    assert [entry.id for entry in store.policies()] == list(ids)


def test_a_wildcard_is_not_an_id(store: Store) -> None:
    store.add_policy(b"{}", name="p", root=1, now=1)
    with pytest.raises(InputError, match="holds no policy"):
        store.policy("0x%")


def test_a_bundle_needs_its_snapshot_and_leaves_nothing(home: Home, store: Store) -> None:
    home.create_account(store, "one", sub_account=0, key_file=None, now=1)
    with pytest.raises(InputError, match="conflicting entry"):
        store.add_bundle(b"{}", account="one", snapshot="0xdead", now=1)
    assert store.bundles() == []


def test_a_file_that_is_no_database_is_refused(home: Home) -> None:
    home.database.write_bytes(b"not a database, but long enough to look like one" * 20)
    with pytest.raises(InputError, match=r"cannot be used .*give another --home"):
        home.store()
    assert home.database.read_bytes().startswith(b"not a database")


def test_a_store_of_another_version_is_refused(home: Home) -> None:
    home.store().close()
    with sqlite3.connect(home.database) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    connection.close()
    with pytest.raises(InputError, match="schema version 99"):
        home.store()


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be made .*--home"):
        Home(tmp_path / "file" / "home").store()
