"""Rates at the two margin levels, and the chains that a spec knows, as every part of a spec reads them."""

from __future__ import annotations

from dataclasses import dataclass

from aggregator.model.anchors import ChainId, parse_chain_id
from aggregator.model.errors import FormatError, PolicyError
from aggregator.policy.tables import Table


@dataclass(frozen=True, slots=True)
class LevelRates:
    """One rate at each margin level, in 1e-6."""

    im_e6: int
    mm_e6: int

    def __add__(self, other: LevelRates) -> LevelRates:
        return LevelRates(self.im_e6 + other.im_e6, self.mm_e6 + other.mm_e6)


def worse(one: LevelRates, other: LevelRates) -> LevelRates:
    """The higher rate at each level."""
    return LevelRates(max(one.im_e6, other.im_e6), max(one.mm_e6, other.mm_e6))


def parse_levels(table: Table, prefix: str, default: str | None = None) -> LevelRates:
    """The keys `prefix`_im and `prefix`_mm; raises PolicyError when the second is above the first."""
    rates = LevelRates(table.rate_e6(f"{prefix}_im", default), table.rate_e6(f"{prefix}_mm", default))
    if rates.mm_e6 > rates.im_e6:
        table.fail(
            f"{prefix}_mm", f"is above {prefix}_im; keeping a position cannot need more than opening it"
        )
    return rates


def parse_chain(name: str, table: Table) -> LevelRates:
    """One entry of [chains]: its name is a CAIP-2 id."""
    try:
        parse_chain_id(name)
    except FormatError as error:
        raise PolicyError(f"{table.where}: {error}") from error
    return parse_levels(table, "addon")


def parse_chains(
    table: Table, key: str, known: dict[str, LevelRates], *, optional: bool = False
) -> tuple[ChainId, ...]:
    """A list of chains out of those under [chains]."""
    chains = table.texts(key, () if optional else None)
    for chain in chains:
        if chain not in known:
            table.fail(key, f"names {chain}, which is not among [chains]; add it there")
    return tuple(ChainId(chain) for chain in chains)
