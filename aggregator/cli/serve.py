"""`counterfoil serve`: the HTTP service and the dashboard; and the API keys it asks for."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aggregator.cli import tables
from aggregator.cli.framework import Settings, pass_settings, settings_options
from aggregator.cli.networks import networks_option
from aggregator.model.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from aggregator.service.settings import ServiceSettings
    from aggregator.store import Store
    from aggregator.store.callers import ApiKey

DEFAULT_RATE = 600


@click.group(invoke_without_command=True)
@click.option(
    "--config", type=click.Path(path_type=Path), help="The service's configuration (TOML, docs/service.md)."
)
@click.option("--host", help="Address to listen on.  [default: http.host of the configuration, 127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on.  [default: http.port, 8420]")
@click.option("--without-keys", is_flag=True, help="Ask for no API key; only allowed on a loopback address.")
@networks_option
@settings_options
@click.pass_context
def serve(
    context: click.Context,
    config: Path | None,
    host: str | None,
    port: int | None,
    without_keys: bool,
    network_paths: tuple[str, ...],
) -> None:
    """Serve accounts, proofs and checks over HTTP, and the dashboard.

    It runs until SIGTERM or Ctrl-C. Logs go to stderr as JSON lines.
    """
    settings = context.ensure_object(Settings)
    context.obj = settings
    if context.invoked_subcommand is not None:
        context.meta["counterfoil.config"] = config
        return
    from aggregator.service.http.app import logging_to_stderr
    from aggregator.service.http.app import serve as run

    chosen = read_settings(config)
    if host is not None:
        chosen = chosen.changed("http", "host", host)
    if port is not None:
        chosen = chosen.changed("http", "port", port)
    if without_keys:
        chosen = chosen.changed("http", "without_keys", value=True)
    if network_paths:
        chosen = chosen.changed("data", "networks", network_paths)
    try:
        with logging_to_stderr():
            asyncio.run(run(chosen, settings.home))
    except OSError as error:
        raise InputError(f"the service cannot listen ({error.strerror}); give another --port") from error


def read_settings(config: Path | None) -> ServiceSettings:
    """The settings of a configuration file, or those that hold without one."""
    from aggregator.service.settings import default_settings, load_settings

    return default_settings() if config is None else load_settings(config)


@serve.group()
def key() -> None:
    """Make, list and revoke API keys."""


def _key_json(one: ApiKey) -> dict[str, object]:
    return {
        "id": one.id,
        "name": one.name,
        "scopes": list(one.scopes),
        "ratePerMinute": one.rate_per_minute,
        "createdAt": one.created_at,
        "revokedAt": one.revoked_at,
    }


@key.command("create")
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, required=True, help="What it may do; may be repeated.")
@click.option(
    "--rate",
    type=click.IntRange(1, 10_000_000),
    default=DEFAULT_RATE,
    show_default=True,
    help="Requests a minute.",
)
@settings_options
@pass_settings
@click.pass_context
def create_key(
    context: click.Context, settings: Settings, name: str, scopes: tuple[str, ...], rate: int
) -> None:
    """Make a key called NAME. It is shown once; only its hash is stored.

    Scopes: read, write, verify, attest, relay, metrics, admin.
    """
    from aggregator.service.keys import new_key

    made, text = new_key(name, scopes, rate, int(time.time()))
    with _store(context, settings) as store:
        store.add_api_key(made)

    def render(console: Console) -> None:
        console.print(text)
        settings.note("Keep it: it cannot be shown again.")

    settings.show({**_key_json(made), "key": text}, render)


@key.command("list")
@settings_options
@pass_settings
@click.pass_context
def list_keys(context: click.Context, settings: Settings) -> None:
    """List the keys, without what they open with."""
    with _store(context, settings) as store:
        found = store.api_keys()

    def render(console: Console) -> None:
        rows = [
            (
                one.id,
                one.name,
                ", ".join(one.scopes),
                str(one.rate_per_minute),
                "revoked" if one.revoked_at is not None else "in force",
            )
            for one in found
        ]
        columns = ("Id", "Name", "Scopes", ">Requests a minute", "State")
        console.print(tables.Table("API keys", columns, rows).draw())

    settings.show([_key_json(one) for one in found], render)


@key.command("revoke")
@click.argument("key_id", metavar="ID")
@settings_options
@pass_settings
@click.pass_context
def revoke_key(context: click.Context, settings: Settings, key_id: str) -> None:
    """Let the key ID open nothing any more, within a second."""
    with _store(context, settings) as store:
        store.revoke_api_key(key_id, int(time.time()))
    settings.show({"id": key_id, "revoked": True}, lambda console: console.print(f"{key_id} is revoked."))


def _store(context: click.Context, settings: Settings) -> Store:
    """The store of the configuration given to `serve`, the home's by default."""
    import os

    from aggregator.service.http.app import store_url
    from aggregator.store import Store

    config = context.meta.get("counterfoil.config")
    settings.home.prepare()
    url, where = store_url(read_settings(config), settings.home, os.environ)
    return Store(url.replace("+aiosqlite", ""), where)
