"""`counterfoil doctor`: is everything here that the commands need, and if not, what to do."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from aggregator.cli.framework import Settings, pass_settings, settings_options
from aggregator.cli.networks import chosen_networks, networks_option
from aggregator.cli.tables import count
from aggregator.model.errors import (
    ChainError,
    ChainUnreachableError,
    ConfigError,
    InputError,
    ToolMissingError,
)

if TYPE_CHECKING:
    from rich.console import Console

    from chains.networks import Network

MIN_PYTHON: Final = (3, 11)
MIN_NODE: Final = 20
TOOL_TIMEOUT_S: Final = 20


NEEDED_METHODS: Final = frozenset({"eth_getBlockByNumber", "eth_call"})
"""Without one of these an endpoint cannot be read at all."""
ADVICE: Final = {
    "eth_getBlockByNumber": "nothing can be read there; use another endpoint",
    "eth_call": "nothing can be read there; use an endpoint that takes a block hash (EIP-1898)",
    "eth_call with overrides": "storage layouts have to be configured there, or balances are called and not proven; "
    "a token that repeats the coin or another token is not noticed",
    "eth_createAccessList": "storage layouts have to be configured there, or balances are called and not proven; "
    "a token that repeats another one may not be noticed",
    "eth_getProof": "balances read there are called and not proven; use an endpoint that offers it",
}
"""What a method that fails means, by the names of chains.rpc.health."""
UNSET_ADVICE: Final = "set it to read this network, or leave its file out with --networks"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: its state, what was found, and what to do.

    States: "ok"; "missing", a command needs it; "not set", only reading that network needs it; "unreachable";
    "limited", an endpoint does not do all that reading and proving need.
    """

    name: str
    state: str
    found: str
    advice: str = ""


def _python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < MIN_PYTHON:
        return Finding("Python", "missing", found, "install Python 3.11 or later")
    return Finding("Python", "ok", found)


def _native() -> Finding:
    try:
        from circuits.hashing import hash_one

        hash_one([1, 2])
    except ImportError as error:
        return Finding("Rust core", "missing", str(error), "run: make setup")
    return Finding("Rust core", "ok", "circuits._native loads and hashes")


def _version(command: list[str]) -> str:
    """First line of a tool's --version; raises ToolMissingError when it does not run."""
    try:
        done = subprocess.run(
            [*command, "--version"], capture_output=True, text=True, timeout=TOOL_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolMissingError(f"{command[0]} does not run ({error})") from error
    return done.stdout.strip().partition("\n")[0]


def _node() -> Finding:
    advice = f"install Node.js {MIN_NODE} or later (needed to compile contracts and by some tests)"
    path = shutil.which("node")
    if path is None:
        return Finding("Node.js", "missing", "not on the PATH", advice)
    try:
        version = _version([path])
        major = int(version.removeprefix("v").partition(".")[0])
    except (ToolMissingError, ValueError) as error:
        return Finding("Node.js", "missing", str(error), advice)
    return Finding("Node.js", "ok" if major >= MIN_NODE else "missing", version, advice)


def _anvil() -> Finding:
    from chains.devnet.binary import anvil_binary

    try:
        return Finding("anvil", "ok", _version([str(anvil_binary())]))
    except ToolMissingError as error:
        return Finding("anvil", "missing", str(error), "run: make setup")


def _home(settings: Settings) -> Finding:
    if not settings.home.database.exists():
        return Finding("home", "ok", f"{settings.home.root} (made at first use)")
    try:
        with settings.home.store() as store:
            accounts = count(len(store.accounts()), "account")
    except InputError as error:
        return Finding("home", "missing", str(error), "give a writable directory with --home")
    return Finding("home", "ok", f"{settings.home.root} ({accounts})")


async def examine(network: Network) -> list[Finding]:
    """The network, and each of its endpoints that cannot do all that reading needs."""
    from chains.rpc import probe_endpoints
    from chains.rpc.values import parse_quantity

    try:
        network.urls()
        chain = network.connect()
    except ConfigError as error:
        return [Finding(network.name, "not set", str(error), UNSET_ADVICE)]
    try:
        async with chain:
            rows = await probe_endpoints(chain, network.finality.value)
            head = await chain.call("eth_blockNumber")
    except ChainError as error:
        return [Finding(network.name, "unreachable", str(error), "check the URL and the connection")]
    problems = [row for row in rows if row.problem]
    unable = {row.endpoint for row in problems if row.method in NEEDED_METHODS}
    usable, whole = (
        len(chain.active) - len(unable),
        len(chain.active) - len({row.endpoint for row in problems}),
    )
    slowest = max((row.seconds for row in rows), default=0.0)
    found = (
        f"{len(chain.active)} endpoints of {network.chain}, at block {parse_quantity(head, 'the block number')}; "
        f"{whole} do all that reading and proving need; the slowest answer took {slowest:.1f} s"
    )
    state = "ok" if usable >= network.quorum else "unreachable"
    return [
        Finding(network.name, state, found, "add endpoints that answer eth_call by block hash"),
        *(Finding(network.name, "limited", reason, "correct its URL") for reason in chain.refused.values()),
        *(
            Finding(
                f"{network.name}: {row.endpoint}",
                "limited",
                f"{row.method}: {row.problem}",
                ADVICE[row.method],
            )
            for row in problems
        ),
    ]


def _networks(paths: tuple[str, ...]) -> list[Finding]:
    networks = chosen_networks(paths)

    async def all_of_them() -> list[list[Finding]]:
        return await asyncio.gather(*(examine(network) for network in networks))

    return [finding for group in asyncio.run(all_of_them()) for finding in group]


@click.command()
@networks_option
@settings_options
@pass_settings
def doctor(settings: Settings, network_paths: tuple[str, ...]) -> None:
    """Check that everything counterfoil needs is here.

    What is missing is named with what to do about it.
    """
    checks: list[Callable[[], Finding]] = [_python, _native, _node, _anvil, lambda: _home(settings)]
    findings = [*(check() for check in checks), *_networks(network_paths)]

    def render(console: Console) -> None:
        from aggregator.cli.tables import Table

        rows = [(f.name, f.state, f.found, f.advice if f.state != "ok" else "") for f in findings]
        console.print(Table("", ("What", "State", "Found", "What to do"), rows).draw())

    data = [
        {"name": f.name, "state": f.state, "found": f.found, "advice": f.advice if f.state != "ok" else ""}
        for f in findings
    ]
    settings.show(data, render)
    missing = [f.name for f in findings if f.state == "missing"]
    silent = [f.name for f in findings if f.state == "unreachable"]
    advice = "do what the table says and run it again"
    error = (
        ToolMissingError(f"{', '.join(missing)} missing; {advice}")
        if missing
        else ChainUnreachableError(f"{', '.join(silent)} unreachable; {advice}")
    )
    if missing or silent:
        settings.fail_after_answer(error)
