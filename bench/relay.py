"""Soak of the relayer: python -m bench.relay [COUNT] sends COUNT (1,000) submissions, and half as many pledges, through
three faulty chains.

Three local chains, four senders on each, every request through a proxy that refuses (503), swallows answers after the
node has acted, or answers too late; blocks are taken back (reorganisations of one or two blocks), and relayers are
cancelled in the middle of what they do and started again from their journal. Some bundles are bound to fail: expired
ones, and statements that another sender submits as well.

At the end the chains are asked: every submission is recorded exactly once, or not at all and its reason is known. The
registry refuses to record a statement twice, but takes a pledge as often as it is sent: what the relayer itself did is
counted from the blocks, where each final intent has exactly one transaction, and every other one at most one.

The verifiers accept every proof. That makes the gas meaningless and is nothing to the property that is tested.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from eth_account import Account

from aggregator.model.errors import ChainError, CounterfoilError, ProofRefusedError
from bench.record import write
from bench.relay_checks import FIRST_ACCOUNT, Task, ended_of, judged
from chains.contracts.coding import creation_code
from chains.contracts.registry import pledge_call, set_attestors_call, set_verifier_call, submit_call
from chains.devnet import Devnet, devnet
from chains.relayer import (
    Call,
    Finality,
    Journal,
    LocalSigner,
    Relayer,
    RelayerSettings,
    State,
    submission_call,
)
from chains.rpc import Endpoint, RpcSettings
from chains.rpc.provider import web3_on
from tests.chains.contracts.world import CIRCUIT, World

CHAINS = (101, 102, 103)
SENDERS = (5, 6, 7, 8)
AT_ONCE = 8
BLOCK_S = 0.25
SETTINGS = RelayerSettings(
    finality=Finality(confirmations=4), poll_s=0.4, timeout_s=20.0, rebroadcast_s=1.5, bump_s=8.0
)
ALWAYS = bytes.fromhex("600160005260206000f3")
FAULTS = {"refused with 503": 0.02, "answer dropped": 0.02, "answer too late": 0.005}
LATE_S = 1.5
REORGANISATION = 0.1
"""Chance of each block to take back itself, or itself and the one before."""
JSON = {"content-type": "application/json"}


@dataclass
class Tally:
    """What was done to the relayers."""

    faults: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    reorganisations: int = 0
    restarts: int = 0


class Scene:
    """One chain with its registry and its proxy."""

    def __init__(self, world: World, rng: random.Random, tally: Tally) -> None:
        self.world, self.rng, self.tally = world, rng, tally
        self.url = ""
        self.calm = False

    async def handle(self, request: web.Request) -> web.Response:
        """Forward one request, or do it harm."""
        self.tally.requests += 1
        body = await request.read()
        fault = next((n for n, p in FAULTS.items() if not self.calm and self.rng.random() < p), "")
        if fault:
            self.tally.faults[fault] += 1
        if fault == "refused with 503":
            return web.Response(status=503)
        async with self.session.post(self.world.net.url, data=body, headers=JSON) as upstream:
            answer = await upstream.read()
        if fault == "answer dropped":
            return web.Response(status=502)
        if fault == "answer too late":
            await asyncio.sleep(LATE_S)
        return web.Response(body=answer, content_type="application/json")

    async def blocks(self) -> None:
        """Mine, and now and then take blocks back."""
        net = self.world.net
        while True:
            await asyncio.sleep(BLOCK_S)
            await net.mine()
            if not self.calm and self.rng.random() < REORGANISATION:
                await net.endpoint.call("anvil_reorg", [self.rng.choice([1, 2]), []])
                self.tally.reorganisations += 1

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Proxy and blocks."""
        app = web.Application()
        app.router.add_post("/", self.handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as self.session:
            mining = asyncio.create_task(self.blocks())
            try:
                yield
            finally:
                mining.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await mining
                await runner.cleanup()


async def world_on(net: Devnet) -> World:
    """A registry with one attestor and a verifier that accepts everything."""
    world = await World.make(net)
    await world.send(set_attestors_call([world.attestors[0].address], 1))
    verifier = await net.deploy_code(creation_code("TestAcceptingVerifier"))
    await net.set_code(verifier, ALWAYS)
    await world.send(set_verifier_call(CIRCUIT, verifier))
    for sender in SENDERS:
        s = await world.submission(
            account_id=sender,
            venue=net.accounts[sender].address,
            expiry=await world.now() + 10**6,
            attestation_expiry=await world.now() + 10**6,
        )
        await world.send(submit_call(world.attested(s, world.attestors[:1])))
    return world


async def tasks_for(scenes: dict[int, Scene], count: int, rng: random.Random) -> list[Task]:
    """`count` submissions over chains and senders, one in fifty of them expired and one in fifty sent twice.

    And half as many pledges, each of another amount, so that a block tells them apart.
    """
    tasks: list[Task] = []
    times = {chain: await scene.world.now() for chain, scene in scenes.items()}
    for number in range(count):
        chain = CHAINS[number % len(CHAINS)]
        sender, world = SENDERS[number // len(CHAINS) % len(SENDERS)], scenes[chain].world
        now = times[chain]
        if number % 50 == 7 and tasks:
            twin = tasks[-len(CHAINS)]
            other = rng.choice([s for s in SENDERS if s != twin.sender])
            tasks.append(Task(chain, other, twin.call, twin.account_id, "submitted by another sender too"))
            continue
        s = await world.submission(
            account_id=FIRST_ACCOUNT + number, expiry=now + 10**6, attestation_expiry=now + 10**6
        )
        doomed = ""
        if number % 50 == 13:
            s = await world.submission(
                account_id=FIRST_ACCOUNT + number, expiry=now - 1, attestation_expiry=now + 10**6
            )
            doomed = "expired"
        s = world.attested(s, world.attestors[:1])
        tasks.append(Task(chain, sender, submission_call(s, chain, world.registry), s.account_id, doomed))
    for number in range(count // 2):
        chain, sender = CHAINS[number % len(CHAINS)], SENDERS[number // len(CHAINS) % len(SENDERS)]
        data = pledge_call(sender, 1 + number)
        tasks.append(
            Task(chain, sender, Call(f"pledge:{number}", scenes[chain].world.registry, data, "pledge"))
        )
    rng.shuffle(tasks)
    return tasks


async def bring_about(relayer: Relayer, task: Task) -> str:
    """Relay until it is final or has failed for a reason; returns the reason, empty when final."""
    while True:
        try:
            await relayer.relay(task.call, yes=True)
        except ProofRefusedError as error:
            return str(error)
        except ChainError:
            await asyncio.sleep(0.2)
        except CounterfoilError as error:
            intent = relayer.journal.find(task.call.key)
            if "already recorded" in str(error):
                return str(error)
            if intent is not None and intent.state is State.FAILED:
                return intent.reason
        else:
            return ""


async def work(scene: Scene, folder: Path, sender: int, tasks: list[Task], tally: Tally) -> dict[int, str]:
    """One sender's relayer, restarted at random until all its tasks are settled."""
    ends: dict[int, str] = {}
    net, rng = scene.world.net, random.Random(sender * 1000 + scene.world.net.chain_id)
    signer = LocalSigner(Account.from_key(net.accounts[sender].key))
    while len(ends) < len(tasks):
        endpoint = Endpoint(scene.url, settings=RpcSettings(timeout_s=1.0, attempts=2))
        with Journal(folder / f"{net.chain_id}.{sender}.db") as journal:
            relayer = Relayer(web3_on(endpoint), net.chain_id, signer, journal, SETTINGS)
            limit = asyncio.Semaphore(AT_ONCE)

            async def one(index: int, relayer: Relayer = relayer, limit: asyncio.Semaphore = limit) -> None:
                async with limit:
                    ends[index] = await bring_about(relayer, tasks[index])

            running = [asyncio.create_task(one(i)) for i in range(len(tasks)) if i not in ends]
            _, left = await asyncio.wait(running, timeout=rng.uniform(6.0, 14.0))
            for task in left:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            tally.restarts += bool(left)
        await endpoint.close()
    return ends


async def soak(count: int) -> dict[str, Any]:
    """Run it and check it."""
    tally = Tally()
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        scenes = {}
        for chain in CHAINS:
            net = await stack.enter_async_context(devnet(chain))
            scenes[chain] = Scene(await world_on(net), random.Random(chain), tally)
        tasks = await tasks_for(scenes, count, random.Random(1))
        for scene in scenes.values():
            await scene.world.net.endpoint.call("evm_setAutomine", [False])
            await stack.enter_async_context(scene.running())
        groups = {
            (chain, sender): [t for t in tasks if (t.chain, t.sender) == (chain, sender)]
            for chain in CHAINS
            for sender in SENDERS
        }
        started = time.perf_counter()
        ends = await asyncio.gather(
            *(work(scenes[chain], folder, sender, group, tally) for (chain, sender), group in groups.items())
        )
        took = time.perf_counter() - started
        for scene in scenes.values():
            scene.calm = True
            await scene.world.net.mine(4)
        ended = [
            pair
            for group, found in zip(groups.values(), ends, strict=True)
            for pair in ended_of(group, found)
        ]
        figures = await judged({chain: scene.world for chain, scene in scenes.items()}, ended)
        attempts = Counter[int]()
        for path in folder.glob("*.db"):
            with Journal(path) as journal:
                attempts.update(len(journal.attempts(i.key)) for i in journal.all())
    return {
        "submissions": count,
        "pledges": count // 2,
        "chains": len(CHAINS),
        "sendersPerChain": len(SENDERS),
        "seconds": round(took, 1),
        **figures,
        "requests": tally.requests,
        "faults": dict(sorted(tally.faults.items())),
        "reorganisations": tally.reorganisations,
        "relayerRestarts": tally.restarts,
        "replacedForMoreGas": sum(n for times, n in attempts.items() if times > 1),
        "verifier": "accepts every proof",
    }


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    write("relay", asyncio.run(soak(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)))
