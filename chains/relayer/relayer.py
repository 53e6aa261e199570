"""Gets a call onto a chain once, at a sane price, and follows it until it is final."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3 import AsyncWeb3
from web3.exceptions import ContractLogicError, TransactionNotFound, Web3RPCError
from web3.types import TxParams, TxReceipt

from aggregator.model.errors import ChainUnreachableError, ConfigError, TransactionError
from chains.contracts.registry import revert_data
from chains.contracts.reverts import refusal
from chains.relayer.call import Call, Outcome, Plan
from chains.relayer.fees import Fees, suggest_fees
from chains.relayer.journal import Attempt, Intent, Journal, State
from chains.relayer.settings import RelayerSettings
from chains.relayer.signer import SignedTransaction, Signer

log = logging.getLogger(__name__)

_HELD_ALREADY = (
    "already known",
    "known transaction",
    "already imported",
    "alreadyknown",
    "already in mempool",
)
_NONCE_SPENT = ("nonce too low", "nonce is too low", "oldnonce")
_LOOKS_BEFORE_LOST = 3
_WAITING = frozenset({State.SIGNED, State.BROADCAST})


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
        if intent is None or intent.state in {State.INTENT, State.FAILED}:
            plan = await self.plan(call)
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
            ProofRefusedError, ExpiredError, TransactionError: it would revert, gas is above the limit, or the sender
                cannot pay.
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
        """Follow everything of this signer on this chain that is signed and not settled."""
        await self._check_chain()
        live = self.journal.live(self.chain_id, self.signer.address)
        return [await self.follow(intent.key) for intent in live]

    async def follow(self, key: str) -> Outcome:
        """Follow a signed call until it is final.

        Raises:
            TransactionError: it failed for good, or is not final within the settings' time.
        """
        started = sent_at = time.monotonic()
        intent = self._tell(key)
        if intent.state in _WAITING:
            await self._replace_if_stuck(intent)
        await self._broadcast(key)
        lost_looks = 0
        while True:
            try:
                intent, lost = await self._look(key)
                lost_looks = lost_looks + 1 if lost else 0
                if lost_looks >= _LOOKS_BEFORE_LOST:
                    reason = f"nonce {intent.nonce} of {intent.sender} was used by another transaction"
                    self._settle(key, State.FAILED, reason)
                if intent.state in _WAITING:
                    replaced = await self._replace_if_stuck(intent)
                    if replaced or time.monotonic() - sent_at >= self.settings.rebroadcast_s:
                        sent_at = time.monotonic()
                        await self._broadcast(key)
            except ChainUnreachableError as error:
                log.warning("still following %s: %s", key, error)
            intent = self._present(key)
            if intent.state is State.FINAL:
                return Outcome(key, intent.state, intent=intent)
            if intent.state is State.FAILED:
                raise TransactionError(
                    f"{intent.label} failed: {intent.reason}; look into it, then run it again"
                )
            if time.monotonic() - started >= self.settings.timeout_s:
                raise TransactionError(
                    f"{intent.label} is {intent.state} and not final after {self.settings.timeout_s:g} s; "
                    "run it again to go on following it"
                )
            await asyncio.sleep(self.settings.poll_s)

    async def _check_chain(self) -> None:
        reported = await self.w3.eth.chain_id
        if reported != self.chain_id:
            raise ConfigError(
                f"the endpoint serves chain {reported}, not {self.chain_id}; correct the network file"
            )

    async def _sign(self, intent: Intent, plan: Plan) -> None:
        pending = await self.w3.eth.get_transaction_count(to_checksum_address(intent.sender), "pending")
        self.journal.sign(
            intent.key,
            pending_nonce=pending,
            gas=plan.gas,
            fees=plan.fees,
            sign=lambda nonce: self._signed(intent, nonce, plan.gas, plan.fees),
        )

    def _signed(self, intent: Intent, nonce: int, gas: int, fees: Fees) -> SignedTransaction:
        transaction: dict[str, Any] = {
            "type": 2,
            "chainId": self.chain_id,
            "nonce": nonce,
            "gas": gas,
            "maxFeePerGas": fees.max_fee_wei,
            "maxPriorityFeePerGas": fees.priority_fee_wei,
            "value": 0,
            "data": intent.data,
        }
        if intent.target is not None:
            transaction["to"] = intent.target
        return self.signer.sign(transaction)

    async def _broadcast(self, key: str) -> None:
        """Send the newest attempt's bytes, again if need be; the same bytes are the same transaction."""
        intent = self._present(key)
        if intent.state not in _WAITING:
            return
        attempt = self.journal.attempts(key)[-1]
        try:
            await self.w3.eth.send_raw_transaction(HexBytes(attempt.raw))
        except Web3RPCError as error:
            message = error.message.lower()
            if any(words in message for words in _NONCE_SPENT):
                # Mined already, or the nonce went to another transaction: the next looks will tell.
                return
            if not any(words in message for words in _HELD_ALREADY):
                if intent.state is State.SIGNED:
                    raise TransactionError(
                        f"the node refused {intent.label} ({error.message}); it is in the journal: mend the cause "
                        "and run it again"
                    ) from error
                log.warning("sending %s again: %s", attempt.hash, error.message)
                return
        if intent.state is State.SIGNED:
            self.journal.broadcast(key)
            self._tell(key)

    async def _look(self, key: str) -> tuple[Intent, bool]:
        """Bring the journal in line with the chain. Second: the nonce is spent for good and none of ours is there."""
        intent = self._present(key)
        final_height = await self._final_height()
        spent = await self._spent(intent, final_height)
        receipt = await self._receipt(self.journal.attempts(key))
        if receipt is None:
            if intent.state is State.INCLUDED:
                log.warning("the block with %s is gone; sending it again", intent.transaction_hash)
                self.journal.broadcast(key)
                intent = self._tell(key)
            return intent, spent
        block_hash, number = receipt["blockHash"].to_0x_hex(), receipt["blockNumber"]
        if intent.state is not State.INCLUDED or intent.block_hash != block_hash:
            created = receipt.get("contractAddress")
            self.journal.included(
                key,
                transaction_hash=receipt["transactionHash"].to_0x_hex(),
                block_number=number,
                block_hash=block_hash,
                gas_used=receipt["gasUsed"],
                contract_address=str(created) if created else None,
            )
            intent = self._tell(key)
        if number <= final_height:
            canonical = (await self.w3.eth.get_block(number)).get("hash")
            if canonical is not None and canonical.to_0x_hex() == block_hash:
                if receipt["status"] == 1:
                    self._settle(key, State.FINAL)
                else:
                    self._settle(key, State.FAILED, await self._why_reverted(intent, number))
        return intent, False

    async def _final_height(self) -> int:
        confirmations = self.settings.finality.confirmations
        if confirmations is not None:
            return int(await self.w3.eth.block_number) + 1 - confirmations
        return int((await self.w3.eth.get_block("finalized")).get("number", -1))

    async def _spent(self, intent: Intent, final_height: int) -> bool:
        if final_height < 0 or intent.nonce is None:
            return False
        count = await self.w3.eth.get_transaction_count(to_checksum_address(intent.sender), final_height)
        return count > intent.nonce

    async def _receipt(self, attempts: list[Attempt]) -> TxReceipt | None:
        for attempt in reversed(attempts):
            try:
                return await self.w3.eth.get_transaction_receipt(HexBytes(attempt.hash))
            except TransactionNotFound:
                continue
        return None

    async def _why_reverted(self, intent: Intent, number: int) -> str:
        """The reason, from running the call again on the state before its block (the best a node can do)."""
        request: TxParams = {"from": to_checksum_address(intent.sender), "data": HexBytes(intent.data)}
        if intent.target is not None:
            request["to"] = to_checksum_address(intent.target)
        if intent.gas is not None:
            request["gas"] = intent.gas
        for block in (number, number - 1):
            try:
                await self.w3.eth.call(request, block)
            except ContractLogicError as error:
                return f"it reverted in block {number}: {refusal(revert_data(error))}"
            except Web3RPCError:
                break
        return f"it reverted in block {number}, and the node cannot say why"

    async def _replace_if_stuck(self, intent: Intent) -> bool:
        """Offer more for a transaction that no block takes, as far as the limits allow."""
        last = self.journal.attempts(intent.key)[-1]
        if time.time() - last.signed_at < self.settings.bump_s or intent.gas is None:
            return False
        gas = intent.gas
        fees = last.fees.raised()
        if not self.settings.limits.allow(fees):
            return False
        log.warning("%s waits since %s; offering more", last.hash, last.signed_at)
        self.journal.replace(intent.key, fees, lambda nonce: self._signed(intent, nonce, gas, fees))
        return True

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
        )

    def _present(self, key: str) -> Intent:
        intent = self.journal.find(key)
        if intent is None or intent.state is State.INTENT:
            raise TransactionError(f"{key} was never signed; send it first")
        return intent

    def _settle(self, key: str, state: State, reason: str = "") -> None:
        self.journal.settle(key, state, reason)
        self._tell(key)

    def _tell(self, key: str) -> Intent:
        intent = self._present(key)
        log.info("%s is %s (nonce %s)", key, intent.state, intent.nonce)
        self._progress(intent)
        return intent
