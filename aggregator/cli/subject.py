"""Whose figures are shown, when they were read and under which policy: what every valuation says first."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aggregator.cli import tables
from aggregator.cli.desks import read_inputs, require_alive
from aggregator.cli.documents import is_path, read_document, read_policy
from aggregator.cli.framework import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from aggregator.model.policy import Policy
    from aggregator.model.snapshot import Snapshot
    from aggregator.risk.desk import Desk

OLD_S: Final = 3600
"""A snapshot older than this is warned of: it is how long an attestation is good unless another time is asked for."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An account as it was read, and the policy to value it under.

    `account` is None when the snapshot is a file's, `root` (0x hex) when the policy is: making it again takes a second.
    """

    account: str | None
    snapshot_id: str
    taken: Snapshot
    policy: Policy
    root: str | None
    now: int

    @property
    def name(self) -> str:
        """The account's name, or the beginning of its id."""
        return self.account or f"account {tables.short(f'0x{self.taken.account_id:064x}')}"

    def header(self) -> str:
        """One line: whose, when, how far it is trusted, under which policy."""
        from aggregator.service.provenance import weakest

        taken, policy = self.taken, self.policy
        ended = f" EXPIRED {tables.span(self.now - policy.expires)} ago" if policy.expires < self.now else ""
        return (
            f"{self.name}, read {tables.span(self.now - taken.cut_time)} ago (cut {tables.moment(taken.cut_time)}, "
            f"{tables.count(len(taken.anchors), 'chain')}, {weakest(taken.anchors) or 'reported'}), "
            f"policy {policy.name} epoch {policy.epoch}, valid to {tables.moment(policy.expires)}{ended}"
        )

    def warnings(self) -> list[str]:
        """What the reader should know before relying on the figures."""
        found = []
        if (age := self.now - self.taken.cut_time) > OLD_S:
            again = f"counterfoil snapshot take {self.account or 'ACCOUNT'}"
            found.append(f"the snapshot is {tables.span(age)} old, balances may have changed; run: {again}")
        if (late := self.now - self.policy.expires) > 0:
            found.append(
                f"policy {self.policy.name} epoch {self.policy.epoch} ran out {tables.span(late)} ago, "
                "its prices are old; use the next epoch"
            )
        return found

    def show(self, settings: Settings, data: dict[str, object], render: Any) -> None:
        """The answer of a command with the subject above it; warnings go to stderr."""
        for text in self.warnings():
            settings.note(f"warning: {text}")

        def headed(console: Console) -> None:
            console.print(self.header())
            render(console)

        settings.show({**self.json(), **data} if settings.json else data, headed)

    def json(self) -> dict[str, object]:
        """The same with ids, blocks and the policy's root."""
        from aggregator.policy import encode_policy
        from aggregator.service.provenance import of_snapshot
        from aggregator.store import document_id

        policy = self.policy
        return {
            "account": self.account,
            "accountId": f"0x{self.taken.account_id:064x}",
            "snapshot": self.snapshot_id,
            **of_snapshot(self.taken),
            "policy": {
                "id": document_id(encode_policy(policy)),
                "name": policy.name,
                "epoch": policy.epoch,
                "root": self.root,
                "expires": policy.expires,
                "expired": policy.expires < self.now,
            },
            "warnings": self.warnings(),
        }

    def positions(self) -> Mapping[str, int]:
        """What the policy counts of it; raises IncompleteSnapshotError."""
        from aggregator.service.accepting import accepted_positions

        self.taken.require_complete()
        return accepted_positions(self.policy, self.taken)

    def desk(self, settings: Settings, given: Path | None) -> Desk:
        """The account on the market its policy was built from; raises IncompleteSnapshotError, InputError."""
        from aggregator.cli.desks import desk_of

        return desk_of(read_inputs(settings, self.policy, given), self.positions())


def read_subject(settings: Settings, snapshot: str, policy_name: str, *, expired: bool) -> Subject:
    """The snapshot and the policy of these names; raises ExpiredError for a policy past its end unless `expired`."""
    from aggregator.model.snapshot import parse_snapshot
    from aggregator.policy import encode_policy
    from aggregator.store import document_id

    if is_path(snapshot):
        document = read_document(settings, "snapshot", snapshot)
        account, key = None, document_id(document.strip())
    else:
        with settings.home.store() as store:
            stored = store.snapshot(snapshot)
        account, key, document = stored.account, stored.id, stored.document
    taken = parse_snapshot(document)
    policy = read_policy(settings, policy_name)
    require_alive(policy, expired=expired)
    root = None
    if not is_path(policy_name):
        with settings.home.store() as store:
            root = store.find_policy(document_id(encode_policy(policy)), document=False).root
    return Subject(account, key, taken, policy, root, int(time.time()))
