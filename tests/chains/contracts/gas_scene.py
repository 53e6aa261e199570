"""Gas of every call of the registry on one fixed scene: python -m tests.chains.contracts.gas_scene writes gas.json.

The proofs are real ones of a key with a known trapdoor, so the verifier does all its work; everything else that could
vary (keys, times, amounts) is fixed.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from aggregator.model.policy import Level
from chains.contracts.calldata import proof_bytes, proof_words
from chains.contracts.coding import call_data
from chains.contracts.registry import (
    Submission,
    pledge_call,
    poke_call,
    release_call,
    submit_call,
    transfer_call,
)
from chains.devnet import devnet
from tests.chains.contracts.toxic import Toxic
from tests.chains.contracts.world import USD, World

SNAPSHOT: Final = Path(__file__).parent / "gas.json"
LIMITS: Final = {
    "verify": 245_000,
    "submit, 3 attestors, first of an account": 330_000,
    "submit, 3 attestors, account and venue known": 330_000,
    "submit, 3 attestors, first to a venue": 330_000,
    "submit, 3 attestors, first at MM": 330_000,
    "pledge, first of a venue": 60_000,
    "pledge, more": 60_000,
}
"""What must hold, whatever the snapshot says."""
GENESIS: Final = 1_800_000_000
LIMIT: Final = 1_000_000
TRANSACTION: Final = 21_000
# Wide in bytes, as account ids and hashes are: a small number has zero bytes, and those are cheap.
WIDE: Final = int.from_bytes(b"\x11" * 31, "big")


class Meter:
    """Sends transactions one second apart and keeps what each cost."""

    def __init__(self, world: World, toxic: Toxic) -> None:
        self.world, self.toxic, self.clock = world, toxic, GENESIS + 1000
        self.used: dict[str, int] = {}

    async def send(self, name: str, data: bytes, sender: str, to: str | None = None) -> None:
        """One transaction with ample gas, at the next second."""
        self.clock += 1
        net = self.world.net
        await net.next_timestamp(self.clock)
        request = {
            "from": sender,
            "to": to or self.world.registry,
            "data": "0x" + data.hex(),
            "gas": hex(LIMIT),
        }
        sent = await net.endpoint.call("eth_sendTransaction", [request])
        receipt: Any = None
        while receipt is None:
            receipt = await net.endpoint.call("eth_getTransactionReceipt", [sent])
        assert receipt["status"] == "0x1", name
        self.used[name] = int(receipt["gasUsed"], 16)

    async def submission(self, venue: int, signers: int, **changes: Any) -> Submission:
        """A submission with a real proof."""
        s = await self.world.submission(
            venue=self.world.venues[venue],
            account_id=WIDE,
            commitment=WIDE + 1,
            attestation_expiry=GENESIS + 60_000,
            **{"expiry": GENESIS + 50_000, **changes},
        )
        s = replace(s, proof=proof_bytes(self.toxic.prove(self.world.inputs(s))))
        return self.world.attested(s, self.world.attestors[:signers])


async def measure() -> dict[str, int]:
    """Gas used by whole transactions, by name."""
    toxic = Toxic.make()
    async with devnet(101, timestamp=GENESIS) as net:
        world = await World.make(net, production=True, toxic=toxic)
        meter, (a, b, _) = Meter(world, toxic), world.venues
        anyone, cut = net.accounts[9].address, GENESIS + 500
        first = await meter.submission(0, 3, cut_time=cut)
        verify = call_data("Groth16Verifier", "verify", proof_words(first.proof), world.inputs(first))
        await meter.send("verify", verify, anyone, world.verifier)
        calldata = sum(4 if byte == 0 else 16 for byte in verify)
        meter.used["verify, execution alone"] = meter.used["verify"] - TRANSACTION - calldata
        for name, s in (
            ("submit, 3 attestors, first of an account", first),
            ("submit, 3 attestors, first to a venue", await meter.submission(1, 3, cut_time=cut)),
            ("submit, 3 attestors, account and venue known", await meter.submission(0, 3, cut_time=cut + 1)),
            ("submit, 2 attestors, account and venue known", await meter.submission(1, 2, cut_time=cut + 1)),
            (
                "submit, 3 attestors, first at MM",
                await meter.submission(
                    0, 3, cut_time=cut + 1, level=Level.MM, amount_usd_e6=9 * USD, expiry=GENESIS + 50_001
                ),
            ),
        ):
            await meter.send(name, submit_call(s), anyone)
        for name, data, sender in (
            ("pledge, first of a venue", pledge_call(WIDE, 600 * USD), a),
            ("pledge, more", pledge_call(WIDE, 100 * USD), a),
            ("transfer, first of the receiver", transfer_call(WIDE, b, 100 * USD), a),
            ("release, part", release_call(WIDE, 100 * USD), a),
        ):
            await meter.send(name, data, sender)
        meter.clock += 50_000
        await meter.send("poke", poke_call(WIDE), anyone)
        await meter.send("release, all, ends a call", release_call(WIDE, 100 * USD), b)
        return meter.used


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(asyncio.run(measure()), indent=1) + "\n")
    print(SNAPSHOT.read_text(), end="")
