"""The main job over HTTP on local chains, on both databases; and a process that is killed in the middle of it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aggregator.cli.verifying import deploy_verifier
from aggregator.service.submission import circuit_id
from aggregator.store import Home, Store
from chains.contracts.registry import pledge_call
from chains.relayer import Intent, Journal, State
from circuits.artifacts import ready
from circuits.keys import ensure_dev_key, verification_key_id
from circuits.solvency import SMALL
from tests.aggregator.cli.local import Local, local_chains
from tests.aggregator.service.serving import Running, serving, settings

pytestmark = [pytest.mark.anvil, pytest.mark.slow]
ROOT = Path(__file__).parents[3]
AMOUNT = "100000"


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with local_chains(tmp_path_factory.mktemp("chains")) as chains:
        yield chains


def until(running: Running, path: str, wanted: Any) -> Any:
    """The answer under `path` as soon as it is as `wanted` says."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        reply = running.get(path)
        if reply.status == 200 and wanted(reply.data):
            return reply.data
        time.sleep(0.1)
    raise AssertionError(reply.body)


def link_wallets(running: Running, local: Local) -> None:
    running.post("/v1/accounts", {"name": "main"})
    for wallet in local.wallets:
        message = running.get(f"/v1/accounts/main/links/message?address={wallet.address}").data
        signature = "0x" + wallet.sign_typed_data(full_message=message["typedData"]).signature.hex()
        link = {
            "address": wallet.address,
            "issuedAt": message["issuedAt"],
            "expiry": message["expiry"],
            "signature": signature,
        }
        assert running.post("/v1/accounts/main/links", link).status == 201


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    if request.param == "sqlite":
        return ""
    return str(request.getfixturevalue("postgres_url")).replace("+psycopg", "")


def test_the_main_job_over_http(local: Local, store_url: str, tmp_path: Path) -> None:
    world = local.world
    key = local.key_file("attestor", world.accounts[1].key)
    signer = local.key_file("relayer", world.accounts[6].key)
    chosen = settings(
        store__url=store_url,
        data__networks=(str(local.networks),),
        attestor__key_file=str(key),
        relayer__signer=f"file:{signer}",
        relayer__confirmations=1,
        background__policy_spec=str(ROOT / "configs" / "policies" / "demo.toml"),
        background__price_every_s=1,
        background__registry_every_s=1,
        background__snapshot_every_s=86_400,
        background__health_below_ppm=10**8,
    )
    home = Home(tmp_path / "home")
    local.settle()
    with serving(home, chosen) as running:
        policy = until(running, "/v1/policies", lambda found: found["items"])["items"][0]
        assert (policy["epoch"], policy["canMove"]) == (1, True)
        link_wallets(running, local)
        taken = running.job(running.post("/v1/accounts/main/snapshots"))
        assert (taken["state"], taken["result"]["complete"]) == ("done", True), taken
        snapshot = taken["result"]["snapshot"]
        proven = running.get(f"/v1/snapshots/{snapshot}/evidence").data
        assert (proven["verified"], proven["proven"] > 0) == (True, True)

        health = running.get("/v1/accounts/main/health").data
        assert (health["complete"], health["trust"]) == (True, "single-rpc")
        assert health["greeks"], health["greeksMissing"]
        history = running.get("/v1/accounts/main/history").data["items"]
        assert history[0]["summary"]["equityUsd"] == health["report"]["equityUsd"]
        moved = running.post("/v1/accounts/main/what-if", {"moves": {"spot": {"ETH": "-0.1"}}}).data
        assert moved["equityChangeUsd"].startswith("-")
        kinds = [event["kind"] for event in running.events(0)]
        assert {"policy", "snapshot", "health", "margin-call", "job"} <= set(kinds)
        assert kinds.count("margin-call") == 1

        if not store_url:
            asked = running.service.settings.changed("proving", "attestors", (running.base,))
            running.service.settings = asked
        bundle_id, registry = prove(running, local, policy)
        relayed = running.job(running.post("/v1/intents", {"bundle": bundle_id}))
        assert (relayed["state"], relayed["result"]["state"]) == ("done", "final"), relayed
        again = running.job(running.post("/v1/intents", {"bundle": bundle_id}))
        assert again["result"]["transactionHash"] == relayed["result"]["transactionHash"]
        assert len(running.get("/v1/intents").data["items"]) == 1
        check_pledges(running, local, bundle_id, registry)


def prove(running: Running, local: Local, policy: dict[str, Any]) -> tuple[str, str]:
    """A registry that accepts what is asked for, and a bundle for its venue."""
    net, world = local.world.home_chain.net, local.world
    vk = ensure_dev_key(ready(SMALL.name)).verification_key
    verifier = local.run(deploy_verifier(net, vk))
    registry = local.registry(
        circuit_id(verification_key_id(vk)),
        verifier,
        int(policy["root"], 16),
        policy["expires"],
    ).lower()
    at = f"eip155:{world.home_chain.setup.chain_id}:{registry}"
    request = running.post("/v1/accounts/main/attestation-requests", {"registry": at}).data
    local.accept_coverage(registry, running.post("/v1/attestations", request).data["coverage"])
    venue = world.accounts[4].address
    asked = {
        "amountUsd": AMOUNT,
        "level": "IM",
        "venue": venue,
        "registry": at,
        "policy": policy["id"],
    }
    too_much = running.job(running.post("/v1/accounts/main/proofs", {**asked, "amountUsd": "100000000"}))
    assert too_much["problem"]["type"] == "urn:counterfoil:problem:cannot-prove"
    made = running.job(running.post("/v1/accounts/main/proofs", asked, Idempotency_Key="proof-1"))
    assert made["state"] == "done", made
    same = running.post("/v1/accounts/main/proofs", asked, Idempotency_Key="proof-1")
    assert same.data["id"] == made["id"]
    local.run(net.mine())
    running.service.settings = running.service.settings.changed(
        "registry", "contract", asked["registry"]
    ).changed("registry", "venues", (venue,))
    bundle_id: str = made["result"]["bundle"]
    return bundle_id, registry


def check_pledges(running: Running, local: Local, bundle_id: str, registry: str) -> None:
    """Pledged margin shows in the check, in the registry's answer and as an event."""
    world = local.world
    account = running.get("/v1/accounts/main").data["accountId"]
    bundle = running.get(f"/v1/bundles/{bundle_id}").data
    rules = {
        "venue": world.accounts[4].address,
        "chainId": world.home_chain.setup.chain_id,
        "registry": registry,
        "amountUsd": AMOUNT,
        "level": "IM",
        "attestors": [world.accounts[1].address],
        "threshold": 1,
        "maxAgeSeconds": 3_600,
        "coverages": [bundle["attestations"][0]["coverage"]],
        "policies": [bundle["policy"]["name"]],
        "acceptDevKeys": True,
    }
    body = {"bundle": bundle, "rules": rules, "registry": True}
    until(running, "/v1/verification-keys", lambda found: found["items"])
    found = running.post("/v1/bundles/verify", body).data
    assert found["good"] is True, found["checks"]
    assert found["standing"]["availableUsd"] == AMOUNT
    net, venue = world.home_chain.net, world.accounts[4]
    local.run(net.send(registry, pledge_call(int(account, 16), 60_000 * 10**6), sender=venue.address))
    found = running.get(f"/v1/registry/accounts/{account}").data
    assert (found["status"], found["availableUsd"]) == ("covered", "40000")
    assert [(p["venue"], p["amountUsd"]) for p in found["pledges"]] == [(venue.address.lower(), "60000")]
    until(
        running,
        "/v1/jobs",
        lambda _: any(
            p["amountUsd"] == "60000"
            for event in running.events(0, "&kinds=pledge")
            for p in event["data"]["pledges"]
        ),
    )


@pytest.mark.parametrize("every_s", [0, 1])
def test_the_journal_is_resumed_by_itself(local: Local, tmp_path: Path, every_s: int) -> None:
    """What a process left behind unsigned, and what is written down while the service runs; not with 0 for never."""
    world, home = local.world, Home(tmp_path / "home")
    account, chain_id = world.accounts[6], world.home_chain.setup.chain_id
    signer = local.key_file("relayer", account.key)
    home.root.mkdir(mode=0o700)

    def leave(key: str, sender: str = account.address) -> None:
        with Journal(home.root / "relayer.db") as journal:
            to = "0x" + "22" * 20
            journal.intend(Intent(key, chain_id, sender, "nothing", to, b"", key, State.INTENT))

    leave("left behind")
    leave("of another signer", "0x" + "11" * 20)
    chosen = settings(
        data__networks=(str(local.networks),),
        relayer__signer=f"file:{signer}",
        relayer__confirmations=1,
        relayer__resume_every_s=every_s,
    )
    local.settle()
    with serving(home, chosen) as running:
        if not every_s:
            time.sleep(2)
            assert running.get("/v1/intents/left%20behind").data["state"] == "intent"
            assert running.get("/v1/intents/left").status == 404
            return
        until(running, "/v1/intents/left%20behind", lambda found: found["state"] == "final")
        leave("written down later")
        until(running, "/v1/intents/written%20down%20later", lambda found: found["state"] == "final")
        assert running.get("/v1/intents/of%20another%20signer").data["state"] == "intent"
        first = running.get("/v1/intents?limit=2").data
        rest = running.get(f"/v1/intents?limit=2&cursor={first['next']}").data
        assert (len(first["items"]), len(rest["items"]), rest["next"]) == (2, 1, None)


def start(home: Path, config: Path, local: Local) -> tuple[subprocess.Popen[bytes], str]:
    """`counterfoil serve` as a process, and its base URL."""
    command = [sys.executable, "-m", "aggregator.cli", "serve", "--config", str(config), "--home", str(home)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=ROOT)
    assert process.stderr is not None
    for raw in process.stderr:
        found = re.search(rb'"url": "([^"]+)"', raw)
        if found:
            return process, found[1].decode()
    raise AssertionError("the service did not start")


def test_a_killed_process_loses_and_doubles_nothing(local: Local, tmp_path: Path) -> None:
    """kill -9 again and again while jobs run: each ends exactly once, and its effects are there exactly once."""
    home, config = tmp_path / "home", tmp_path / "service.toml"
    config.write_text(
        f'[http]\nport = 0\nwithout_keys = true\n[data]\nnetworks = ["{local.networks}"]\nstress = ""\n'
    )
    local.settle()
    wanted = 6
    base_at = local.run(local.world.home_chain.net.head())["timestamp"]
    cut = int(str(base_at), 16) - 1
    made = False
    jobs: list[str] = []
    for pause in (0.1, 0.5, None):
        process, base = start(home, config, local)
        try:
            running = Running(None, base, local.loop)  # type: ignore[arg-type]
            if not made:
                link_wallets(running, local)
                for n in range(wanted):
                    asked = {"cut": cut - n, "incomplete": True}
                    key = {"Idempotency_Key": f"snapshot-{n}"}
                    jobs.append(running.post("/v1/accounts/main/snapshots", asked, **key).data["id"])
                made = True
            if pause is None:
                for job in jobs:
                    until(running, f"/v1/jobs/{job}", lambda found: found["state"] in ("done", "failed"))
                process.send_signal(signal.SIGTERM)
                assert process.wait(20) == 0
            else:
                time.sleep(pause)
        finally:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
            process.wait(20)
            assert process.stderr is not None
            process.stderr.close()
    with Store(f"sqlite:///{home / 'counterfoil.db'}", "here") as store:
        ended = [store.job(job) for job in jobs]
        events = store.events(0)
        kept = [entry.id for entry in store.snapshots()]
    assert [job.state.value for job in ended] == ["done"] * wanted, [job.problem for job in ended]
    results = [json.loads(job.result or "")["snapshot"] for job in ended]
    assert sorted(kept) == sorted(set(results))
    done = [e for e in events if e.kind == "job" and json.loads(e.data)["state"] == "done"]
    assert sorted(json.loads(e.data)["job"] for e in done) == sorted(jobs)
    assert len([e for e in events if e.kind == "snapshot"]) == wanted
