"""Relayer mode: brings stored bundles onto their registries' chains, over the home's journal."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aggregator.model.errors import ConfigError, ExpiredError
from aggregator.service.http.service import Service
from aggregator.service.journal import location_of
from aggregator.service.networks import network_of
from aggregator.service.submission import submission_of
from chains.relayer import (
    Finality,
    IntentStatus,
    Journal,
    Relayer,
    RelayerSettings,
    load_signer,
    status,
    submission_call,
)
from chains.rpc.provider import web3_on
from circuits.bundle import parse_bundle


def journal_location(service: Service) -> Path | str:
    """The file or URL of the journal, by default the one in the home that the command line uses too.

    Raises InputError when the variable it names is not set.
    """
    reference = service.settings.text("relayer", "journal")
    return location_of(reference, os.environ) if reference else service.home.root / "relayer.db"


def require_relayer(service: Service) -> None:
    """Raise ConfigError unless a signer is configured."""
    if not service.settings.text("relayer", "signer"):
        raise ConfigError("this service is no relayer; set relayer.signer, or submit with: counterfoil relay")


async def relay_bundle(service: Service, document: bytes, tell: Callable[[str], None]) -> dict[str, Any]:
    """Submit a bundle and follow it until it is final; the statement of it is never sent twice.

    Raises ConfigError, ExpiredError, ProofRefusedError, TransactionError, ChainError.
    """
    require_relayer(service)
    bundle = parse_bundle(document)
    context = bundle.context
    if context.expiry < service.now():
        raise ExpiredError(f"the proof expired {service.now() - context.expiry} s ago; make a fresh one")
    settings = service.settings
    call = submission_call(submission_of(bundle), context.chain_id, context.registry)
    network = network_of(service.networks, f"eip155:{context.chain_id}")
    password = settings.text("relayer", "password") or None
    signer = await service.compute(lambda: load_signer(settings.text("relayer", "signer"), password=password))
    relaying = RelayerSettings(
        finality=Finality(settings.number("relayer", "confirmations") or None),
        timeout_s=settings.number("relayer", "timeout_s"),
    )
    async with network.connect() as chain:
        with Journal(journal_location(service)) as journal:
            relayer = Relayer(
                web3_on(chain),
                network.chain_id,
                signer,
                journal,
                relaying,
                progress=lambda intent: tell(intent.state.value),
            )
            outcome = await relayer.relay(call, yes=True)
    intent = outcome.intent
    return {
        "key": outcome.key,
        "state": outcome.state.value,
        "transactionHash": None if intent is None else intent.transaction_hash,
        "blockNumber": None if intent is None else str(intent.block_number),
    }


def journal_entries(service: Service, key: str | None = None) -> list[IntentStatus]:
    """What is in the journal, or the one entry of `key`; nothing is made. Raises InputError."""
    location = journal_location(service)
    absent = isinstance(location, Path) and not location.exists()
    with Journal(Path(":memory:") if absent else location) as journal:
        return status(journal, key)
