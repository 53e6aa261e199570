"""Local EVM chains (anvil) for tests and for the demo."""

from __future__ import annotations

from chains.devnet.accounts import DevAccount, dev_accounts
from chains.devnet.binary import anvil_binary
from chains.devnet.local import Deployed, Devnet, devnet

__all__ = ["Deployed", "DevAccount", "Devnet", "anvil_binary", "dev_accounts", "devnet"]
