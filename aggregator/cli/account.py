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
    from chains.ownership import Statement


@command_group
def account() -> None:
    """Make accounts and link addresses to them."""


def _link_json(link: Link) -> dict[str, object]:
    return {"address": link.holder, "issuedAt": link.issued_at, "expiry": link.expiry}


def _account_json(made: Account, links: list[Link]) -> dict[str, object]:
    return {
        "name": made.name,
        "accountId": f"0x{made.account_id:064x}",
        "subAccount": made.sub_account,
        "keyFile": made.key_file,
        "createdAt": made.created_at,
        "links": [_link_json(link) for link in links],
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


_address = click.option("--address", required=True, help="The address that signs (20 bytes, 0x hex).")
_key_file = click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    help="Sign here, with the address's own key in this file (32 bytes hex, mode 0600).",
)
_signature = click.option("--signature", help="The address's EIP-712 signature, made elsewhere (0x hex).")
_issued_at = click.option(
    "--issued-at", type=SECONDS, metavar="N", help="The Unix second that was signed with --signature."
)
_chain = click.option("--chain", help="For a contract account (EIP-1271): the chain it is on, like eip155:1.")


@account.command()
@click.argument("name")
@_address
@_key_file
@_signature
@_issued_at
@click.option(
    "--days",
    type=click.IntRange(1, 365),
    default=90,
    show_default=True,
    help="For how long the link is good; with --signature, for how long it was signed.",
)
@_chain
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
    days: int,
    chain: str | None,
    network_paths: tuple[str, ...],
) -> None:
    """Link an address to the account NAME with the address's own signature.

    Without --key-file and --signature nothing is stored: the message to sign is printed, for any wallet
    that signs EIP-712 typed data. The link runs out by itself; link the address again before that.
    """
    from aggregator.service.linking import check_signed, link_to_sign, stated_link

    now = int(time.time())
    with settings.home.store() as store:
        holder = store.account(name)
        statement = link_to_sign(holder, address, now if issued_at is None else issued_at, days)
        then = f"counterfoil account link {name} --address {address} --days {days}"
        signed = _signed(settings, statement, key_file, signature, issued_at, then, chain)
        if signed is None:
            return
        networks = chosen_networks(network_paths) if chain is not None else ()
        made = stated_link(holder, address, statement.issued_at, statement.expiry, signed, chain or "")
        check_signed(holder.account_id, made, now, networks)
        store.add_link(made, now=now)

    settings.show(
        {"account": made.account, **_link_json(made)},
        lambda console: console.print(f"{made.holder} belongs to account {made.account} for {days} days."),
    )


@account.command()
@_address
@_key_file
@_signature
@_issued_at
@_chain
@networks_option
@settings_options
@pass_settings
def unlink(
    settings: Settings,
    address: str,
    key_file: Path | None,
    signature: str | None,
    issued_at: int | None,
    chain: str | None,
    network_paths: tuple[str, ...],
) -> None:
    """Withdraw every link that an address has signed so far, to whichever account, with its own signature.

    It leaves its account here, and none of those links is taken again. An attestor that is given the signature
    (the same command, in its home) signs for no account by them any more.
    """
    from aggregator.service.linking import check_signed, revocation_to_sign, stated_revocation

    now = int(time.time())
    statement = revocation_to_sign(address, now if issued_at is None else issued_at)
    then = f"counterfoil account unlink --address {address}"
    signed = _signed(settings, statement, key_file, signature, issued_at, then, chain)
    if signed is None:
        return
    made = stated_revocation(address, statement.issued_at, signed, chain or "")
    check_signed(0, made, now, chosen_networks(network_paths) if chain is not None else ())
    with settings.home.store() as store:
        ended = store.revoke_links(made)

    def render(console: Console) -> None:
        console.print(f"No link that {made.address} signed until now holds any more.")
        for one in ended:
            console.print(f"  it left account {one.account}")
        console.print("Give the signature to attestors that have signed for it:")
        console.print(f"  --issued-at {made.issued_at} --signature {made.signature}", soft_wrap=True)

    settings.show(
        {
            "address": made.address,
            "issuedAt": made.issued_at,
            "signature": made.signature,
            "accounts": sorted({one.account for one in ended}),
        },
        render,
    )


def _signed(
    settings: Settings,
    statement: Statement,
    key_file: Path | None,
    signature: str | None,
    issued_at: int | None,
    then: str,
    chain: str | None,
) -> str | None:
    """The signature that was given or is made here; None when the message was shown instead, with what to run then."""
    from aggregator.service.linking import sign_with_key_file

    if (signature is None) != (issued_at is None) or (key_file is not None and signature is not None):
        raise click.UsageError("give --key-file alone, or --signature together with --issued-at")
    if key_file is not None:
        return sign_with_key_file(statement, key_file)
    if signature is None:
        message = statement.typed_data()
        settings.note(
            "Nothing is done yet. Let the address sign this message (EIP-712), then run: "
            f"{then} --issued-at {statement.issued_at} --signature 0x..{f' --chain {chain}' if chain else ''}"
        )
        settings.show(message, lambda console: console.print_json(data=message))
    return signature
