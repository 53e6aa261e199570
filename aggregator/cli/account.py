"""`counterfoil account`: make an account, link addresses to it, list what is there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aggregator.cli.framework import SECONDS, Settings, command_group, pass_settings, settings_options
from aggregator.cli.networks import chosen_networks, networks_option

if TYPE_CHECKING:
    from rich.console import Console

    from aggregator.store import Account, Link


@command_group
def account() -> None:
    """Make accounts and link addresses to them."""


def _account_json(made: Account, links: list[Link]) -> dict[str, object]:
    return {
        "name": made.name,
        "accountId": f"0x{made.account_id:064x}",
        "subAccount": made.sub_account,
        "keyFile": made.key_file,
        "createdAt": made.created_at,
        "links": [{"address": link.holder, "issuedAt": link.issued_at} for link in links],
    }


@account.command()
@click.argument("name")
@click.option("--sub-account", type=int, default=0, show_default=True, help="Number of the sub-account.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="Use the holder key in this file instead of making a new one.",
)
@settings_options
@pass_settings
def create(settings: Settings, name: str, sub_account: int, key_file: Path | None) -> None:
    """Make the account NAME with a holder key that stays on this machine."""
    home = settings.home
    with home.store() as store:
        made = home.create_account(
            store, name, sub_account=sub_account, key_file=key_file, now=int(time.time())
        )

    def render(console: Console) -> None:
        console.print(f"Account {made.name} (sub-account {made.sub_account})")
        console.print(f"  id        0x{made.account_id:064x}")
        console.print(f"  key file  {made.key_file}  (mode 0600; back it up, it cannot be made again)")
        console.print(f"Next: counterfoil account link {made.name} --address 0x...")

    settings.show(_account_json(made, []), render)


@account.command("list")
@settings_options
@pass_settings
def list_accounts(settings: Settings) -> None:
    """List the accounts and the addresses linked to them."""
    with settings.home.store() as store:
        found = [(made, store.links(made.name)) for made in store.accounts()]

    def render(console: Console) -> None:
        from aggregator.cli.tables import Table, short

        if not found:
            console.print("No account yet. Make one: counterfoil account create NAME")
            return
        rows = [
            (
                made.name,
                short(f"0x{made.account_id:064x}"),
                str(made.sub_account),
                "\n".join(link.holder for link in links) or "none",
            )
            for made, links in found
        ]
        console.print(Table("", ("Account", "Id", ">Sub", "Linked addresses"), rows).draw())

    settings.show([_account_json(made, links) for made, links in found], render)


@account.command()
@click.argument("name")
@click.option("--address", required=True, help="The address that joins the account (20 bytes, 0x hex).")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="Sign here, with the address's own key in this file (32 bytes hex, mode 0600).",
)
@click.option("--signature", help="The address's EIP-712 signature, made elsewhere (0x hex).")
@click.option(
    "--issued-at", type=SECONDS, metavar="N", help="The Unix second that was signed with --signature."
)
@click.option("--chain", help="For a contract account (EIP-1271): the chain it is on, like eip155:1.")
@networks_option
@settings_options
@pass_settings
def link(
    settings: Settings,
    name: str,
    address: str,
    key_file: Path | None,
    signature: str | None,
    issued_at: int | None,
    chain: str | None,
    network_paths: tuple[str, ...],
) -> None:
    """Link an address to the account NAME with the address's own signature.

    Without --key-file and --signature nothing is stored: the message to sign is printed, for any wallet
    that signs EIP-712 typed data.
    """
    from aggregator.service.linking import checked_link, message_to_sign, sign_with_key_file

    now = int(time.time())
    with settings.home.store() as store:
        holder = store.account(name)
        if (signature is None) != (issued_at is None) or (key_file is not None and signature is not None):
            raise click.UsageError("give --key-file alone, or --signature together with --issued-at")
        if key_file is None and signature is None:
            message = message_to_sign(holder, address, now)
            settings.note(
                "Nothing is linked yet. Let the address sign this message (EIP-712), then run: "
                f"counterfoil account link {name} --address {address} --issued-at {now} --signature 0x.."
                f"{f' --chain {chain}' if chain else ''}"
            )
            settings.show(message, lambda console: console.print_json(data=message))
            return
        if key_file is not None:
            issued_at, signature = now, sign_with_key_file(holder, address, now, key_file)
        networks = chosen_networks(network_paths) if chain is not None else ()
        made = checked_link(holder, address, issued_at or 0, signature or "", now, chain or "", networks)
        store.add_link(made)

    settings.show(
        {"account": made.account, "address": made.holder, "issuedAt": made.issued_at},
        lambda console: console.print(f"{made.holder} belongs to account {made.account}."),
    )
