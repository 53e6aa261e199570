"""What a bundle says, in words; and what its key is called, wherever a bundle is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aggregator.cli import tables

if TYPE_CHECKING:
    from rich.console import Console

    from circuits.bundle import Bundle


def render_statement(console: Console, bundle: Bundle, now: int, *, kind_known: bool = True) -> None:
    """What a bundle says, in words. Without `kind_known` nobody compared what it calls its key."""
    left = bundle.context.expiry - now
    console.print(
        f"Account {tables.short(f'0x{bundle.account_id:064x}')} has an excess of at least "
        f"{tables.usd_down(bundle.amount_e6, 6)} USD at {bundle.level.name}"
    )
    console.print(f"  policy    {bundle.policy.name}, epoch {bundle.policy.epoch}")
    console.print(f"  for       venue {bundle.context.venue}")
    console.print(f"  registry  {bundle.context.registry} on eip155:{bundle.context.chain_id}")
    console.print(f"  cut       {tables.moment(bundle.context.cut_time)} on {len(bundle.anchors)} chains")
    console.print(f"  expires   {tables.moment(bundle.context.expiry)} ({left} s left)")
    console.print(f"  attested  by {', '.join(a.attestor for a in bundle.attestations) or 'nobody'}")
    render_key(console, bundle, known=kind_known)


def render_key(console: Console, bundle: Bundle, *, known: bool) -> None:
    """The circuit and the kind of the key. Unless it is `known` here, it is what the bundle calls it."""
    from circuits.keys import KeyKind

    named = f"{bundle.circuit}, {bundle.key_kind.value}"
    dev = "  a dev key: whoever made it could forge proofs" if bundle.key_kind is KeyKind.DEV else ""
    if known:
        console.print(f"  key       {named}{dev}")
    else:
        console.print(f"  key       called {named} by the bundle, not checked{dev}")
