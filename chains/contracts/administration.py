"""Call data of what owner, guardian and publishers of a registry do, besides `chains.contracts.registry`."""

from __future__ import annotations

from chains.contracts.coding import call_data
from chains.contracts.registry import NAME


def pause_call() -> bytes:
    """Call data of `pause`, to be sent by the guardian or the owner."""
    return call_data(NAME, "pause")


def unpause_call() -> bytes:
    """Call data of `unpause`, to be sent by the owner."""
    return call_data(NAME, "unpause")


def set_guardian_call(guardian: str) -> bytes:
    """Call data of `setGuardian`, to be sent by the owner; the zero address for nobody."""
    return call_data(NAME, "setGuardian", guardian)


def set_grace_period_call(seconds: int) -> bytes:
    """Call data of `setGracePeriod`, to be sent by the owner; 0 to 30 days."""
    return call_data(NAME, "setGracePeriod", seconds)


def set_publisher_call(account: str, allowed: bool) -> bytes:
    """Call data of `setPublisher`, to be sent by the owner."""
    return call_data(NAME, "setPublisher", account, allowed)


def publish_policy_call(policy_root: int, start: int, until: int) -> bytes:
    """Call data of `publishPolicy`, to be sent by a publisher; Unix seconds, both included."""
    return call_data(NAME, "publishPolicy", policy_root, start, until)


def revoke_policy_call(policy_root: int) -> bytes:
    """Call data of `revokePolicy`, to be sent by its publisher or the owner."""
    return call_data(NAME, "revokePolicy", policy_root)


def transfer_ownership_call(owner: str) -> bytes:
    """Call data of `transferOwnership`, to be sent by the owner; `owner` then has to accept."""
    return call_data(NAME, "transferOwnership", owner)


def accept_ownership_call() -> bytes:
    """Call data of `acceptOwnership`, to be sent by the new owner."""
    return call_data(NAME, "acceptOwnership")
