"""docs/errors.md and docs/cli.md say what the code does: every class, command and option, and none besides."""

from __future__ import annotations

import re
from pathlib import Path

import click

from aggregator.cli.errors import DEFECT, INTERRUPTED
from aggregator.model import errors
from tests.aggregator.cli.test_frame import every_command, every_error

DOCS = Path(__file__).parents[3] / "docs"


def _rows(text: str) -> list[list[str]]:
    return [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|") and not line.startswith("|---")
    ]


def test_every_error_class_is_documented_with_its_code() -> None:
    documented = {
        tuple(row[:3]) for row in _rows((DOCS / "errors.md").read_text()) if row[0].startswith("urn:")
    }
    actual = {(kind().type_uri, kind.__name__, str(kind.exit_code)) for kind in every_error()}
    assert documented == actual | {
        ("urn:counterfoil:problem:interrupted", "Interrupted", str(INTERRUPTED)),
        ("urn:counterfoil:problem:internal", "Internal", str(DEFECT)),
    }


def test_every_exit_code_is_documented() -> None:
    documented = {int(row[0]) for row in _rows((DOCS / "errors.md").read_text()) if row[0].isdigit()}
    assert documented == {0, INTERRUPTED, *(kind.exit_code for kind in every_error())}


def test_the_tree_at_the_top_of_the_module_is_whole() -> None:
    drawn = set(re.findall(r"\w+Error\b", errors.__doc__ or ""))
    assert drawn == {kind.__name__ for kind in every_error()}


def _documented_commands() -> dict[str, set[str]]:
    """Command path -> options named in its section of docs/cli.md."""
    found: dict[str, set[str]] = {}
    sections = re.split(r"^#+ `(counterfoil[^`]*)`$", (DOCS / "cli.md").read_text(), flags=re.MULTILINE)
    for path, body in zip(sections[1::2], sections[2::2], strict=True):
        listed = {row[0] for row in _rows(body) if row[0].startswith(("-", "[", "<")) or row[0].isupper()}
        found[path] = {part.split()[0] for cell in listed for part in cell.split(", ")}
    return found


def _actual_commands() -> dict[str, set[str]]:
    shared = {"--json", "--home", "--help", "-h"}
    found = {}
    for path, command in every_command():
        names = set()
        for parameter in command.params:
            if isinstance(parameter, click.Argument):
                names.add(parameter.human_readable_name.upper())
            else:
                names |= {*parameter.opts, *parameter.secondary_opts} - shared
        found[path] = names
    return found


def test_every_command_and_option_is_documented() -> None:
    assert _documented_commands() == _actual_commands()
