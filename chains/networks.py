"""Network files: one TOML file per chain, read strictly.

Every key is explained in configs/networks/ethereum.toml. A key that is unknown, missing, of the wrong type or out
of range is a ConfigError that names the file and the key.
"""

from __future__ import annotations

import itertools
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from aggregator.model.anchors import ChainId, Finality, eip155
from aggregator.model.errors import ConfigError
from chains.anchors import DEFAULT_MAX_LAG_S
from chains.native_coins import is_native_contract
from chains.network_feeds import (
    DEFAULT_FINALITY_LAG_S,
    Feed,
    PriceFeed,
    ReserveProof,
    Sequencer,
    parse_feed,
    parse_reserve_proof,
    parse_sequencer,
)
from chains.network_fees import OfferLimits, parse_fees
from chains.network_markets import (
    Coin,
    Comet,
    Lending,
    PositionManager,
    Reserve,
    parse_comet,
    parse_lending,
    parse_positions,
)
from chains.network_table import DAY_S, MAX_DECIMALS, NetworkTable, is_symbol
from chains.rpc import Chain, Endpoint, PrivateHosts, RpcSettings

TOKEN_KINDS: Final = ("erc20", "erc4626", "staked", "steth", "uniswap-v2")
CASH: Final = "USD"
"""Instrument of a ledger's cash leg."""

__all__ = [
    "MAX_DECIMALS",
    "Coin",
    "Comet",
    "Feed",
    "Ledger",
    "Lending",
    "Native",
    "Network",
    "OfferLimits",
    "PositionManager",
    "Reserve",
    "Sequencer",
    "Token",
    "load_network",
    "load_networks",
    "parse_network",
]

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_RATE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\(\)", re.ASCII)
_HOLDER_VIEW: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\(address\)", re.ASCII)
_LAYOUT: Final = re.compile(
    r"(?:(?:solidity|vyper):(?:0|[1-9][0-9]{0,3})|openzeppelin-7201|solady)(?:/(?:[1-9]?[0-9]|1[0-9]{2}|2[0-5][0-9]))?",
    re.ASCII,
)
_WEEK_S: Final = 7 * DAY_S


@dataclass(frozen=True, slots=True)
class Native:
    """The chain's own coin."""

    symbol: str
    decimals: int = 18


@dataclass(frozen=True, slots=True)
class Token:
    """A token contract. `layout` says where balances are stored; `rate` is a staked token's view function.

    `steth` is the contract of stETH, where the token is wstETH. `blocked` is the view function that says whether the
    token lets an address move its balance.
    """

    symbol: str
    kind: str
    address: str
    decimals: int
    layout: str = ""
    rate: str = ""
    steth: str = ""
    blocked: str = ""


@dataclass(frozen=True, slots=True)
class Ledger:
    """A derivatives venue's position book: signed size and cash per market."""

    name: str
    address: str
    markets: tuple[str, ...]


@dataclass(frozen=True)
class Network:
    """One chain as its file describes it. `endpoints` are templates: their variables are not filled in."""

    name: str
    chain_id: int
    endpoints: tuple[str, ...]
    native: Native
    quorum: int = 1
    finality: Finality = Finality.FINALIZED
    max_lag_s: int = DEFAULT_MAX_LAG_S
    finality_lag_s: int = DEFAULT_FINALITY_LAG_S
    deadline_s: int = 60
    rpc: RpcSettings = field(default_factory=RpcSettings)
    fees: OfferLimits = field(default_factory=OfferLimits)
    tokens: tuple[Token, ...] = ()
    ledgers: tuple[Ledger, ...] = ()
    lending: tuple[Lending, ...] = ()
    comets: tuple[Comet, ...] = ()
    positions: tuple[PositionManager, ...] = ()
    feeds: tuple[PriceFeed, ...] = ()
    reserve_proofs: tuple[ReserveProof, ...] = ()
    sequencer: Sequencer | None = None
    source: str = ""

    @property
    def chain(self) -> ChainId:
        """CAIP-2 id."""
        return eip155(self.chain_id)

    def instrument(self, symbol: str) -> str:
        """The instrument symbol of an asset on this chain, for example "USDC@eip155:8453"."""
        return f"{symbol}@{self.chain}"

    def urls(self, env: Mapping[str, str] = os.environ) -> list[str]:
        """The endpoints whose variables `env` sets.

        Raises:
            ConfigError: fewer than `quorum` are left; names the variables, never their values.
        """
        unset: list[str] = []
        urls: list[str] = []
        for template in self.endpoints:
            if missing := [name for name in _VARIABLE.findall(template) if not env.get(name)]:
                unset += missing
            else:
                urls.append(_VARIABLE.sub(lambda match: env[match[1]], template))
        if len(urls) < self.quorum:
            hints = [f"set {' and '.join(dict.fromkeys(unset))}" if unset else "add endpoints"]
            hints += ["lower quorum and accept the lower trust"] * (self.quorum > 1)
            hints += ["leave the file out with --networks"] * bool(unset)
            raise ConfigError(
                f"{self.source or self.name}: endpoints has {len(urls)} usable entries and quorum asks for "
                f"{self.quorum}; {', or '.join(hints)}"
            )
        return urls

    def connect(self, env: Mapping[str, str] = os.environ) -> Chain:
        """The chain behind its endpoints, not opened yet (`async with network.connect() as chain`)."""
        endpoints = [Endpoint(url, settings=self.rpc) for url in self.urls(env)]
        return Chain(self.chain_id, endpoints, name=self.name, quorum=self.quorum)


def load_network(path: Path | str) -> Network:
    """Read and check one network file; raises ConfigError naming the file and the key."""
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror}); check the path") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} is not TOML ({error}); correct it") from error
    return parse_network(raw, str(path))


def load_networks(folder: Path | str) -> tuple[Network, ...]:
    """Every `*.toml` in `folder`, in order of chain id; raises ConfigError when two describe one chain."""
    networks = sorted((load_network(p) for p in Path(folder).glob("*.toml")), key=lambda n: n.chain_id)
    if not networks:
        raise ConfigError(f"{folder} holds no network file (*.toml); check the path")
    for first, second in itertools.pairwise(networks):
        if first.chain_id == second.chain_id:
            raise ConfigError(
                f"{first.source} and {second.source} both describe chain {first.chain_id}; keep one"
            )
    return tuple(networks)


def parse_network(raw: Mapping[str, Any], source: str) -> Network:
    """A decoded network file into a checked Network; `source` is named in errors."""
    optional = {
        "quorum": 1,
        "finality": Finality.FINALIZED.value,
        "max_lag_s": DEFAULT_MAX_LAG_S,
        "finality_lag_s": DEFAULT_FINALITY_LAG_S,
        "deadline_s": 60,
        "rpc": {},
        "fees": {},
        "tokens": [],
        "ledgers": [],
        "lending": [],
        "comets": [],
        "positions": [],
        "feeds": [],
        "reserve_proofs": [],
        "sequencer": None,
    }
    top = NetworkTable(dict(raw), source, ("name", "chain_id", "endpoints", "native"), optional)
    finality = top.text("finality")
    if finality not in set(Finality):
        top.fail("finality", f"is {finality!r}; use one of {', '.join(Finality)}")
    network = Network(
        name=top.text("name", max_length=60),
        chain_id=top.number("chain_id", 1),
        endpoints=top.texts("endpoints"),
        native=_native(NetworkTable(top.value["native"], f"{source}.native", ("symbol",), {"decimals": 18})),
        quorum=top.number("quorum", 1, 16),
        finality=Finality(finality),
        max_lag_s=top.number("max_lag_s", 1, _WEEK_S),
        finality_lag_s=top.number("finality_lag_s", 0, DAY_S),
        deadline_s=top.number("deadline_s", 1, 3600),
        rpc=_rpc(top.value["rpc"], f"{source}.rpc"),
        fees=parse_fees(top.value["fees"], f"{source}.fees"),
        tokens=tuple(_token(item, where) for item, where in top.tables("tokens")),
        ledgers=tuple(_ledger(item, where) for item, where in top.tables("ledgers")),
        lending=tuple(parse_lending(item, where) for item, where in top.tables("lending")),
        comets=tuple(parse_comet(item, where) for item, where in top.tables("comets")),
        positions=tuple(parse_positions(item, where) for item, where in top.tables("positions")),
        feeds=tuple(parse_feed(item, where) for item, where in top.tables("feeds")),
        reserve_proofs=tuple(
            parse_reserve_proof(item, where) for item, where in top.tables("reserve_proofs")
        ),
        sequencer=parse_sequencer(top.value["sequencer"], f"{source}.sequencer"),
        source=source,
    )
    if not network.endpoints:
        top.fail("endpoints", "is empty; name at least one")
    if network.quorum > len(network.endpoints):
        top.fail("quorum", f"is {network.quorum}, but there are {len(network.endpoints)} endpoints; lower it")
    _refuse_repeats(top, network)
    return network


def _native(table: NetworkTable) -> Native:
    return Native(table.symbol("symbol"), table.number("decimals", 0, MAX_DECIMALS))


def _rpc(value: object, where: str) -> RpcSettings:
    defaults = {
        "timeout_s": 10,
        "attempts": 3,
        "max_batch": 500,
        "max_response_mb": 32,
        "requests_per_s": 0,
        "breaker_failures": 6,
        "private": PrivateHosts.LOOPBACK.value,
    }
    table = NetworkTable(value, where, (), defaults)
    private = table.text("private")
    if private not in set(PrivateHosts):
        table.fail("private", f"is {private!r}; use one of {', '.join(PrivateHosts)}")
    return RpcSettings(
        timeout_s=table.number("timeout_s", 1, 300),
        attempts=table.number("attempts", 1, 10),
        max_batch=table.number("max_batch", 1, 5000),
        max_response_bytes=table.number("max_response_mb", 1, 512) << 20,
        requests_per_s=table.number("requests_per_s", 0, 100_000),
        breaker_failures=table.number("breaker_failures", 0, 1000),
        private=PrivateHosts(private),
    )


def _token(value: object, where: str) -> Token:
    optional = {"layout": "", "rate": "", "steth": "", "blocked": ""}
    table = NetworkTable(value, where, ("symbol", "kind", "address", "decimals"), optional)
    kind = table.text("kind")
    if kind not in TOKEN_KINDS:
        table.fail("kind", f"is {kind!r}; use one of {', '.join(TOKEN_KINDS)}")
    if (kind == "staked") != bool(table.value["rate"]):
        table.fail("rate", "is for the kind 'staked', which needs it; correct one of them")
    if kind != "staked" and table.value["steth"]:
        table.fail("steth", "is for the kind 'staked', where the token is wstETH; leave it out")
    return Token(
        symbol=table.symbol("symbol"),
        kind=kind,
        address=table.address("address"),
        decimals=table.number("decimals", 0, MAX_DECIMALS),
        layout=table.text("layout", _LAYOUT) if table.value["layout"] else "",
        rate=table.text("rate", _RATE) if table.value["rate"] else "",
        steth=table.address("steth") if table.value["steth"] else "",
        blocked=table.text("blocked", _HOLDER_VIEW) if table.value["blocked"] else "",
    )


def _ledger(value: object, where: str) -> Ledger:
    table = NetworkTable(value, where, ("name", "address", "markets"))
    markets = table.texts("markets")
    for n, market in enumerate(markets):
        if not is_symbol(market):
            table.fail(f"markets[{n}]", f"is {market[:60]!r}, not a symbol of 1 to 32 letters and digits")
    if not markets or len(set(markets)) != len(markets):
        table.fail("markets", "is empty or names a market twice; correct it")
    return Ledger(table.symbol("name"), table.address("address"), markets)


def _refuse_repeats(top: NetworkTable, network: Network) -> None:
    """One symbol, one contract and one pair each: a token listed twice would be counted twice."""
    keys: dict[str, list[str]] = {
        "endpoints": list(network.endpoints),
        "tokens": [network.native.symbol, *(t.symbol for t in network.tokens)],
        "feeds": [f.place for f in network.feeds],
        "reserve_proofs": [proof.symbol for proof in network.reserve_proofs],
        "ledgers": [market for ledger in network.ledgers for market in ledger.markets],
    }
    reserves = [reserve for market in network.lending for reserve in market.reserves]
    keys["lending"] = [reserve.symbol for reserve in reserves]
    keys["comets"] = [comet.base.symbol for comet in network.comets]
    keys["positions"] = [manager.name for manager in network.positions]
    keys["token addresses"] = [
        *(comet.address for comet in network.comets),
        *(manager.address for manager in network.positions),
        *(t.address for t in network.tokens),
        *(a for r in reserves for a in (r.deposit, r.debt, r.stable_debt) if a),
    ]
    for address in keys["token addresses"]:
        if is_native_contract(network.chain_id, address):
            top.fail(
                "tokens",
                f"lists {address}, which shows the balance of {network.native.symbol} itself; leave it out",
            )
    for key, values in keys.items():
        if twice := sorted({v for v in values if values.count(v) > 1}):
            top.fail(key, f"names {twice[0]!r} twice; keep one")
    known = {token.symbol for token in network.tokens}
    if strangers := [proof.symbol for proof in network.reserve_proofs if proof.symbol not in known]:
        top.fail("reserve_proofs", f"names {strangers[0]!r}, which is not among the tokens; add the token")
