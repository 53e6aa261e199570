"""Signs, sends, offers more and gives up: whatever spends a nonce.

A signer may take its time (a person, a service): it is asked in a thread, with neither event loop nor journal waiting.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from hexbytes import HexBytes
from web3 import AsyncWeb3
from web3.exceptions import Web3RPCError

from aggregator.model.errors import TransactionError
from chains.relayer.fees import Fees, suggest_fees
from chains.relayer.intents import Attempt, Intent, Kind, State
from chains.relayer.journal import Journal
from chains.relayer.sending import Answer, transaction, understood
from chains.relayer.settings import RelayerSettings
from chains.relayer.signer import SignedTransaction, Signer
from chains.relayer.watch import Watch

log = logging.getLogger("chains.relayer")

T = TypeVar("T")
Progress = Callable[[Intent], None]
WAITING: Final = frozenset({State.SIGNED, State.BROADCAST})
_REFUSED: Final = "the node refused it: "


class Bidder:
    """Sends what one signer has in the journal for one chain."""

    def __init__(
        self,
        w3: AsyncWeb3[Any],
        chain_id: int,
        signer: Signer,
        journal: Journal,
        settings: RelayerSettings | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.w3 = w3
        self.chain_id = chain_id
        self.signer = signer
        self.journal = journal
        self.settings = settings or RelayerSettings()
        self._watch = Watch(w3, self.settings.finality)
        self._progress = progress or (lambda _: None)
        self._signing = asyncio.Lock()

    async def give_up(self, key: str, reason: str) -> Intent:
        """Give the nonce of an unsettled intent to a transaction that does nothing; then it has to be followed.

        Of the call and that transaction at most one gets into the chain, and which one only the chain tells. An intent
        without a nonce just fails.

        Raises:
            TransactionError: there is no such intent, it is settled or in a block already, or outbidding its last
                offer would pass the fee limit.
        """
        tried = False
        while True:
            intent = self.journal.find(key)
            if intent is not None and tried and intent.giving_up:
                # Another process was faster.
                return self._tell(key)
            if intent is None or intent.state.settled or intent.state is State.INCLUDED:
                state = "unknown" if intent is None else intent.state.value
                raise TransactionError(f"{key} is {state} and cannot be given up; look at its status")
            if intent.state is State.INTENT:
                if self.journal.abandon(key, reason):
                    return self.journal.find(key) or intent
                continue
            attempts = self.journal.attempts(key)
            fees = await self._raised(attempts[-1])
            if fees is None and all(a.sent_at is None for a in attempts):
                # No node is known to have it, so that there is nothing to outbid.
                fees = attempts[-1].fees
            if fees is None:
                raise TransactionError(
                    f"{key} cannot be outbid within the fee limit; raise the limit, or wait for a block to take it"
                )
            if await self._replace(intent, attempts[-1], fees, Kind.CANCEL, reason):
                log.warning("giving up %s: %s", key, reason)
                await self._broadcast(key)
                return self._tell(key)
            tried = True

    async def _sign(
        self, intent: Intent, gas: int, fees: Fees, *, nonce: int | None = None, kind: Kind = Kind.CALL
    ) -> bool:
        """Sign an intent that has no nonce yet, with the next one, or exactly with `nonce`."""
        async with self._signing:
            pending = await self._watch.count(intent.sender, "pending") if nonce is None else nonce
            return await aside(
                lambda: self.journal.sign(
                    intent,
                    pending_nonce=pending,
                    gas=gas,
                    fees=fees,
                    sign=lambda given: self._signed(intent, given, gas, fees, kind),
                    exactly=nonce is not None,
                )
            )

    async def _replace(
        self, intent: Intent, last: Attempt, fees: Fees, kind: Kind, giving_up: str = ""
    ) -> bool:
        gas = intent.gas or 0
        return await aside(
            lambda: self.journal.replace(
                intent,
                last,
                fees,
                lambda nonce: self._signed(intent, nonce, gas, fees, kind),
                kind=kind,
                giving_up=giving_up,
            )
        )

    def _signed(self, intent: Intent, nonce: int, gas: int, fees: Fees, kind: Kind) -> SignedTransaction:
        return self.signer.sign(transaction(self.chain_id, intent, nonce, gas, fees, kind))

    async def _broadcast(self, key: str) -> None:
        """Send the newest attempt's bytes, again if need be; the same bytes are the same transaction.

        A refusal is an alert: the transaction is signed, so its nonce has to be used, by it or by giving it up.
        """
        intent = self._present(key)
        if intent.state not in WAITING:
            return
        attempt = self.journal.attempts(key)[-1]
        try:
            await self.w3.eth.send_raw_transaction(HexBytes(attempt.raw))
        except Web3RPCError as error:
            match understood(error):
                case Answer.SPENT:
                    return
                case Answer.CONTESTED:
                    text = f"nonce {intent.nonce} is contested by another transaction of the same key"
                    self._alert(intent, text)
                    return
                case Answer.REFUSED:
                    self._alert(intent, f"{_REFUSED}{error.message}; it is sent again until it expires")
                    return
        self.journal.sent(attempt.hash)
        if intent.state is State.SIGNED and self.journal.broadcast(intent):
            self._tell(key)
        elif intent.alert.startswith(_REFUSED):
            self._alert(intent, "")

    async def _mend(self, intent: Intent) -> bool:
        """Give up what has expired, offer more for what no block takes. Returns whether bytes were sent."""
        if intent.expires_at is not None and not intent.giving_up:
            now = await self._watch.head_time()
            if now > intent.expires_at:
                reason = f"it expired at second {intent.expires_at} before a block took it"
                try:
                    await self.give_up(intent.key, reason)
                except TransactionError as error:
                    # It may be in a block by now; else it is at the fee limit, or the signer is away.
                    if self._present(intent.key).state in WAITING:
                        self._alert(intent, str(error))
                    return False
                return True
        if await self._offer_more(intent):
            await self._broadcast(intent.key)
            return True
        return False

    async def _offer_more(self, intent: Intent) -> bool:
        """`_offer_more_if_stuck`; a signer that does not sign is told of, and what is signed is still sent."""
        try:
            return await self._offer_more_if_stuck(intent)
        except TransactionError as error:
            self._alert(intent, str(error))
            return False

    async def _offer_more_if_stuck(self, intent: Intent) -> bool:
        """Offer more for a transaction that no block takes, as far as the limits allow."""
        last = self.journal.attempts(intent.key)[-1]
        if time.time() - last.signed_at < self.settings.bump_s or intent.gas is None:
            return False
        fees = await self._raised(last)
        if fees is None:
            self._alert(intent, "it is stuck at the fee limit; the same bytes are sent again")
            return False
        log.warning("%s waits since %s; offering more", last.hash, last.signed_at)
        return await self._replace(intent, last, fees, last.kind)

    async def _raised(self, last: Attempt) -> Fees | None:
        """The next offer: enough to replace the last one, and today's price; None beyond the limits."""
        least = last.fees.raised()
        if not self.settings.limits.allow(least):
            return None
        try:
            return least.at_least(await suggest_fees(self.w3, self.settings.limits))
        except TransactionError:
            return least

    def _present(self, key: str) -> Intent:
        intent = self.journal.find(key)
        if intent is None or (intent.state is State.INTENT):
            raise TransactionError(f"{key} was never signed; send it first")
        return intent

    def _alert(self, intent: Intent, text: str) -> None:
        if intent.alert == text:
            return
        if text:
            log.warning("%s: %s", intent.key, text)
        self.journal.alert(intent.key, text)
        self._tell(intent.key)

    def _tell(self, key: str) -> Intent:
        intent = self._present(key)
        log.info("%s is %s (nonce %s)", key, intent.state, intent.nonce)
        self._progress(intent)
        return intent


async def aside(work: Callable[[], T]) -> T:
    """Run what may take long in a thread. Cancelled, it waits for the end of it: the journal is not left to itself."""
    future = asyncio.get_running_loop().run_in_executor(None, work)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        if not future.cancelled():
            future.exception()
        raise
