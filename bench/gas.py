"""Gas of verification, submission, pledge and release on a local chain: python -m bench.gas."""

from __future__ import annotations

import asyncio
from typing import Any

from aggregator.service.submission import submission_of
from bench.record import write
from chains.contracts.calldata import proof_words
from chains.contracts.coding import call_data
from chains.contracts.registry import pledge_call, release_call
from chains.devnet import Devnet, devnet
from tests.test_end_to_end import HOLDER, USD, Scene


async def measure() -> dict[str, Any]:
    """Gas used by whole transactions, and of the verifier's execution alone."""
    async with devnet(101) as net:
        scene = await Scene.make(net)
        world = scene.world
        venue = world.venues[0]
        bundle = await scene.bundle(venue, 1000 * USD)
        submission = submission_of(bundle)
        verify = call_data("Groth16Verifier", "verify", proof_words(submission.proof), bundle.public)
        used = await _fixed_gas(net, world.verifier, verify)
        base = 21_000 + sum(4 if byte == 0 else 16 for byte in verify)
        figures: dict[str, Any] = {"verify": {"transaction": used, "execution": used - base}}
        first = await world.submit(world.attested(submission, world.attestors))
        three = world.attested(submission_of(await scene.bundle(venue, 1001 * USD, 700)), world.attestors)
        figures["submit"] = {
            "firstOfAccount3Attestors": first.gas,
            "next3Attestors": (await world.submit(three)).gas,
        }
        figures["pledge"] = {
            "first": (await world.send(pledge_call(HOLDER.account_id, USD), sender=venue)).gas,
            "next": (await world.send(pledge_call(HOLDER.account_id, USD), sender=venue)).gas,
        }
        figures["release"] = (await world.send(release_call(HOLDER.account_id, USD), sender=venue)).gas
        return figures


async def _fixed_gas(net: Devnet, to: str, data: bytes) -> int:
    """Gas used with an ample limit: an estimate would find the smallest limit at which `verify` answers at all."""
    request = {"from": net.accounts[0].address, "to": to, "data": "0x" + data.hex(), "gas": hex(1_000_000)}
    sent = await net.endpoint.call("eth_sendTransaction", [request])
    receipt: Any = None
    while receipt is None:
        receipt = await net.endpoint.call("eth_getTransactionReceipt", [sent])
    return int(receipt["gasUsed"], 16)


if __name__ == "__main__":
    write("gas", {"hardfork": "prague", "gas": asyncio.run(measure())})
