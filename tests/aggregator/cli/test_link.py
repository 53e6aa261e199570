"""`counterfoil account link`: only the address itself can join an account, and only one."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data

from aggregator.store import Home, Link
from tests.aggregator.cli.conftest import Invoke

KEY = 0xA11CE
ADDRESS = EthAccount.from_key(KEY.to_bytes(32, "big")).address


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "address.key"
    path.write_text(f"0x{KEY:064x}\n")
    path.chmod(0o600)
    return path


def _links(invoke: Invoke, account: str) -> list[str]:
    found = {made["name"]: made["links"] for made in invoke("account", "list", "--json").data}
    return [link["address"] for link in found[account]]


def test_a_key_file_links_its_own_address(invoke: Invoke, key_file: Path) -> None:
    invoke("account", "create", "main")
    result = invoke("account", "link", "main", "--address", ADDRESS, "--key-file", key_file)
    assert result.code == 0
    assert f"{KEY:x}" not in result.out + result.err
    assert _links(invoke, "main") == [ADDRESS.lower()]


def test_a_wallet_signs_the_printed_message(invoke: Invoke) -> None:
    invoke("account", "create", "main")
    printed = invoke("account", "link", "main", "--address", ADDRESS, "--json")
    assert "Nothing is done yet" in printed.err
    assert _links(invoke, "main") == []

    message = json.loads(printed.out)
    signed = EthAccount.sign_message(encode_typed_data(full_message=message), KEY.to_bytes(32, "big"))
    arguments = ["account", "link", "main", "--address", ADDRESS]
    arguments += ["--signature", f"0x{signed.signature.hex()}", "--issued-at", message["message"]["issuedAt"]]
    assert invoke(*arguments).code == 0
    assert _links(invoke, "main") == [ADDRESS.lower()]


def test_a_signature_for_another_account_is_refused(invoke: Invoke) -> None:
    for name in ("one", "two"):
        invoke("account", "create", name)
    message = invoke("account", "link", "one", "--address", ADDRESS, "--json").data
    signed = EthAccount.sign_message(encode_typed_data(full_message=message), KEY.to_bytes(32, "big"))
    arguments = ["account", "link", "two", "--address", ADDRESS]
    arguments += ["--signature", f"0x{signed.signature.hex()}", "--issued-at", message["message"]["issuedAt"]]
    invoke(*arguments).refused(4, "is signed by", "have the address itself sign it")
    assert _links(invoke, "two") == []


def test_a_key_of_another_address_is_refused(invoke: Invoke, key_file: Path) -> None:
    invoke("account", "create", "main")
    other = "0x" + "12" * 20
    invoke("account", "link", "main", "--address", other, "--key-file", key_file).refused(
        2, "is that of", f"not of {other}"
    )
    assert _links(invoke, "main") == []


def test_an_address_stays_with_its_account(invoke: Invoke, key_file: Path) -> None:
    for name in ("one", "two"):
        invoke("account", "create", name)
    invoke("account", "link", "one", "--address", ADDRESS, "--key-file", key_file)
    result = invoke("account", "link", "two", "--address", ADDRESS, "--key-file", key_file)
    result.refused(2, "is linked to account 'one' already")
    assert _links(invoke, "two") == []


def test_a_link_from_the_future_is_refused(invoke: Invoke) -> None:
    invoke("account", "create", "main")
    arguments = ["account", "link", "main", "--address", ADDRESS, "--signature", "0x" + "11" * 65]
    invoke(*arguments, "--issued-at", int(time.time()) + 9999).refused(4, "future")


@pytest.mark.parametrize(
    ("extra", "code", "part"),
    [
        (["--signature", "0x1234"], 2, "together with --issued-at"),
        (["--signature", "zz", "--issued-at", "1"], 2, "not 0x hex"),
        (["--signature", "0x1234", "--issued-at", str(int(time.time()))], 4, "canonical"),
        (["--signature", "0x1234", "--issued-at", "1"], 4, "ran out"),
    ],
)
def test_a_malformed_signature_is_refused(invoke: Invoke, extra: list[str], code: int, part: str) -> None:
    invoke("account", "create", "main")
    invoke("account", "link", "main", "--address", ADDRESS, *extra).refused(code, part)
    assert _links(invoke, "main") == []


def test_a_malformed_address_and_a_missing_account_are_refused(invoke: Invoke) -> None:
    invoke("account", "link", "nobody", "--address", ADDRESS).refused(2, "account create nobody")
    invoke("account", "create", "main")
    invoke("account", "link", "main", "--address", "0x12").refused(2, "is not an address")


def test_a_link_is_good_for_the_days_it_is_signed_for(invoke: Invoke, key_file: Path) -> None:
    """90 unless said otherwise, at most 365; once it ran out the account is not read by it."""
    invoke("account", "create", "main")
    by_key = ["account", "link", "main", "--address", ADDRESS, "--key-file", key_file]
    for days in (90, 1, 365):
        made = invoke(*by_key, *([] if days == 90 else ["--days", days]), "--json").data
        assert made["expiry"] - made["issuedAt"] == days * 86_400
    invoke(*by_key, "--days", 366).refused(2, "366")
    old = int(time.time()) - 2 * 86_400
    message = invoke("account", "link", "main", "--address", ADDRESS, "--days", 1, "--json").data
    message["message"] |= {"issuedAt": str(old), "expiry": str(old + 86_400)}
    signed = EthAccount.sign_message(encode_typed_data(full_message=message), KEY.to_bytes(32, "big"))
    arguments = ["--signature", f"0x{signed.signature.hex()}", "--issued-at", old, "--days", 1]
    invoke("account", "link", "main", "--address", ADDRESS, *arguments).refused(4, "ran out")


def test_an_account_is_not_read_by_a_link_that_ran_out(home: Path, invoke: Invoke) -> None:
    invoke("account", "create", "main")
    now = int(time.time())
    with Home(home).store() as store:
        store.add_link(Link(ADDRESS.lower(), "main", now - 10, now - 1, "0x01"), now=now)
    invoke("snapshot", "take", "main").refused(4, "ran out", "account unlink")


def test_an_address_leaves_every_account_by_its_own_signature(invoke: Invoke, key_file: Path) -> None:
    """By a key file or a wallet; no link of before is taken again, a later one is, by any account."""
    for name in ("one", "two"):
        invoke("account", "create", name)
    earlier = invoke("account", "link", "one", "--address", ADDRESS, "--json").data
    for name in ("issuedAt", "expiry"):
        earlier["message"][name] = str(int(earlier["message"][name]) - 5)
    signed = EthAccount.sign_message(encode_typed_data(full_message=earlier), KEY.to_bytes(32, "big"))
    link = ["account", "link", "one", "--address", ADDRESS, "--signature", f"0x{signed.signature.hex()}"]
    link += ["--issued-at", earlier["message"]["issuedAt"]]
    assert invoke(*link).code == 0

    printed = invoke("account", "unlink", "--address", ADDRESS, "--json")
    assert "Nothing is done yet" in printed.err
    assert _links(invoke, "one") == [ADDRESS.lower()]
    message = printed.data
    message["message"]["issuedAt"] = str(int(message["message"]["issuedAt"]) - 2)
    ended = EthAccount.sign_message(encode_typed_data(full_message=message), KEY.to_bytes(32, "big"))
    given = ["--signature", f"0x{ended.signature.hex()}", "--issued-at", message["message"]["issuedAt"]]
    other = "0x" + "12" * 20
    invoke("account", "unlink", "--address", other, *given).refused(4, "have the address itself sign it")
    assert invoke("account", "unlink", "--address", ADDRESS, *given, "--json").data["accounts"] == ["one"]
    assert _links(invoke, "one") == []
    invoke(*link).refused(2, "withdrew what it signed until then")
    assert invoke("account", "link", "two", "--address", ADDRESS, "--key-file", key_file).code == 0
    by_key = invoke("account", "unlink", "--address", ADDRESS, "--key-file", key_file)
    assert "it left account two" in by_key.out
    assert f"{KEY:x}" not in by_key.out + by_key.err
