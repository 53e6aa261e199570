"""Aave v3's own contracts on a local chain: a market of two reserves with its tokens, oracle and rate strategies."""

from __future__ import annotations

from dataclasses import dataclass

from chains.devnet import Deployed, Devnet
from chains.networks import Lending, Reserve
from tests.chains.protocols import published

_CORE = "@aave/core-v3/artifacts/contracts/"
_ZERO = "0x" + "00" * 20
_RAY = 10**27
_GAS = 3_000_000
"""Interest of the seconds between estimate and block costs more than was estimated."""
VARIABLE, STABLE = 2, 1


@dataclass(frozen=True)
class Market:
    """A deployed market with the reserves USDC (6 decimals) and WETH (18)."""

    net: Devnet
    pool: Deployed
    configurator: Deployed
    assets: dict[str, Deployed]
    described: Lending

    async def supply(self, user: str, symbol: str, amount: int) -> None:
        """Mint, approve, deposit."""
        asset = self.assets[symbol]
        await asset.send("mint", user, amount)
        await asset.send("approve", self.pool, amount, sender=user)
        await self.pool.send("supply", asset, amount, user, 0, sender=user, gas=_GAS)

    async def borrow(self, user: str, symbol: str, amount: int, mode: int = VARIABLE) -> None:
        """Borrow against everything supplied."""
        await self.pool.send("borrow", self.assets[symbol], amount, mode, 0, user, sender=user, gas=_GAS)

    async def pass_time(self, seconds: int) -> int:
        """Mine a block that much later; returns its timestamp."""
        later = int(str((await self.net.head())["timestamp"]), 16) + seconds
        await self.net.next_timestamp(later)
        await self.net.mine()
        return later


def _protocol(path: str) -> str:
    return f"{_CORE}protocol/{path}.sol/{path.rpartition('/')[2]}.json"


async def deploy_market(net: Devnet) -> Market:
    """All of it: libraries, provider, access control, pool, configurator, reserves, prices."""
    owner = net.accounts[0].address

    async def make(path: str, *arguments: object, **libraries: str) -> Deployed:
        return await net.deploy_artifact(published(_protocol(path), libraries), *arguments)

    logic: dict[str, str] = {}
    for name in ("BorrowLogic", "BridgeLogic", "EModeLogic", "LiquidationLogic", "PoolLogic", "SupplyLogic"):
        logic[name] = (await make(f"libraries/logic/{name}")).address
    for name in ("FlashLoanLogic", "ConfiguratorLogic"):
        logic[name] = (await make(f"libraries/logic/{name}", **logic)).address

    provider = await make("configuration/PoolAddressesProvider", "local", owner)
    await provider.send("setACLAdmin", owner)
    access = await make("configuration/ACLManager", provider)
    await provider.send("setACLManager", access)
    await access.send("addPoolAdmin", owner)
    prices = await net.deploy_artifact(published(f"{_CORE}mocks/oracle/PriceOracle.sol/PriceOracle.json"))
    await provider.send("setPriceOracle", prices)
    pool_code = await make("pool/Pool", provider, **logic)
    await provider.send("setPoolImpl", pool_code)
    configurator_code = await make("pool/PoolConfigurator", **logic)
    await provider.send("setPoolConfiguratorImpl", configurator_code)
    pool = Deployed(net, str((await provider.read("getPool"))[0]), pool_code.artifact)
    configurator = Deployed(
        net, str((await provider.read("getPoolConfigurator"))[0]), configurator_code.artifact
    )

    tokens = [
        await make(f"tokenization/{n}", pool) for n in ("AToken", "StableDebtToken", "VariableDebtToken")
    ]
    slopes = (_RAY // 25, _RAY * 3 // 5, _RAY // 50, _RAY // 2, _RAY // 100, _RAY // 100, _RAY // 5)
    strategy = await make(
        "pool/DefaultReserveInterestRateStrategy", provider, _RAY * 4 // 5, _RAY // 100, *slopes
    )
    assets: dict[str, Deployed] = {}
    for symbol, decimals, price in (("USDC", 6, 10**8), ("WETH", 18, 3000 * 10**8)):
        asset = await net.deploy("TestToken", symbol, symbol, decimals)
        assets[symbol] = asset
        names = [f"{kind} {symbol}" for kind in ("a", "a", "v", "v", "s", "s")]
        implementations = [token.address for token in tokens]
        reserve = (
            *implementations,
            decimals,
            strategy.address,
            asset.address,
            owner,
            _ZERO,
            *names,
            b"",
        )
        await configurator.send("initReserves", [reserve])
        await configurator.send("configureReserveAsCollateral", asset, 8000, 8500, 10500)
        await configurator.send("setReserveBorrowing", asset, True)
        await configurator.send("setReserveStableRateBorrowing", asset, True)
        await prices.send("setAssetPrice", asset, price)
    return Market(net, pool, configurator, assets, await _described(pool, assets))


async def _described(pool: Deployed, assets: dict[str, Deployed]) -> Lending:
    """The market as a network file describes it."""
    reserves = []
    for symbol, asset in assets.items():
        (data,) = await pool.read("getReserveData", asset)
        _, _, _, _, _, _, _, _, deposit, stable, variable, *_ = data
        decimals = 6 if symbol == "USDC" else 18
        reserves.append(
            Reserve(
                symbol, asset.address, decimals, _checksum(deposit), _checksum(variable), _checksum(stable)
            )
        )
    return Lending("aave-v3", "Aave", _checksum(pool.address), tuple(reserves))


def _checksum(address: str) -> str:
    from eth_utils.address import to_checksum_address

    return to_checksum_address(address)
