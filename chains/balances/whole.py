"""Whether a snapshot leaves out a part of what is only read together: a debt beside its collateral, or a position.

Evidence shows that each reading is true, and nothing of a reading that somebody dropped afterwards. Here the snapshot
is held against the reader's own network files: of a market it has to have all readings of an address or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from aggregator.model.errors import StateProofError
from aggregator.model.snapshot import Method, Reading, Snapshot
from chains.balances.uniswap_v3 import PROTOCOL as POSITION_KIND
from chains.networks import Network
from chains.rpc import clean_text


def require_whole(snapshot: Snapshot, networks: Iterable[Network]) -> None:
    """Return when no market and no list of positions is there in part.

    Raises:
        StateProofError: a market lacks a reading of an address that has another, or a list a position.
    """
    read = {
        (r.chain, r.address, r.instrument, r.token)
        for r in snapshot.readings
        if r.method is not Method.REPORTED
    }
    for network in networks:
        for name, parts in _markets(network):
            for address in snapshot.addresses:
                lacking = [part for part in parts if (network.chain, address, *part) not in read]
                if lacking and len(lacking) < len(parts):
                    raise StateProofError(
                        f"the snapshot has readings of {address} in {name} on {network.chain} and none of "
                        f"{lacking[0][0]}, which is read with them; it is refused"
                    )
    _check_lists(snapshot)


def _markets(network: Network) -> Iterator[tuple[str, set[tuple[str, str]]]]:
    """Each market with the instruments and tokens of its readings."""
    for market in network.lending:
        parts = set()
        for reserve in market.reserves:
            parts.add((network.instrument(f"a{reserve.symbol}"), reserve.deposit.lower()))
            owed = network.instrument(f"{reserve.symbol}-DEBT")
            parts |= {(owed, debt.lower()) for debt in (reserve.debt, reserve.stable_debt) if debt}
        yield market.name, parts
    for comet in network.comets:
        lent, owed = (
            network.instrument(name) for name in (f"c{comet.base.symbol}", f"{comet.base.symbol}-DEBT")
        )
        base = {(name, token.lower()) for name in (lent, owed) for token in (comet.address, comet.base.asset)}
        held = {(network.instrument(f"c{coin.symbol}"), comet.address.lower()) for coin in comet.collateral}
        yield comet.name, base | held


def _check_lists(snapshot: Snapshot) -> None:
    """Every position of an owner's list is there, when one is."""
    lists: dict[tuple[str, str, str], list[Reading]] = {}
    for reading in snapshot.readings:
        if reading.kind == POSITION_KIND and reading.method is not Method.REPORTED:
            lists.setdefault((reading.chain, reading.address, reading.token), []).append(reading)
    for (chain, address, _), readings in lists.items():
        indexes = sorted(reading.detail.get("index", "") for reading in readings)
        for reading in readings:
            count = reading.detail.get("positions", "")
            if count != str(len(readings)) or indexes != sorted(str(n) for n in range(len(readings))):
                raise StateProofError(
                    f"{address} has {clean_text(count, 20)} positions behind {reading.instrument} on {chain} and the "
                    f"snapshot lists {len(readings)}; it is refused"
                )
