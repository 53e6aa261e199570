"""`counterfoil serve`: keys by the command line, and what it refuses to listen on."""

from __future__ import annotations

import socket
import sqlite3
from pathlib import Path

from tests.aggregator.cli.conftest import Invoke


def test_a_key_is_shown_once_and_stored_as_a_hash(invoke: Invoke, home: Path) -> None:
    made = invoke("serve", "key", "create", "desk", "--scope", "read", "--scope", "verify", "--json").data
    assert (made["name"], made["scopes"], made["ratePerMinute"]) == ("desk", ["read", "verify"], 600)
    secret = made["key"].removeprefix(f"cf_{made['id']}_")
    assert len(secret) == 43
    listed = invoke("serve", "key", "list")
    assert made["id"] in listed.out
    assert secret not in listed.out
    with sqlite3.connect(home / "counterfoil.db") as connection:
        stored = connection.execute("SELECT * FROM api_keys").fetchall()
    connection.close()
    assert secret not in str(stored)

    assert invoke("serve", "key", "revoke", made["id"], "--json").data == {"id": made["id"], "revoked": True}
    invoke("serve", "key", "revoke", made["id"]).refused(2, "revoked already")
    invoke("serve", "key", "revoke", "nothing").refused(2, "no key 'nothing'")
    assert invoke("serve", "key", "list", "--json").data[0]["revokedAt"] is not None


def test_a_key_for_nothing_that_exists_is_refused(invoke: Invoke) -> None:
    invoke("serve", "key", "create", "desk", "--scope", "everything").refused(2, "no scope 'everything'")
    invoke("serve", "key", "create", "desk").refused(2, "scope")


def test_what_would_be_open_or_is_taken_is_refused(
    invoke: Invoke, dead_network: Path, tmp_path: Path
) -> None:
    networks = ("--networks", dead_network)
    invoke("serve", "--host", "0.0.0.0", "--without-keys", *networks).refused(2, "use keys")  # noqa: S104
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = invoke("serve", "--port", port, "--without-keys", *networks)
        assert (result.code, "cannot listen" in result.err) == (2, True)
    config = tmp_path / "service.toml"
    config.write_text('[data]\nstress = "none.toml"\n')
    invoke("serve", "--config", config, *networks).refused(2, "stress replays", "none.toml")
    config.write_text("[http]\nprot = 1\n")
    invoke("serve", "--config", config).refused(2, "no setting http.prot")
    invoke("serve", "--config", config, "key", "list").refused(2, "no setting http.prot")
