"""`counterfoil attestation`: a holder asks an attestor, who re-reads the account and signs what it saw."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aggregator.cli import tables
from aggregator.cli.documents import read_kind, read_policy
from aggregator.cli.framework import LIFETIME, Settings, command_group, pass_settings, settings_options
from aggregator.cli.networks import chosen_networks, networks_option

if TYPE_CHECKING:
    from rich.console import Console

    from aggregator.model.policy import Policy

DEFAULT_LIFETIME_S = 3600


@command_group
def attestation() -> None:
    """Have a snapshot attested, or attest one."""


@attestation.command()
@click.argument("snapshot")
@click.option("--policy", required=True, help="The policy the proof will be made under: a file, id or name.")
@click.option(
    "--registry",
    required=True,
    help="The registry that proofs will be for, like eip155:8453:0x... (CAIP-10); the attestation is good there only.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Where to write the request.")
@settings_options
@pass_settings
def request(settings: Settings, snapshot: str, policy: str, registry: str, out: Path) -> None:
    """Write what an attestor needs to check SNAPSHOT (an id in the store, or an account's name).

    The file shows the attestor the positions; give it to nobody else.
    """
    from aggregator.service.attestation_files import RequestFile, encode_request
    from aggregator.service.linking import parse_caip10
    from aggregator.service.proving import attestation_request
    from aggregator.store import write_whole

    chain_id, address = parse_caip10(registry)
    priced = read_policy(settings, policy)
    with settings.home.store() as store:
        stored = store.snapshot(snapshot)
        links = store.links(stored.account)
    made = attestation_request(stored, priced, chain_id, address, int(time.time()))
    write_whole(out, encode_request(RequestFile(made, tuple(links))) + b"\n", mode=0o600)

    def render(console: Console) -> None:
        console.print(f"Wrote {out} (mode 0600: it shows the positions). Give it to the attestor.")
        console.print(f"  commitment  0x{made.commitment:064x}")
        console.print(f"  snapshot    {stored.id}, cut {tables.moment(made.snapshot.cut_time)}")
        console.print(f"Next: {_next(stored.id, priced)}, with the attestations that come back")

    settings.show(
        {"snapshot": stored.id, "commitment": f"0x{made.commitment:064x}", "file": str(out)}, render
    )


def _next(snapshot_id: str, policy: Policy) -> str:
    """How the proof is made of exactly what was attested."""
    from aggregator.policy import encode_policy
    from aggregator.store import document_id

    return f"counterfoil proof make {snapshot_id} --policy {document_id(encode_policy(policy))}"


@attestation.command()
@click.argument("document", metavar="REQUEST", type=click.Path(path_type=Path))
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    required=True,
    help="The attestor's key (32 bytes hex, mode 0600).",
)
@click.option(
    "--lifetime",
    type=LIFETIME,
    metavar="N",
    default=DEFAULT_LIFETIME_S,
    show_default=True,
    help="Seconds after the cut for which the signature is good.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Also write the attestation to this file.")
@networks_option
@settings_options
@pass_settings
def sign(
    settings: Settings,
    document: Path,
    key_file: Path,
    lifetime: int,
    out: Path | None,
    network_paths: tuple[str, ...],
) -> None:
    """Re-read the account of REQUEST from the chains at its cut, and sign if everything is as it says.

    Every address must have joined the account by its own signature, which has neither run out nor been
    withdrawn, and back no other account in an attestation from this home that is still good.
    """
    from eth_account import Account as EthAccount

    from aggregator.model.snapshot import encode_snapshot
    from aggregator.model.strictjson import canonical_json
    from aggregator.service.attestation_files import attestation_json, parse_request
    from aggregator.service.attestor import attest
    from aggregator.service.linking import check_signed
    from aggregator.store import document_id, read_secret, write_whole
    from chains.balances import take_snapshot

    file = parse_request(read_kind(document, "attestation-request"))
    asked = file.request
    key = read_secret(key_file, "attestor key")
    networks = chosen_networks(network_paths)
    for link in file.links:
        check_signed(asked.snapshot.account_id, link, int(time.time()), networks)
    with settings.home.store() as store:
        store.note_links(asked.snapshot.account_id, file.links)
    where = tables.count(len(networks), "network")
    with settings.step(f"Re-reading {tables.count(len(file.links), 'address', 'addresses')} on {where}"):
        own = asyncio.run(
            take_snapshot(
                networks,
                account_id=asked.snapshot.account_id,
                sub_account=asked.snapshot.sub_account,
                addresses=[link.holder for link in file.links],
                cut=asked.snapshot.cut_time,
            )
        )
    signed = attest(asked, own, EthAccount.from_key(key.to_bytes(32, "big")), lifetime, networks)
    with settings.home.store() as store:
        store.claim_attested(
            own.account_id, asked.home, file.links, until=signed.expiry, now=int(time.time())
        )
    data, taken = attestation_json(signed), document_id(encode_snapshot(asked.snapshot))
    if out is not None:
        write_whole(out, canonical_json(data) + b"\n")

    def render(console: Console) -> None:
        console.print(f"Attested by {signed.attestor}: the positions read here open the commitment.")
        console.print(f"  coverage  {signed.coverage}")
        console.print(f"  snapshot  {taken}, cut {tables.moment(asked.snapshot.cut_time)}")
        console.print(f"Next: {_next(taken, asked.policy)}, by the account's holder")

    settings.show(data, render)
