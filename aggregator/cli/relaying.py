"""Sends calls to chains and says how far they came; what `relay` and the venue's commands share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from aggregator.cli.framework import Settings
from aggregator.cli.signing import Sending, journal_location
from aggregator.cli.tables import sentence_case
from aggregator.model.errors import CounterfoilError, InputError, NotFoundError, TransactionError
from chains.relayer import (
    Call,
    Intent,
    IntentStatus,
    Journal,
    Outcome,
    Relayer,
    Signer,
    State,
    cancel,
    full_key,
    metrics,
    retry,
    status,
    status_of,
)
from chains.rpc.provider import web3_on

T = TypeVar("T")


@dataclass(frozen=True)
class Entries:
    """What `relay status` shows. `absent` is where there is no journal yet; `older` how many entries are left out."""

    shown: list[IntentStatus]
    absent: Path | None = None
    older: int = 0


def send(settings: Settings, sending: Sending, chain_id: int, call: Call) -> Outcome:
    """Try and price `call`, and with --yes sign it once and follow it until it is final.

    Raises ProofRefusedError, ExpiredError or TransactionError with the contract's reason, and ChainError.
    """
    with settings.home.store():
        pass
    return _with_relayer(
        settings, sending, chain_id, call.label, lambda relayer: relayer.relay(call, yes=sending.yes)
    )


def coin_of(sending: Sending, chain_id: int) -> str:
    """Symbol of the coin that a chain's gas is paid in."""
    return sending.network(chain_id).native.symbol


def one_entry(settings: Settings, journal: str | None, beginning: str) -> IntentStatus:
    """The entry whose key begins so. Raises InputError when there is none, or more than one."""
    with _reading(settings, journal) as (opened, _):
        if opened is None:
            raise InputError(f"the journal has no intent {beginning}; list them with relay status")
        return status_of(opened, full_key(opened, beginning))


def journal_entries(settings: Settings, journal: str | None, *, unsettled: bool, limit: int) -> Entries:
    """What is unsettled, and with it the newest `limit` entries; nothing is made and no chain is asked.

    Raises NotFoundError when there is no journal where --journal says.
    """
    with _reading(settings, journal) as (opened, where):
        if opened is None:
            return Entries([], where)
        found = {e.intent.key: e for e in status(opened, unsettled=True)}
        if unsettled:
            return Entries(list(found.values()))
        found |= {e.intent.key: e for e in status(opened, limit=limit, newest_first=True)}
        shown = sorted(found.values(), key=lambda e: (e.intent.changed_at, e.intent.key))
        return Entries(shown, older=sum(c.number for c in opened.counts()) - len(shown))


def unsettled_of(settings: Settings, journal: str | None, signer: Signer) -> list[IntentStatus]:
    """Entries of a signer on which something may still happen. Raises NotFoundError as `journal_entries`."""
    found = journal_entries(settings, journal, unsettled=True, limit=0).shown
    return [e for e in found if e.intent.sender == signer.address]


def journal_metrics(settings: Settings, journal: str | None) -> str:
    """The journal in the Prometheus text format; nothing is made. Raises NotFoundError as `journal_entries`."""
    with _reading(settings, journal) as (opened, where):
        if opened is not None:
            return metrics(opened)
    settings.note(f"there is no journal at {where} yet")
    with Journal(Path(":memory:")) as empty:
        return metrics(empty)


def prune_journal(settings: Settings, journal: str | None, before: int, *, yes: bool) -> int:
    """Forget bytes of entries settled before a time, or with no `yes` only count them.

    Raises NotFoundError when there is no journal.
    """
    with _reading(settings, journal) as (opened, where):
        if opened is None:
            raise NotFoundError(f"there is no journal at {where} yet; nothing was sent from here")
        return opened.prune(before) if yes else opened.prunable(before)


def own_intent(entry: IntentStatus, signer: Signer) -> Intent:
    """The entry's intent; raises InputError when it was written down for another sender."""
    intent = entry.intent
    if intent.sender.lower() != signer.address.lower():
        raise InputError(
            f"{intent.key} is of {intent.sender}, not of {signer.address}; give its own --signer"
        )
    return intent


def retry_entry(settings: Settings, sending: Sending, intent: Intent) -> Outcome:
    """Try and price what is written down in `intent`, and with --yes bring it about. Raises as `send`."""
    call = Call(intent.key, intent.target, intent.data, intent.label, intent.fingerprint, intent.expires_at)

    async def work(relayer: Relayer) -> Outcome:
        return await retry(relayer, intent.key) if sending.yes else await relayer.relay(call)

    return _with_relayer(settings, sending, intent.chain_id, intent.label, work)


def cancel_entry(settings: Settings, sending: Sending, intent: Intent) -> Outcome:
    """Give `intent` up with --yes, else only see that this is possible still.

    Raises TransactionError when it is settled or in a block, or cannot be outbid.
    """
    if intent.state.settled or intent.state is State.INCLUDED:
        raise TransactionError(f"{intent.key} is {intent.state} and cannot be given up; look at its status")
    if not sending.yes:
        return Outcome(intent.key, intent.state, intent=intent)
    return _with_relayer(
        settings, sending, intent.chain_id, f"cancel {intent.label}", lambda r: cancel(r, intent.key)
    )


def resume_chain(settings: Settings, sending: Sending, chain_id: int) -> tuple[list[Outcome], str]:
    """Go on with the signer's entries of one chain; also says why that was not possible, empty when it was."""
    try:
        label = f"resume on eip155:{chain_id}"
        return _with_relayer(settings, sending, chain_id, label, lambda relayer: relayer.resume()), ""
    except CounterfoilError as error:
        return [], str(error)


@contextmanager
def _reading(settings: Settings, journal: str | None) -> Iterator[tuple[Journal | None, Path]]:
    """The journal, or None and its place where there is no file."""
    location = journal_location(settings, journal)
    if isinstance(location, Path) and not location.exists():
        if journal is not None:
            raise NotFoundError(f"there is no journal at {location}; correct --journal")
        yield None, location
        return
    with Journal(location) as opened:
        yield opened, Path(str(location))


def _with_relayer(
    settings: Settings,
    sending: Sending,
    chain_id: int,
    label: str,
    work: Callable[[Relayer], Awaitable[T]],
) -> T:
    """Run `work` with a relayer over the journal, telling how far it is."""
    network, signer = sending.network(chain_id), sending.wallet()

    async def run(tell: Callable[[str], None]) -> T:
        async with network.connect() as chain:
            with Journal(journal_location(settings, sending.journal)) as journal:
                relayer = Relayer(
                    web3_on(chain),
                    network.chain_id,
                    signer,
                    journal,
                    sending.relaying(network),
                    progress=lambda intent: tell(f"{intent.state.value} {intent.alert}".rstrip()),
                )
                return await work(relayer)

    with settings.step(sentence_case(label)) as tell:
        return asyncio.run(run(tell))
