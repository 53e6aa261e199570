"""Which networks a command reads: network files, or folders of them, named by --networks."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from chains.networks import Network

VARIABLE: Final = "COUNTERFOIL_NETWORKS"
DEFAULT_FOLDER: Final = "configs/networks"


def networks_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --networks to a command."""
    return click.option(
        "--networks",
        "network_paths",
        multiple=True,
        metavar="PATH",
        help=(
            f"A network file or a folder of them; may be repeated.  [default: ${VARIABLE} or {DEFAULT_FOLDER}]"
        ),
    )(command)


def chosen_networks(paths: tuple[str, ...]) -> tuple[Network, ...]:
    """The networks at `paths`, in order of chain id; raises ConfigError for a bad file or a chain named twice."""
    from aggregator.model.errors import ConfigError
    from chains.networks import load_network, load_networks

    found: list[Network] = []
    for path in paths or (os.environ.get(VARIABLE) or DEFAULT_FOLDER,):
        found += load_networks(path) if Path(path).is_dir() else [load_network(path)]
    found.sort(key=lambda network: network.chain_id)
    for first, second in itertools.pairwise(found):
        if first.chain_id == second.chain_id:
            raise ConfigError(
                f"{first.source} and {second.source} both describe {first.chain}; give one of them"
            )
    return tuple(found)


def network_of(networks: Sequence[Network], chain: str) -> Network:
    """The network with the CAIP-2 id `chain`; raises ConfigError when none of them has it."""
    from aggregator.model.errors import ConfigError

    for network in networks:
        if network.chain == chain:
            return network
    raise ConfigError(f"no network file describes {chain}; add one with --networks")
