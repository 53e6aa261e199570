"""Policies whose market can be moved: what they were built from, and an account on it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from aggregator.model.errors import NotFoundError
from aggregator.policy.inputs import PolicyInputs, parse_inputs
from aggregator.risk.desk import Desk
from aggregator.service.library import Case, Kept
from aggregator.store.asynchronous import AsyncStore

_KEPT: Final = 32


async def read_inputs(store: AsyncStore, policy: str) -> PolicyInputs | None:
    """What a stored policy was built from, None when nobody kept it; raises PolicyError."""
    document = await store.read(lambda records: records.policy_inputs(policy))
    return None if document is None else parse_inputs(document)


class Desks:
    """Desks by (snapshot, policy), the last ones kept: building the market once makes the next question quick."""

    def __init__(self) -> None:
        """Empty at first."""
        self._inputs: Kept[PolicyInputs] = Kept(_KEPT)
        self._desks: Kept[Desk] = Kept(_KEPT)

    async def inputs(self, store: AsyncStore, case: Case) -> PolicyInputs:
        """The inputs of a case's policy. Raises NotFoundError, PolicyError when they are another policy's."""
        key = case.stored_policy.id
        if (kept := self._inputs.get(key)) is not None:
            return kept
        found = await read_inputs(store, key)
        if found is None:
            raise NotFoundError(
                f"what policy {key} was built from is not kept here, so its market cannot be moved; "
                "build it here: counterfoil policy build"
            )
        await asyncio.to_thread(found.check_are_of, case.policy)
        return self._inputs.put(key, found)

    def desk(self, case: Case, inputs: PolicyInputs, positions: Mapping[str, int] | None = None) -> Desk:
        """The account of a complete snapshot, or `positions` in its place (1e-8 by symbol), on that market.

        Raises IncompleteSnapshotError.
        """
        case.snapshot.require_complete()
        held = case.accepted if positions is None else positions

        def make() -> Desk:
            return Desk(inputs.spec(), inputs.prices, inputs.rates, inputs.as_of, held, inputs.zero_stale)

        return self._desks.made(f"{case.stored_policy.id} {sorted(held.items())}", make)
