"""A local EVM chain with the handful of operations that tests and the demo need."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from eth_abi.abi import encode as abi_encode
from eth_utils.abi import collapse_if_tuple
from eth_utils.address import to_checksum_address

from aggregator.model.errors import TransactionError
from chains.contracts import Artifact, artifact
from chains.devnet.accounts import COUNT, MNEMONIC, DevAccount, dev_accounts
from chains.devnet.binary import anvil_binary
from chains.devnet.process import anvil_process
from chains.rpc import Endpoint
from chains.rpc.abi import decode_result, selector
from chains.rpc.values import encode_data, encode_quantity, parse_data, parse_object, parse_quantity

if TYPE_CHECKING:
    from eth_typing import ABIComponent

HARDFORK: Final = "prague"
_RECEIPT_POLLS: Final = 200
_RECEIPT_POLL_S: Final = 0.02


@dataclass(frozen=True)
class Deployed:
    """A contract on a devnet, called by the names in its ABI."""

    net: Devnet
    address: str
    artifact: Artifact

    async def send(
        self,
        function: str,
        *arguments: object,
        sender: str | None = None,
        value: int = 0,
        gas: int | None = None,
    ) -> str:
        """Send a transaction and return its hash; raises TransactionError when it reverts.

        Without `gas` the node estimates it, which is too little where a later block does more work (interest).
        """
        data = encode_function(self.artifact.abi, function, arguments)
        return await self.net.send(self.address, data, sender=sender, value=value, gas=gas)

    async def read(self, function: str, *arguments: object) -> tuple[Any, ...]:
        """The outputs of a view function at the latest block."""
        data = encode_function(self.artifact.abi, function, arguments)
        raw = await self.net.endpoint.call(
            "eth_call", [{"to": self.address, "data": encode_data(data)}, "latest"]
        )
        outputs = _types(_function(self.artifact.abi, function, len(arguments))["outputs"])
        return decode_result(outputs, parse_data(raw, function), function)


@dataclass(frozen=True)
class Devnet:
    """A running local chain. `url` needs no key; `accounts` are funded and unlocked."""

    chain_id: int
    url: str
    endpoint: Endpoint
    accounts: tuple[DevAccount, ...]

    @property
    def caip2(self) -> str:
        """CAIP-2 id."""
        return f"eip155:{self.chain_id}"

    async def deploy(self, name: str, *arguments: object, sender: str | None = None) -> Deployed:
        """Deploy the packaged artifact `name` with its constructor arguments."""
        return await self.deploy_artifact(artifact(name), *arguments, sender=sender)

    async def deploy_artifact(
        self, compiled: Artifact, *arguments: object, sender: str | None = None
    ) -> Deployed:
        """Deploy any compiled contract with its constructor arguments."""
        types = next((_types(e["inputs"]) for e in compiled.abi if e["type"] == "constructor"), [])
        data = compiled.bytecode + abi_encode(types, [_plain(a) for a in arguments])
        receipt = await self._transact({"data": encode_data(data)}, sender)
        return Deployed(self, to_checksum_address(str(receipt["contractAddress"])), compiled)

    async def deploy_code(self, init_code: bytes) -> str:
        """Deploy raw creation code; returns the address."""
        receipt = await self._transact({"data": encode_data(init_code)}, None)
        return to_checksum_address(str(receipt["contractAddress"]))

    async def send(
        self,
        to: str,
        data: bytes = b"",
        *,
        sender: str | None = None,
        value: int = 0,
        gas: int | None = None,
    ) -> str:
        """Send a transaction from an unlocked account and return its hash."""
        limit = {} if gas is None else {"gas": encode_quantity(gas)}
        receipt = await self._transact(
            {"to": to, "data": encode_data(data), "value": encode_quantity(value), **limit}, sender
        )
        return str(receipt["transactionHash"])

    async def _transact(self, transaction: dict[str, object], sender: str | None) -> dict[str, object]:
        full = {"from": sender or self.accounts[0].address, **transaction}
        sent = await self.endpoint.call("eth_sendTransaction", [full])
        receipt = await self._receipt(sent)
        if parse_quantity(receipt.get("status"), "the status") != 1:
            raise TransactionError(f"the transaction {sent} on {self.caip2} reverted; check its arguments")
        return receipt

    async def _receipt(self, transaction_hash: object) -> dict[str, object]:
        """The node may answer the send a moment before it has mined the block."""
        for _ in range(_RECEIPT_POLLS):
            receipt = await self.endpoint.call("eth_getTransactionReceipt", [transaction_hash])
            if receipt is not None:
                return parse_object(receipt, "the transaction receipt")
            await asyncio.sleep(_RECEIPT_POLL_S)
        raise TransactionError(
            f"the transaction {transaction_hash} on {self.caip2} was not mined; is mining off?"
        )

    async def mine(self, blocks: int = 1) -> None:
        """Mine `blocks` empty blocks."""
        await self.endpoint.call("anvil_mine", [encode_quantity(blocks)])

    async def head(self) -> dict[str, object]:
        """The latest block, as the node describes it."""
        return parse_object(await self.endpoint.call("eth_getBlockByNumber", ["latest", False]), "the block")

    async def finalized(self) -> dict[str, object]:
        """The block that the node calls final."""
        block = await self.endpoint.call("eth_getBlockByNumber", ["finalized", False])
        return parse_object(block, "the finalized block")

    async def set_balance(self, address: str, wei: int) -> None:
        """Set a native balance.

        anvil writes into the state of the latest block after the fact, so a block is mined before and after:
        the proofs of those two match their roots.
        """
        await self._between_blocks("anvil_setBalance", address, encode_quantity(wei))

    async def set_storage(self, address: str, slot: int, value: int) -> None:
        """Set one storage word, between two blocks as in `set_balance`."""
        words = (encode_data(slot.to_bytes(32, "big")), encode_data(value.to_bytes(32, "big")))
        await self._between_blocks("anvil_setStorageAt", address, *words)

    async def set_code(self, address: str, code: bytes) -> None:
        """Set an account's code, between two blocks as in `set_balance`."""
        await self._between_blocks("anvil_setCode", address, encode_data(code))

    async def _between_blocks(self, method: str, *params: str) -> None:
        await self.mine()
        await self.endpoint.call(method, list(params))
        await self.mine()

    async def next_timestamp(self, timestamp: int) -> None:
        """The next block gets this timestamp, and later ones go on from it."""
        await self.endpoint.call("evm_setNextBlockTimestamp", [encode_quantity(timestamp)])

    async def checkpoint(self) -> str:
        """Remember the present state for `revert`."""
        return str(await self.endpoint.call("evm_snapshot"))

    async def revert(self, checkpoint: str) -> None:
        """Forget every block after `checkpoint`, as a reorganisation would."""
        await self.endpoint.call("evm_revert", [checkpoint])


@contextlib.asynccontextmanager
async def devnet(
    chain_id: int,
    *,
    hardfork: str = HARDFORK,
    timestamp: int | None = None,
    block_gas_limit: int | None = None,
) -> AsyncIterator[Devnet]:
    """Start a local chain and end it on leaving.

    `finalized` trails the head by two blocks and `safe` by one. Transactions are mined at once.

    Parameters:
        chain_id: the EIP-155 id it reports.
        timestamp: of the genesis block, in Unix seconds; now by default.
        block_gas_limit: also the cap of an eth_call.

    Raises:
        ToolMissingError: anvil is missing or does not start.
    """
    arguments = ["--chain-id", str(chain_id), "--hardfork", hardfork, "--slots-in-an-epoch", "1"]
    arguments += ["--mnemonic", MNEMONIC, "--accounts", str(COUNT)]
    if timestamp is not None:
        arguments += ["--timestamp", str(timestamp)]
    if block_gas_limit is not None:
        arguments += ["--gas-limit", str(block_gas_limit)]
    async with anvil_process(anvil_binary(), arguments) as port:
        url = f"http://127.0.0.1:{port}"
        endpoint = Endpoint(url)
        try:
            yield Devnet(chain_id, url, endpoint, dev_accounts())
        finally:
            await endpoint.close()


def encode_function(abi: list[dict[str, Any]], name: str, arguments: tuple[object, ...]) -> bytes:
    """Call data of the function `name` that takes as many arguments as given."""
    types = _types(_function(abi, name, len(arguments))["inputs"])
    return selector(f"{name}({','.join(types)})") + abi_encode(types, [_plain(a) for a in arguments])


def _function(abi: list[dict[str, Any]], name: str, count: int) -> dict[str, Any]:
    for entry in abi:
        if entry["type"] == "function" and entry["name"] == name and len(entry["inputs"]) == count:
            return entry
    raise TransactionError(f"the contract has no function {name} with {count} arguments; check its ABI")


def _types(parameters: list[dict[str, Any]]) -> list[str]:
    """Canonical types, a struct as the tuple of its fields."""
    return [collapse_if_tuple(cast("ABIComponent", parameter)) for parameter in parameters]


def _plain(argument: object) -> object:
    """A deployed contract stands for its address."""
    return argument.address if isinstance(argument, Deployed) else argument
