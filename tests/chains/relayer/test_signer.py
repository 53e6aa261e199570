"""Keys come by reference, and what is wrong with one is said without saying it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account

from aggregator.model.errors import KeyFileError
from chains.relayer import load_signer

KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
ADDRESS = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"


def secret_file(path: Path, text: str | bytes, mode: int = 0o600) -> Path:
    """A file with `mode`."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("text", [KEY, "0x" + KEY, KEY.upper() + "\n"])
def test_a_key_file_and_an_environment_variable(tmp_path: Path, text: str) -> None:
    path = secret_file(tmp_path / "key", text)
    assert load_signer(f"file:{path}").address == ADDRESS
    assert load_signer("env:RELAYER_KEY", env={"RELAYER_KEY": text}).address == ADDRESS


def test_a_keystore(tmp_path: Path) -> None:
    """Web3 Secret Storage, with its password in a file or in the environment."""
    encrypted = Account.encrypt(KEY, "correct horse", kdf="pbkdf2", iterations=2)
    path = secret_file(tmp_path / "store.json", json.dumps(encrypted))
    password = secret_file(tmp_path / "password", "correct horse\n")
    assert load_signer(f"keystore:{path}", password=f"file:{password}").address == ADDRESS
    env = {"PASSWORD": "correct horse"}
    assert load_signer(f"keystore:{path}", password="env:PASSWORD", env=env).address == ADDRESS
    with pytest.raises(KeyFileError, match="cannot be decrypted") as caught:
        load_signer(f"keystore:{path}", password="env:PASSWORD", env={"PASSWORD": "wrong donkey"})
    assert "donkey" not in str(caught.value)
    for missing in (None, "correct horse", "env:", "prompt:x"):
        with pytest.raises(KeyFileError, match="password") as caught:
            load_signer(f"keystore:{path}", password=missing, env=env)
        assert "horse" not in str(caught.value)
    damaged = secret_file(tmp_path / "damaged.json", json.dumps({**encrypted, "crypto": {}}))
    with pytest.raises(KeyFileError, match="cannot be decrypted"):
        load_signer(f"keystore:{damaged}", password="env:PASSWORD", env=env)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_an_open_file_is_refused(tmp_path: Path, mode: int) -> None:
    path = secret_file(tmp_path / "key", KEY, mode)
    with pytest.raises(KeyFileError, match="chmod 600"):
        load_signer(f"file:{path}")


@pytest.mark.parametrize(
    "text",
    [KEY[:-1], KEY + "0", "", "0" * 64, "f" * 64, KEY[:-1] + "g", b"\xff\xfe" + KEY.encode()],
)
def test_what_is_no_key_is_refused_without_repeating_it(tmp_path: Path, text: str | bytes) -> None:
    path = secret_file(tmp_path / "key", text)
    with pytest.raises(KeyFileError) as caught:
        load_signer(f"file:{path}")
    assert KEY[:16] not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("reference", [KEY, "0x" + KEY, "", "file:", "keystore:", "env:", f"key:{KEY}"])
def test_other_references_are_refused_without_repeating_them(reference: str) -> None:
    """A key pasted where its reference belongs does not end up in a message."""
    with pytest.raises(KeyFileError) as caught:
        load_signer(reference, env={})
    assert KEY not in str(caught.value)


def test_missing_sources_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be read"):
        load_signer(f"file:{tmp_path / 'none'}")
    with pytest.raises(KeyFileError, match="is not set"):
        load_signer("env:NOT_THERE", env={})
