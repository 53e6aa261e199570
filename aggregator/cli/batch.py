"""`counterfoil proof make --batch`: many proofs with one loaded key, each account's failure named, the rest made."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aggregator.cli import tables
from aggregator.cli.documents import read_policy
from aggregator.cli.framework import Settings
from aggregator.model.errors import InputError
from aggregator.service.batch import Batch, Held, Outcome
from aggregator.service.batch_file import BatchEntry, load_batch
from circuits.bundle import encode_bundle

if TYPE_CHECKING:
    from rich.console import Console


def make_batch(
    settings: Settings, path: Path, given: Mapping[str, object], proving_key: Path | None, out: Path | None
) -> None:
    """Makes what a batch file asks for; the exit code is that of its first failure, 0 without one."""
    if out is None:
        raise InputError("with --batch the bundles go to a folder; name it with --out")
    entries = load_batch(path, given)
    policies = {name: read_policy(settings, name) for name in dict.fromkeys(e.policy for e in entries)}
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {out} cannot be made ({error.strerror}); choose another") from error
    started = time.monotonic()
    outcomes: dict[str, Outcome] = {}
    with settings.home.store() as store, _progress(settings, len(entries)) as step:

        def find(entry: BatchEntry) -> Held:
            stored = store.snapshot(entry.snapshot)
            return Held(stored, store.account(stored.account))

        batch = Batch(policies, find, out, lambda: int(time.time()), proving_key, tell=step.tell)
        for outcome in batch.run(entries):
            outcomes[outcome.entry.name] = outcome
            if outcome.bundle is not None and not outcome.kept:
                stored = store.snapshot(outcome.entry.snapshot)
                document = encode_bundle(outcome.bundle)
                store.add_bundle(document, account=stored.account, snapshot=stored.id, now=int(time.time()))
            step.done(_word(outcome), outcome.entry.name)
    ordered = [outcomes[entry.name] for entry in entries]
    seconds = time.monotonic() - started
    _show(settings, batch, ordered, seconds)
    failed = [outcome.error for outcome in ordered if outcome.error is not None]
    if failed:
        first = next(outcome for outcome in ordered if outcome.error is not None)
        settings.fail_after_answer(
            type(failed[0])(
                f"{len(failed)} of {len(ordered)} proofs were not made, the first {first.entry.name}: {failed[0]}"
            )
        )


def _word(outcome: Outcome) -> str:
    return "failed" if outcome.error is not None else "kept" if outcome.kept else "made"


def _kind(outcome: Outcome) -> str:
    return "" if outcome.bundle is None else outcome.bundle.key_kind.value


def _show(settings: Settings, batch: Batch, outcomes: Sequence[Outcome], seconds: float) -> None:
    counts = {word: sum(_word(o) == word for o in outcomes) for word in ("made", "kept", "failed")}
    rate = 60 * counts["made"] / seconds if seconds else 0.0

    def render(console: Console) -> None:
        rows = [(o.entry.name, _word(o), _kind(o), str(o.error or batch.path(o.entry))) for o in outcomes]
        columns = ("Proof", "Result", "Key", "Bundle, or why there is none")
        console.print(tables.Table("", columns, rows).draw())
        console.print(
            f"{counts['made']} made, {counts['kept']} kept, {counts['failed']} failed in {seconds:.1f} s "
            f"({rate:.0f} made a minute)."
        )

    settings.show(
        {**counts, "seconds": f"{seconds:.3f}", "proofs": [_json(batch, outcome) for outcome in outcomes]},
        render,
    )


def _json(batch: Batch, outcome: Outcome) -> dict[str, object]:
    entry, error = outcome.entry, outcome.error
    common: dict[str, object] = {"name": entry.name, "snapshot": entry.snapshot, "result": _word(outcome)}
    if error is None:
        return {**common, "keyKind": _kind(outcome), "file": str(batch.path(entry))}
    problem = {"type": error.type_uri, "title": type(error).__name__, "detail": str(error)}
    return {**common, "problem": {**problem, "exitCode": error.exit_code}}


class _Step(Protocol):
    def tell(self, text: str) -> None: ...

    def done(self, word: str, name: str) -> None: ...


class _Lines:
    """One line for each proof, where stderr is no terminal."""

    def __init__(self, settings: Settings, total: int) -> None:
        self._settings, self._total, self._count = settings, total, 0

    def tell(self, text: str) -> None:
        """Details are for terminals."""

    def done(self, word: str, name: str) -> None:
        """One more is finished."""
        self._count += 1
        self._settings.note(f"{self._count} of {self._total}: {name} {word}")


@contextmanager
def _progress(settings: Settings, total: int) -> Iterator[_Step]:
    if not settings.progress_console.is_terminal:
        yield _Lines(settings, total)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=settings.progress_console) as bar:
        task = bar.add_task("Making the proofs", total=total)

        class Bar:
            def tell(self, text: str) -> None:
                bar.update(task, description=text)

            def done(self, word: str, name: str) -> None:
                bar.update(task, description=f"{name} {word}", advance=1)

        yield Bar()
