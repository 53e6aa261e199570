"""What a spec says of tokens that stand for others: wrappers, lending deposits, and shares of pools.

Each carries the chain's add-on, its assets' and its own. Nothing here has a quote of its own but a pool's: all of it
is priced through the assets, so a stale price reaches everything that is made of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aggregator.model.anchors import ChainId
from aggregator.model.errors import PolicyError
from aggregator.model.units import PRICE_SCALE
from aggregator.policy.quotes import FREE, Demand, Peg
from aggregator.policy.rates import LevelRates, parse_chains, parse_levels
from aggregator.policy.tables import Table

POOL_TOKENS = 2


@dataclass(frozen=True, slots=True)
class WrapperSpec:
    """A token that stands for a rate of an asset: a staking token, a vault share.

    `rate` names the quote unless `fixed_rate_e12` is set; `price` may name the token's own market. `debt_chains` are
    the chains where a debt in it exists.
    """

    name: str
    asset: str
    rate: str
    fixed_rate_e12: int | None
    price: str | None
    chains: tuple[ChainId, ...]
    addon: LevelRates
    debt_chains: tuple[ChainId, ...] = ()


@dataclass(frozen=True, slots=True)
class DepositSpec:
    """Lending deposits: `prefix` before the name of each asset or wrapper in `of`, one unit of it each."""

    prefix: str
    of: tuple[str, ...]
    chains: tuple[ChainId, ...]
    addon: LevelRates


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """Shares of a pool of two tokens that keeps the product of its reserves, valued by that product.

    `tokens` are names of assets or wrappers; `rate` names the quote: 2 sqrt(x y) per share.
    """

    name: str
    tokens: tuple[str, str]
    rate: str
    chains: tuple[ChainId, ...]
    addon: LevelRates


def parse_wrapper(table: Table, chains: dict[str, LevelRates]) -> WrapperSpec:
    """One entry of [[wrappers]]."""
    name = table.text("name")
    return WrapperSpec(
        name=name,
        asset=table.text("asset"),
        rate=table.text("rate", name),
        fixed_rate_e12=table.scaled("fixed_rate", PRICE_SCALE) if table.has("fixed_rate") else None,
        price=table.text("price") if table.has("price") else None,
        chains=parse_chains(table, "chains", chains),
        addon=parse_levels(table, "addon"),
        debt_chains=parse_chains(table, "debt_chains", chains, optional=True),
    )


def parse_deposit(table: Table, chains: dict[str, LevelRates]) -> DepositSpec:
    """One entry of [[deposits]]."""
    return DepositSpec(
        prefix=table.text("prefix"),
        of=table.texts("of"),
        chains=parse_chains(table, "chains", chains),
        addon=parse_levels(table, "addon"),
    )


def parse_pool(table: Table, chains: dict[str, LevelRates]) -> PoolSpec:
    """One entry of [[pools]]."""
    name = table.text("name")
    tokens = table.texts("tokens")
    if len(tokens) != POOL_TOKENS:
        table.fail("tokens", "does not name two different tokens; correct it")
    return PoolSpec(
        name=name,
        tokens=(tokens[0], tokens[1]),
        rate=table.text("rate", name),
        chains=parse_chains(table, "chains", chains),
        addon=parse_levels(table, "addon"),
    )


def parse_demand(table: Table) -> Demand:
    """What an asset asks of its quote: `min_sources`, `needs_reserve`, and [assets.peg]."""
    least = table.integer("min_sources", 1, 100) if table.has("min_sources") else 1
    reserve = table.flag("needs_reserve", default=False)
    if not table.has("peg"):
        return Demand(None, reserve, least) if reserve or least > 1 else FREE
    inner = table.table("peg")
    low, high = inner.scaled("low", PRICE_SCALE), inner.scaled("high", PRICE_SCALE)
    if not 0 < low <= high:
        inner.fail("low", "is not above 0 and at most high; correct the band")
    outside = inner.text("outside", "bound")
    if outside not in ("bound", "refuse"):
        inner.fail("outside", 'is neither "bound" nor "refuse"; write one of them')
    inner.close()
    return Demand(Peg(low, high, outside == "refuse"), reserve, least)


def check_demands(demands: Sequence[tuple[str, str, Demand]]) -> None:
    """Refuse two demands on one quote. `demands`: asset, the quote that it names, and what it asks of it.

    A proof of reserve is a token's own, so an asset that asks for one is priced by a quote of its own name.
    Raises PolicyError.
    """
    seen: dict[str, tuple[str, Demand]] = {}
    for asset, price, demand in demands:
        other, asked = seen.setdefault(price, (asset, demand))
        if asked != demand:
            raise PolicyError(
                f"assets {other} and {asset} share the price {price} and ask different things of it; give each its own"
            )
        if demand.reserve and price != asset:
            raise PolicyError(
                f"asset {asset} needs a reserve and is priced by {price}; price it by a quote of its own name"
            )


def check_holdings(
    assets: Mapping[str, str | None],
    wrappers: tuple[WrapperSpec, ...],
    deposits: tuple[DepositSpec, ...],
    pools: tuple[PoolSpec, ...],
) -> None:
    """Refuse names that stand for nothing, and instruments made twice. `assets`: the class of each by name.

    Raises PolicyError.
    """
    for wrapper in wrappers:
        if wrapper.asset not in assets:
            raise PolicyError(
                f"wrapper {wrapper.name} stands for {wrapper.asset}, which is no asset; add it first"
            )
    known = {*assets, *(wrapper.name for wrapper in wrappers)}
    used = [(f"deposit {d.prefix}{name}", name) for d in deposits for name in d.of]
    used += [(f"pool {pool.name}", name) for pool in pools for name in pool.tokens]
    for what, name in used:
        if name not in known:
            raise PolicyError(f"{what} is made of {name}, which is neither asset nor wrapper; add it first")
    made = [f"{w.name}@{chain}" for w in wrappers for chain in w.chains]
    made += [f"{d.prefix}{name}@{chain}" for d in deposits for name in d.of for chain in d.chains]
    made += [f"{pool.name}@{chain}" for pool in pools for chain in pool.chains]
    if twice := sorted({symbol for symbol in made if made.count(symbol) > 1}):
        raise PolicyError(f"the spec makes {twice[0]} twice; keep one of its entries")
