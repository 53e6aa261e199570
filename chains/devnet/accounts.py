"""The well-known development accounts: public keys and secret keys that everyone has.

Source: BIP-39 phrase and BIP-44 path that anvil and Hardhat share.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

from eth_account import Account

MNEMONIC: Final = "test test test test test test test test test test test junk"
PATH: Final = "m/44'/60'/0'/0/{}"
COUNT: Final = 10


@dataclass(frozen=True, slots=True)
class DevAccount:
    """A funded development account; its key is public knowledge and worth nothing anywhere else."""

    address: str
    key: str


@cache
def dev_accounts(count: int = COUNT) -> tuple[DevAccount, ...]:
    """The first `count` accounts of `MNEMONIC`."""
    Account.enable_unaudited_hdwallet_features()
    derived = (Account.from_mnemonic(MNEMONIC, account_path=PATH.format(n)) for n in range(count))
    return tuple(DevAccount(str(a.address), "0x" + bytes(a.key).hex()) for a in derived)
