"""The markets that a network file lists: lending markets, and managers of liquidity positions.

One dataclass and one parser per kind; chains.balances.registry names the code that reads each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chains.network_table import MAX_DECIMALS, NetworkTable

LENDING_PROTOCOLS: Final = ("aave-v3",)
POSITION_PROTOCOLS: Final = ("uniswap-v3",)


@dataclass(frozen=True, slots=True)
class Reserve:
    """One asset of a lending market: its token, and the tokens that stand for what was deposited and what is owed."""

    symbol: str
    asset: str
    decimals: int
    deposit: str
    debt: str
    stable_debt: str = ""


@dataclass(frozen=True, slots=True)
class Lending:
    """A lending market. What is owed in any of its reserves encumbers what is deposited in all of them."""

    protocol: str
    name: str
    address: str
    reserves: tuple[Reserve, ...]


@dataclass(frozen=True, slots=True)
class Coin:
    """A token of a market by its symbol here."""

    symbol: str
    asset: str
    decimals: int


@dataclass(frozen=True, slots=True)
class Comet:
    """A Compound v3 market: one base asset, lent or owed, and the assets that can be deposited against a debt."""

    name: str
    address: str
    base: Coin
    collateral: tuple[Coin, ...]


@dataclass(frozen=True, slots=True)
class PositionManager:
    """A contract whose tokens are positions in the pools of `factory`; `name` begins their instruments."""

    protocol: str
    name: str
    address: str
    factory: str


def parse_lending(value: object, where: str) -> Lending:
    """An entry of `lending`; raises ConfigError."""
    table = NetworkTable(value, where, ("protocol", "name", "address", "reserves"))
    protocol = table.text("protocol")
    if protocol not in LENDING_PROTOCOLS:
        table.fail("protocol", f"is {protocol!r}; use one of {', '.join(LENDING_PROTOCOLS)}")
    reserves = tuple(_reserve(item, place) for item, place in table.tables("reserves"))
    if not reserves:
        table.fail("reserves", "is empty; list every reserve of the market")
    return Lending(protocol, table.symbol("name"), table.address("address"), reserves)


def parse_comet(value: object, where: str) -> Comet:
    """An entry of `comets`; raises ConfigError."""
    table = NetworkTable(value, where, ("name", "address", "base"), {"collateral": []})
    base = _coin(table.value["base"], f"{where}.base")
    collateral = tuple(_coin(item, place) for item, place in table.tables("collateral"))
    assets = [coin.asset for coin in (base, *collateral)]
    symbols = [coin.symbol for coin in (base, *collateral)]
    if len(set(assets)) != len(assets) or len(set(symbols)) != len(symbols):
        table.fail("collateral", "names a symbol or an asset twice; keep one")
    return Comet(table.symbol("name"), table.address("address"), base, collateral)


def parse_positions(value: object, where: str) -> PositionManager:
    """An entry of `positions`; raises ConfigError."""
    table = NetworkTable(value, where, ("protocol", "name", "address", "factory"))
    protocol = table.text("protocol")
    if protocol not in POSITION_PROTOCOLS:
        table.fail("protocol", f"is {protocol!r}; use one of {', '.join(POSITION_PROTOCOLS)}")
    return PositionManager(protocol, table.symbol("name"), table.address("address"), table.address("factory"))


def _reserve(value: object, where: str) -> Reserve:
    keys = ("symbol", "asset", "decimals", "deposit", "debt")
    table = NetworkTable(value, where, keys, {"stable_debt": ""})
    return Reserve(
        symbol=table.symbol("symbol"),
        asset=table.address("asset"),
        decimals=table.number("decimals", 0, MAX_DECIMALS),
        deposit=table.address("deposit"),
        debt=table.address("debt"),
        stable_debt=table.address("stable_debt") if table.value["stable_debt"] else "",
    )


def _coin(value: object, where: str) -> Coin:
    table = NetworkTable(value, where, ("symbol", "asset", "decimals"))
    return Coin(table.symbol("symbol"), table.address("asset"), table.number("decimals", 0, MAX_DECIMALS))
