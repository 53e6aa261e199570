"""The demo's world for command-line tests: its chains run in a thread, its networks lie in files."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from eth_account import Account as EthAccount
from eth_account.signers.local import LocalAccount

from aggregator.cli.demo.config import DEFAULT_FILE, load_demo
from aggregator.cli.demo.files import write_networks
from aggregator.cli.demo.story import MAX_AGE_S, wall_clock
from aggregator.cli.demo.world import World, deploy_assets, fund, start_world
from chains.contracts.coding import creation_code
from chains.contracts.registry import set_coverage_call, set_policy_call, set_verifier_call

T = TypeVar("T")


@dataclass
class Local:
    """Running chains, the folder of their network files, and two funded wallets with key files."""

    world: World
    folder: Path
    wallets: tuple[LocalAccount, ...]
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the chains' own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    @property
    def networks(self) -> Path:
        """The folder of network files."""
        return self.folder / "networks"

    def key_file(self, name: str, key: bytes | str) -> Path:
        """A key file of mode 0600."""
        path = self.folder / f"{name}.key"
        text = key if isinstance(key, str) else key.hex()
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    def settle(self) -> None:
        """Let a cut hold everything so far."""
        self.run(self.world.settle())

    def registry(self, circuit_id: bytes, verifier: str, root: int, until: int) -> str:
        """Deploy a registry that accepts one verifier and policy, and one attestor (account 1)."""
        net = self.world.home_chain.net
        owner, attestor = net.accounts[0].address, net.accounts[1].address

        async def deploy() -> str:
            code = creation_code("SolvencyRegistry", owner, False, MAX_AGE_S, [attestor], 1)
            address = await net.deploy_code(code)
            for call in (set_verifier_call(circuit_id, verifier), set_policy_call(root, until)):
                await net.send(address, call)
            return address

        return self.run(deploy())

    def accept_coverage(self, registry: str, coverage: str) -> None:
        """Have the registry accept attestations of a coverage (0x hex)."""
        call = set_coverage_call(bytes.fromhex(coverage[2:]), True)
        self.run(self.world.home_chain.net.send(registry, call))


@contextlib.contextmanager
def local_chains(folder: Path) -> Iterator[Local]:
    """Start the demo's chains, fund two wallets over them, and write the network files into `folder`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stack = contextlib.AsyncExitStack()
    wallets = tuple(EthAccount.create() for _ in range(2))

    async def start() -> World:
        world = await start_world(load_demo(DEFAULT_FILE, wall_clock()), stack)
        await deploy_assets(world)
        await fund(world, tuple(wallet.address for wallet in wallets))
        await world.settle()
        return world

    try:
        world = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
        local = Local(world, folder, wallets, loop)
        write_networks(local.networks, world.networks)
        yield local
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
