"""Load on the service: python -m bench.service [SECONDS] (8) starts it here and asks it from another process.

- verifications and health reads a second, with p50 and p99, eight callers at once, everything on the same cores
- 1,000 listeners on the event stream, each of which has to get every event
- a soak: callers that repeat what was not answered, under one idempotency key, while the process is killed (kill -9)
  again and again; at the end the store is asked what there is
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp

from aggregator.margin.native import evaluate, positions_by_id
from aggregator.model.anchors import anchors_hash
from aggregator.model.policy import Level
from aggregator.model.snapshot import encode_snapshot
from aggregator.policy import encode_policy
from aggregator.service.attestor import AttestationRequest, attest
from aggregator.service.coverage import coverage
from aggregator.store import Home, Store
from bench.record import write
from circuits.artifacts import ready
from circuits.assignment import commitment
from circuits.bundle import bundle_json, make_bundle
from circuits.context import Context
from circuits.keys import ensure_dev_key
from circuits.policy_tree import build_tree, document_hash
from circuits.prover import prove
from circuits.solvency import SMALL
from tests.aggregator.service.scene import (
    AMOUNT,
    ATTESTORS,
    HOLDER,
    NETWORKS,
    POLICY,
    REGISTRY,
    VENUE,
    snapshot,
)

CALLERS = 8
LISTENERS = 1_000
EVENTS = 20
ROUNDS = 8
SOAK_CALLERS = 6
NETWORK = (
    'name = "Nowhere"\nchain_id = 31337999\nendpoints = ["http://127.0.0.1:9"]\n[native]\nsymbol = "ETH"\n'
)
JSON = {"Content-Type": "application/json"}


def fill(home: Home) -> dict[str, Any]:
    """An account with a snapshot and a policy in force; returns the body of a verification that passes."""
    now = int(time.time())
    taken = snapshot(cut_time=now, taken_at=now)
    positions = positions_by_id(POLICY, taken.positions)
    opened = commitment(SMALL, document_hash(POLICY), HOLDER.blinding, positions)
    request = AttestationRequest(taken, POLICY, SMALL.name, HOLDER.blinding, opened, 31337001, REGISTRY)
    context = Context(31337001, REGISTRY, VENUE, now + 7_200, anchors_hash(taken.anchors), now)
    circuit, tree = ready(SMALL.name), build_tree(POLICY)
    key = ensure_dev_key(circuit)
    evaluation = evaluate(POLICY, positions, Level.IM)
    proof = prove(circuit, key, POLICY, tree, evaluation, HOLDER, AMOUNT, context.signal())
    signed = [attest(request, taken, attestor, 7_200, NETWORKS) for attestor in ATTESTORS]
    bundle = make_bundle(circuit, key, POLICY, proof, context, taken.anchors, signed)
    with home.store() as store:
        home.create_account(store, "main", sub_account=0, key_file=None, now=now)
        store.add_policy(encode_policy(POLICY), name=POLICY.name, root=tree.root, now=now)
        store.add_snapshot(encode_snapshot(taken), account="main", cut_time=now, complete=True, now=now)
    rules = {
        "venue": VENUE,
        "chainId": 31337001,
        "registry": REGISTRY,
        "amountUsd": str(AMOUNT // 10**6),
        "level": "IM",
        "attestors": [a.address for a in ATTESTORS],
        "threshold": 2,
        "maxAgeSeconds": 86_400,
        "coverages": [coverage(NETWORKS)],
        "policies": ["fixed"],
        "acceptDevKeys": True,
    }
    return {"bundle": bundle_json(bundle), "rules": rules}


def start(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """The service as a process, and its base URL."""
    command = [sys.executable, "-m", "aggregator.cli", "serve", "--config", str(folder / "service.toml")]
    with (folder / "log").open("ab") as log:
        position = log.tell()
        process = subprocess.Popen([*command, "--home", str(folder / "home")], stderr=log)
    while True:
        found = re.search(rb'"url": "([^"]+)"', (folder / "log").read_bytes()[position:])
        if found:
            return process, found[1].decode()
        if process.poll() is not None:
            raise SystemExit((folder / "log").read_text()[-2000:])
        time.sleep(0.05)


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The service while it is measured."""
    process, base = start(folder)
    try:
        yield base
    finally:
        process.terminate()
        process.wait(30)


def load(base: str, method: str, path: str, body: bytes | None, seconds: float) -> dict[str, Any]:
    """Ask as often as is answered, in a process of its own; rates and times in milliseconds."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        times: list[float] = pool.apply(_load, (base, method, path, body, seconds))
    times.sort()
    return {
        "perSecond": round(len(times) / seconds, 1),
        "p50Ms": round(times[len(times) // 2] * 1000, 2),
        "p99Ms": round(times[len(times) * 99 // 100] * 1000, 2),
        "answers": len(times),
    }


def _load(base: str, method: str, path: str, body: bytes | None, seconds: float) -> list[float]:
    return asyncio.run(_ask_for(base + path, method, body, seconds))


async def _ask_for(url: str, method: str, body: bytes | None, seconds: float) -> list[float]:
    times: list[float] = []
    async with aiohttp.ClientSession(headers=JSON) as session:

        async def ask() -> None:
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                begun = time.perf_counter()
                async with session.request(method, url, data=body) as answer:
                    data = await answer.read()
                if answer.status != 200 or (method == "POST" and b'"good":true' not in data):
                    raise SystemExit(data[:500].decode())
                times.append(time.perf_counter() - begun)

        await asyncio.gather(*(ask() for _ in range(CALLERS)))
    return times


def listen(base: str) -> dict[str, Any]:
    """Every listener has to get every event of the jobs that are started."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4 * LISTENERS)), hard))
    return asyncio.run(_listen(base))


async def _listen(base: str) -> dict[str, Any]:
    got: Counter[int] = Counter()
    late: list[float] = []
    ready_count = 0
    started = {"at": 0.0}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(base, connector=connector, timeout=aiohttp.ClientTimeout()) as session:

        async def follow() -> None:
            nonlocal ready_count
            seen = 0
            async with session.get("/v1/events?kinds=job") as stream:
                async for line in stream.content:
                    if line.startswith(b"retry"):
                        ready_count += 1
                    if line.startswith(b"data: "):
                        event = json.loads(line[6:])
                        if event["data"]["state"] == "failed":
                            got[event["id"]] += 1
                            late.append(time.perf_counter() - started["at"])
                            seen += 1
                            if seen == EVENTS:
                                return

        begun = time.perf_counter()
        followers = [asyncio.create_task(follow()) for _ in range(LISTENERS)]
        while ready_count < LISTENERS:
            await asyncio.sleep(0.05)
        joined = time.perf_counter() - begun
        started["at"] = time.perf_counter()
        for n in range(EVENTS):
            await _failing_job(session, f"listen-{n}")
        await asyncio.wait_for(asyncio.gather(*followers), 120)
    return {
        "listeners": LISTENERS,
        "events": EVENTS,
        "received": sum(got.values()),
        "missed": LISTENERS * EVENTS - sum(got.values()),
        "secondsToJoin": round(joined, 2),
        "secondsUntilAllHadAll": round(max(late), 2),
    }


async def _failing_job(session: aiohttp.ClientSession, key: str) -> str:
    """A proof that no attestor attests: a job without work, which ends with its reason."""
    asked = {"amountUsd": "1", "level": "IM", "venue": VENUE, "registry": f"eip155:31337001:{REGISTRY}"}
    headers = {**JSON, "Idempotency-Key": key}
    async with session.post("/v1/accounts/main/proofs", json=asked, headers=headers) as answer:
        data = await answer.json()
        if answer.status != 202:
            raise RuntimeError(str(data))
        return str(data["id"])


async def _soak(base: str, prefix: str, seconds: float, acknowledged: dict[str, set[str]]) -> None:
    async with aiohttp.ClientSession(base, timeout=aiohttp.ClientTimeout(total=5)) as session:

        async def caller(n: int) -> None:
            count, until = 0, time.monotonic() + seconds
            while time.monotonic() < until:
                name = f"{prefix}-{n}-{count}"
                headers = {**JSON, "Idempotency-Key": name}
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, json.JSONDecodeError):
                    acknowledged["asked"].add(name)
                    for _ in range(2):  # every request is sent twice: a repeat must change nothing
                        async with session.post(
                            "/v1/accounts", json={"name": name}, headers=headers
                        ) as answer:
                            if answer.status == 201:
                                acknowledged["accounts"].add((await answer.json())["name"])
                    acknowledged["jobs"].add(await _failing_job(session, f"{name}-job"))
                    count += 1
                await asyncio.sleep(0)

        await asyncio.gather(*(caller(n) for n in range(SOAK_CALLERS)))


def soak(folder: Path) -> dict[str, Any]:
    """Kill the process in the middle of its work, round after round, then look at what there is."""
    dice = random.Random(7)
    acknowledged: dict[str, set[str]] = {"accounts": set(), "jobs": set(), "asked": set()}
    for n in range(ROUNDS):
        process, base = start(folder)
        after = 0.5 + dice.random()

        async def round_(base: str = base, n: int = n, process: Any = process, after: float = after) -> None:
            working = asyncio.create_task(_soak(base, f"s{n}", after + 0.5, acknowledged))
            await asyncio.sleep(after)
            process.kill()
            await working

        asyncio.run(round_())
        process.wait()
    with served(folder) as base:
        asyncio.run(_settled(base))
    with Store(f"sqlite:///{folder / 'home' / 'counterfoil.db'}", "here") as store:
        names = [account.name for account in store.accounts()]
        ended, before = {}, None
        while page := store.jobs(before=before, limit=500):
            ended.update({job.id: job.state.value for job in page})
            before = page[-1].number
        told: Counter[str] = Counter()
        after_event = 0
        while events := store.events(after_event):
            told.update(
                json.loads(e.data)["job"]
                for e in events
                if e.kind == "job" and json.loads(e.data)["state"] in ("done", "failed")
            )
            after_event = events[-1].number
    return {
        "kills": ROUNDS,
        "accountsAcknowledged": len(acknowledged["accounts"]),
        "accountsLost": len(acknowledged["accounts"] - set(names)),
        "accountsNobodyAskedFor": len(set(names) - acknowledged["asked"] - {"main"}),
        "jobsAcknowledged": len(acknowledged["jobs"]),
        "jobsLost": len(acknowledged["jobs"] - set(ended)),
        "jobsNotEnded": sum(state not in ("done", "failed") for state in ended.values()),
        "jobsEndedTwice": sum(count > 1 for count in told.values()),
        "jobsEndedUntold": len(set(ended) - set(told)),
    }


async def _settled(base: str) -> None:
    async with aiohttp.ClientSession(base) as session:
        for _ in range(1200):
            busy = False
            async for job in _jobs(session):
                busy = busy or job["state"] in ("queued", "running")
            if not busy:
                return
            await asyncio.sleep(0.1)
    raise SystemExit("jobs are still under way after two minutes")


async def _jobs(session: aiohttp.ClientSession) -> AsyncIterator[dict[str, Any]]:
    cursor = ""
    while True:
        async with session.get(f"/v1/jobs?limit=200{cursor}") as answer:
            page = await answer.json()
        for job in page["items"]:
            yield job
        if page["next"] is None:
            return
        cursor = f"&cursor={page['next']}"


def main(seconds: float) -> None:
    """Measure everything and write it down; exits with 1 when something was lost or doubled."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "network.toml").write_text(NETWORK)
        (folder / "service.toml").write_text(
            "[http]\nport = 0\nwithout_keys = true\nrate_per_minute = 10000000\n"
            '[data]\nnetworks = ["network.toml"]\nstress = ""\n'
        )
        body = json.dumps(fill(Home(folder / "home"))).encode()
        with served(folder) as base:
            asyncio.run(_keys_known(base))
            figures: dict[str, Any] = {
                "callers": CALLERS,
                "secondsEach": seconds,
                "verify": load(base, "POST", "/v1/bundles/verify", body, seconds),
                "health": load(base, "GET", "/v1/accounts/main/health", None, seconds),
            }
            figures["stream"] = listen(base)
        figures["soak"] = soak(folder)
    write("service", figures)
    wrong = {
        k: v
        for k, v in figures["soak"].items()
        if k not in ("kills", "accountsAcknowledged", "jobsAcknowledged")
    }
    if any(wrong.values()) or figures["stream"]["missed"]:
        raise SystemExit(1)


async def _keys_known(base: str) -> None:
    """Wait until the service offers this machine's verification key."""
    async with aiohttp.ClientSession(base) as session:
        while True:
            async with session.get("/v1/verification-keys") as answer:
                if (await answer.json())["items"]:
                    return
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent)
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 8.0)
