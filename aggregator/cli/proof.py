"""`counterfoil proof`: show a venue an excess without showing the positions, and check such a proof."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from aggregator.cli import tables
from aggregator.cli.attested import attested
from aggregator.cli.bundle_views import render_statement
from aggregator.cli.documents import read_bundle, read_policy, write_document
from aggregator.cli.framework import LIFETIME, Settings, command_group, pass_settings, settings_options
from aggregator.model.errors import ExpiredError

if TYPE_CHECKING:
    from rich.console import Console

DEFAULT_LIFETIME_S: Final = 900
VERIFIERS: Final = ("native", "py-ecc", "solidity")


@command_group
def proof() -> None:
    """Make and verify proofs of excess."""


@proof.command()
@click.argument("snapshot", required=False)
@click.option("--policy", help="The policy to value the account under: a file, id or name.")
@click.option("--amount", help="USD to prove, with up to 6 decimals. It is public.")
@click.option(
    "--level",
    type=click.Choice(["IM", "MM"]),
    default="IM",
    show_default=True,
    help="IM to open positions, MM to keep them.",
)
@click.option("--venue", help="Address of the venue the proof is for.")
@click.option("--registry", help="Registry it will be submitted to, like eip155:8453:0x... (CAIP-10).")
@click.option(
    "--lifetime",
    type=LIFETIME,
    metavar="N",
    default=DEFAULT_LIFETIME_S,
    show_default=True,
    help="Seconds from now for which the proof is good.",
)
@click.option(
    "--attestation",
    "attestation_files",
    type=click.Path(path_type=Path),
    multiple=True,
    help="A file from `counterfoil attestation sign`; may be repeated.",
)
@click.option(
    "--proving-key",
    type=click.Path(path_type=Path),
    help="A .zkey of the circuit.  [default: a finished ceremony's, else this machine's dev key]",
)
@click.option(
    "--batch",
    type=click.Path(path_type=Path),
    help="Make the proofs that this file, or every .toml file of this folder, asks for.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Also write the bundle to this file; with --batch the folder of the bundles.",
)
@settings_options
@pass_settings
def make(
    settings: Settings,
    snapshot: str | None,
    policy: str | None,
    amount: str | None,
    level: str,
    venue: str | None,
    registry: str | None,
    lifetime: int,
    attestation_files: tuple[Path, ...],
    proving_key: Path | None,
    batch: Path | None,
    out: Path | None,
) -> None:
    """Prove that the account of SNAPSHOT (an id in the store, or an account's name) has an excess of AMOUNT.

    The proof is for one venue and one registry, and shows nothing of the positions. With --batch many are made.
    """
    if batch is not None:
        from aggregator.cli.batch import make_batch

        if snapshot is not None or amount is not None or attestation_files:
            raise click.UsageError("with --batch, snapshots, amounts and attestations are in the file")
        shared = {
            "policy": policy,
            "venue": venue,
            "registry": registry,
            "level": level,
            "lifetime_s": lifetime,
        }
        given = {key: value for key, value in shared.items() if value is not None}
        return make_batch(settings, batch, given, proving_key, out)
    required = {
        "SNAPSHOT": snapshot,
        "--policy": policy,
        "--amount": amount,
        "--venue": venue,
        "--registry": registry,
    }
    if missing := [name for name, value in required.items() if value is None]:
        raise click.UsageError(f"missing {missing[0]}")
    if not attestation_files:
        raise click.UsageError("missing --attestation")
    return _make_one(
        settings,
        str(snapshot),
        str(policy),
        str(amount),
        level,
        str(venue),
        str(registry),
        lifetime,
        attestation_files,
        proving_key,
        out,
    )


def _make_one(
    settings: Settings,
    snapshot: str,
    policy: str,
    amount: str,
    level: str,
    venue: str,
    registry: str,
    lifetime: int,
    attestation_files: tuple[Path, ...],
    proving_key: Path | None,
    out: Path | None,
) -> None:
    """One proof, as `make` without --batch."""
    from aggregator.model.policy import Level
    from aggregator.service.attestation_files import read_attestation
    from aggregator.service.linking import parse_address, parse_caip10
    from aggregator.service.proving import Audience, make_proof
    from aggregator.service.venue_file import parse_usd
    from circuits.bundle import bundle_json, encode_bundle

    chain_id, registry_address = parse_caip10(registry)
    audience = Audience(parse_address(venue), chain_id, registry_address)
    amount_e6 = parse_usd(amount)
    attestations = [read_attestation(path) for path in attestation_files]
    priced = read_policy(settings, policy)
    now = int(time.time())
    with settings.home.store() as store:
        stored = attested(settings, store, snapshot, priced, audience, attestations, now)
        holder = store.account(stored.account)
        with settings.step("Making the proof") as tell:
            bundle = make_proof(
                stored,
                holder,
                priced,
                Level[level],
                amount_e6,
                audience,
                now + lifetime,
                attestations,
                now=now,
                key=proving_key,
                tell=tell,
                making=tell.share,
            )
        document = encode_bundle(bundle)
        if out is not None:
            write_document(out, document)
        key = store.add_bundle(document, account=stored.account, snapshot=stored.id, now=now)

    def render(console: Console) -> None:
        render_statement(console, bundle, now)
        console.print(f"Stored as {key}. Next: counterfoil relay submit {key}")

    settings.show({"id": key, "bundle": bundle_json(bundle)}, render)


@proof.command()
@click.argument("document", metavar="BUNDLE")
@click.option(
    "--with",
    "verifiers",
    type=click.Choice([*VERIFIERS, "all"]),
    multiple=True,
    default=("native",),
    show_default=True,
    help="Which verifier; may be repeated. solidity runs the contract on a local chain.",
)
@click.option(
    "--verification-key",
    type=click.Path(path_type=Path),
    help="verification_key.json to trust.  [default: a finished ceremony's, else this machine's dev key's]",
)
@click.option("--venue", help="Also check that the proof is for this venue.")
@settings_options
@pass_settings
def verify(
    settings: Settings,
    document: str,
    verifiers: tuple[str, ...],
    verification_key: Path | None,
    venue: str | None,
) -> None:
    """Verify the proof in BUNDLE (a file, an id in the store, or an account's name for its newest one).

    This checks the proof, its expiry, what the bundle calls its key and, with --venue, its audience. How the key of
    --verification-key was made is not known here. Whether attestors, policy and freshness are acceptable is for
    `counterfoil venue check`.
    """
    from aggregator.cli.verifying import accepted_key, verify_with
    from aggregator.model.errors import WrongAudienceError
    from aggregator.service.linking import parse_address
    from circuits.bundle import bundle_json

    bundle = read_bundle(settings, document)
    now = int(time.time())
    if venue is not None and bundle.context.venue != parse_address(venue):
        raise WrongAudienceError(
            f"the proof is for venue {bundle.context.venue}, not {parse_address(venue)}; "
            "ask the holder for one made for you"
        )
    if bundle.context.expiry < now:
        raise ExpiredError(
            f"the proof expired {now - bundle.context.expiry} s ago; ask the holder for a fresh one"
        )
    key, kind = accepted_key(bundle, verification_key)
    chosen = VERIFIERS if "all" in verifiers else tuple(dict.fromkeys(verifiers))
    seconds = {}
    for name in chosen:
        started = time.monotonic()
        verify_with(name, key, bundle)
        seconds[name] = round(time.monotonic() - started, 3)

    def render(console: Console) -> None:
        render_statement(console, bundle, now, kind_known=kind is not None)
        rows = [(name, "accepts", f"{taken:.3f}") for name, taken in seconds.items()]
        console.print(tables.Table("", ("Verifier", "Result", ">Seconds"), rows).draw())

    settings.show(
        {"verified": True, "verifiers": {n: {"seconds": str(s)} for n, s in seconds.items()}}
        | {
            "statement": bundle_json(bundle)["statement"],
            "keyKind": bundle.key_kind.value,
            "keyKindChecked": kind is not None,
            "verificationKey": bundle.verification_key_id,
        },
        render,
    )


@proof.command("key")
@click.option(
    "--circuit",
    type=click.Choice(["solvency-16", "solvency-64"]),
    default="solvency-16",
    show_default=True,
    help="Which circuit's key.",
)
@click.option(
    "--proving-key",
    type=click.Path(path_type=Path),
    help="A .zkey of the circuit.  [default: a finished ceremony's, else this machine's dev key]",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write verification_key.json to this file.")
@settings_options
@pass_settings
def export_key(settings: Settings, circuit: str, proving_key: Path | None, out: Path | None) -> None:
    """Show the verification key of a circuit, which venues and registries accept proofs by."""
    from aggregator.service.proving import proving_key as open_or_make
    from aggregator.store import write_whole
    from circuits.artifacts import ready
    from circuits.formats.snarkjs import encode_verification_key
    from circuits.keys import kind_of, verification_key_id

    with settings.step("Opening the key") as tell:
        compiled = ready(circuit)
        opened = open_or_make(compiled, proving_key, tell, tell.share)
    key = opened.verification_key
    document = encode_verification_key(key)
    if out is not None:
        write_whole(out, json.dumps(document, indent=1).encode() + b"\n")

    def render(console: Console) -> None:
        console.print(f"{circuit}, {kind_of(opened).value} key")
        console.print(f"  id              {verification_key_id(key)}")
        console.print(f"  circuit digest  {compiled.digest}")
        if out is not None:
            console.print(f"Wrote {out}.")

    settings.show(
        {
            "circuit": circuit,
            "circuitDigest": compiled.digest,
            "kind": kind_of(opened).value,
            "id": verification_key_id(key),
            "verificationKey": document,
        },
        render,
    )
