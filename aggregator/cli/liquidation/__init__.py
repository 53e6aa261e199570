"""`counterfoil liquidation`: the prices that end an account, what is then closed, what follows, and how probable it
is.
"""

from __future__ import annotations

from typing import Any

import click

from aggregator.cli.framework import LazyGroup

COMMANDS = {
    "prices": (
        "aggregator.cli.liquidation.prices:prices",
        "Find the prices that put an account below maintenance margin.",
    ),
    "plan": (
        "aggregator.cli.liquidation.plan:plan",
        "Show what a liquidation of an account would close, for whom, and what is left.",
    ),
    "cascade": (
        "aggregator.cli.liquidation.cascade:cascade",
        "Shock a market and let the liquidations of many accounts run their course.",
    ),
    "odds": (
        "aggregator.cli.liquidation.odds:odds",
        "Estimate how probable it is that an account falls below maintenance margin.",
    ),
}


class PricesFirst(LazyGroup):
    """A group in which what is no verb is an argument of `prices`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `prices` before what begins with neither a verb nor a call for help."""
        known = {*self.commands_at, *self.get_help_option_names(ctx)}
        given: list[Any] = ["prices", *args] if args and args[0] not in known else args
        return super().parse_args(ctx, given)


@click.command(cls=PricesFirst, commands_at=COMMANDS)
def liquidation() -> None:
    """Find what liquidates an account, what is then closed, what follows, and how probable it is.

    `liquidation SNAPSHOT` is short for `liquidation prices SNAPSHOT`.
    """
