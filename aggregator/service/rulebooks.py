"""Rulebooks by name: found in files and evaluated on one book, side by side."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aggregator.margin.rulebooks import (
    Book,
    LevelResult,
    Rulebook,
    RulebookResult,
    isolated_requirement_e6,
    parse_rulebook,
)
from aggregator.model.errors import ConfigError, InputError
from aggregator.model.policy import Level
from aggregator.store import read_whole

VARIABLE: Final = "COUNTERFOIL_RULEBOOKS"
DEFAULT_FOLDER: Final = "configs/rulebooks"
ALL: Final = "all"
"""In place of names: every rulebook that can value the account."""
SOURCES: Final[Mapping[str, str]] = {
    "native": "M1-M7 of protocol.md",
    "aave-v3": "aave-v3-core GenericLogic, with e-mode",
    "drift": "protocol-v2 margin.rs: weights with size discount and premium",
    "dydx-v4": "v4-chain liquidity_tier.go: initial margin scaled by open interest",
    "synthetix-v3": "synthetix-v3 perps-market: collateral discounts, size-scaled margin",
    "derive-srm": "v2-core StandardManager",
    "derive-pm1": "v2-core PMRM, PMRMLib",
    "derive-pm2": "v2-core PMRM_2, PMRMLib_2",
    "simm-delta": (
        "ISDA SIMM delta margin of one risk class; its parameters are licensed, those of the file are made up"
    ),
    "span": (
        "CME SPAN: 16 scenarios, intra-commodity charges, inter-commodity credits, short-option minimum"
    ),
}
"""What each kind of rulebook follows, as in docs/rulebooks.md."""


@dataclass(frozen=True)
class Compared:
    """One rulebook's result; isolated requirements in 1e-6 USD; where its rules and its parameters come from."""

    kind: str
    path: Path
    result: RulebookResult
    isolated_im_e6: int
    isolated_mm_e6: int

    @property
    def levels(self) -> tuple[tuple[LevelResult, int], ...]:
        """IM, then MM, each with the isolated requirement."""
        return (self.result.im, self.isolated_im_e6), (self.result.mm, self.isolated_mm_e6)


def compare(names: str, paths: Sequence[str], book: Book) -> list[Compared]:
    """The rulebooks `names` (separated by commas) out of the files or folders `paths`, on `book`.

    Raises:
        ConfigError: a file is malformed, or two files have one name.
        InputError: a name is in no file, or the book holds an obligation that a rulebook does not list.
    """
    known = _known(paths)
    compared = []
    for name in dict.fromkeys(part.strip() for part in names.split(",")):
        if name not in known:
            raise InputError(f"no rulebook is called {name!r}; there are {', '.join(known) or 'none'}")
        compared.append(_evaluated(*known[name], book))
    return compared


def compare_all(paths: Sequence[str], book: Book) -> tuple[list[Compared], dict[str, str]]:
    """Every rulebook that can value `book`, and by name why the others cannot. Raises ConfigError."""
    compared, refused = [], {}
    for name, (kind, path, rulebook) in _known(paths).items():
        try:
            compared.append(_evaluated(kind, path, rulebook, book))
        except InputError as error:
            refused[name] = str(error)
    return compared, refused


def _evaluated(kind: str, path: Path, rulebook: Rulebook, book: Book) -> Compared:
    isolated = (isolated_requirement_e6(rulebook, book, level) for level in (Level.IM, Level.MM))
    return Compared(kind, path, rulebook.evaluate(book), *isolated)


def _known(paths: Sequence[str]) -> dict[str, tuple[str, Path, Rulebook]]:
    return _load(paths or (os.environ.get(VARIABLE) or DEFAULT_FOLDER,))


def _load(paths: Sequence[str]) -> dict[str, tuple[str, Path, Rulebook]]:
    """Name -> kind, file and rulebook."""
    found: dict[str, tuple[str, Path, Rulebook]] = {}
    for given in map(Path, paths):
        for path in sorted(given.glob("*.toml")) if given.is_dir() else [given]:
            try:
                text = read_whole(path, "the rulebook").decode()
            except UnicodeDecodeError as error:
                raise ConfigError(f"{path} is not UTF-8 text; correct the file") from error
            rulebook = parse_rulebook(text, path.name)
            if rulebook.name in found:
                raise ConfigError(
                    f"{found[rulebook.name][1]} and {path} are both called {rulebook.name!r}; rename one"
                )
            found[rulebook.name] = (str(tomllib.loads(text)["kind"]), path, rulebook)
    return found


def rulebooks_json(compared: Sequence[Compared]) -> list[dict[str, object]]:
    """All results as JSON; amounts are decimal strings in 1e-6 USD."""
    return [
        {
            "name": one.result.rulebook,
            "kind": one.kind,
            "follows": SOURCES[one.kind],
            "file": str(one.path),
            "ignored": list(one.result.ignored),
            "levels": {
                level.level.name: {
                    "countedE6": str(level.counted_e6),
                    "requirementE6": str(level.requirement_e6),
                    "excessE6": str(level.excess_e6),
                    "healthE6": None if level.health_e6 is None else str(level.health_e6),
                    "isolatedRequirementE6": str(isolated_e6),
                    "binding": level.binding,
                    "lines": list(level.lines),
                }
                for level, isolated_e6 in one.levels
            },
        }
        for one in compared
    ]
