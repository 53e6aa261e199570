"""`counterfoil demo`: the main job on three local chains, and what must not go through."""

from __future__ import annotations

from pathlib import Path

import click

from aggregator.cli.framework import Settings, pass_settings, settings_options


@click.command()
@click.option(
    "--config", type=click.Path(path_type=Path), help="Its parameters (TOML).  [default: configs/demo.toml]"
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    help="Keep the demo's home (accounts, bundles) in this directory.",
)
@click.option("--serve", is_flag=True, help="Then serve the dashboard over it, in place of the refusals.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=8420,
    show_default=True,
    help="Where the dashboard listens.",
)
@settings_options
@pass_settings
def demo(settings: Settings, config: Path | None, keep: Path | None, serve: bool, port: int) -> None:
    """Run the main job on three local chains.

    Link, read, net, prove, verify, submit and pledge; then what must be refused, and why. Nothing leaves this
    machine. The exit code is 0 only when everything went as said.
    """
    from aggregator.cli.demo.run import run_demo

    run_demo(settings, config, keep, port if serve else None)
