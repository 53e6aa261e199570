"""How the demo speaks: numbered steps with their seconds, short sentences, tables, and refusals that must happen."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aggregator.cli.framework import Settings
from aggregator.cli.tables import Table
from aggregator.model.errors import CounterfoilError

if TYPE_CHECKING:
    from rich.status import Status

INDENT = 3
DEEP_INDENT = 12


class DemoFailedError(CounterfoilError):
    """Something did not go as the demo says it goes."""


@dataclass
class Step:
    """One finished step, as --json reports it."""

    number: int
    title: str
    seconds: float = 0.0
    refusals: list[dict[str, Any]] = field(default_factory=list)


class Stage:
    """Collects the steps and, unless --json is on, prints them on stdout as they go."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._status: Status | None = None
        self.steps: list[Step] = []
        self.started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the demo began."""
        return time.monotonic() - self.started

    @property
    def refusals(self) -> int:
        """How many refusals happened as they should."""
        return sum(len(step.refusals) for step in self.steps)

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """A numbered step; its duration is printed at its end."""
        step = Step(number=len(self.steps) + 1, title=title)
        self.steps.append(step)
        if self._settings.json:
            self._settings.note(f"{step.number}. {title}")
        else:
            self._print(f"\n[bold]{step.number}. {title}[/bold]")
        started = time.monotonic()
        with self._spinner(title):
            yield step
        step.seconds = round(time.monotonic() - started, 2)
        self._print(f"{' ' * INDENT}[dim]{step.seconds:.1f} s[/dim]")

    @contextmanager
    def _spinner(self, title: str) -> Iterator[None]:
        console = self._settings.console
        if self._settings.json or not console.is_terminal:
            yield
            return
        with console.status(f"{title} ...") as status:
            self._status = status
            try:
                yield
            finally:
                self._status = None

    def progress(self, text: str) -> None:
        """What is under way inside a step, beside the spinner of a terminal."""
        if self._status is not None:
            self._status.update(f"{text} ...")

    def say(self, text: str) -> None:
        """One plain sentence."""
        self._print_indented(text, INDENT)

    def show(self, table: Table) -> None:
        """A table."""
        if not self._settings.json:
            self._settings.console.print(table.draw())

    def confirm(self, holds: bool, what: str) -> None:
        """Stop the demo when `what` does not hold."""
        if not holds:
            raise DemoFailedError(f"the demo expected that {what}, and it is not so; this is a defect")

    @contextmanager
    def refused(self, what: str, by: type[CounterfoilError], *parts: str) -> Iterator[None]:
        """Run something that must be refused by an error of class `by` whose sentence holds `parts`."""
        try:
            yield
        except by as error:
            reason = str(error)
            missing = [part for part in parts if part not in reason]
            if missing:
                raise DemoFailedError(
                    f"{what} was refused for another reason than expected ({reason})"
                ) from error
            self.note_refusal(what, reason, error.exit_code)
        else:
            raise DemoFailedError(f"{what} was not refused; this is a defect")

    def note_refusal(self, what: str, reason: str, exit_code: int) -> None:
        """Record a refusal that happened as it should."""
        self.steps[-1].refusals.append({"what": what, "reason": reason, "exitCode": exit_code})
        self._print(f"{' ' * INDENT}[green]refused[/green]  {_escape(what)}")
        self._print_indented(f"{reason} (exit code {exit_code})", DEEP_INDENT)

    def summary(self, text: str) -> None:
        """The last line; with --json, everything as one document."""
        steps = [
            {
                "number": step.number,
                "title": step.title,
                "seconds": f"{step.seconds:.2f}",
                "refusals": step.refusals,
            }
            for step in self.steps
        ]
        data = {"ok": True, "summary": text, "seconds": f"{self.seconds:.2f}", "steps": steps}
        self._settings.show(data, lambda _: self._print(f"\n[bold green]Done.[/bold green] {_escape(text)}"))

    def _print_indented(self, text: str, indent: int) -> None:
        if not self._settings.json:
            from rich.padding import Padding
            from rich.text import Text

            self._settings.console.print(Padding(Text(text), (0, 0, 0, indent), expand=False))

    def _print(self, text: str) -> None:
        if not self._settings.json:
            self._settings.console.print(text, markup=True)


def _escape(text: str) -> str:
    from rich.markup import escape

    return escape(text)
