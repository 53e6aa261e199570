"""`counterfoil ceremony`: make a proving key together, so that one honest participant is enough."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from aggregator.cli import tables
from aggregator.cli.framework import Settings, command_group, pass_settings, settings_options

if TYPE_CHECKING:
    from rich.console import Console

    from circuits.ceremony import KeyFile, Verified

MAX_TEXT_BYTES: Final = 1 << 20
HASH_GROUPS: Final = 16
DEFAULT_ITERATIONS: Final = 20

circuit_option = click.option(
    "--circuit",
    type=click.Choice(["solvency-16", "solvency-64"]),
    default="solvency-16",
    show_default=True,
    help="Which circuit's key.",
)
directory_option = click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    required=True,
    help="The coordinator's folder of this ceremony.",
)
ptau_option = click.option(
    "--ptau",
    type=click.Path(path_type=Path),
    required=True,
    help="Powers of tau of phase 1 (.ptau), 2^17 or more for solvency-16, 2^19 for solvency-64.",
)


@command_group
def ceremony() -> None:
    """Make a proving key together with others, of whom one honest one is enough.

    The coordinator runs init, receive, beacon, verify and finish; each participant runs contribute.
    """


def _grouped(digest: str) -> str:
    """128 hex digits in the four lines in which snarkjs shows them."""
    words = [digest[i : i + 8] for i in range(0, len(digest), 8)]
    return "\n".join("    " + " ".join(words[i : i + 4]) for i in range(0, HASH_GROUPS, 4))


def _key_json(key: KeyFile) -> dict[str, str]:
    return {"file": key.file, "sha256": key.sha256, "name": key.name, "contribution": key.contribution}


@ceremony.command()
@circuit_option
@ptau_option
@directory_option
@settings_options
@pass_settings
def init(settings: Settings, circuit: str, ptau: Path, directory: Path) -> None:
    """Check the powers of tau and make the first key of a circuit in a new folder."""
    from circuits.ceremony import compile_again
    from circuits.ceremony import init as begin
    from circuits.ceremony.published import UNKNOWN

    with settings.bar("Checking the powers and making the first key") as progress:
        made = begin(compile_again(circuit), ptau, directory, progress)
    powers, first = made.powers, made.keys[0]
    if powers.origin == UNKNOWN:
        settings.note(
            f"warning: {powers.file} is no published powers file: whoever made it alone could forge proofs"
        )

    def render(console: Console) -> None:
        console.print(f"Began a ceremony for {made.circuit} in {directory}")
        console.print(
            f"  powers        2^{powers.power}, {powers.contributions} contributions, {powers.origin}"
        )
        console.print(f"  circuit hash\n{_grouped(made.circuit_hash)}")
        console.print("Publish the circuit hash and the digest of the powers file.")
        console.print(
            f"Next: send {directory / first.file} to the first participant, who runs\n"
            f"  counterfoil ceremony contribute {first.file} --out 0001.zkey --name NAME"
        )

    settings.show(
        {
            "circuit": made.circuit,
            "circuitDigest": made.circuit_digest,
            "circuitHash": made.circuit_hash,
            "powers": {"power": powers.power, "blake2b": powers.blake2b, "origin": powers.origin},
            "key": _key_json(first),
        },
        render,
    )


@ceremony.command()
@click.argument("key", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The new key; must not exist.")
@click.option("--name", required=True, help="Who you are, in the transcript: at most 64 bytes.")
@click.option(
    "--text",
    type=click.Path(path_type=Path, allow_dash=True),
    help="A file (or - for stdin) whose bytes are mixed into the secret; nobody else may know them.",
)
@settings_options
@pass_settings
def contribute(settings: Settings, key: Path, out: Path, name: str, text: Path | None) -> None:
    """Put a secret of yours into KEY, which the coordinator sent you, and forget it.

    The secret comes from this machine's randomness; --text can only add to it. It is written nowhere.
    """
    from aggregator.store import read_whole
    from circuits.ceremony import contribute as add

    extra = b""
    if text is not None:
        dash = str(text) == "-"
        extra = (
            sys.stdin.buffer.read(MAX_TEXT_BYTES)
            if dash
            else read_whole(text, "the text", limit=MAX_TEXT_BYTES)
        )
    with settings.bar("Contributing") as progress:
        made = add(key, out, name, extra, progress)

    def render(console: Console) -> None:
        console.print(f"Wrote {out} with your contribution. Its hash is\n{_grouped(made.contribution)}")
        console.print("Publish this hash where the others can see that it is from you.")
        console.print(
            f"Next: send {out} to the coordinator, who runs\n  counterfoil ceremony receive {out.name} --dir DIR"
        )

    settings.show(_key_json(made), render)


@ceremony.command()
@click.argument("file", type=click.Path(path_type=Path))
@directory_option
@settings_options
@pass_settings
def receive(settings: Settings, file: Path, directory: Path) -> None:
    """Check FILE, which a participant sent, and take it into the folder.

    It has to be one sound contribution to the folder's last key; snarkjs makes such files too.
    """
    from circuits.ceremony import receive as take

    with settings.bar("Checking the contribution") as progress:
        made = take(directory, file, progress)
    _show_next(settings, made, directory, "Took in")


def _show_next(settings: Settings, made: KeyFile, directory: Path, verb: str) -> None:
    def render(console: Console) -> None:
        console.print(f"{verb} {made.file}, the contribution of {made.name or 'nobody named'}:")
        console.print(_grouped(made.contribution))
        console.print("Compare the hash with the one that its maker published.")
        console.print(
            f"Next: send {directory / made.file} to the next participant, or end with\n"
            f"  counterfoil ceremony beacon --dir {directory} --value HEX"
        )

    settings.show(_key_json(made), render)


@ceremony.command()
@directory_option
@click.option(
    "--value", required=True, help="The public value as hex, such as a block hash that was announced before."
)
@click.option(
    "--iterations",
    type=click.IntRange(10, 32),
    default=DEFAULT_ITERATIONS,
    show_default=True,
    help="The value is hashed 2^N times.",
)
@click.option("--name", default="beacon", show_default=True, help="What it is, in the transcript.")
@settings_options
@pass_settings
def beacon(settings: Settings, directory: Path, value: str, iterations: int, name: str) -> None:
    """End the contributions with a value that nobody could foresee and everybody can look up."""
    from circuits.ceremony import apply_beacon

    raw = _from_hex(value, "--value")
    with settings.bar("Hashing and applying the beacon") as progress:
        made = apply_beacon(directory, raw, iterations, name, progress)

    def render(console: Console) -> None:
        console.print(f"Wrote {directory / made.file} with the beacon:\n{_grouped(made.contribution)}")
        console.print(
            f"Next: publish {made.file} and ceremony.json, and run\n"
            f"  counterfoil ceremony finish --dir {directory} --ptau FILE"
        )

    settings.show(_key_json(made), render)


def _from_hex(text: str, option: str) -> bytes:
    from aggregator.model.errors import InputError

    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError as error:
        raise InputError(
            f"{option} {text[:40]!r} is not hex; give the value as pairs of hex digits"
        ) from error


def _verified_json(done: Verified) -> dict[str, object]:
    return {
        "verified": True,
        "circuit": done.ceremony.circuit,
        "circuitHash": done.ceremony.circuit_hash,
        "powers": done.ceremony.powers.origin,
        "participants": done.participants,
        "beacon": done.ends_with_beacon,
        "beaconValue": done.beacon,
        "keys": [_key_json(key) for key in done.ceremony.keys],
    }


def _render_verified(console: Console, done: Verified) -> None:
    rows = [
        (
            str(number),
            entry.name,
            "beacon" if entry.iterations is not None else "secret",
            entry.contribution[:32],
        )
        for number, entry in enumerate(done.entries, start=1)
    ]
    console.print(f"{done.key} follows from {done.ceremony.circuit} and the powers by these contributions:")
    console.print(tables.Table("", (">", "Name", "Kind", "Hash begins"), rows).draw())
    if done.beacon is not None:
        console.print(f"The beacon's value is {done.beacon}: compare it with the one that was announced.")


@ceremony.command()
@circuit_option
@ptau_option
@directory_option
@settings_options
@pass_settings
def verify(settings: Settings, circuit: str, ptau: Path, directory: Path) -> None:
    """Check the whole ceremony: circuit, powers, every contribution, and that nothing else was changed.

    The circuit is compiled and the first key is made again; the folder needs only ceremony.json, circuit.r1cs and the
    last key.
    """
    from circuits.ceremony import compile_again
    from circuits.ceremony import verify as check

    with settings.bar("Making the first key again and checking the transcript") as progress:
        done = check(compile_again(circuit), ptau, directory, progress)

    def render(console: Console) -> None:
        _render_verified(console, done)
        console.print("Compare each hash with the one that its maker published.")

    settings.show(_verified_json(done), render)


@ceremony.command()
@circuit_option
@ptau_option
@directory_option
@click.option("--out", type=click.Path(path_type=Path), help="Also write verification_key.json to this file.")
@click.option(
    "--accept-unknown-powers",
    is_flag=True,
    help="Vouch for powers of tau that are no published file: you know who made them.",
)
@click.option(
    "--beacon", "announced", metavar="HEX", help="Refuse a ceremony whose beacon is not this announced value."
)
@settings_options
@pass_settings
def finish(
    settings: Settings,
    circuit: str,
    ptau: Path,
    directory: Path,
    out: Path | None,
    accept_unknown_powers: bool,
    announced: str | None,
) -> None:
    """Verify the ceremony and prove with its key from then on.

    Each machine that is to call the key `ceremony` runs this itself; elsewhere it counts as a dev key.
    """
    from aggregator.store import write_whole
    from circuits.ceremony import compile_again
    from circuits.ceremony import finish as complete
    from circuits.formats.snarkjs import encode_verification_key
    from circuits.keys import verification_key_id

    with settings.bar("Verifying the ceremony") as progress:
        done, key = complete(
            compile_again(circuit),
            ptau,
            directory,
            accept_unknown_powers=accept_unknown_powers,
            beacon=None if announced is None else _from_hex(announced, "--beacon"),
            progress=progress,
        )
    if out is not None:
        write_whole(out, json.dumps(encode_verification_key(key.verification_key), indent=1).encode() + b"\n")
    key_id = verification_key_id(key.verification_key)

    def render(console: Console) -> None:
        _render_verified(console, done)
        console.print(f"{circuit}, ceremony key\n  id    {key_id}\n  file  {key.path}")
        if out is not None:
            console.print(f"Wrote {out}.")
        console.print(
            'Next: publish the folder; venues give the key\'s id and verification_key.json with kind = "ceremony".\n'
            "counterfoil proof make uses this key by default."
        )

    settings.show(
        _verified_json(done) | {"keyKind": "ceremony", "keyId": key_id, "key": str(key.path)}, render
    )


@ceremony.command()
@click.option("--power", type=click.IntRange(4, 22), required=True, help="2^N powers.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The .ptau file; must not exist.")
@settings_options
@pass_settings
def powers(settings: Settings, power: int, out: Path) -> None:
    """Make powers of tau on this machine, to rehearse a ceremony: whoever runs this could forge its proofs."""
    from aggregator.model.errors import InputError
    from circuits import _native
    from circuits.ceremony.record import refusals

    if out.exists():
        raise InputError(f"{out} exists; remove it or choose another name")
    with settings.bar(f"Making 2^{power} powers") as progress, refusals("choose another folder"):
        _native.make_powers(out, power, True, "rehearsal", progress)

    def render(console: Console) -> None:
        console.print(f"Wrote {out}: dev powers, for rehearsals only.")
        console.print(f"Next: counterfoil ceremony init --ptau {out} --dir DIR")

    settings.show({"file": str(out), "power": power}, render)
