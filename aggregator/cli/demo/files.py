"""The demo's world as the files that commands and services read: networks, venues, the service's configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from aggregator.store import write_whole
from chains.networks import Feed, Network


def network_toml(network: Network) -> str:
    """A network file that says what a network of the demo does: plain tokens, ledgers and Chainlink-style feeds."""
    lines = [
        f'name = "{network.name}"',
        f"chain_id = {network.chain_id}",
        f'endpoints = ["{network.endpoints[0]}"]',
        f'finality = "{network.finality}"',
        f"deadline_s = {network.deadline_s}",
        f'[native]\nsymbol = "{network.native.symbol}"',
        "[rpc]\ntimeout_s = 5\nattempts = 1",
    ]
    for token in network.tokens:
        lines += [
            "[[tokens]]",
            f'symbol = "{token.symbol}"\nkind = "{token.kind}"\naddress = "{token.address}"',
            f"decimals = {token.decimals}",
        ]
        lines += [f'rate = "{token.rate}"'] if token.rate else []
    for ledger in network.ledgers:
        lines += [f'[[ledgers]]\nname = "{ledger.name}"\naddress = "{ledger.address}"']
        lines += [f"markets = {list(ledger.markets)!r}"]
    for feed in (each for each in network.feeds if isinstance(each, Feed)):
        lines += [
            f'[[feeds]]\nbase = "{feed.base}"\nquote = "{feed.quote}"\naddress = "{feed.address}"',
            f"decimals = {feed.decimals}\nheartbeat_s = {feed.heartbeat_s}",
        ]
    return "\n".join(lines) + "\n"


def flat_toml(values: Mapping[str, object]) -> str:
    """Keys with texts, numbers, booleans and lists of texts; JSON spells these as TOML does."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())


def tables_toml(tables: Mapping[str, Mapping[str, object]]) -> str:
    """Tables of flat values."""
    return "\n".join(f"[{name}]\n{flat_toml(values)}" for name, values in tables.items())


def write_networks(folder: Path, networks: tuple[Network, ...]) -> Path:
    """One file a network; returns their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for network in networks:
        write_whole(folder / f"{network.name}.toml", network_toml(network).encode())
    return folder
