"""`counterfoil snapshot`: what an account holds on every chain at one moment, with evidence."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aggregator.cli.documents import read_document, read_kind, write_document
from aggregator.cli.framework import SECONDS, Settings, command_group, pass_settings, settings_options
from aggregator.cli.networks import chosen_networks, networks_option
from aggregator.cli.tables import count
from aggregator.model.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from aggregator.model.snapshot import Snapshot
    from chains.balances import Evidence


@command_group
def snapshot() -> None:
    """Read an account from its chains at one moment."""


@snapshot.command()
@click.argument("account")
@click.option(
    "--cut",
    type=SECONDS,
    metavar="N",
    help="The second to read at (Unix time).  [default: the last that is final everywhere]",
)
@click.option("--out", type=click.Path(path_type=Path), help="Also write the snapshot to this file.")
@click.option(
    "--evidence",
    "evidence_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write what `counterfoil snapshot verify` needs to prove the readings again.",
)
@click.option("--incomplete", is_flag=True, help="Keep a snapshot from which something is missing.")
@networks_option
@settings_options
@pass_settings
def take(
    settings: Settings,
    account: str,
    cut: int | None,
    out: Path | None,
    evidence_path: Path | None,
    incomplete: bool,
    network_paths: tuple[str, ...],
) -> None:
    """Read every address of ACCOUNT on every network at one cut, and store what was read.

    Each chain is read at its last final block at or before the cut. What could not be read is named, never
    counted as zero; such a snapshot is only kept with --incomplete, and no proof is made of it.
    """
    from aggregator.cli.snapshot_views import render_snapshot
    from aggregator.model.snapshot import encode_snapshot, snapshot_json
    from aggregator.service.cut import settled_cut
    from aggregator.service.evidence import to_stored
    from aggregator.service.linking import live_holders
    from chains.balances import encode_evidence, take_snapshot_with_evidence

    networks = chosen_networks(network_paths)
    now = int(time.time())
    with settings.home.store() as store:
        holder = store.account(account)
        holders = live_holders(store.links(account), now)
        if not holders:
            raise InputError(
                f"account {account!r} has no address; run: counterfoil account link {account} --address 0x..."
            )

        async def read() -> tuple[Snapshot, Evidence]:
            return await take_snapshot_with_evidence(
                networks,
                account_id=holder.account_id,
                sub_account=holder.sub_account,
                addresses=holders,
                cut=await settled_cut(networks) if cut is None else cut,
            )

        where = count(len(networks), "network")
        with settings.step(f"Reading {count(len(holders), 'address', 'addresses')} on {where}"):
            taken, evidence = asyncio.run(read())
        if not incomplete:
            taken.require_complete()
        document = encode_snapshot(taken)
        if out is not None:
            write_document(out, document)
        if evidence_path is not None:
            write_document(evidence_path, encode_evidence(evidence))
        key = store.add_snapshot(
            document, account=account, cut_time=taken.cut_time, complete=taken.complete, now=now
        )
        store.add_evidence(key, to_stored(evidence))

    def render(console: Console) -> None:
        render_snapshot(console, taken)
        console.print(f"Stored as {key}. Next: counterfoil health {key} --policy POLICY")

    settings.show({"id": key, "snapshot": snapshot_json(taken)}, render)


@snapshot.command()
@click.argument("document", metavar="SNAPSHOT")
@settings_options
@pass_settings
def show(settings: Settings, document: str) -> None:
    """Show SNAPSHOT: a file, an id in the store, or an account's name for its newest one."""
    from aggregator.cli.snapshot_views import render_snapshot
    from aggregator.model.snapshot import parse_snapshot, snapshot_json

    taken = parse_snapshot(read_document(settings, "snapshot", document))

    def render(console: Console) -> None:
        render_snapshot(console, taken)

    settings.show(snapshot_json(taken), render)


@snapshot.command()
@click.argument("document", metavar="SNAPSHOT")
@click.argument("evidence", required=False, type=click.Path(path_type=Path))
@click.option(
    "--networks",
    "network_paths",
    multiple=True,
    metavar="PATH",
    help="Also compare tokens, pools and layouts with this network file or folder; may be repeated.",
)
@settings_options
@pass_settings
def verify(settings: Settings, document: str, evidence: Path | None, network_paths: tuple[str, ...]) -> None:
    """Prove the proven readings of SNAPSHOT again from the hashes of its blocks and the file EVIDENCE.

    Without EVIDENCE it is what the store keeps beside the snapshot. No chain is asked. Whether a block with such a
    hash is on its chain, and whether a token's code uses the layout that is listed, is for the reader to judge.
    """
    from aggregator.cli.evidence_views import evidence_json, render_evidence
    from aggregator.model.snapshot import parse_snapshot
    from aggregator.service.evidence import from_stored
    from aggregator.store import document_id
    from chains.balances import parse_evidence, require_described, verify_evidence

    data = read_document(settings, "snapshot", document)
    taken = parse_snapshot(data)
    if evidence is not None:
        shown = parse_evidence(read_kind(evidence, "evidence"))
    else:
        with settings.home.store() as store:
            shown = from_stored(store.evidence(document_id(data.strip())))
    report = verify_evidence(taken, shown)
    described = bool(network_paths)
    if described:
        require_described(taken, chosen_networks(network_paths))
    settings.show(
        evidence_json(taken, report, described=described),
        lambda console: render_evidence(console, taken, report, described=described),
    )
