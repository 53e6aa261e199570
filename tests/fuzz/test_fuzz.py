"""Every parser under a fixed number of mutated inputs, the inputs that once broke one, and that a break is found.

`python -m tests.fuzz --seconds 600` looks for new ones.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz import (
    ceremony_targets,
    chain_targets,
    machine_targets,
    native_targets,
    python_targets,
    runner,
)
from tests.fuzz.mutate import mutate_bytes, mutate_json, mutate_sections, mutate_toml
from tests.fuzz.planted import PLANTED, planted
from tests.fuzz.runner import Finding, fuzz
from tests.fuzz.target import case
from tests.fuzz.targets import TARGETS, by_name
from tests.fuzz.worker import attempt

VECTORS = Path(__file__).parent.parent / "vectors" / "fuzz"
CASES = 100


@pytest.mark.slow
@pytest.mark.parametrize(
    "group",
    [native_targets, ceremony_targets, python_targets, chain_targets, machine_targets],
    ids=["native", "ceremony", "documents", "chains", "machine"],
)
def test_no_parser_breaks(group: object) -> None:
    assert fuzz(group.TARGETS, seed=2026, cases=CASES) == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", sorted(VECTORS.iterdir()), ids=lambda path: path.name)
def test_what_was_found_stays_fixed(path: Path) -> None:
    name = path.name.rpartition("-")[0]
    assert attempt(by_name()[name], path.read_bytes()) is None


def test_every_target_accepts_its_seeds(tmp_path: Path) -> None:
    """A target whose seeds are refused would test nothing."""
    assert len({target.name for target in TARGETS}) == len(TARGETS)
    for target in TARGETS:
        for seed in target.seeds(tmp_path):
            target.run(seed)


@pytest.mark.parametrize("mutate", [mutate_bytes, mutate_sections, mutate_json, mutate_toml])
def test_cases_are_the_same_for_the_same_seed(mutate: Callable[..., bytes], tmp_path: Path) -> None:
    target = next(target for target in TARGETS if target.mutate is mutate)
    seeds = target.seeds(tmp_path)
    first = [case(target, seeds, 1, n) for n in range(60)]
    assert first == [case(target, seeds, 1, n) for n in range(60)]
    assert first != [case(target, seeds, 2, n) for n in range(60)]
    assert len(set(first)) > 40


@pytest.mark.parametrize("name", PLANTED)
def test_a_broken_parser_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The search can fail: an undocumented error, an abort, a hang and a flood of memory are findings."""
    monkeypatch.setattr(runner, "HANG_S", 0.5)
    monkeypatch.setattr(runner, "WORKER", "tests.fuzz.planted")
    (target,) = [target for target in planted() if target.name == name]
    (found,) = fuzz([target], seed=1, cases=3)
    assert isinstance(found, Finding)
    assert (found.target, found.case, found.input) == (name, 2, b"seed!")
    assert PLANTED[name] in found.error
