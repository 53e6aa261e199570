"""What must not go through, each with its plain reason."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace

from aggregator.cli import tables
from aggregator.cli.demo.stage import Stage
from aggregator.cli.demo.story import (
    RELAYER,
    SECOND_VENUE,
    Cast,
    Priced,
    Tools,
    pledge_of,
    prove_to,
    read_account,
    relay,
    show_outcome,
    standing,
    submit,
    verify_by_name,
    wall_clock,
)
from aggregator.cli.demo.world import World
from aggregator.cli.proof import VERIFIERS
from aggregator.cli.snapshot_views import completeness_lines, readings_table
from aggregator.cli.tables import Table
from aggregator.fixed import format_decimal, parse_decimal
from aggregator.margin import make_report, positions_by_id
from aggregator.model.errors import (
    CannotProveError,
    IncompleteSnapshotError,
    ProofRefusedError,
    TransactionError,
)
from aggregator.model.policy import Level
from aggregator.model.snapshot import encode_snapshot, parse_snapshot
from aggregator.model.units import USD_SCALE
from aggregator.policy.build import build_policy
from aggregator.service.cut import settled_cut
from aggregator.service.proving import Audience, attestation_request, make_proof
from aggregator.service.submission import submission_of
from aggregator.store import StoredSnapshot
from chains.oracles import read_market
from chains.relayer import submission_call
from circuits.assignment import encode_requirement
from circuits.bundle import Bundle, BundleAttestation, encode_bundle, parse_bundle

CRASHED = ("ETH", "BTC")


async def over_pledge(
    stage: Stage,
    world: World,
    cast: Cast,
    taken: StoredSnapshot,
    priced: Priced,
    tools: Tools,
    attestations: list[BundleAttestation],
) -> None:
    """A second venue has its own good proof, and still cannot reserve what the first one has."""
    venue = world.accounts[SECOND_VENUE].address
    second = prove_to(stage, world, cast, taken, priced, tools, attestations, venue)
    await submit(stage, world, cast, tools, second)
    seen = await standing(world, tools, second.account_id, venue)
    stage.say(
        f"The second venue's proof is good too, but {tables.usd_down(seen.available_usd_e6)} USD of "
        f"{tables.usd_down(seen.record.amount_usd_e6)} USD is still free."
    )
    wanted = world.config.second_pledge_e6
    with stage.refused(
        f"the second venue pledges {tables.usd_down(wanted)} USD", TransactionError, "over all venues"
    ):
        await relay(stage, world, cast, pledge_of(tools, second, wanted), SECOND_VENUE)
    free = seen.available_usd_e6
    show_outcome(stage, await relay(stage, world, cast, pledge_of(tools, second, free), SECOND_VENUE))
    left = await standing(world, tools, second.account_id, venue)
    stage.confirm(left.available_usd_e6 == 0, "nothing is left to pledge")


def raised(bundle: Bundle) -> Bundle:
    """The bundle with one USD more, altered wherever the amount is said, so that it agrees with itself."""
    public = list(bundle.public)
    public[3] = encode_requirement(bundle.amount_e6 + USD_SCALE, bundle.level)
    return parse_bundle(encode_bundle(replace(bundle, public=tuple(public))))


async def tamper(stage: Stage, world: World, cast: Cast, tools: Tools, bundle: Bundle) -> None:
    """One USD more in the bundle: three verifiers and the registry refuse it."""
    altered = raised(bundle)
    stage.say(
        f"Somebody changes {tables.usd_down(bundle.amount_e6)} to {tables.usd_down(altered.amount_e6)} USD "
        "wherever the bundle says it."
    )
    for name in VERIFIERS:
        with stage.refused(f"the altered bundle, by the verifier {name}", ProofRefusedError):
            await verify_by_name(world, tools, name, altered)
    chain_id = world.home_chain.setup.chain_id
    with stage.refused(
        "the altered bundle with a later expiry, by the registry", ProofRefusedError, "does not verify"
    ):
        fresh = replace(submission_of(altered), expiry=altered.context.expiry + 1)
        call = submission_call(fresh, chain_id, tools.registry)
        await relay(stage, world, cast, call, RELAYER)


def crash_of(price: str, percent: int) -> str:
    """A price after it fell by `percent`, in 1e-8."""
    return format_decimal(parse_decimal(price, 8) * (100 - percent) // 100, 8)


async def crash(
    stage: Stage,
    world: World,
    cast: Cast,
    taken: StoredSnapshot,
    priced: Priced,
    tools: Tools,
    attestations: list[BundleAttestation],
) -> None:
    """Prices fall; under the next policy the same account cannot prove the same amount."""
    config = world.config
    fallen = {name: crash_of(config.prices[name], config.crash_percent) for name in CRASHED}
    await world.set_prices(fallen)
    await world.settle()
    cut = await settled_cut(world.networks)
    market = await read_market(world.networks, cut=cut)
    policy = build_policy(config.spec, market.prices, market.rates, as_of=cut, epoch=priced.policy.epoch + 1)
    positions = parse_snapshot(taken.document).positions
    before = make_report(priced.policy, positions_by_id(priced.policy, positions))
    after = make_report(policy, positions_by_id(policy, positions))
    rows = [
        ("ETH / USD", config.prices["ETH"], fallen["ETH"]),
        ("Equity USD", tables.value_down(before.equity_e20), tables.value_down(after.equity_e20)),
        (
            "Requirement (IM) USD",
            tables.usd_up(before.im.requirement_e6),
            tables.usd_up(after.im.requirement_e6),
        ),
        ("Excess (IM) USD", tables.usd_down(before.im.excess_e6), tables.usd_down(after.im.excess_e6)),
        ("Health (IM)", tables.health(before.im.health_e6), tables.health(after.im.health_e6)),
    ]
    stage.show(Table("", ("", ">Before", f">After a fall of {config.crash_percent} %"), rows))
    if (after.im.health_e6 or 0) > (before.im.health_e6 or 0):
        stage.say(
            "Health rises though the account has lost: scan ranges and haircuts are shares of a price, so the "
            "requirement falls faster than the equity. What can be proven is the excess, and it has fallen."
        )
    amount = tables.usd_down(config.amount_e6)
    audience = Audience(
        world.accounts[SECOND_VENUE].address.lower(), world.home_chain.setup.chain_id, tools.registry.lower()
    )
    with stage.refused(f"a proof of {amount} USD after the crash", CannotProveError, "excess"):
        make_proof(
            taken,
            cast.account,
            policy,
            Level.IM,
            config.amount_e6,
            audience,
            cut + config.lifetime_s,
            attestations,
            now=wall_clock(),
            key=tools.key,
            tell=stage.progress,
        )


@contextlib.contextmanager
def _expected_warnings() -> Iterator[None]:
    """Keep the reader's warnings about a chain that is meant to be dead off the screen."""
    log = logging.getLogger("chains")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


async def dead_chain(stage: Stage, world: World, cast: Cast, priced: Priced, tools: Tools) -> None:
    """One chain dies: it is named, nothing is added up, and no proof is made."""
    dead = world.chains[1]
    await dead.stop.aclose()
    stage.say(f"The node of {dead.setup.name} ({dead.net.caip2}) is stopped.")
    with _expected_warnings():
        taken = await read_account(world, cast, await settled_cut(world.networks))
    stage.confirm(not taken.complete, "a snapshot without one chain is not complete")
    stage.confirm(
        [failed.chain for failed in taken.failed_chains] == [dead.net.caip2],
        "exactly the dead chain is named",
    )
    stage.show(readings_table(taken))
    for line in completeness_lines(taken):
        stage.say(line)
    stage.say("No total is shown: what was not read is not zero, it is unknown.")
    key = cast.store.add_snapshot(
        encode_snapshot(taken),
        account=cast.account.name,
        cut_time=taken.cut_time,
        complete=False,
        now=wall_clock(),
    )
    with stage.refused("a proof of an incomplete snapshot", IncompleteSnapshotError, dead.net.caip2):
        home = world.home_chain.net.chain_id
        attestation_request(
            cast.store.snapshot(key), priced.policy, home, tools.registry.lower(), wall_clock()
        )
