"""Relayer mode: brings stored bundles onto their registries' chains, over the home's journal, and looks after it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from web3.exceptions import Web3RPCError

from aggregator.model.errors import ConfigError, CounterfoilError, ExpiredError, NotFoundError
from aggregator.service.http.service import Service
from aggregator.service.journal import location_of
from aggregator.service.networks import network_of
from aggregator.service.submission import submission_of
from chains.networks import Network
from chains.relayer import (
    IntentStatus,
    Journal,
    Relayer,
    RelayerSettings,
    Signer,
    load_signer,
    status,
    status_of,
    submission_call,
)
from chains.rpc.provider import web3_on
from circuits.bundle import parse_bundle

log: Final = logging.getLogger("counterfoil.relaying")


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
    call = submission_call(submission_of(bundle), context.chain_id, context.registry)
    network = network_of(service.networks, f"eip155:{context.chain_id}")
    signer, relaying = await signer_of(service), settings_on(service, network, None)
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
            service.followed.add(call.key)
            try:
                outcome = await relayer.relay(call, yes=True)
            finally:
                service.followed.discard(call.key)
    intent = outcome.intent
    return {
        "key": outcome.key,
        "state": outcome.state.value,
        "transactionHash": None if intent is None else intent.transaction_hash,
        "blockNumber": None if intent is None else str(intent.block_number),
    }


async def resume_journal(service: Service) -> None:
    """Go on with what the journal has unsettled of this service's signer, on every chain at once.

    Each chain is followed no longer than until the next round, which then sees what has come since.
    """
    location = journal_location(service)
    if isinstance(location, Path) and not location.exists():
        return
    signer = await signer_of(service)
    with Journal(location) as journal:
        chains = journal.unsettled_chains(signer.address)
        await asyncio.gather(*(_resume_chain(service, journal, signer, chain) for chain in chains))


async def _resume_chain(service: Service, journal: Journal, signer: Signer, chain_id: int) -> None:
    try:
        network = network_of(service.networks, f"eip155:{chain_id}")
        settings = settings_on(service, network, service.settings.number("relayer", "resume_every_s"))
        async with network.connect() as chain:
            relayer = Relayer(web3_on(chain), chain_id, signer, journal, settings)
            outcomes = await relayer.resume(besides=service.followed)
    except (CounterfoilError, Web3RPCError) as error:
        fields = {"chain": f"eip155:{chain_id}", "problem": type(error).__name__}
        log.warning("the journal could not be followed", extra={"fields": fields})
        return
    settled = sum(outcome.state.settled for outcome in outcomes)
    if outcomes:
        fields = {"chain": f"eip155:{chain_id}", "entries": str(len(outcomes)), "settled": str(settled)}
        log.info("the journal was followed", extra={"fields": fields})


async def signer_of(service: Service) -> Signer:
    """The configured signer, loaded once: a keystore takes a second to open. Raises KeyFileError."""
    if service.signer is None:
        settings = service.settings
        password = settings.text("relayer", "password") or None
        reference = settings.text("relayer", "signer")
        service.signer = await asyncio.to_thread(load_signer, reference, password=password)
    return service.signer


def settings_on(service: Service, network: Network, most_s: int | None) -> RelayerSettings:
    """How a transaction on a network is followed: for the configured time, or at most for `most_s`."""
    timeout_s = service.settings.number("relayer", "timeout_s")
    return RelayerSettings.on(
        network.fees,
        service.settings.number("relayer", "confirmations") or None,
        timeout_s if most_s is None else min(most_s, timeout_s),
    )


def journal_page(service: Service, start: int, limit: int) -> list[IntentStatus]:
    """`limit` entries of the journal from the `start`-th on, the longest unchanged first; nothing is made."""
    location = journal_location(service)
    if isinstance(location, Path) and not location.exists():
        return []
    with Journal(location) as journal:
        return status(journal, start=start, limit=limit)


def journal_entry(service: Service, key: str) -> IntentStatus:
    """One entry of the journal; nothing is made. Raises NotFoundError."""
    location = journal_location(service)
    if not isinstance(location, Path) or location.exists():
        with Journal(location) as journal:
            if journal.find(key) is not None:
                return status_of(journal, key)
    raise NotFoundError("the journal holds no entry of that key; list them with GET /v1/intents")
