"""A document named on the command line: a file, or what the store holds under an id or a label."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aggregator.cli.framework import Settings
from aggregator.model.errors import FormatError, NotFoundError

if TYPE_CHECKING:
    from aggregator.model.policy import Policy
    from circuits.bundle import Bundle


def is_path(name: str) -> bool:
    """Whether `name` means a file: it has a slash or a .json ending. Store ids and labels have neither."""
    return "/" in name or name.endswith(".json")


def read_document(settings: Settings, kind: str, name: str) -> bytes:
    """The bytes of the `kind` ("policy", "snapshot", "bundle") called `name`; raises InputError."""
    if is_path(name):
        return read_kind(Path(name), kind)
    try:
        with settings.home.store() as store:
            if kind == "snapshot":
                return store.snapshot(name).document
            return store.policy(name) if kind == "policy" else store.bundle(name)
    except NotFoundError as error:
        if Path(name).is_file():
            raise NotFoundError(f"{error}; the file of that name needs a path: ./{name}") from error
        raise


def read_kind(path: Path, kind: str) -> bytes:
    """The bytes of a file of the schema counterfoil/KIND; raises InputError, also when it is of another schema."""
    from aggregator.model.strictjson import load_json
    from aggregator.store import read_whole

    data = read_whole(path, f"the {kind}")
    value = load_json(data, f"the {kind} {path}")
    schema = value.get("schema") if isinstance(value, dict) else None
    if isinstance(schema, str) and not schema.startswith(f"counterfoil/{kind}/"):
        article = "an" if kind[0] in "aei" else "a"
        raise FormatError(f"{path} is a {schema[:60]}, not {article} {kind}; give the file that is")
    return data


def read_policy(settings: Settings, name: str) -> Policy:
    """The policy called `name`, checked against W1-W7; raises InputError or PolicyError."""
    from aggregator.policy import parse_policy
    from aggregator.store import naming

    data = read_document(settings, "policy", name)
    with naming(name):
        return parse_policy(data)


def read_bundle(settings: Settings, name: str) -> Bundle:
    """The bundle called `name`; raises InputError, FormatError and ProofRefusedError naming it."""
    from aggregator.store import naming
    from circuits.bundle import parse_bundle

    data = read_document(settings, "bundle", name)
    with naming(name):
        return parse_bundle(data)


def write_document(path: Path, data: bytes) -> None:
    """Write a document for the user, whole or not at all; raises InputError."""
    from aggregator.store import write_whole

    write_whole(path, data + b"\n")
