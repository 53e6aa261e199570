"""Follows signed transactions to their end, and keeps the way there clear."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from hexbytes import HexBytes
from web3.exceptions import Web3RPCError

from aggregator.model.errors import ChainError, TransactionError
from chains.relayer.bidding import WAITING, Bidder, log
from chains.relayer.intents import Attempt, Intent, Kind, State
from chains.relayer.sending import TRANSFER_GAS
from chains.relayer.watch import NotShownError

_GAP: Final = "gap"
_SLOWER: Final = 4
"""While the chain cannot be asked, the time between looks doubles, at most this often."""


class Follower(Bidder):
    """Follows what one signer has in the journal for one chain."""

    async def settle(self, key: str) -> Intent:
        """Follow a signed call until it is final, failed or replaced.

        What goes wrong on the way is an alert, and does not keep the rest from being done: a node that cannot say how
        far it is still takes bytes, and what it refuses can still be given up.

        Raises:
            TransactionError: it is none of these within the settings' time.
        """
        started = time.monotonic()
        sent_at: float | None = None
        failures = 0
        intent = self._tell(key)
        while not intent.state.settled:
            if sent_at is None and await self._contained(key, self._first_send):
                sent_at = time.monotonic()
            looked = await self._contained(key, self._look)
            since_s = 0.0 if sent_at is None else time.monotonic() - sent_at
            tended, sent = False, False

            async def tend(now: Intent, since_s: float = since_s) -> None:
                nonlocal sent
                sent = await self._tend(now, since_s)

            if self._present(key).state in WAITING:
                tended = await self._contained(key, tend)
            if sent:
                sent_at = time.monotonic()
            failures = 0 if looked or tended else failures + 1
            intent = self._present(key)
            if intent.state.settled:
                break
            if time.monotonic() - started >= self.settings.timeout_s:
                alert = f" ({intent.alert})" if intent.alert else ""
                raise TransactionError(
                    f"{intent.label} is {intent.state} and not final after {self.settings.timeout_s:g} s{alert}; "
                    "run it again to go on following it"
                )
            await asyncio.sleep(self.settings.poll_s * (1 << min(failures, _SLOWER)))
        return intent

    async def _contained(self, key: str, work: Callable[[Intent], Awaitable[object]]) -> bool:
        """Do one thing about an intent. Returns False when the chain or the signer did not play along."""
        try:
            await work(self._present(key))
        except (ChainError, Web3RPCError) as error:
            log.warning("still following %s: %s", key, error)
        except TransactionError as error:
            self._alert(self._present(key), str(error))
        else:
            return True
        return False

    async def _first_send(self, intent: Intent) -> None:
        if intent.state in WAITING:
            await self._offer_more(intent)
        await self._broadcast(intent.key)

    async def _look(self, intent: Intent) -> None:
        """Bring the journal in line with the chain."""
        key, attempts = intent.key, self.journal.attempts(intent.key)
        final_height = await self._watch.final_height()
        found = await self._watch.receipt(attempts)
        if found is None:
            await self._without_receipt(intent, attempts, final_height)
            return
        receipt, attempt = found
        self._alert(intent, "")
        block_hash, number = receipt["blockHash"].to_0x_hex(), receipt["blockNumber"]
        if intent.state is not State.INCLUDED or intent.block_hash != block_hash:
            created = receipt.get("contractAddress")
            self.journal.included(
                intent,
                transaction_hash=attempt.hash,
                block_number=number,
                block_hash=block_hash,
                gas_used=receipt["gasUsed"],
                contract_address=str(created) if created else None,
            )
            intent = self._tell(key)
        if number > final_height or not await self._watch.canonical(number, block_hash):
            return
        if attempt.kind is Kind.CANCEL:
            self._settled(intent, State.FAILED, self._present(key).giving_up)
        elif receipt["status"] == 1:
            self._settled(intent, State.FINAL)
        else:
            self._settled(intent, State.FAILED, await self._watch.why_reverted(intent, number))

    async def _without_receipt(self, intent: Intent, attempts: list[Attempt], final_height: int) -> None:
        """No node showed a receipt: the block may be gone, the node may lag, or the nonce may be someone else's."""
        if intent.state is State.INCLUDED:
            number = intent.block_number
            if number is not None and await self._watch.canonical(number, intent.block_hash):
                self._alert(intent, "the node has its block and not its receipt")
                return
            log.warning("the block with %s is gone; sending it again", intent.transaction_hash)
            if self.journal.uprooted(intent):
                self._tell(intent.key)
                await self._broadcast(intent.key)
            return
        if intent.nonce is None:
            return
        try:
            spender = await self._watch.spender(intent.sender, intent.nonce, final_height)
        except NotShownError:
            if await self._watch.spent(intent.sender, intent.nonce):
                text = f"nonce {intent.nonce} is spent and the node keeps too little to show by what"
                self._alert(intent, f"{text}; name an endpoint that keeps old state")
            return
        if spender is None:
            return
        if spender in {a.hash for a in attempts}:
            self._alert(intent, f"{spender} is in a final block and the node has no receipt of it")
            return
        reason = f"nonce {intent.nonce} of {intent.sender} was used by another transaction, {spender}"
        self._settled(intent, State.REPLACED, reason)

    async def _tend(self, intent: Intent, since_sent_s: float) -> bool:
        """What waiting asks for. Returns whether bytes were sent."""
        if await self._mend(intent):
            return True
        if since_sent_s < self.settings.rebroadcast_s:
            return False
        await self._broadcast(intent.key)
        await self._close_gap(intent)
        return True

    async def _close_gap(self, intent: Intent) -> None:
        """See to lower nonces without which this one cannot get in: ours are sent again, empty ones filled."""
        if intent.nonce is None or intent.gas is None:
            return
        sender = intent.sender
        mined, pending = await self._watch.count(sender, "latest"), await self._watch.count(sender, "pending")
        lower = {i.nonce: i for i in self.journal.live(self.chain_id, sender) if i.nonce is not None}
        for nonce in range(mined, intent.nonce):
            if (own := lower.get(nonce)) is not None:
                # Whatever is wrong with that one is told of that one, and is nothing to this one.
                await self._contained(own.key, lambda i: self._broadcast(i.key))
                await self._contained(own.key, self._look)
                if self._present(own.key).state in WAITING:
                    await self._contained(own.key, self._mend)
            elif nonce >= pending and not await self._sent_once_more(sender, nonce):
                await self._fill(intent, nonce)

    async def _sent_once_more(self, sender: str, nonce: int) -> bool:
        """The node does not know a nonce that is settled for us: it lags, or lost its block. What took it is sent."""
        raw = self.journal.settled_bytes(self.chain_id, sender, nonce)
        if raw is None:
            return False
        try:
            await self.w3.eth.send_raw_transaction(HexBytes(raw))
        except Web3RPCError as error:
            log.warning("nonce %s, which is settled, again: %s", nonce, error.message)
        return True

    async def _fill(self, above: Intent, nonce: int) -> None:
        """Spend a nonce that no known transaction has, once its absence holds `above` up for `bump_s`."""
        if above.key.partition(":")[0] == _GAP:
            return
        first, last = self.journal.attempts(above.key)[0], self.journal.attempts(above.key)[-1]
        if time.time() - first.signed_at < self.settings.bump_s:
            return
        self._alert(above, f"nothing known has nonce {nonce} below it; filling it")
        filler = replace(
            above,
            key=f"{_GAP}:{self.chain_id}:{above.sender}:{nonce}:{first.hash}",
            label=f"fill nonce {nonce}",
            target=above.sender,
            data=b"",
            fingerprint=f"{_GAP}:{nonce}",
            state=State.INTENT,
            nonce=None,
            expires_at=None,
        )
        written = self.journal.intend(filler)
        if written.state is State.INTENT and await self._sign(
            written, TRANSFER_GAS, last.fees, nonce=nonce, kind=Kind.CANCEL
        ):
            await self._broadcast(filler.key)

    def _settled(self, intent: Intent, state: State, reason: str = "") -> None:
        if self.journal.settle(intent, state, reason):
            self._tell(intent.key)
