"""Which networks a command reads: network files, or folders of them, named by --networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    """`aggregator.service.networks.chosen_networks`, loaded when it is used."""
    from aggregator.service import networks

    return networks.chosen_networks(paths)


def network_of(networks: Sequence[Network], chain: str) -> Network:
    """`aggregator.service.networks.network_of`, loaded when it is used."""
    from aggregator.service import networks as service

    return service.network_of(networks, chain)
