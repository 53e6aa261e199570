"""Where one user's data lives: --home, else $COUNTERFOIL_HOME, else ~/.counterfoil."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aggregator.model.errors import ConflictError, InputError
from aggregator.store.database import Store
from aggregator.store.keyfile import new_holder_key, read_holder_key, write_secret
from aggregator.store.records import Account, Records, check_account_name
from circuits.hashing import account_id

HOME_VARIABLE: Final = "COUNTERFOIL_HOME"
DEFAULT_HOME: Final = "~/.counterfoil"
MAX_SUB_ACCOUNT: Final = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Home:
    """The directory of one user, mode 0700: `counterfoil.db` and `keys/NAME.key`."""

    root: Path

    @classmethod
    def locate(cls, option: str | None, environment: Mapping[str, str]) -> Home:
        """The home that the option or the environment names; nothing is made yet."""
        return cls(Path(option or environment.get(HOME_VARIABLE) or DEFAULT_HOME).expanduser().absolute())

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.root / "counterfoil.db"

    @property
    def keys(self) -> Path:
        """The directory of key files."""
        return self.root / "keys"

    def store(self) -> Store:
        """Open the store, making the directories at first use. Raises InputError."""
        self.prepare()
        return Store(f"sqlite:///{self.database}", str(self.database))

    def prepare(self) -> None:
        """Make the directories when they are absent; raises InputError."""
        try:
            for directory in (self.root, self.keys):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"the home {self.root} cannot be made ({error.strerror}); give another with --home"
            ) from error

    def create_account(
        self, store: Records, name: str, *, sub_account: int, key_file: Path | None, now: int
    ) -> Account:
        """Make an account, with a new key unless `key_file` names the holder's own.

        Raises InputError when the name is taken or the number is out of range, KeyFileError for a bad key
        file. Nothing is left behind when it fails.
        """
        check_account_name(name)
        if not 0 <= sub_account <= MAX_SUB_ACCOUNT:
            raise InputError(
                f"sub-account {sub_account} is outside 0..{MAX_SUB_ACCOUNT}; choose a smaller number"
            )
        path = key_file.absolute() if key_file is not None else self.keys / f"{name}.key"
        if any(account.name == name for account in store.accounts()):
            raise ConflictError(f"account {name!r} exists; choose another name")
        key = read_holder_key(path) if key_file is not None else new_holder_key()
        account = Account(
            name=name,
            account_id=account_id(key, sub_account),
            sub_account=sub_account,
            key_file=str(path),
            created_at=now,
        )
        if key_file is None:
            write_secret(path, key)
        try:
            store.add_account(account)
        except InputError:
            if key_file is None:
                path.unlink()
            raise
        return account
