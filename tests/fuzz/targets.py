"""Every target by name."""

from __future__ import annotations

from functools import cache

from tests.fuzz import ceremony_targets, chain_targets, native_targets, python_targets
from tests.fuzz.target import Target

TARGETS: tuple[Target, ...] = (
    *native_targets.TARGETS,
    *ceremony_targets.TARGETS,
    *python_targets.TARGETS,
    *chain_targets.TARGETS,
)


@cache
def by_name() -> dict[str, Target]:
    """The targets."""
    return {target.name: target for target in TARGETS}
