"""Which networks are read: network files, or folders of them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from aggregator.model.errors import ConfigError
from chains.networks import Network, load_network, load_networks

VARIABLE: Final = "COUNTERFOIL_NETWORKS"
DEFAULT_FOLDER: Final = "configs/networks"


def chosen_networks(paths: Sequence[str], environment: Mapping[str, str] = os.environ) -> tuple[Network, ...]:
    """The networks at `paths`, in order of chain id; without any, those of $COUNTERFOIL_NETWORKS or configs/networks.

    Raises ConfigError for a bad file or a chain named twice.
    """
    found: list[Network] = []
    for path in paths or (environment.get(VARIABLE) or DEFAULT_FOLDER,):
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
    for network in networks:
        if network.chain == chain:
            return network
    raise ConfigError(f"no network file describes {chain}; add one with --networks")
