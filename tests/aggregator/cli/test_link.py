"""`counterfoil account link`: only the address itself can join an account, and only one."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from eth_account import Account as EthAccount
from eth_account.messages import encode_typed_data

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
    assert "Nothing is linked yet" in printed.err
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
        (["--signature", "0x1234", "--issued-at", "1"], 4, "canonical"),
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
