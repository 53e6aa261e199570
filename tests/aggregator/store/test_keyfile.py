"""A key file is right in length, content and mode, or it is refused with what to do, and never shown."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from aggregator.model.errors import InputError, KeyFileError
from aggregator.store import keyfile, new_holder_key, read_holder_key, read_secret, write_secret
from aggregator.store.files import write_whole
from circuits.field import MODULUS


def _key_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "holder.key"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_written_key_reads_back_and_is_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new.key"
    key = new_holder_key()
    write_secret(path, key)
    assert read_holder_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "new.key"
    write_secret(path, 7)
    with pytest.raises(InputError, match="exists"):
        write_secret(path, 8)
    assert read_holder_key(path) == 7
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("digits", [0, 2, 62, 63, 65, 66, 128])
def test_a_wrong_length_is_refused(tmp_path: Path, digits: int) -> None:
    with pytest.raises(KeyFileError, match=f"holds {digits} hex digits instead of 64") as caught:
        read_secret(_key_file(tmp_path, "7" * digits), "holder key")
    assert "777" not in str(caught.value)


@pytest.mark.parametrize("text", ["zz" * 32, "-" + "1" * 63, "1" * 64 + " 2", "１" * 64])
def test_what_is_not_hex_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    with pytest.raises(KeyFileError, match="is not hex") as caught:
        read_secret(_key_file(tmp_path, text), "holder key")
    assert text not in str(caught.value)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o601])
def test_a_file_open_to_others_is_refused_with_the_command_that_helps(tmp_path: Path, mode: int) -> None:
    path = _key_file(tmp_path, "11" * 32, mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:04o}.*chmod 600"):
        read_secret(path, "holder key")


def test_a_missing_file_and_a_directory_are_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="No such file"):
        read_secret(tmp_path / "absent", "holder key")
    with pytest.raises(KeyFileError, match="is a folder; give the file in it"):
        read_secret(tmp_path, "holder key")


@pytest.mark.parametrize("value", [0, MODULUS, MODULUS + 1, 2**256 - 1])
def test_a_holder_key_outside_the_scalars_is_refused(tmp_path: Path, value: int) -> None:
    with pytest.raises(KeyFileError, match=r"not in 1\.\.r-1"):
        read_holder_key(_key_file(tmp_path, f"{value:064x}"))


@pytest.mark.parametrize("value", [1, MODULUS - 1])
def test_the_ends_of_the_range_and_a_prefix_are_read(tmp_path: Path, value: int) -> None:
    assert read_holder_key(_key_file(tmp_path, f"0x{value:064X}\n")) == value


def test_a_draw_outside_the_field_is_rejected_not_reduced(monkeypatch: pytest.MonkeyPatch) -> None:
    draws = iter([(4 * MODULUS).to_bytes(32, "big"), bytes(32), (4 * 5).to_bytes(32, "big")])
    monkeypatch.setattr(keyfile.secrets, "token_bytes", lambda _n: next(draws))
    assert new_holder_key() == 5


def test_a_pipe_is_not_written_over(tmp_path: Path) -> None:
    """A file that is moved into place would take the place of /dev/null too."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="is not a file and would be replaced"):
        write_whole(pipe, b"x")
    assert pipe.is_fifo()
