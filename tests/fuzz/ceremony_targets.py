"""The files of a multi-party setup: powers of tau, keys with contributions, and the record of who contributed."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from circuits import _native
from tests.circuits.malformed import split_sections
from tests.circuits.tiny import tiny
from tests.fuzz.mutate import mutate_sections
from tests.fuzz.target import Target, scratch

POWER = 5
LAST_SECTION = 10


@cache
def _files() -> dict[str, Path]:
    """Powers, the first key, and one with a contribution, of the tiny circuit."""
    folder = scratch()
    paths = {name: folder / f"ceremony-{name}" for name in ("ptau", "first", "second", "case", "made")}
    _native.make_powers(paths["ptau"], POWER)
    _native.setup_first_key(tiny().build(), paths["ptau"], paths["first"])
    _native.contribute(paths["first"], paths["second"], "someone", b"text")
    return paths


def _case(data: bytes) -> Path:
    path = _files()["case"].with_name(f"ceremony-case-{os.getpid()}")
    path.unlink(missing_ok=True)
    path.write_bytes(data)
    return path


def _sections(data: bytes) -> dict[int, bytes]:
    """The sections that a key has; their order in the file says nothing, and readers skip others."""
    return {number: body for number, body in split_sections(data)[1] if number <= LAST_SECTION}


def _powers(data: bytes) -> None:
    path = _case(data)
    _native.read_powers(path)
    _native.setup_first_key(tiny().build(), path, _files()["made"])
    assert _native.ProvingKey.open(_files()["made"]).matches(tiny().build())


def _contributed(data: bytes) -> None:
    """What verifies as having come from the first key by a contribution is the key that did."""
    path = _case(data)
    _native.read_transcript(path)
    _native.verify_ceremony(path, _files()["first"], [])
    assert _sections(data) == _sections(_files()["second"].read_bytes())


def _first(data: bytes) -> None:
    """Only what is in a first key is compared with: the contributed one fits one first key."""
    path = _case(data)
    _native.contribute(path, _files()["made"], "another", b"")
    _native.verify_ceremony(_files()["second"], path, [])
    assert _sections(data) == _sections(_files()["first"].read_bytes())


_REFUSALS = (ValueError,)

TARGETS = (
    Target("ptau", lambda _: [_files()["ptau"].read_bytes()], _powers, mutate_sections, _REFUSALS, weight=2),
    Target(
        "contribution",
        lambda _: [_files()["second"].read_bytes()],
        _contributed,
        mutate_sections,
        _REFUSALS,
        weight=3,
    ),
    Target(
        "first-key", lambda _: [_files()["first"].read_bytes()], _first, mutate_sections, _REFUSALS, weight=2
    ),
)
