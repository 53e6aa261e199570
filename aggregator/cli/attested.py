"""Which stored snapshot attestations are over: a label may mean a newer one by the time that they come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aggregator.cli.framework import Settings
from aggregator.model.errors import ProofRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aggregator.model.policy import Policy
    from aggregator.service.proving import Audience
    from aggregator.store import Store, StoredSnapshot
    from circuits.bundle import BundleAttestation

MOST_TRIED: Final = 20
"""Of how many of an account's newest snapshots it is looked whether the attestations are over them."""


def attested(
    settings: Settings,
    store: Store,
    name: str,
    policy: Policy,
    audience: Audience,
    attestations: Sequence[BundleAttestation],
    now: int,
) -> StoredSnapshot:
    """The snapshot called `name`; for an account's label the one that the attestations are over, the newest or not.

    Raises ProofRefusedError, naming the snapshot that was tried, when they are over none.
    """
    from aggregator.service.proving import attestation_request, attested_snapshot

    newest = store.snapshot(name)
    names = [newest.id]
    if name == newest.account:
        names += [one.id for one in store.snapshots() if one.label == name and one.id != newest.id]
    tried = names[:MOST_TRIED]
    found = attested_snapshot((store.snapshot(key) for key in tried), policy, audience, attestations, now)
    if found is None:
        attestation_request(
            newest, policy, audience.chain_id, audience.registry, now
        )  # what is wrong with the snapshot itself is said first
        means = f", which {name} now means, nor over an older one of it" if name == newest.account else ""
        raise ProofRefusedError(
            "the attestation is not over this account, snapshot, policy and registry: it is not over snapshot "
            f"{newest.id}"
            f"{means}; have it attested under this policy for this registry, and name it by its id"
        )
    if found.id != newest.id:
        settings.note(
            f"the attestations are over snapshot {found.id}; {name} now means a newer one, {newest.id}"
        )
    return found
