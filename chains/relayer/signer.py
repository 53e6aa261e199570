"""Who signs transactions, and where the key comes from.

A key is given by reference, never itself: it is in no argument list, no log line, no message and no `repr`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from eth_account import Account
from eth_account.signers.local import LocalAccount

from aggregator.model.errors import KeyFileError
from chains.rpc.bounded_json import load_bounded

_HEX_KEY: Final = re.compile(r"(?:0x)?([0-9a-fA-F]{64})", re.ASCII)
_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
_READ_LIMIT: Final = 1 << 16
_KEYSTORE_VERSION: Final = 3
_KDF_MEMORY: Final = 1 << 30
"""Bytes that scrypt may take (128 n r); geth's n = 2^18, r = 8 takes 2^28."""
_KDF_ROUNDS: Final = 1 << 24
"""Iterations of pbkdf2, or n r p of scrypt; geth's take 2^18 and 2^21."""
_KDF_KEY_BYTES: Final = 64
_CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Order of secp256k1 (SEC 2, section 2.4.1): a secret key is in 1..order-1."""


@dataclass(frozen=True)
class SignedTransaction:
    """What goes on the wire. Parameters: raw bytes, and the hash they will have on the chain (0x hex)."""

    raw: bytes
    hash: str


class Signer(Protocol):
    """Anything that signs transactions of one address: a key in memory, or a service before a KMS or an HSM."""

    @property
    def address(self) -> str:
        """Checksummed address of the sender."""

    def sign(self, transaction: Mapping[str, Any]) -> SignedTransaction:
        """Sign an EIP-1559 transaction in JSON-RPC field names."""


class LocalSigner:
    """Signs with a key in this process's memory."""

    def __init__(self, account: LocalAccount) -> None:
        self._account = account

    def __repr__(self) -> str:
        return f"LocalSigner({self.address})"

    @property
    def address(self) -> str:
        """Checksummed address of the sender."""
        return str(self._account.address)

    def sign(self, transaction: Mapping[str, Any]) -> SignedTransaction:
        """Sign an EIP-1559 transaction in JSON-RPC field names."""
        signed = self._account.sign_transaction(dict(transaction))
        return SignedTransaction(bytes(signed.raw_transaction), "0x" + bytes(signed.hash).hex())


def load_signer(
    reference: str, *, password: str | None = None, env: Mapping[str, str] = os.environ
) -> Signer:
    """The signer behind a reference.

    Parameters:
        reference: `file:PATH` (64 hex digits), `keystore:PATH` (encrypted JSON, Web3 Secret Storage version 3),
            `env:NAME` (64 hex digits in an environment variable) or `remote:ADDRESS@env:NAME` (a signing service
            that holds the key of ADDRESS; its URL is in an environment variable, or `file:PATH` in a file).
        password: for a keystore, `file:PATH` or `env:NAME`.

    Raises:
        KeyFileError: another reference, a file that is missing or open to other users, not a key, a wrong password.
    """
    scheme, _, rest = reference.partition(":")
    if scheme == "keystore" and rest:
        return LocalSigner(_decrypt(Path(rest), password, env))
    if scheme == "remote" and rest:
        return _remote(rest, env)
    read = _SOURCES.get(scheme)
    if read is None or not rest:
        # The reference is not repeated: someone may have pasted the key itself.
        raise KeyFileError(
            "the signer is given as file:PATH, keystore:PATH, env:NAME or remote:ADDRESS@env:NAME; correct the setting"
        )
    text, where = read(rest, env)
    found = _HEX_KEY.fullmatch(text.strip())
    if found is None or not 0 < int(found.group(1), 16) < _CURVE_ORDER:
        raise KeyFileError(f"{where} does not hold a secp256k1 key of 64 hex digits; check it")
    return LocalSigner(Account.from_key(bytes.fromhex(found.group(1))))


def _remote(rest: str, env: Mapping[str, str]) -> Signer:
    # Loaded here, so that a local key does not need the HTTP client.
    from chains.relayer.remote_signer import RemoteSigner

    address, _, where = rest.partition("@")
    scheme, _, name = where.partition(":")
    read = _SOURCES.get(scheme)
    if read is None or not name or _ADDRESS.fullmatch(address) is None:
        raise KeyFileError(
            "a remote signer is given as remote:ADDRESS@env:NAME or @file:PATH; correct the setting"
        )
    url, _ = read(name, env)
    return RemoteSigner(address, url.strip())


def _decrypt(path: Path, password: str | None, env: Mapping[str, str]) -> LocalAccount:
    if password is None:
        raise KeyFileError(f"the keystore {path} needs a password; name it as file:PATH or env:NAME")
    scheme, _, rest = password.partition(":")
    read = _SOURCES.get(scheme)
    if read is None or not rest:
        raise KeyFileError("the keystore password is given as file:PATH or env:NAME; correct the setting")
    secret, _ = read(rest, env)
    text, where = _from_file(str(path), env)
    try:
        document: Any = load_bounded(text.encode())
        _check_work(document)
        account: LocalAccount = Account.from_key(Account.decrypt(document, secret.rstrip("\r\n")))
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError, OverflowError) as error:
        raise KeyFileError(f"{where} cannot be decrypted; check the file and its password") from error
    return account


def _check_work(document: Any) -> None:
    """Raises ValueError for a keystore whose key derivation would take gigabytes or hours, and for other versions."""
    if document["version"] != _KEYSTORE_VERSION:
        raise ValueError("not a version 3 keystore")
    parameters = document["crypto"]["kdfparams"]
    names = ("c", "dklen") if document["crypto"]["kdf"] == "pbkdf2" else ("n", "r", "p", "dklen")
    numbers = {name: parameters[name] for name in names}
    if any(not isinstance(n, int) or isinstance(n, bool) or n < 1 for n in numbers.values()):
        raise ValueError("a parameter of the key derivation is not a positive integer")
    memory = 128 * numbers.get("n", 1) * numbers.get("r", 1)
    rounds = numbers.get("c", numbers.get("p", 1) * memory >> 7)
    if memory > _KDF_MEMORY or rounds > _KDF_ROUNDS or numbers["dklen"] > _KDF_KEY_BYTES:
        raise ValueError("the key derivation would take too much memory or time")


def _from_file(name: str, _: Mapping[str, str]) -> tuple[str, str]:
    path = Path(name).expanduser()
    where = f"the file {path}"
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(_READ_LIMIT)
    except OSError as error:
        raise KeyFileError(f"{where} cannot be read ({error.strerror}); check the path") from error
    if mode & 0o077:
        raise KeyFileError(f"{where} is open to other users (mode {mode:04o}); run: chmod 600 {path}")
    try:
        return data.decode("utf-8"), where
    except UnicodeDecodeError:
        # Without the cause: it would carry the file's bytes.
        raise KeyFileError(f"{where} is not text; check that it is the right file") from None


def _from_env(name: str, env: Mapping[str, str]) -> tuple[str, str]:
    value = env.get(name)
    if value is None:
        raise KeyFileError("the environment variable that the setting names is not set; set it")
    return value, f"the environment variable {name}"


_SOURCES: Final[dict[str, Callable[[str, Mapping[str, str]], tuple[str, str]]]] = {
    "file": _from_file,
    "env": _from_env,
}
