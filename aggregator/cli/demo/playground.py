"""`counterfoil demo --serve`: the demo's world goes on, with the service and the dashboard over it.

Attestors run as services of their own, each with its own home and key, and are asked over HTTP as real ones are.
Everything is on this machine's loopback address and ends with the command.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import time
from pathlib import Path
from typing import Final

from aiohttp import web

from aggregator.cli import tables
from aggregator.cli.demo.files import flat_toml, tables_toml, write_networks
from aggregator.cli.demo.stage import Stage
from aggregator.cli.demo.story import FIRST_VENUE, MAX_AGE_S, RELAYER, SECOND_VENUE, Cast, Priced, Tools
from aggregator.cli.demo.world import World
from aggregator.model.errors import CounterfoilError, InputError
from aggregator.policy import encode_policy
from aggregator.service.http.app import make_app, open_service
from aggregator.service.settings import load_settings
from aggregator.service.venue import AcceptedKey
from aggregator.store import Home, write_secret, write_whole
from circuits.formats.snarkjs import encode_verification_key

BLOCK_EVERY_S: Final = 2.0
FEED_EVERY_S: Final = 600.0
SNAPSHOT_EVERY_S: Final = 30
PRICE_EVERY_S: Final = 15
REGISTRY_EVERY_S: Final = 5


class Playground:
    """The files of one run, and what is served from them."""

    def __init__(self, world: World, cast: Cast, priced: Priced, tools: Tools, coverage: str) -> None:
        self.world, self.cast, self.priced, self.tools = world, cast, priced, tools
        self.coverage, self.spec = coverage, world.config.spec_file
        self.folder = cast.home.root / "playground"

    async def serve(self, stage: Stage, stack: contextlib.AsyncExitStack, port: int) -> None:
        """Serve until SIGTERM or Ctrl-C, with blocks and prices going on.

        Raises InputError when the port is taken.
        """
        stack.callback(self.cast.store.close)
        networks = write_networks(self.folder / "networks", self.world.networks)
        attestors = [
            await self._serve(stack, self._attestor(number, networks), f"attestor-{number}", 0)
            for number in range(self.world.config.threshold)
        ]
        base = await self._serve(stack, self._service(networks, attestors), None, port)
        stage.say(f"The dashboard:  {base}/")
        stage.say(f"A venue's page: {base}/venue")
        stage.say(f"Attestors:      {', '.join(attestors)}")
        stage.say(f"Its files:      {self.folder}")
        stage.say("Ctrl-C ends it.")
        told = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, told.set)
        going = asyncio.create_task(self._go_on())
        await asyncio.wait((going, asyncio.create_task(told.wait())), return_when=asyncio.FIRST_COMPLETED)
        going.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await going

    async def _serve(
        self, stack: contextlib.AsyncExitStack, config: Path, home: str | None, port: int
    ) -> str:
        root = self.cast.home if home is None else Home((self.folder / home).absolute())
        settings = load_settings(config).changed("http", "port", port)
        service = await stack.enter_async_context(open_service(settings, root))
        runner = web.AppRunner(make_app(service), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError as error:
            raise InputError(
                f"the port {port} cannot be listened on ({error.strerror}); give another --port"
            ) from error
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    def _attestor(self, number: int, networks: Path) -> Path:
        home = self.folder / f"attestor-{number}"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = home / "attestor.key"
        write_secret(key, int(self.world.accounts[1 + number].key, 16))
        return self._write(
            home / "service.toml",
            tables_toml(
                {
                    "http": {"without_keys": True, "rate_per_minute": 6000},
                    "data": {"networks": [str(networks)], "stress": ""},
                    "attestor": {"key_file": str(key), "lifetime_s": self.world.config.lifetime_s},
                }
            ),
        )

    def _service(self, networks: Path, attestors: list[str]) -> Path:
        accounts, root = self.world.accounts, Path(__file__).resolve().parents[3]
        key = self.folder / "relayer.key"
        write_secret(key, int(accounts[RELAYER].key, 16))
        venues = [
            self._venue(n, accounts[i].address) for n, i in (("first", FIRST_VENUE), ("second", SECOND_VENUE))
        ]
        chain = f"eip155:{self.world.home_chain.setup.chain_id}"
        text = tables_toml(
            {
                "http": {"without_keys": True, "rate_per_minute": 6000},
                "data": {
                    "networks": [str(networks)],
                    "rulebooks": [str(root / "configs" / "rulebooks")],
                    "stress": str(root / "configs" / "stress" / "history.toml"),
                },
                "proving": {"attestors": attestors},
                "relayer": {"signer": f"file:{key}", "confirmations": 1},
                "registry": {
                    "contract": f"{chain}:{self.tools.registry.lower()}",
                    "venues": [accounts[i].address.lower() for i in (FIRST_VENUE, SECOND_VENUE)],
                },
                "background": {
                    "snapshot_every_s": SNAPSHOT_EVERY_S,
                    "policy_spec": str(self.spec),
                    "price_every_s": PRICE_EVERY_S,
                    "registry_every_s": REGISTRY_EVERY_S,
                },
            }
        )
        text += "".join(f'\n[[venues]]\nid = "{path.stem}"\nfile = "{path}"\n' for path in venues)
        return self._write(self.folder / "service.toml", text)

    def _venue(self, name: str, address: str) -> Path:
        config, key = self.world.config, self.tools.key.verification_key
        write_whole(self.folder / "policy.json", encode_policy(self.priced.policy))
        write_whole(
            self.folder / "verification_key.json", json.dumps(encode_verification_key(key), indent=1).encode()
        )
        values = {
            "venue": address,
            "chain_id": self.world.home_chain.setup.chain_id,
            "registry": self.tools.registry,
            "amount_usd": tables.usd_down(config.first_pledge_e6).replace(",", ""),
            "level": config.level.name,
            "attestors": [a.address for a in self.world.accounts[1 : 1 + config.attestors]],
            "threshold": config.threshold,
            "max_age_s": MAX_AGE_S,
            "coverages": [self.coverage],
            "chains": [each.net.caip2 for each in self.world.chains],
            "least_trust": "single-rpc",
            "accept_dev_keys": True,
            "policies": ["policy.json"],
        }
        own = AcceptedKey.own(self.tools.circuit, self.tools.key)
        entry = {
            "file": "verification_key.json",
            "kind": own.kind.value,
            "circuit": own.circuit,
            "circuit_digest": own.circuit_digest,
        }
        keys = "[[verification_keys]]\n" + flat_toml(entry)
        return self._write(self.folder / f"{name}.toml", flat_toml(values) + keys)

    def _write(self, path: Path, text: str) -> Path:
        write_whole(path, text.encode())
        return path

    async def _go_on(self) -> None:
        """Blocks keep coming, and feeds answer before their heartbeat is over."""
        answered = time.monotonic()
        while True:
            await asyncio.sleep(BLOCK_EVERY_S)
            with contextlib.suppress(CounterfoilError):
                if time.monotonic() - answered > FEED_EVERY_S:
                    await self.world.set_prices(self.world.config.prices)
                    answered = time.monotonic()
                await asyncio.gather(*(chain.net.mine() for chain in self.world.chains))
