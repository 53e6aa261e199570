"""What every command shares: help without loading, JSON and problem objects, exit codes in one place."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from rich.console import Console

from aggregator.cli import framework
from aggregator.cli import main as main_module
from aggregator.cli.errors import INTERRUPTED
from aggregator.cli.framework import CommandGroup, LazyGroup
from aggregator.cli.main import COMMANDS, cli
from aggregator.cli.tables import Table
from aggregator.model import errors
from aggregator.store import Home, Link
from tests.aggregator.cli.conftest import Invoke


def every_command() -> Iterator[tuple[str, click.Command]]:
    """(path, command) of every command and group below `counterfoil`."""
    waiting: list[tuple[str, click.Command]] = [("counterfoil", cli)]
    while waiting:
        path, command = waiting.pop()
        yield path, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                waiting.append((f"{path} {name}", found))


def every_error() -> Iterator[type[errors.CounterfoilError]]:
    """The classes of the tree; packages may refine them, and a refinement keeps its parent's code and type."""
    for value in vars(errors).values():
        if isinstance(value, type) and issubclass(value, errors.CounterfoilError):
            yield value


def test_the_table_of_commands_says_what_the_commands_say() -> None:
    assert isinstance(cli, LazyGroup)
    for name, (_, text) in COMMANDS.items():
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert (command.help or "").partition("\n")[0] == text


def test_every_command_that_answers_has_json_and_home() -> None:
    for path, command in every_command():
        if not isinstance(command, click.Group):
            options = {option for parameter in command.params for option in parameter.opts}
            assert {"--json", "--home"} <= options, path


def test_every_command_has_help(invoke: Invoke) -> None:
    for path, command in every_command():
        assert command.help, path
        result = invoke(*path.split()[1:], "--help")
        assert result.code == 0
        assert "Usage: counterfoil" in result.out


@pytest.mark.parametrize("kind", list(every_error()), ids=lambda kind: kind.__name__)
def test_an_error_becomes_one_sentence_and_its_exit_code(
    kind: type[errors.CounterfoilError], invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise kind("the thing failed for a reason; do this next")

    monkeypatch.setattr(main_module.cli, "main", fail)
    result = invoke("anything")
    assert (result.code, result.out) == (kind.exit_code, "")
    assert result.err == "error: the thing failed for a reason; do this next\n"

    problem = invoke("anything", "--json").data
    assert problem == {
        "type": f"urn:counterfoil:problem:{kind.problem}",
        "title": kind.__name__,
        "detail": "the thing failed for a reason; do this next",
        "exitCode": kind.exit_code,
    }


def test_ctrl_c_is_130(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main_module.cli, "main", interrupt)
    result = invoke("anything")
    assert (result.code, result.err) == (INTERRUPTED, "error: interrupted\n")


def test_a_defect_keeps_its_traceback(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(main_module.cli, "main", fail)
    with pytest.raises(ZeroDivisionError):
        invoke("anything")


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["nonsense"], "No such command"),
        (["account", "nonsense"], "No such command"),
        (["account", "create"], "Missing argument"),
        (["account", "create", "main", "--sub-account", "x"], "not a valid integer"),
        (["account", "list", "--nonsense"], "No such option"),
    ],
)
def test_a_wrong_command_line_is_one_sentence(invoke: Invoke, arguments: list[str], part: str) -> None:
    result = invoke(*arguments)
    result.refused(2, part, "--help")
    assert invoke(*arguments, "--json").data["type"] == "urn:counterfoil:problem:invalid-input"


def test_a_group_alone_shows_its_help(invoke: Invoke) -> None:
    result = invoke("account")
    assert result.code == 2
    assert "Usage: counterfoil account" in result.err


def test_json_may_stand_before_or_after_the_command(invoke: Invoke) -> None:
    assert invoke("--json", "account", "list").data == []
    assert invoke("account", "--json", "list").data == []
    assert invoke("account", "list", "--json").data == []


def test_doctor_finds_what_is_installed(invoke: Invoke, home: Path, unset_network: Path) -> None:
    result = invoke("doctor", "--json", "--networks", unset_network)
    findings = {finding["name"]: finding for finding in result.data}
    assert result.code == 0
    assert findings["Python"]["state"] == findings["Rust core"]["state"] == "ok"
    assert findings["Nowhere"]["state"] == "not set"
    assert "COUNTERFOIL_TEST_RPC" in findings["Nowhere"]["found"]
    assert "leave the file out with --networks" in findings["Nowhere"]["found"]
    assert "leave its file out with --networks" in findings["Nowhere"]["advice"]
    assert not home.exists()


def test_doctor_says_what_to_do_about_a_missing_tool(
    invoke: Invoke, unset_network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("COUNTERFOIL_ANVIL", "/nonexistent/anvil")
    result = invoke("doctor", "--networks", unset_network)
    assert result.code == 7
    assert "install Node.js" in result.out
    assert "error: Node.js, anvil missing" in result.err
    as_json = invoke("doctor", "--networks", unset_network, "--json")
    states = {finding["name"]: finding for finding in as_json.data}
    assert as_json.code == 7
    assert states["Node.js"]["state"] == "missing"
    assert states["anvil"]["advice"] == "run: make setup"


def test_doctor_names_an_unreachable_network(invoke: Invoke, dead_network: Path) -> None:
    result = invoke("doctor", "--networks", dead_network)
    assert result.code == 3
    assert "error: Nowhere unreachable" in result.err
    as_json = invoke("doctor", "--networks", dead_network, "--json")
    assert as_json.code == 3
    assert {f["name"]: f["state"] for f in as_json.data}["Nowhere"] == "unreachable"


def test_doctor_refuses_a_malformed_network_file(invoke: Invoke, dead_network: Path) -> None:
    dead_network.write_text(dead_network.read_text().replace("chain_id = 31337999", "chain_id = 0"))
    invoke("doctor", "--networks", dead_network).refused(2, "nowhere.toml.chain_id", "outside")
    dead_network.write_text("name = [")
    invoke("doctor", "--networks", dead_network).refused(2, "nowhere.toml is not TOML")
    invoke("doctor", "--networks", dead_network.parent / "absent.toml").refused(2, "cannot be read")


def test_two_files_for_one_chain_are_refused(invoke: Invoke, dead_network: Path) -> None:
    other = dead_network.with_name("other.toml")
    other.write_text(dead_network.read_text())
    result = invoke("doctor", "--networks", dead_network, "--networks", other)
    result.refused(2, "both describe eip155:31337999")


def test_no_colour_codes_in_a_pipe_or_with_no_color(home: Path) -> None:
    for extra in ({}, {"NO_COLOR": "1", "FORCE_COLOR": ""}):
        done = subprocess.run(
            [sys.executable, "-m", "aggregator.cli", "account", "list", "--home", str(home)],
            capture_output=True,
            check=True,
            env={**os.environ, **extra},
        )
        assert b"\x1b[" not in done.stdout


def test_the_installed_command_reports_and_exits(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aggregator.cli", "account", "create", "../x", "--home", str(home), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert json.loads(done.stdout)["title"] == "InputError"
    assert done.stderr.startswith("error: '../x' cannot name an account")


@pytest.mark.parametrize("module", ["aggregator.cli", "aggregator.cli.main"])
def test_the_command_runs_as_a_module(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("counterfoil ")


def test_the_help_of_a_group_is_whole_at_80_columns(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for path, command in every_command():
        if isinstance(command, CommandGroup):
            words = " ".join(invoke(*path.split()[1:], "--help").out.split())
            for name, one in command.commands.items():
                whole = " ".join((one.help or "").split("\n\n")[0].split()).split(". ")[0].rstrip(".")
                assert f"{name} {whole}" in words, path


def test_tables_in_a_pipe_have_no_blanks_at_the_end(invoke: Invoke) -> None:
    for name in ("main", "second"):
        assert invoke("account", "create", name).code == 0
    shown = invoke("account", "list")
    assert "second" in shown.out
    assert [line for line in shown.out.splitlines() if line != line.rstrip()] == []


def test_addresses_are_shown_whole_at_80_columns(
    invoke: Invoke, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke("account", "create", "main")
    with Home(home).store() as store:
        store.add_link(Link("0x" + "ab" * 20, "main", 1, 2, "0x11", ""), now=1)
    monkeypatch.setattr(framework, "PLAIN_WIDTH", 80)
    assert "0x" + "ab" * 20 in invoke("account", "list").out


def test_a_title_is_on_a_line_of_its_own() -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(Table("A title that is far wider than its table", ("A", "B"), [("1", "2")]).draw())
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines()[0].rstrip() == "A title that is far wider than its table"
