"""`counterfoil account`: make an account, link addresses to it, list what is there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aggregator.cli.framework import Settings, pass_settings, settings_options

if TYPE_CHECKING:
    from rich.console import Console

    from aggregator.store import Account, Link


@click.group()
def account() -> None:
    """Make accounts and link addresses to them."""


def _account_json(made: Account, links: list[Link]) -> dict[str, object]:
    return {
        "name": made.name,
        "accountId": f"0x{made.account_id:064x}",
        "subAccount": made.sub_account,
        "keyFile": made.key_file,
        "createdAt": made.created_at,
        "links": [{"address": link.address, "issuedAt": link.issued_at} for link in links],
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
        from rich.table import Table

        if not found:
            console.print("No account yet. Make one: counterfoil account create NAME")
            return
        table = Table("Account", "Id", "Sub", "Linked addresses")
        for made, links in found:
            short = f"0x{made.account_id:064x}"
            addresses = "\n".join(link.address for link in links) or "none"
            table.add_row(made.name, f"{short[:10]}..{short[-6:]}", str(made.sub_account), addresses)
        console.print(table)

    settings.show([_account_json(made, links) for made, links in found], render)
