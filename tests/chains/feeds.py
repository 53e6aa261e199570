"""Chainlink's and Pyth's own contracts on a local chain, as their packages publish them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from eth_abi.abi import encode as abi_encode
from eth_utils.address import to_checksum_address

from chains.contracts import Artifact
from chains.devnet import Deployed, Devnet
from tests.chains.protocols import installed

NOBODY = to_checksum_address("0x" + "00" * 20)
PRICE_ID = bytes.fromhex("ff61491a931112ddf1bd8147cd1b641375f79f5825126d665480874634fd0ace")
"""Pyth's id of ETH/USD."""
_GAS = 2_000_000


def _chainlink(name: str) -> Artifact:
    path = installed() / "@chainlink/contracts/abi/v0.6" / f"{name}.json"
    made = json.loads(path.read_text())["compilerOutput"]
    code = made["evm"]["bytecode"]["object"].removeprefix("0x")
    return Artifact(name, made["abi"], bytes.fromhex(code), b"", "")


def _pyth() -> Artifact:
    folder = installed() / "@pythnetwork/pyth-sdk-solidity"
    code = (folder / "build/MockPyth_sol_MockPyth.bin").read_text().strip()
    return Artifact(
        "MockPyth", json.loads((folder / "abis/MockPyth.json").read_text()), bytes.fromhex(code), b"", ""
    )


@dataclass
class Aggregator:
    """A FluxAggregator of one oracle (the deployer), behind an EACAggregatorProxy."""

    flux: Deployed
    proxy: Deployed
    rounds: int = 0

    async def answer(self, value: int) -> None:
        """Submit the answer of the next round."""
        self.rounds += 1
        await self.flux.send("submit", self.rounds, value, gas=_GAS)


async def aggregator(net: Devnet, description: str, decimals: int, *answers: int) -> Aggregator:
    """Chainlink's contracts with the answers given, one round each."""
    flux = await _flux(net, description, decimals)
    proxy = await net.deploy_artifact(_chainlink("EACAggregatorProxy"), flux, NOBODY)
    made = Aggregator(flux, proxy)
    for value in answers:
        await made.answer(value)
    return made


async def _flux(net: Devnet, description: str, decimals: int) -> Deployed:
    owner = net.accounts[0].address
    flux = await net.deploy_artifact(
        _chainlink("FluxAggregator"), NOBODY, 0, 0, NOBODY, 0, 10**30, decimals, description
    )
    await flux.send("changeOracles", [], [owner], [owner], 1, 1, 0, gas=_GAS)
    return flux


async def next_phase(
    net: Devnet, feed: Aggregator, description: str, decimals: int, *answers: int
) -> Aggregator:
    """The same proxy with a new aggregator behind it, as Chainlink changes one."""
    flux = await _flux(net, description, decimals)
    await feed.proxy.send("proposeAggregator", flux, gas=_GAS)
    await feed.proxy.send("confirmAggregator", flux, gas=_GAS)
    made = Aggregator(flux, feed.proxy)
    for value in answers:
        await made.answer(value)
    return made


async def pyth(net: Devnet) -> Deployed:
    """Pyth's contract of its SDK, which takes prices without the signatures of its network."""
    return await net.deploy_artifact(_pyth(), 60, 0)


async def push(contract: Deployed, price: int, confidence: int, exponent: int, published: int) -> None:
    """Push a price of `PRICE_ID`; the contract keeps it when it is newer than the last."""
    one = (price, confidence, exponent, published)
    struct = "(bytes32,(int64,uint64,int32,uint256),(int64,uint64,int32,uint256))"
    data = abi_encode([struct, "uint64"], [(PRICE_ID, one, one), 0])
    await contract.send("updatePriceFeeds", [data], gas=_GAS)
