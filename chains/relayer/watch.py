"""What a chain says about a sender's transactions, and what can be concluded from it.

A node that does not know a receipt proves nothing: it may have forgotten, or lag. That a nonce is lost to another
transaction is concluded only from the block that holds that other transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3 import AsyncWeb3
from web3.exceptions import BlockNotFound, ContractLogicError, TransactionNotFound, Web3RPCError
from web3.types import BlockIdentifier, TxParams, TxReceipt

from chains.contracts.registry import revert_data
from chains.contracts.reverts import refusal
from chains.relayer.intents import Attempt, Intent
from chains.relayer.settings import Finality


class NotShownError(Exception):
    """A node keeps too little to show what was asked for; nothing is concluded from that."""


class Watch:
    """Looks at one chain."""

    def __init__(self, w3: AsyncWeb3[Any], finality: Finality) -> None:
        self.w3 = w3
        self.finality = finality

    async def final_height(self) -> int:
        """Number of the highest final block; negative when there is none."""
        confirmations = self.finality.confirmations
        if confirmations is not None:
            return int(await self.w3.eth.block_number) + 1 - confirmations
        return int((await self.w3.eth.get_block("finalized")).get("number", -1))

    async def head_time(self) -> int:
        """Timestamp of the latest block, Unix seconds."""
        return int((await self.w3.eth.get_block("latest"))["timestamp"])

    async def count(self, sender: str, block: BlockIdentifier) -> int:
        """Transactions of `sender` up to a block: its next nonce there."""
        return await self.w3.eth.get_transaction_count(to_checksum_address(sender), block)

    async def receipt(self, attempts: Sequence[Attempt]) -> tuple[TxReceipt, Attempt] | None:
        """The receipt of whichever attempt is in a block, newest first."""
        for attempt in reversed(attempts):
            try:
                return await self.w3.eth.get_transaction_receipt(HexBytes(attempt.hash)), attempt
            except TransactionNotFound:
                continue
        return None

    async def canonical(self, number: int, block_hash: str | None) -> bool:
        """Whether the block at `number` is the one with this hash."""
        try:
            found = (await self.w3.eth.get_block(number)).get("hash")
        except BlockNotFound:
            return False
        return found is not None and found.to_0x_hex() == block_hash

    async def spender(self, sender: str, nonce: int, final_height: int) -> str | None:
        """Hash of the transaction in a final block that spent `nonce`.

        Returns: None while none did.

        Raises:
            NotShownError: the node does not keep state or blocks as old as are needed for that.
        """
        try:
            if final_height < 0 or await self.count(sender, final_height) <= nonce:
                return None
            low, high, step = final_height, final_height, 1
            while low > 0 and await self.count(sender, low) > nonce:
                high, low, step = low, max(0, low - step), step * 2
            while low + 1 < high:
                middle = (low + high) // 2
                low, high = (low, middle) if await self.count(sender, middle) > nonce else (middle, high)
            for number in {low, high}:
                block = await self.w3.eth.get_block(number, full_transactions=True)
                for tx in block.get("transactions", ()):
                    if not isinstance(tx, bytes) and tx["from"] == sender and tx["nonce"] == nonce:
                        return str(tx["hash"].to_0x_hex())
        except (Web3RPCError, BlockNotFound) as error:
            raise NotShownError from error
        return None

    async def spent(self, sender: str, nonce: int) -> bool:
        """Whether a block, final or not, holds a transaction with `nonce`."""
        return await self.count(sender, "latest") > nonce

    async def why_reverted(self, intent: Intent, number: int) -> str:
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
