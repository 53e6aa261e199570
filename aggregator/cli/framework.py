"""What every command shares: lazy loading, `--json` and `--home`, and where output goes."""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO

import click

from aggregator.cli.errors import report

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from aggregator.model.errors import CounterfoilError
    from aggregator.store import Home

SECONDS: Final = click.IntRange(0, 2**53 - 1)
"""Unix seconds as documents can hold them."""
LIFETIME: Final = click.IntRange(1, 10**9)
"""Seconds from now on; some thirty years at most."""
_BLANKS: Final = re.compile(r"[ \t]+$", re.MULTILINE)
PLAIN_WIDTH: Final = 120
"""Columns of tables when stdout is not a terminal."""


class LazyGroup(click.Group):
    """A group whose subcommands are imported when they run, not when they are listed."""

    def __init__(self, *args: Any, commands_at: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        """`commands_at` maps a name to ("module:attribute", one-line help)."""
        super().__init__(*args, **kwargs)
        self.commands_at = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table, which is the order of use."""
        return list(self.commands_at)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of `cmd_name`."""
        if cmd_name not in self.commands_at:
            return None
        module, _, attribute = self.commands_at[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, importing none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.commands_at.items()])


class CommandGroup(click.Group):
    """A group that lists its commands with the whole first sentence of each, however narrow the terminal."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands; click would cut their help to one line."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(1000)) for name, command in self.commands.items()]
            )


def command_group(function: Callable[[], None]) -> CommandGroup:
    """A group of commands that takes --json and --home before the command's name as well."""
    return click.group(cls=CommandGroup)(settings_options(function))


class Step:
    """What is under way, on a terminal: a line that names the detail, or a bar while a share of one is known."""

    def __init__(self, text: str, console: Console) -> None:
        """Shows `text`; on what is no terminal, nothing."""
        self._text = text
        self._console = console
        self._bar: Progress | None = None
        self._status = console.status(f"{text} ...") if console.is_terminal else None
        if self._status is not None:
            self._status.start()

    def __call__(self, detail: str) -> None:
        """Name the detail."""
        if self._status is not None:
            self._status.update(f"{self._text}: {detail} ...")

    def share(self, what: str, done: float) -> None:
        """Show a bar of `what` until the share that is done, 0..1, is 1."""
        if self._status is None:
            return
        if self._bar is None:
            self._status.stop()
            self._bar = _progress(self._console)
            self._bar.add_task(what, total=1.0)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=done)
        if done >= 1:
            self._bar.stop()
            self._bar = None
            self._status.start()

    def end(self) -> None:
        """Show nothing any more."""
        for shown in (self._bar, self._status):
            if shown is not None:
                shown.stop()


class Settings:
    """`--json`, `--home` and the output streams of one run."""

    def __init__(self) -> None:
        """Nothing is opened until it is used."""
        self.json = False
        self.home_option: str | None = None

    @property
    def home(self) -> Home:
        """The user's home directory for counterfoil."""
        from aggregator.store import Home

        return Home.locate(self.home_option, os.environ)

    @functools.cached_property
    def console(self) -> Console:
        """Where tables go: stdout. rich honours NO_COLOR and plain pipes."""
        return _console(stderr=False)

    @functools.cached_property
    def progress_console(self) -> Console:
        """Where progress goes: stderr."""
        return _console(stderr=True)

    def show(self, data: object, render: Callable[[Console], None]) -> None:
        """The answer of a command: `data` as JSON with --json, else what `render` draws."""
        if self.json:
            click.echo(json.dumps(data, indent=2, ensure_ascii=False))
        else:
            render(self.console)

    def fail_after_answer(self, error: CounterfoilError) -> NoReturn:
        """End with the exit code of `error` when the answer was shown already: one JSON document, not two."""
        if self.json:
            raise click.exceptions.Exit(report(error, as_json=False))
        raise error

    def note(self, text: str) -> None:
        """One line of progress on stderr."""
        click.echo(text, err=True)

    @contextmanager
    def step(self, text: str) -> Iterator[Step]:
        """Show that `text` is under way, then how long it took; on stderr. Yields a way to show details and a bar."""
        started = time.monotonic()
        step = Step(text, self.progress_console)
        try:
            yield step
        finally:
            step.end()
        self.note(f"{text}: {time.monotonic() - started:.1f} s")

    @contextmanager
    def bar(self, text: str) -> Iterator[Callable[[float], None]]:
        """A progress bar on stderr of a terminal, else as `step`; yields what takes the share that is done."""
        if not self.progress_console.is_terminal:
            with self.step(text):
                yield lambda _share: None
            return
        with _progress(self.progress_console) as bar:
            task = bar.add_task(text, total=1.0)
            yield lambda share: bar.update(task, completed=share)


def _progress(console: Console) -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %"))
    return Progress(*columns, TimeElapsedColumn(), console=console)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    plain: dict[str, Any] = {} if terminal else {"width": PLAIN_WIDTH, "file": Trimmed(stderr=stderr)}
    return Console(stderr=stderr, highlight=False, emoji=False, markup=False, **plain)


class Trimmed:
    """stdout or stderr, as it is at the time, without the blanks that tables have at the end of a line."""

    def __init__(self, *, stderr: bool) -> None:
        """Opens nothing."""
        self._stderr = stderr

    @property
    def _to(self) -> TextIO:
        return sys.stderr if self._stderr else sys.stdout

    @property
    def encoding(self) -> str:
        """The stream's own."""
        return self._to.encoding

    def write(self, text: str) -> int:
        """Whole lines, as a console writes them."""
        return self._to.write(_BLANKS.sub("", text))

    def flush(self) -> None:
        """Flush the stream."""
        self._to.flush()

    def isatty(self) -> bool:
        """It is used where the stream is no terminal."""
        return False


def _set_json(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    ctx.ensure_object(Settings).json |= value


def _set_home(ctx: click.Context, _parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Settings).home_option = value


def settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json and --home to a command or group."""
    as_json = click.option(
        "--json", is_flag=True, expose_value=False, callback=_set_json, help="Print JSON on stdout."
    )
    home = click.option(
        "--home",
        metavar="DIR",
        expose_value=False,
        callback=_set_home,
        help="Where accounts and documents are kept.  [default: $COUNTERFOIL_HOME or ~/.counterfoil]",
    )
    return as_json(home(command))


pass_settings = click.make_pass_decorator(Settings, ensure=True)
