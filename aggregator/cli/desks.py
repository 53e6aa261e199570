"""What a policy was built from, and an account on it whose market can be moved."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aggregator.cli.documents import read_document, read_kind
from aggregator.cli.framework import Settings
from aggregator.model.errors import ExpiredError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from aggregator.model.policy import Policy
    from aggregator.policy.inputs import PolicyInputs
    from aggregator.risk.desk import Desk


def inputs_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --inputs to a command."""
    return click.option(
        "--inputs",
        "inputs_path",
        type=click.Path(path_type=Path),
        help="What the policy was built from.  [default: as kept by policy build]",
    )(command)


def read_inputs(settings: Settings, policy: Policy, given: Path | None) -> PolicyInputs:
    """The inputs of `policy`, from a file or the store; raises InputError when there are none or they are another's."""
    from aggregator.policy import encode_policy
    from aggregator.policy.inputs import parse_inputs
    from aggregator.store import document_id

    if given is not None:
        document: bytes | None = read_kind(given, "policy-inputs")
    else:
        with settings.home.store() as store:
            document = store.policy_inputs(document_id(encode_policy(policy)))
    if document is None:
        raise InputError(
            f"what policy {policy.name} epoch {policy.epoch} was built from is not in this home; build it here, "
            "or give its publisher's file with --inputs"
        )
    inputs = parse_inputs(document)
    inputs.check_are_of(policy)
    return inputs


def read_positions(settings: Settings, snapshot: str, policy: Policy) -> Mapping[str, int]:
    """The positions of a complete snapshot as the policy counts them; raises IncompleteSnapshotError for another."""
    from aggregator.model.snapshot import parse_snapshot
    from aggregator.service.accepting import accepted_positions

    taken = parse_snapshot(read_document(settings, "snapshot", snapshot))
    taken.require_complete()
    return accepted_positions(policy, taken)


def require_alive(policy: Policy, *, expired: bool) -> None:
    """Raise ExpiredError for a policy past its end unless `expired` allows it."""
    now = int(time.time())
    if policy.expires < now and not expired:
        raise ExpiredError(
            f"policy {policy.name} epoch {policy.epoch} ran out {now - policy.expires} s ago; "
            "use the next epoch, or --expired to look back"
        )


def desk_of(inputs: PolicyInputs, positions: Mapping[str, int]) -> Desk:
    """An account on the market of `inputs`."""
    from aggregator.risk.desk import Desk

    return Desk(inputs.spec(), inputs.prices, inputs.rates, inputs.as_of, positions, inputs.zero_stale)
