"""Gets a call onto a chain once, at a sane price, and follows it until it is final."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3 import AsyncWeb3
from web3.exceptions import ContractLogicError, Web3RPCError
from web3.types import TxParams

from aggregator.model.errors import ChainError, ConfigError, ExpiredError, ProofRefusedError, TransactionError
from chains.contracts.registry import revert_data
from chains.contracts.reverts import refusal
from chains.relayer.call import Call, Outcome, Plan
from chains.relayer.fees import Fees, suggest_fees
from chains.relayer.journal import Attempt, Intent, Journal, Kind, State
from chains.relayer.sending import Answer, transaction, understood
from chains.relayer.settings import RelayerSettings
from chains.relayer.signer import SignedTransaction, Signer
from chains.relayer.watch import Watch

log = logging.getLogger(__name__)

_WAITING = frozenset({State.SIGNED, State.BROADCAST})
_GAP = "gap"
_SLOWER = 4
"""While the chain cannot be asked, the time between looks doubles, at most this often."""

Progress = Callable[[Intent], None]


class Relayer:
    """Sends calls of one signer on one chain."""

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

    async def relay(self, call: Call, *, yes: bool = False) -> Outcome:
        """Bring `call` about and follow it until it is final. Without `yes` nothing is signed or sent.

        A call that is in the journal already is followed from where it stands. A call that would revert is not sent.

        Raises:
            ProofRefusedError, ExpiredError, TransactionError: the contract would refuse, with its reason; or the
                transaction failed, or is not final in time (then the same call goes on with it later).
        """
        await self._check_chain()
        intent = self.journal.find(call.key)
        if intent is None or intent.state is State.INTENT or intent.state.without_effect:
            try:
                plan = await self.plan(call)
            except (ProofRefusedError, TransactionError) as error:
                if yes and intent is not None and intent.state is State.INTENT:
                    self.journal.settle(call.key, State.FAILED, f"it was not sent: {error}")
                raise
            if not yes:
                return Outcome(call.key, State.PLANNED, plan=plan)
            intent = self.journal.intend(self._intent(call))
            if intent.state is State.INTENT:
                await self._sign(intent, plan)
        elif not yes:
            return Outcome(call.key, intent.state, intent=intent)
        else:
            self.journal.intend(self._intent(call))
        return await self.follow(call.key)

    async def plan(self, call: Call) -> Plan:
        """Run `call` without sending it, and price it.

        Raises:
            ProofRefusedError, ExpiredError, TransactionError: it would revert or is past its time, gas is above the
                limit, or the sender cannot pay.
        """
        sender = to_checksum_address(self.signer.address)
        request: TxParams = {"from": sender, "data": HexBytes(call.data)}
        if call.to is not None:
            request["to"] = to_checksum_address(call.to)
        try:
            await self.w3.eth.call(request, "latest")
            estimate = await self.w3.eth.estimate_gas(request, "latest")
        except ContractLogicError as error:
            raise refusal(revert_data(error)) from error
        except Web3RPCError as error:
            raise TransactionError(f"the node refused to simulate {call.label}: {error.message}") from error
        if call.expires_at is not None and await self._watch.head_time() > call.expires_at:
            raise ExpiredError(f"{call.label} was good until second {call.expires_at}; make it anew")
        gas = estimate * (100 + self.settings.gas_margin_percent) // 100
        fees = await suggest_fees(self.w3, self.settings.limits)
        plan = Plan(sender, gas, fees, await self.w3.eth.get_balance(sender))
        if plan.balance_wei < plan.cost_wei:
            raise TransactionError(
                f"{sender} has {plan.balance_wei} wei on chain {self.chain_id} and {call.label} can cost "
                f"{plan.cost_wei} wei; fund it"
            )
        return plan

    async def resume(self) -> list[Outcome]:
        """Go on with everything of this signer on this chain that is not settled.

        One that fails does not keep the others from being followed: its outcome says so.
        """
        await self._check_chain()
        sender = self.signer.address
        outcomes = []
        for intent in [
            *self.journal.live(self.chain_id, sender),
            *self.journal.waiting(self.chain_id, sender),
        ]:
            try:
                outcomes.append(await self.go_on(intent))
            except (ProofRefusedError, TransactionError) as error:
                log.warning("%s: %s", intent.key, error)
                now = self.journal.find(intent.key) or intent
                outcomes.append(Outcome(intent.key, now.state, intent=now))
        return outcomes

    async def go_on(self, intent: Intent) -> Outcome:
        """Bring about what is written down in `intent`. Raises as `relay`."""
        call = Call(
            intent.key, intent.target, intent.data, intent.label, intent.fingerprint, intent.expires_at
        )
        return await self.relay(call, yes=True)

    async def follow(self, key: str) -> Outcome:
        """Follow a signed call until it is final.

        Raises:
            TransactionError: it failed for good, or is not final within the settings' time.
        """
        intent = await self.settle(key)
        if intent.state.without_effect:
            raise TransactionError(f"{intent.label} failed: {intent.reason}; look into it, then run it again")
        return Outcome(key, intent.state, intent=intent)

    async def settle(self, key: str) -> Intent:
        """Follow a signed call until it is final, failed or replaced.

        Raises:
            TransactionError: it is none of these within the settings' time, or the node will not take it.
        """
        started = time.monotonic()
        sent_at: float | None = None
        failures = 0
        intent = self._tell(key)
        while not intent.state.settled:
            try:
                if sent_at is None:
                    if intent.state in _WAITING:
                        await self._offer_more_if_stuck(intent)
                    await self._broadcast(key)
                    sent_at = time.monotonic()
                intent = await self._look(key)
                if intent.state in _WAITING and await self._tend(intent, time.monotonic() - sent_at):
                    sent_at = time.monotonic()
                failures = 0
            except (ChainError, Web3RPCError) as error:
                failures += 1
                log.warning("still following %s: %s", key, error)
            intent = self._present(key)
            if intent.state.settled:
                break
            if time.monotonic() - started >= self.settings.timeout_s:
                raise TransactionError(
                    f"{intent.label} is {intent.state} and not final after {self.settings.timeout_s:g} s; "
                    "run it again to go on following it"
                )
            await asyncio.sleep(self.settings.poll_s * (1 << min(failures, _SLOWER)))
        return intent

    async def give_up(self, key: str, reason: str) -> Intent:
        """Give the nonce of an unsettled intent to a transaction that does nothing; then it has to be followed.

        Of the call and that transaction at most one gets into the chain, and which one only the chain tells.

        Raises:
            TransactionError: there is no such intent, it is settled or in a block already, or outbidding its last
                offer would pass the fee limit.
        """
        intent = self.journal.find(key)
        if intent is None or intent.state.settled or intent.state is State.INCLUDED:
            state = "unknown" if intent is None else intent.state.value
            raise TransactionError(f"{key} is {state} and cannot be given up; look at its status")
        if intent.state is State.INTENT:
            self.journal.settle(key, State.FAILED, reason)
            return self.journal.find(key) or intent
        fees = await self._raised(self.journal.attempts(key)[-1])
        if fees is None:
            raise TransactionError(
                f"{key} cannot be outbid within the fee limit; raise the limit, or wait for a block to take it"
            )
        if self._replace(intent, fees, Kind.CANCEL, reason):
            log.warning("giving up %s: %s", key, reason)
            await self._broadcast(key)
        return self._tell(key)

    async def _check_chain(self) -> None:
        reported = await self.w3.eth.chain_id
        if reported != self.chain_id:
            raise ConfigError(
                f"the endpoint serves chain {reported}, not {self.chain_id}; correct the network file"
            )

    async def _sign(self, intent: Intent, plan: Plan) -> None:
        self.journal.sign(
            intent.key,
            pending_nonce=await self._watch.count(intent.sender, "pending"),
            gas=plan.gas,
            fees=plan.fees,
            sign=lambda nonce: self._signed(intent, nonce, plan.gas, plan.fees),
        )

    def _signed(
        self, intent: Intent, nonce: int, gas: int, fees: Fees, kind: Kind = Kind.CALL
    ) -> SignedTransaction:
        return self.signer.sign(transaction(self.chain_id, intent, nonce, gas, fees, kind))

    async def _broadcast(self, key: str) -> None:
        """Send the newest attempt's bytes, again if need be; the same bytes are the same transaction."""
        intent = self._present(key)
        if intent.state not in _WAITING:
            return
        attempt = self.journal.attempts(key)[-1]
        try:
            await self.w3.eth.send_raw_transaction(HexBytes(attempt.raw))
        except Web3RPCError as error:
            answer = understood(error)
            if answer is Answer.SPENT:
                return
            if answer is Answer.CONTESTED:
                self._alert(
                    intent, f"nonce {intent.nonce} is contested by another transaction of the same key"
                )
                return
            if answer is Answer.REFUSED:
                if intent.state is State.SIGNED:
                    raise TransactionError(
                        f"the node refused {intent.label} ({error.message}); it is in the journal: mend the cause "
                        "and run it again"
                    ) from error
                log.warning("sending %s again: %s", attempt.hash, error.message)
                return
        self.journal.sent(attempt.hash)
        if intent.state is State.SIGNED:
            self.journal.broadcast(key)
            self._tell(key)

    async def _look(self, key: str) -> Intent:
        """Bring the journal in line with the chain."""
        intent = self._present(key)
        attempts = self.journal.attempts(key)
        final_height = await self._watch.final_height()
        found = await self._watch.receipt(attempts)
        if found is None:
            return await self._without_receipt(intent, attempts, final_height)
        receipt, attempt = found
        self.journal.alert(key, "")
        block_hash, number = receipt["blockHash"].to_0x_hex(), receipt["blockNumber"]
        if intent.state is not State.INCLUDED or intent.block_hash != block_hash:
            created = receipt.get("contractAddress")
            self.journal.included(
                key,
                transaction_hash=attempt.hash,
                block_number=number,
                block_hash=block_hash,
                gas_used=receipt["gasUsed"],
                contract_address=str(created) if created else None,
            )
            intent = self._tell(key)
        if number > final_height or not await self._watch.canonical(number, block_hash):
            return intent
        if attempt.kind is Kind.CANCEL:
            return self._settled(key, State.FAILED, intent.giving_up)
        if receipt["status"] == 1:
            return self._settled(key, State.FINAL)
        return self._settled(key, State.FAILED, await self._watch.why_reverted(intent, number))

    async def _without_receipt(self, intent: Intent, attempts: list[Attempt], final_height: int) -> Intent:
        """No node showed a receipt: the block may be gone, the node may lag, or the nonce may be someone else's."""
        if intent.state is State.INCLUDED:
            number = intent.block_number
            if number is not None and await self._watch.canonical(number, intent.block_hash):
                self._alert(intent, "the node has its block and not its receipt")
                return self._present(intent.key)
            log.warning("the block with %s is gone; sending it again", intent.transaction_hash)
            self.journal.broadcast(intent.key)
            intent = self._tell(intent.key)
            await self._broadcast(intent.key)
            return intent
        if intent.nonce is None:
            return intent
        spender = await self._watch.spender(intent.sender, intent.nonce, final_height)
        if spender is None:
            return intent
        if spender in {a.hash for a in attempts}:
            self._alert(intent, f"{spender} is in a final block and the node has no receipt of it")
            return intent
        reason = f"nonce {intent.nonce} of {intent.sender} was used by another transaction, {spender}"
        return self._settled(intent.key, State.REPLACED, reason)

    async def _tend(self, intent: Intent, since_sent_s: float) -> bool:
        """What waiting asks for. Returns whether bytes were sent."""
        if intent.expires_at is not None and not intent.giving_up:
            now = await self._watch.head_time()
            if now > intent.expires_at and await self._raised(self.journal.attempts(intent.key)[-1]):
                await self.give_up(
                    intent.key, f"it expired at second {intent.expires_at} before a block took it"
                )
                return True
        if await self._offer_more_if_stuck(intent):
            await self._broadcast(intent.key)
            return True
        if since_sent_s < self.settings.rebroadcast_s:
            return False
        await self._broadcast(intent.key)
        await self._close_gap(intent)
        return True

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
        return self._replace(intent, fees, last.kind)

    def _replace(self, intent: Intent, fees: Fees, kind: Kind, giving_up: str = "") -> bool:
        gas = intent.gas or 0
        return self.journal.replace(
            intent.key,
            fees,
            lambda nonce: self._signed(intent, nonce, gas, fees, kind),
            kind=kind,
            giving_up=giving_up,
        )

    async def _raised(self, last: Attempt) -> Fees | None:
        """The next offer: enough to replace the last one, and today's price; None beyond the limits."""
        least = last.fees.raised()
        if not self.settings.limits.allow(least):
            return None
        try:
            return least.at_least(await suggest_fees(self.w3, self.settings.limits))
        except TransactionError:
            return least

    async def _close_gap(self, intent: Intent) -> None:
        """See to lower nonces without which this one cannot get in: ours are sent again, empty ones filled."""
        if intent.nonce is None or intent.gas is None:
            return
        sender = intent.sender
        mined, pending = await self._watch.count(sender, "latest"), await self._watch.count(sender, "pending")
        lower = {i.nonce: i for i in self.journal.live(self.chain_id, sender) if i.nonce is not None}
        for nonce in range(mined, intent.nonce):
            if (own := lower.get(nonce)) is not None:
                await self._broadcast(own.key)
                await self._look(own.key)
            elif nonce >= pending and intent.key.partition(":")[0] != _GAP:
                await self._fill(intent, nonce)

    async def _fill(self, above: Intent, nonce: int) -> None:
        """Spend a nonce that no known transaction has, once its absence holds `above` up for `bump_s`."""
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
            expires_at=None,
        )
        if self.journal.intend(filler).state is not State.INTENT:
            return
        signed = self.journal.sign(
            filler.key,
            pending_nonce=nonce,
            gas=above.gas or 0,
            fees=last.fees,
            sign=lambda n: self._signed(filler, n, 0, last.fees, Kind.CANCEL),
            exactly=True,
        )
        if signed:
            await self._broadcast(filler.key)

    def _intent(self, call: Call) -> Intent:
        target = None if call.to is None else to_checksum_address(call.to)
        return Intent(
            key=call.key,
            chain_id=self.chain_id,
            sender=self.signer.address,
            label=call.label,
            target=target,
            data=call.data,
            fingerprint=call.fingerprint,
            state=State.INTENT,
            expires_at=call.expires_at,
        )

    def _present(self, key: str) -> Intent:
        intent = self.journal.find(key)
        if intent is None or (intent.state is State.INTENT):
            raise TransactionError(f"{key} was never signed; send it first")
        return intent

    def _settled(self, key: str, state: State, reason: str = "") -> Intent:
        self.journal.settle(key, state, reason)
        return self._tell(key)

    def _alert(self, intent: Intent, text: str) -> None:
        if intent.alert != text:
            log.warning("%s: %s", intent.key, text)
            self.journal.alert(intent.key, text)

    def _tell(self, key: str) -> Intent:
        intent = self._present(key)
        log.info("%s is %s (nonce %s)", key, intent.state, intent.nonce)
        self._progress(intent)
        return intent
