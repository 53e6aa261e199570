"""Every target by name.

Why a mutator of our own: most inputs here are nested in a checksum, a schema, or points of a curve, where a
coverage guided fuzzer of bytes (cargo-fuzz, atheris) stops at the first check. Ours edits the parsed structure and
puts it together again. Both languages are reached through the Python boundary that users reach them by, in child
processes with bounded memory and time, so that a crash, a hang or a flood of either side is a finding; and each
case follows from a seed and a number, so CI runs the same ones. Coverage guidance would find deeper paths in the
Rust readers; it is not done here.
"""

from __future__ import annotations

from functools import cache

from tests.fuzz import ceremony_targets, chain_targets, machine_targets, native_targets, python_targets
from tests.fuzz.target import Target

TARGETS: tuple[Target, ...] = (
    *native_targets.TARGETS,
    *ceremony_targets.TARGETS,
    *python_targets.TARGETS,
    *chain_targets.TARGETS,
    *machine_targets.TARGETS,
)


@cache
def by_name() -> dict[str, Target]:
    """The targets."""
    return {target.name: target for target in TARGETS}
