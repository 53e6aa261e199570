"""`counterfoil account`: a key is made once and never shown; bad input leaves nothing."""

from __future__ import annotations

from pathlib import Path

from circuits.hashing import account_id
from tests.aggregator.cli.conftest import Invoke


def test_create_makes_a_key_and_shows_only_where_it_is(invoke: Invoke, home: Path) -> None:
    result = invoke("account", "create", "main")
    key = (home / "keys" / "main.key").read_text().strip()
    assert result.code == 0
    assert f"0x{account_id(int(key, 16), 0):064x}" in result.out
    assert key not in result.out + result.err


def test_create_as_json_matches_list(invoke: Invoke) -> None:
    made = invoke("account", "create", "main", "--json").data
    assert invoke("account", "list", "--json").data == [made]


def test_a_wrong_length_key_file_is_refused_and_makes_nothing(
    invoke: Invoke, home: Path, tmp_path: Path
) -> None:
    key = tmp_path / "k"
    key.write_text("ab" * 31)
    key.chmod(0o600)
    result = invoke("account", "create", "main", "--key-file", key)
    result.refused(2, "holds 62 hex digits instead of 64")
    assert "abab" not in result.err
    assert invoke("account", "list", "--json").data == []
    assert list((home / "keys").iterdir()) == []


def test_a_key_file_open_to_others_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    key = tmp_path / "k"
    key.write_text("ab" * 32)
    key.chmod(0o644)
    invoke("account", "create", "main", "--key-file", key).refused(2, "mode 0644", "chmod 600")


def test_a_second_account_of_that_name_is_refused(invoke: Invoke, home: Path) -> None:
    invoke("account", "create", "main")
    before = (home / "keys" / "main.key").read_bytes()
    invoke("account", "create", "main").refused(2, "account 'main' exists")
    assert (home / "keys" / "main.key").read_bytes() == before
