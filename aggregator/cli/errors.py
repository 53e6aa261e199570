"""The one place where an error becomes what the user sees: a sentence on stderr and an exit code.

What is not listed here is a defect of the program and keeps its traceback on stderr (exit code 1).
"""

from __future__ import annotations

import json
from typing import Final

import click

from aggregator.model.errors import CounterfoilError, InputError

INTERRUPTED: Final = 130
"""128 + SIGINT, the shells' convention."""

DEFECT: Final = 1
"""What Python ends with after a traceback."""

REPORTED: Final = (CounterfoilError, click.ClickException, click.Abort, KeyboardInterrupt)
"""The errors that `report` knows."""


def report(error: BaseException, *, as_json: bool) -> int:
    """Say what happened and return the exit code; with `as_json` also as a problem object (RFC 9457) on stdout."""
    if isinstance(error, CounterfoilError):
        return _say(str(error), error.exit_code, error.type_uri, type(error).__name__, as_json)
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return InputError.exit_code
    if isinstance(error, click.ClickException):
        usage = InputError()
        return _say(_usage_text(error), usage.exit_code, usage.type_uri, InputError.__name__, as_json)
    return _say("interrupted", INTERRUPTED, "urn:counterfoil:problem:interrupted", "Interrupted", as_json)


def report_defect(error: Exception, *, as_json: bool) -> None:
    """With `as_json` the problem object of a defect on stdout; the caller raises it, so its traceback is on stderr."""
    if as_json:
        kind = type(error).__name__
        detail = f"a defect of the program ({kind}); report it with the traceback that is on stderr"
        _problem("urn:counterfoil:problem:internal", "Internal", detail, DEFECT)


def _usage_text(error: click.ClickException) -> str:
    text = error.format_message().rstrip(".").replace("\n", " ")
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{text}; see: {error.ctx.command_path} --help"
    return text


def _say(text: str, code: int, type_uri: str, title: str, as_json: bool) -> int:
    click.echo(f"error: {text}", err=True)
    if as_json:
        _problem(type_uri, title, text, code)
    return code


def _problem(type_uri: str, title: str, detail: str, code: int) -> None:
    problem = {"type": type_uri, "title": title, "detail": detail, "exitCode": code}
    click.echo(json.dumps(problem, indent=2, ensure_ascii=False))
