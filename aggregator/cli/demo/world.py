"""The demo's world: local chains, tokens, feeds, a derivatives venue, and an account funded over all of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from eth_utils.address import to_checksum_address

from aggregator.cli.demo.config import ChainSetup, DemoConfig
from aggregator.fixed import parse_decimal
from aggregator.model.anchors import Finality
from chains.devnet import Deployed, DevAccount, Devnet, devnet
from chains.networks import Feed, Ledger, Native, Network, Token
from chains.rpc import RpcSettings
from chains.rpc.values import parse_quantity

FEED_DECIMALS: Final = 8
RATE_DECIMALS: Final = 18
HEARTBEAT_S: Final = 3600
FEED_CHAINS: Final = 2
"""How many chains carry the price feeds."""
BLOCKS_TO_FINAL: Final = 3
"""anvil's `finalized` trails its head by two blocks."""
COIN: Final = "ETH"
POLL_S: Final = 0.1

TOKENS: Final = {
    "USDC": ("erc20", "TestToken", "USD Coin", 6),
    "WBTC": ("erc20", "TestToken", "Wrapped Bitcoin", 8),
    "wstETH": ("staked", "TestStakedToken", "Wrapped staked Ether", 18),
    "sUSDC": ("erc4626", "TestVault", "Savings USDC", 6),
}
"""Symbol -> kind in network files, contract, name, decimals."""


@dataclass
class LocalChain:
    """One running chain, what is deployed on it, and the network file's content that describes it."""

    setup: ChainSetup
    net: Devnet
    stop: contextlib.AsyncExitStack
    tokens: dict[str, Deployed] = field(default_factory=dict)
    feeds: dict[str, Deployed] = field(default_factory=dict)
    ledger: Deployed | None = None
    markets: tuple[str, ...] = ()

    @property
    def network(self) -> Network:
        """The chain as a network file would describe it."""
        return Network(
            name=self.setup.name,
            chain_id=self.setup.chain_id,
            endpoints=(self.net.url,),
            native=Native(COIN),
            finality=Finality.FINALIZED,
            deadline_s=20,
            rpc=RpcSettings(timeout_s=5.0, attempts=1),
            tokens=tuple(self._token(symbol, deployed) for symbol, deployed in self.tokens.items()),
            ledgers=(
                (Ledger("venue", self.ledger.address, self.markets),) if self.ledger is not None else ()
            ),
            feeds=tuple(
                Feed(base, "USD", feed.address, FEED_DECIMALS, HEARTBEAT_S)
                for base, feed in self.feeds.items()
            ),
        )

    def _token(self, symbol: str, deployed: Deployed) -> Token:
        kind, _, _, decimals = TOKENS[symbol]
        return Token(symbol, kind, deployed.address, decimals, rate="rate()" if kind == "staked" else "")


@dataclass(frozen=True)
class World:
    """All chains of the demo; the first one carries the registry, the last one the derivatives venue."""

    config: DemoConfig
    chains: tuple[LocalChain, ...]

    @property
    def networks(self) -> tuple[Network, ...]:
        """What a snapshot reads."""
        return tuple(chain.network for chain in self.chains)

    @property
    def home_chain(self) -> LocalChain:
        """Where the registry is."""
        return self.chains[0]

    @property
    def accounts(self) -> tuple[DevAccount, ...]:
        """Funded development accounts: 0 deploys, 1-3 attest, 4 and 5 are venues, 6 relays."""
        return self.home_chain.net.accounts

    async def settle(self) -> None:
        """Let the second of the newest block pass and make it final on every chain, so that a cut can hold it.

        A node's clock may be a moment behind this one's, so blocks are mined until the final ones are later.
        """
        heads = await asyncio.gather(*(chain.net.head() for chain in self.chains))
        newest = max(_time_of(head) for head in heads)
        await asyncio.sleep(max(0.0, newest + 1 - time.time()))
        while True:
            await asyncio.gather(*(chain.net.mine(BLOCKS_TO_FINAL) for chain in self.chains))
            final = await asyncio.gather(*(chain.net.finalized() for chain in self.chains))
            if min(_time_of(block) for block in final) > newest:
                return
            await asyncio.sleep(POLL_S)

    async def set_prices(self, prices: Mapping[str, str]) -> None:
        """Push new answers into every feed of the symbols named."""
        for chain in self.chains:
            for base, feed in chain.feeds.items():
                if base in prices:
                    await feed.send("setAnswer", parse_decimal(prices[base], FEED_DECIMALS))


def _time_of(block: Mapping[str, object]) -> int:
    return parse_quantity(block["timestamp"], "the timestamp")


async def start_world(config: DemoConfig, stack: contextlib.AsyncExitStack) -> World:
    """Start all chains; each ends with `stack`, or earlier through its own `stop`."""

    async def start(setup: ChainSetup) -> LocalChain:
        own = contextlib.AsyncExitStack()
        net = await own.enter_async_context(devnet(setup.chain_id))
        return LocalChain(setup, net, own)

    started = await asyncio.gather(*(start(setup) for setup in config.chains), return_exceptions=True)
    for chain in started:
        if isinstance(chain, LocalChain):
            stack.push_async_callback(chain.stop.aclose)
    for failed in started:
        if isinstance(failed, BaseException):
            raise failed
    return World(config, tuple(chain for chain in started if isinstance(chain, LocalChain)))


async def deploy_assets(world: World) -> None:
    """Deploy tokens, price feeds and the derivatives venue."""
    config = world.config
    for n, chain in enumerate(world.chains):
        for symbol in chain.setup.holdings:
            if symbol != COIN:
                chain.tokens[symbol] = await _deploy_token(chain, symbol, config.rates)
        if n < FEED_CHAINS:
            for base, price in config.prices.items():
                answer = parse_decimal(price, FEED_DECIMALS)
                chain.feeds[base] = await chain.net.deploy(
                    "TestPriceFeed", f"{base} / USD", FEED_DECIMALS, answer
                )
    last = world.chains[-1]
    if config.positions:
        last.ledger = await last.net.deploy("DerivativesLedger", last.net.accounts[0].address)
        last.markets = tuple(position.market for position in config.positions)


async def _deploy_token(chain: LocalChain, symbol: str, rates: Mapping[str, str]) -> Deployed:
    kind, contract, name, decimals = TOKENS[symbol]
    if kind == "staked":
        rate = parse_decimal(rates[symbol], RATE_DECIMALS)
        return await chain.net.deploy(contract, name, symbol, decimals, rate)
    if kind == "erc4626":
        if "USDC" not in chain.tokens:
            chain.tokens["USDC"] = await _deploy_token(chain, "USDC", rates)
        return await chain.net.deploy(contract, chain.tokens["USDC"], name, symbol)
    return await chain.net.deploy(contract, name, symbol, decimals)


async def fund(world: World, wallets: tuple[str, ...]) -> None:
    """Give the wallets their holdings and the derivatives positions."""
    for chain in world.chains:
        owner = to_checksum_address(wallets[chain.setup.wallet - 1])
        for symbol, amount in chain.setup.holdings.items():
            if symbol == COIN:
                await chain.net.send(owner, value=parse_decimal(amount, 18))
                continue
            kind, _, _, decimals = TOKENS[symbol]
            raw = parse_decimal(amount, decimals)
            if kind == "erc4626":
                await _fund_vault(chain, symbol, owner, raw, world.config.rates[symbol])
            else:
                await chain.tokens[symbol].send("mint", owner, raw)
        if chain.ledger is not None:
            for position in world.config.positions:
                market = position.market.encode("ascii").ljust(32, b"\0")
                await chain.ledger.send("setPosition", owner, market, position.size_e8, position.cash_e8)


async def _fund_vault(chain: LocalChain, symbol: str, owner: str, shares: int, rate: str) -> None:
    """Deposit one asset unit per share, then let the vault earn until a share is worth `rate`."""
    vault, asset = chain.tokens[symbol], chain.tokens["USDC"]
    depositor = chain.net.accounts[0].address
    await asset.send("mint", depositor, shares)
    await asset.send("approve", vault.address, shares)
    await vault.send("deposit", shares, owner)
    gained = shares * (parse_decimal(rate, 6) - 10**6) // 10**6
    await vault.send("donateYield", gained)
