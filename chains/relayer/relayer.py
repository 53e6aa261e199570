"""Gets a call onto a chain once, at a sane price, and follows it until it is final."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from typing import Final

from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3.exceptions import ContractLogicError, Web3RPCError
from web3.types import TxParams

from aggregator.model.errors import ChainError, ConfigError, ExpiredError, ProofRefusedError, TransactionError
from chains.contracts.registry import revert_data
from chains.contracts.reverts import refusal
from chains.relayer.bidding import log
from chains.relayer.call import Call, Outcome, Plan
from chains.relayer.fees import suggest_fees
from chains.relayer.following import Follower
from chains.relayer.intents import Intent, State

_AT_ONCE: Final = 16
"""Intents that `resume` follows at the same time, the lowest nonces first: those above get in after them anyway."""


class Relayer(Follower):
    """Sends calls of one signer on one chain."""

    async def relay(self, call: Call, *, yes: bool = False) -> Outcome:
        """Bring `call` about and follow it until it is final. Without `yes` nothing is signed or sent.

        A call that is in the journal already is followed from where it stands; the outcome says that it was begun
        before, or was done before. A call that would revert is not sent.

        Raises:
            ProofRefusedError, ExpiredError, TransactionError: the contract would refuse, with its reason; or the
                transaction failed, or is not final in time (then the same call goes on with it later).
        """
        await self._check_chain()
        intent = self.journal.find(call.key)
        before = intent is not None and not intent.state.without_effect
        if intent is None or intent.state is State.INTENT or intent.state.without_effect:
            try:
                plan = await self.plan(call)
            except (ProofRefusedError, TransactionError) as error:
                if (
                    yes
                    and intent is not None
                    and intent.state is State.INTENT
                    and not self._abandoned(call, error)
                ):
                    # Another process has signed it while it was tried here; what it would do now is beside the point.
                    return replace(await self.follow(call.key), resumed=True)
                raise
            if not yes:
                return Outcome(call.key, State.PLANNED, plan=plan)
            intent = self.journal.intend(self._intent(call))
            if intent.state is State.INTENT:
                await self._sign(intent, plan.gas, plan.fees)
        elif not yes:
            return Outcome(call.key, intent.state, intent=intent, already=intent.state is State.FINAL)
        else:
            intent = self.journal.intend(self._intent(call))
        done = intent.state is State.FINAL
        return replace(await self.follow(call.key), already=done, resumed=before and not done)

    def _abandoned(self, call: Call, error: Exception) -> bool:
        """Give an intent up that was never signed. Returns False when it is signed by now."""
        if self.journal.abandon(call.key, f"it was not sent: {error}"):
            return True
        now = self.journal.find(call.key)
        return now is None or now.state is State.INTENT or now.state.without_effect

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

    async def resume(self, besides: Collection[str] = ()) -> list[Outcome]:
        """Go on with everything of this signer on this chain that is not settled.

        One that fails does not keep the others from being followed: its outcome says so.

        Parameters:
            besides: keys that are followed elsewhere in this process.
        """
        await self._check_chain()
        sender, turns = self.signer.address, asyncio.Semaphore(_AT_ONCE)

        async def one(intent: Intent) -> Outcome:
            async with turns:
                try:
                    return await self.go_on(intent)
                except (ProofRefusedError, TransactionError, ChainError, Web3RPCError) as error:
                    log.warning("%s: %s", intent.key, error)
                    now = self.journal.find(intent.key) or intent
                    return Outcome(intent.key, now.state, intent=now, error=str(error))

        live, waiting = (
            self.journal.live(self.chain_id, sender),
            self.journal.waiting(self.chain_id, sender),
        )
        mine = [intent for intent in (*live, *waiting) if intent.key not in besides]
        return await asyncio.gather(*(one(intent) for intent in mine))

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

    async def _check_chain(self) -> None:
        reported = await self.w3.eth.chain_id
        if reported != self.chain_id:
            raise ConfigError(
                f"the endpoint serves chain {reported}, not {self.chain_id}; correct the network file"
            )

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
