"""Uniswap v3's own contracts on a local chain: factory, position manager, router, and one pool of two tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from chains.balances.concentrated import sqrt_price_at
from chains.contracts import Artifact
from chains.devnet import Deployed, Devnet
from chains.devnet.local import encode_function
from chains.networks import PositionManager
from chains.rpc.abi import decode_result
from chains.rpc.values import encode_data, parse_data
from tests.chains.protocols import published

FEE: Final = 3000
SPACING: Final = 60
GAS: Final = 5_000_000
FOREVER: Final = 1 << 40
ALL: Final = (1 << 128) - 1


@dataclass(frozen=True)
class Pool:
    """A pool at the tick it was opened at; token0 has `decimals0`."""

    net: Devnet
    factory: Deployed
    manager: Deployed
    router: Deployed
    pool: Deployed
    token0: Deployed
    token1: Deployed

    @property
    def described(self) -> PositionManager:
        """As a network file has it."""
        return PositionManager("uniswap-v3", "UNI-V3", self.manager.address, self.factory.address)

    async def mint(self, owner: str, lower: int, upper: int, amount: int = 10**18) -> int:
        """A position of at most `amount` of each token; returns its id."""
        place = (self.token0.address, self.token1.address, FEE, lower, upper)
        await self.manager.send("mint", (*place, amount, amount, 0, 0, owner, FOREVER), gas=GAS)
        (count,) = await self.manager.read("balanceOf", owner)
        return int((await self.manager.read("tokenOfOwnerByIndex", owner, count - 1))[0])

    async def swap(self, amount: int, *, up: bool) -> None:
        """Sell `amount` of token1 (the price goes up) or of token0."""
        first, second = (self.token1, self.token0) if up else (self.token0, self.token1)
        trade = (first.address, second.address, FEE, self.net.accounts[0].address, FOREVER, amount, 0, 0)
        await self.router.send("exactInputSingle", trade, gas=GAS)

    async def removal(self, number: int, liquidity: int) -> tuple[int, int]:
        """What the manager would take out of the pool for `liquidity`, without doing it."""
        if not liquidity:
            return 0, 0
        return await self._would("decreaseLiquidity", (number, liquidity, 0, 0, FOREVER))

    async def collection(self, number: int) -> tuple[int, int]:
        """What the manager would pay out in fees, without doing it."""
        return await self._would("collect", (number, self.net.accounts[0].address, ALL, ALL))

    async def _would(self, function: str, argument: tuple[Any, ...]) -> tuple[int, int]:
        owner = (await self.manager.read("ownerOf", argument[0]))[0]
        data = encode_data(encode_function(self.manager.artifact.abi, function, (argument,)))
        call = {"from": owner, "to": self.manager.address, "data": data}
        answer = await self.net.endpoint.call("eth_call", [call, "latest"])
        first, second = decode_result(["uint256", "uint256"], parse_data(answer, function), function)
        return int(str(first)), int(str(second))


def _core(name: str) -> Artifact:
    return published(f"@uniswap/v3-core/artifacts/contracts/{name}.sol/{name}.json")


def _periphery(name: str) -> Artifact:
    return published(f"@uniswap/v3-periphery/artifacts/contracts/{name}.sol/{name}.json")


async def deploy_pool(net: Devnet, tick: int = 0) -> Pool:
    """Everything, with the price at `tick`; the first account has both tokens and has approved them."""
    owner = net.accounts[0].address
    weth = await net.deploy_artifact(published("canonical-weth/build/contracts/WETH9.json"))
    factory = await net.deploy_artifact(_core("UniswapV3Factory"))
    manager = await net.deploy_artifact(_periphery("NonfungiblePositionManager"), factory, weth, owner)
    router = await net.deploy_artifact(_periphery("SwapRouter"), factory, weth)
    tokens = [await net.deploy("TestToken", name, name, 18) for name in ("ONE", "TWO")]
    token0, token1 = sorted(tokens, key=lambda token: int(token.address, 16))
    for token in (token0, token1):
        await token.send("mint", owner, 10**60)
        for spender in (manager, router):
            await token.send("approve", spender, 10**60)
    start = sqrt_price_at(tick)
    await manager.send("createAndInitializePoolIfNecessary", token0, token1, FEE, start, gas=2 * GAS)
    (address,) = await factory.read("getPool", token0, token1, FEE)
    pool = Deployed(net, address, _core("UniswapV3Pool"))
    return Pool(net, factory, manager, router, pool, token0, token1)
