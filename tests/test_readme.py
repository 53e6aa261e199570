"""The README's commands exist with the options it uses, and its figures are those of the committed results."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from aggregator.cli.main import run
from bench.table import BEGIN, END, README, table

TEXT = README.read_text()


def _commands() -> list[list[str]]:
    """Every `counterfoil ...` line of the README's shell blocks, comments off and continuations joined."""
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("counterfoil ")]


@pytest.mark.parametrize("words", _commands(), ids=lambda words: " ".join(words[:2]))
def test_every_command_and_option_exists(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    path = words[:1] if words[0] in ("doctor", "demo", "health") else words[:2]
    assert run([*path, "--help"]) == 0
    text = capsys.readouterr().out
    for option in (word for word in words if word.startswith("--")):
        assert option in text, option


def test_there_are_commands_to_check() -> None:
    assert len(_commands()) >= 8


def test_every_endpoint_of_the_networks_it_reads_is_exported() -> None:
    """The commands read every file of configs/networks, so what those ask for is set first."""
    asked = {
        name
        for file in (README.parent / "configs" / "networks").glob("*.toml")
        for name in re.findall(r"\$\{(\w+_RPC_URL\w*)\}", file.read_text())
    }
    block = next(
        block for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) if "snapshot take" in block
    )
    assert set(re.findall(r"(\w+_RPC_URL\w*)=", block)) == asked


def test_the_figures_are_the_committed_results() -> None:
    shown = TEXT.split(BEGIN)[1].split(END)[0].strip()
    assert shown == table(), "run: python -m bench.table"


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", TEXT))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (Path(README).parent / link).exists()


def test_the_two_commands_are_targets() -> None:
    makefile = (README.parent / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", TEXT, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_transcript_is_of_a_demo_that_went_well() -> None:
    transcript = (README.parent / "docs" / "demo.txt").read_text()
    assert re.search(r"^Done\. 16 steps as expected, 7 refusals as expected", transcript, re.MULTILINE)
