"""How transactions are made, and what a node's answer to one means."""

from __future__ import annotations

from enum import Enum
from typing import Any, Final

from web3.exceptions import Web3RPCError

from chains.relayer.fees import Fees
from chains.relayer.intents import Intent, Kind

TRANSFER_GAS: Final = 21_000
"""Gas of a transfer to an account without code (yellow paper, G_transaction)."""

_HELD_ALREADY: Final = (
    "already known",
    "known transaction",
    "already imported",
    "alreadyknown",
    "already in mempool",
)
_NONCE_SPENT: Final = ("nonce too low", "nonce is too low", "oldnonce")
_CONTESTED: Final = ("underpriced", "could not replace", "higher priority")


class Answer(Enum):
    """What a node's refusal of a transaction means."""

    HELD = "it has it already"
    SPENT = "its nonce is spent: mined already, or by another transaction; looking at the chain will tell"
    CONTESTED = "it holds another transaction with this nonce that offers as much"
    REFUSED = "it will not take it"


def understood(error: Web3RPCError) -> Answer:
    """Sort a refusal of eth_sendRawTransaction by the words nodes use for it."""
    message = str(error.message).lower()
    for words, answer in (
        (_HELD_ALREADY, Answer.HELD),
        (_NONCE_SPENT, Answer.SPENT),
        (_CONTESTED, Answer.CONTESTED),
    ):
        if any(word in message for word in words):
            return answer
    return Answer.REFUSED


def transaction(
    chain_id: int, intent: Intent, nonce: int, gas: int, fees: Fees, kind: Kind = Kind.CALL
) -> dict[str, Any]:
    """The unsigned EIP-1559 transaction of an attempt: the intent's call, or a transfer of nothing to oneself."""
    common: dict[str, Any] = {
        "type": 2,
        "chainId": chain_id,
        "nonce": nonce,
        "gas": TRANSFER_GAS if kind is Kind.CANCEL else gas,
        "maxFeePerGas": fees.max_fee_wei,
        "maxPriorityFeePerGas": fees.priority_fee_wei,
        "value": 0,
    }
    if kind is Kind.CANCEL:
        return {**common, "data": b"", "to": intent.sender}
    target = {} if intent.target is None else {"to": intent.target}
    return {**common, "data": intent.data, **target}
