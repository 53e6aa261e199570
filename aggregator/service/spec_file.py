"""Policy specs on disk: the text, what it says, and the data files that lie beside it."""

from __future__ import annotations

from pathlib import Path

from aggregator.model.errors import PolicyError
from aggregator.policy.spec import PolicySpec, parse_spec
from aggregator.store import read_whole


def read_spec(path: Path) -> tuple[str, PolicySpec, dict[str, str]]:
    """A spec's text, what it says, and the data files that it names; raises InputError and PolicyError."""
    text = _text(path, "the policy spec")
    spec = parse_spec(text, str(path))
    files = {}
    for name in spec.estimates.files():
        relative = Path(name)
        if relative.is_absolute() or ".." in relative.parts:
            raise PolicyError(f"{path} names the data file {name}; keep data files in the folder of the spec")
        files[name] = _text(path.parent / relative, "the data file")
    return text, spec, files


def _text(path: Path, what: str) -> str:
    try:
        return read_whole(path, what).decode()
    except UnicodeDecodeError as error:
        raise PolicyError(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from error
