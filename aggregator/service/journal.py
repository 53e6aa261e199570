"""The relayer's journal as commands and service see it: where it is, and an entry as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aggregator.model.errors import InputError
from chains.relayer import IntentStatus

_ENVIRONMENT: Final = "env:"


def location_of(reference: str, environment: Mapping[str, str]) -> Path | str:
    """The file, or with `env:NAME` the database's URL, behind a reference to a journal.

    Raises InputError when the variable is not set, or when the reference is a URL itself.
    """
    if not reference.startswith(_ENVIRONMENT):
        if "://" in reference:
            # Not repeated: it may hold a password, which a process list shows already.
            raise InputError(
                "a journal's URL is given as env:NAME, so that its password is in no argument list"
            )
        return Path(reference)
    name = reference.removeprefix(_ENVIRONMENT)
    if not (url := environment.get(name, "")):
        raise InputError(f"the environment variable {name} is not set; put the journal's URL there")
    return url


def intent_json(entry: IntentStatus) -> dict[str, object]:
    """One entry of the journal."""
    intent = entry.intent
    return {
        "key": intent.key,
        "state": intent.state.value,
        "label": intent.label,
        "chain": f"eip155:{intent.chain_id}",
        "sender": intent.sender.lower(),
        "target": intent.target and intent.target.lower(),
        "nonce": None if intent.nonce is None else str(intent.nonce),
        "ageSeconds": entry.age_s,
        "reason": intent.reason,
        "givingUp": intent.giving_up,
        "alert": intent.alert,
        "transactionHashes": list(entry.hashes),
        "includedHash": intent.transaction_hash,
        "blockNumber": None if intent.block_number is None else str(intent.block_number),
    }
