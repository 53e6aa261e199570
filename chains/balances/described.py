"""Whether a snapshot reads what the reader's own network files describe.

Evidence proves words of storage; which token a word belongs to, how many decimals it has and which pool its index comes
from is the statement of whoever took the snapshot. This compares that statement with files the reader trusts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from aggregator.model.errors import StateProofError
from aggregator.model.snapshot import DEBT_KIND, LEDGER_KIND, Method, Reading, Snapshot
from chains.balances.asset import side_detail
from chains.balances.compound import PROTOCOL as COMPOUND
from chains.balances.forms import COIN
from chains.balances.uniswap_v3 import PROTOCOL as POSITION_KIND
from chains.balances.whole import require_whole
from chains.networks import CASH, Network


class _Key(NamedTuple):
    chain: str
    instrument: str
    token: str


class _Described(NamedTuple):
    """What a reading has to say: kind, decimals, and entries of its detail."""

    kind: str
    decimals: int
    detail: Mapping[str, str]


def require_described(snapshot: Snapshot, networks: Iterable[Network]) -> None:
    """Return when every reading that is not `reported` is of an asset that `networks` describe the same way.

    Raises:
        StateProofError: a token, pool, kind, number of decimals or configured layout is another one.
    """
    by_chain = {network.chain: network for network in networks}
    known = dict(entry for network in by_chain.values() for entry in _entries(network))
    for reading in snapshot.readings:
        if reading.method is not Method.REPORTED:
            _check(reading, known)
            if reading.kind == POSITION_KIND:
                _check_sides(reading, by_chain[reading.chain])
    require_whole(snapshot, by_chain.values())


def described_kinds(networks: Iterable[Network]) -> frozenset[tuple[str, str, str]]:
    """Every (chain, instrument, kind) that `networks` have a reading of; positions as their family, `UNI-V3-*`."""
    entries = (entry for network in networks for entry in _entries(network))
    return frozenset((key.chain, key.instrument, described.kind) for key, described in entries)


def kind_of(reading: Reading) -> tuple[str, str, str]:
    """The (chain, instrument, kind) of a reading, as `described_kinds` has it."""
    return reading.chain, _family(reading), reading.kind


def _check(reading: Reading, known: Mapping[_Key, _Described]) -> None:
    described = known.get(_Key(reading.chain, _family(reading), reading.token))
    if described is None:
        raise StateProofError(
            f"{reading.instrument} is read from {reading.token}, which no network file of {reading.chain} describes "
            "so; add it, or refuse the snapshot"
        )
    stated = {"kind": reading.kind, "decimals": str(reading.decimals), **reading.detail}
    wanted = {"kind": described.kind, "decimals": str(described.decimals), **described.detail}
    for key, text in wanted.items():
        if key == "layout" and reading.method is not Method.PROVEN:
            continue
        if stated.get(key) != text:
            raise StateProofError(
                f"{reading.instrument} is read with {key} {stated.get(key)!r} and the network file of "
                f"{reading.chain} says {text!r}; correct the file, or refuse the snapshot"
            )


def _check_sides(reading: Reading, network: Network) -> None:
    """What a position says of its tokens, and what the network file does."""
    wanted = side_detail(network, [reading.detail.get(f"token{side}", "") for side in "01"])
    for key in (f"{name}{side}" for name in ("instrument", "decimals") for side in "01"):
        if (stated := reading.detail.get(key)) != wanted.get(key):
            raise StateProofError(
                f"{reading.instrument} is read with {key} {stated!r} and the network file of {reading.chain} says "
                f"{wanted.get(key)!r}; correct the file, or refuse the snapshot"
            )


def _family(reading: Reading) -> str:
    """The instrument, with the id of a position left out where it is the one in the detail."""
    number = reading.detail.get("tokenId", "")
    return reading.instrument.replace(f"-{number}@", "-*@") if number else reading.instrument


def _entries(network: Network) -> Iterator[tuple[_Key, _Described]]:
    def key(instrument: str, token: str) -> _Key:
        return _Key(network.chain, instrument, token.lower())

    coin = network.native
    yield key(network.instrument(coin.symbol), COIN), _Described("native", coin.decimals, {})
    for token in network.tokens:
        layout = {"layout": token.layout} if token.layout else {}
        layout |= {"steth": token.steth.lower()} if token.steth else {}
        layout |= {"blockedBy": token.blocked} if token.blocked else {}
        yield (
            key(network.instrument(token.symbol), token.address),
            _Described(token.kind, token.decimals, layout),
        )
    for ledger in network.ledgers:
        for instrument in (*ledger.markets, CASH):
            yield key(instrument, ledger.address), _Described(LEDGER_KIND, 8, {})
    for market in network.lending:
        for reserve in market.reserves:
            place = {"pool": market.address.lower(), "asset": reserve.asset.lower()}
            deposit = key(network.instrument(f"a{reserve.symbol}"), reserve.deposit)
            yield deposit, _Described(market.protocol, reserve.decimals, place)
            for debt in filter(None, (reserve.debt, reserve.stable_debt)):
                owed = key(network.instrument(f"{reserve.symbol}-DEBT"), debt)
                yield owed, _Described(DEBT_KIND, reserve.decimals, place)
    for comet in network.comets:
        for held in (comet.base, *comet.collateral):
            place = {"comet": comet.address.lower(), "asset": held.asset.lower()}
            lent, debt = (network.instrument(name) for name in (f"c{held.symbol}", f"{held.symbol}-DEBT"))
            yield key(lent, comet.address), _Described(COMPOUND, held.decimals, place)
            if held is comet.base:
                yield key(lent, held.asset), _Described(COMPOUND, held.decimals, place)
                yield key(debt, comet.address), _Described(DEBT_KIND, held.decimals, place)
                yield key(debt, held.asset), _Described(DEBT_KIND, held.decimals, place)
    for manager in network.positions:
        family = key(network.instrument(f"{manager.name}-*"), manager.address)
        yield family, _Described(manager.protocol, 0, {"factory": manager.factory.lower()})
