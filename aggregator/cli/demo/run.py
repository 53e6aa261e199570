"""The order of the demo's steps."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from pathlib import Path

from aggregator.cli import tables
from aggregator.cli.demo import refusals, story
from aggregator.cli.demo.config import DEFAULT_FILE, DemoConfig, load_demo
from aggregator.cli.demo.stage import Stage
from aggregator.cli.demo.world import start_world
from aggregator.cli.framework import Settings
from aggregator.store import Home


def run_demo(
    settings: Settings, config_file: Path | None, keep: Path | None, port: int | None = None
) -> None:
    """Play the demo; raises the first error that was not expected. With a port, serve its world until told to end."""
    config = load_demo(config_file or DEFAULT_FILE, story.wall_clock())
    stage = Stage(settings)
    with contextlib.ExitStack() as stack:
        root = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="counterfoil-demo-")))
        asyncio.run(_play(stage, config, Home(root.absolute()), port))
    if port is not None:
        return
    stage.summary(
        f"{len(stage.steps)} steps as expected, {stage.refusals} refusals as expected, {stage.seconds:.1f} s. "
        f"Two venues rely on {tables.usd_down(config.amount_e6)} USD that no one holds for them, "
        "and neither has seen a position."
    )


async def _play(stage: Stage, config: DemoConfig, home: Home, port: int | None) -> None:
    async with contextlib.AsyncExitStack() as stack:
        store = stack.enter_context(home.store())
        with stage.step(f"Start {len(config.chains)} local EVM chains"):
            world = await start_world(config, stack)
            await story.show_chains(stage, world)
        with stage.step("Deploy tokens, feeds and a derivatives venue; fund two wallets"):
            cast = await story.set_the_scene(stage, world, home, store)
        with stage.step("Link both wallets to one account"):
            story.link_addresses(stage, cast)
        with stage.step("Take a snapshot: one cut, every balance proven or called"):
            taken = await story.snapshot(stage, world, cast)
        with stage.step("Build the risk policy from the prices on the chains"):
            priced = await story.price(stage, world, cast, epoch=1)
        with stage.step("Value it all as one account"):
            report = story.value(stage, taken, priced)
        with stage.step("Prepare the circuit, its key, the verifier and the registry"):
            tools = await story.prepare_proving(stage, world, taken, priced, report)
        with stage.step(f"{config.threshold} of {config.attestors} attestors re-read the account and sign"):
            signed = await story.attest_snapshot(stage, world, cast, taken, priced, tools)
        amount = tables.usd_down(config.amount_e6)
        first = world.accounts[story.FIRST_VENUE].address
        with stage.step(f"Prove an excess of {amount} USD to the first venue"):
            bundle = story.prove_to(stage, world, cast, taken, priced, tools, signed, first)
            story.show_bundle(stage, bundle)
        with stage.step("Verify the proof three ways"):
            await story.verify_three_ways(stage, world, tools, bundle)
        with stage.step("Submit the bundle to the registry"):
            await story.submit(stage, world, cast, tools, bundle)
        with stage.step("The first venue checks the bundle and pledges"):
            rules = story.rules_of(world, priced, tools, signed[0].coverage, first, config.first_pledge_e6)
            await story.check_and_pledge(stage, world, cast, tools, bundle, rules)
        if port is not None:
            from aggregator.cli.demo.playground import Playground

            with stage.step("Serve the dashboard"):
                await Playground(world, cast, priced, tools, signed[0].coverage).serve(stage, stack, port)
            return
        with stage.step("Refusal: a second venue pledges more than is left"):
            await refusals.over_pledge(stage, world, cast, taken, priced, tools, signed)
        with stage.step("Refusal: a tampered bundle"):
            await refusals.tamper(stage, world, cast, tools, bundle)
        with stage.step("Refusal: a proof after a price crash"):
            await refusals.crash(stage, world, cast, taken, priced, tools, signed)
        with stage.step("Refusal: a dead chain"):
            await refusals.dead_chain(stage, world, cast, priced, tools)
