"""The main job, step by step: read, net, attest, prove, verify, submit, check, pledge."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from eth_account import Account as EthAccount
from eth_account.signers.local import LocalAccount

from aggregator.cli import tables
from aggregator.cli.demo.stage import Stage
from aggregator.cli.demo.world import LocalChain, World, deploy_assets, fund
from aggregator.cli.proof import VERIFIERS
from aggregator.cli.report_views import assets_table, chains_table, classes_table, summary_table
from aggregator.cli.snapshot_views import anchors_table, completeness_lines, readings_table
from aggregator.cli.tables import Table, sentence_case
from aggregator.cli.venue import checks_table, standing_table
from aggregator.cli.verifying import deploy_verifier, verify_on_chain, verify_with
from aggregator.fixed import format_decimal
from aggregator.margin import Report, evaluate, make_report, positions_by_id
from aggregator.model.policy import Level, Policy
from aggregator.model.snapshot import Snapshot, encode_snapshot, parse_snapshot
from aggregator.policy import encode_policy
from aggregator.policy.build import build_policy
from aggregator.policy.inputs import PolicyInputs, encode_inputs
from aggregator.policy.resolve import resolve
from aggregator.service.accepting import accepted_positions
from aggregator.service.attestor import attest
from aggregator.service.cut import settled_cut
from aggregator.service.linking import check_signed, link_to_sign, stated_link
from aggregator.service.proving import Audience, attestation_request, make_proof, proving_key
from aggregator.service.standing import check_pledges
from aggregator.service.submission import circuit_id, submission_of
from aggregator.service.venue import AcceptedKey, VenueRules, check_bundle, require
from aggregator.store import Account, Home, Store, StoredSnapshot, read_whole
from chains.balances import take_snapshot
from chains.contracts.coding import creation_code
from chains.contracts.registry import (
    Registry,
    VenueStanding,
    pledge_call,
    set_coverage_call,
    set_policy_call,
    set_verifier_call,
)
from chains.oracles import Market, read_market
from chains.relayer import (
    Call,
    Finality,
    Journal,
    Outcome,
    Relayer,
    RelayerSettings,
    load_signer,
    submission_call,
)
from chains.rpc.provider import web3_on
from circuits.artifacts import ReadyCircuit, ready
from circuits.bundle import Bundle, BundleAttestation, PolicyHeader, encode_bundle
from circuits.groth16 import ProvingKey
from circuits.keys import kind_of, verification_key_id
from circuits.policy_tree import build_tree
from circuits.prover import size_for

ACCOUNT_NAME: Final = "main"
MAX_AGE_S: Final = 3600
FIRST_VENUE, SECOND_VENUE, RELAYER = 4, 5, 6
"""Indices of the development accounts."""
RELAYING: Final = RelayerSettings(finality=Finality(confirmations=1), poll_s=0.05, timeout_s=30.0)


@dataclass
class Cast:
    """Who plays: the holder's account and wallets, and where their things are kept."""

    home: Home
    store: Store
    account: Account
    wallets: tuple[LocalAccount, ...]

    @property
    def holders(self) -> list[str]:
        """The linked addresses."""
        return [link.holder for link in self.store.links(self.account.name)]


@dataclass(frozen=True)
class Tools:
    """The circuit, its key, and the verifier contract and registry that were deployed for them."""

    circuit: ReadyCircuit
    key: ProvingKey
    verifier: str
    registry: str


@dataclass(frozen=True)
class Priced:
    """A policy built from the feeds, and its root."""

    policy: Policy
    root: int
    market: Market


def wall_clock() -> int:
    """Unix seconds now."""
    return int(time.time())


async def show_chains(stage: Stage, world: World) -> None:
    """The chains as a table."""
    rows = []
    for chain in world.chains:
        head = await chain.net.head()
        rows.append((chain.setup.name, chain.net.caip2, chain.net.url, str(int(str(head["number"]), 16))))
    stage.show(Table("", ("Name", "Chain", "Endpoint", ">Block"), rows))


async def set_the_scene(stage: Stage, world: World, home: Home, store: Store) -> Cast:
    """Deploy everything and fund two fresh wallets."""
    wallets = tuple(EthAccount.create() for _ in range(2))
    stage.progress("deploying tokens, price feeds and a derivatives venue")
    await deploy_assets(world)
    stage.progress("funding two wallets")
    await fund(world, tuple(wallet.address for wallet in wallets))
    await world.settle()
    account = home.create_account(store, ACCOUNT_NAME, sub_account=0, key_file=None, now=wall_clock())
    rows = [
        (chain.setup.name, wallet_name(chain), symbol, amount)
        for chain in world.chains
        for symbol, amount in chain.setup.holdings.items()
    ]
    last = world.chains[-1]
    rows += [
        (f"{last.setup.name} (venue)", wallet_name(last), p.market, format_decimal(p.size_e8, 8))
        for p in world.config.positions
    ]
    stage.show(Table("", ("Where", "Wallet", "What", ">Amount"), rows))
    return Cast(home, store, account, wallets)


def wallet_name(chain: LocalChain) -> str:
    """Which of the two wallets is used on a chain."""
    return f"wallet {chain.setup.wallet}"


def link_addresses(stage: Stage, cast: Cast) -> None:
    """Each wallet signs, EIP-712, that it belongs to the account."""
    stage.say("The account id is the hash of a key that never leaves this machine:")
    stage.say(f"0x{cast.account.account_id:064x}")
    rows = []
    for wallet in cast.wallets:
        now = wall_clock()
        statement = link_to_sign(cast.account, wallet.address, now)
        signature = "0x" + statement.sign(wallet).hex()
        link = stated_link(cast.account, wallet.address, now, statement.expiry, signature)
        check_signed(cast.account.account_id, link, now, ())
        cast.store.add_link(link, now=now)
        rows.append((wallet.address.lower(), tables.short(signature)))
    stage.show(Table("", ("Address", "EIP-712 signature, checked"), rows))


async def read_account(world: World, cast: Cast, cut: int) -> Snapshot:
    """A fresh reading of the account on all chains at `cut`."""
    return await take_snapshot(
        world.networks,
        account_id=cast.account.account_id,
        sub_account=cast.account.sub_account,
        addresses=cast.holders,
        cut=cut,
    )


async def snapshot(stage: Stage, world: World, cast: Cast) -> StoredSnapshot:
    """Read everything at one cut, and keep it."""
    cut = await settled_cut(world.networks)
    taken = await read_account(world, cast, cut)
    stage.say(f"One cut for all chains: {tables.moment(cut)}. Every read is pinned to a block hash.")
    stage.show(anchors_table(taken))
    stage.show(readings_table(taken))
    for line in completeness_lines(taken):
        stage.say(line)
    taken.require_complete()
    key = cast.store.add_snapshot(
        encode_snapshot(taken), account=cast.account.name, cut_time=cut, complete=True, now=wall_clock()
    )
    return cast.store.snapshot(key)


async def price(stage: Stage, world: World, cast: Cast, epoch: int) -> Priced:
    """Build the policy of one epoch from the feeds on the chains."""
    cut = await settled_cut(world.networks)
    market = await read_market(world.networks, cut=cut)
    policy = build_policy(world.config.spec, market.prices, market.rates, as_of=cut, epoch=epoch)
    root = build_tree(policy).root
    key = cast.store.add_policy(encode_policy(policy), name=policy.name, root=root, now=cut)
    text = read_whole(world.config.spec_file, "the policy spec").decode()
    resolved = resolve(world.config.spec, {}, {}, as_of=cut)
    inputs = PolicyInputs(text, resolved, market.prices, market.rates, cut, epoch, zero_stale=False)
    cast.store.add_policy_inputs(key, encode_inputs(inputs))
    rows = [(f"{name} / USD", tables.price(quote.price_e12)) for name, quote in market.prices.items()]
    rows += [(f"{name} rate", tables.price(quote.rate_e12)) for name, quote in market.rates.items()]
    stage.show(Table("", ("Feed or rate", ">Value"), rows))
    stage.say(
        f"Policy {policy.name}, epoch {epoch}: {len(policy.instruments)} instruments, {len(policy.groups)} netting "
        f"groups, {len(policy.classes)} risk classes, {len(policy.scenarios)} scenarios."
    )
    stage.say("Its root commits to every number:")
    stage.say(f"0x{root:064x}")
    return Priced(policy, root, market)


def value(stage: Stage, taken: StoredSnapshot, priced: Priced) -> Report:
    """The unified health of the account, with where it comes from."""
    positions = positions_by_id(
        priced.policy, accepted_positions(priced.policy, parse_snapshot(taken.document))
    )
    report = make_report(priced.policy, positions)
    for table in (chains_table, assets_table, classes_table, summary_table):
        stage.show(table(report))
    stage.say(
        f"One account: equity {tables.value_down(report.equity_e20)} USD, health {tables.health(report.im.health_e6)} "
        f"at initial margin. Position by position it would need {tables.usd_up(report.im.isolated.requirement_e6)} "
        f"USD of margin, together {tables.usd_up(report.im.requirement_e6)} USD."
    )
    return report


async def prepare_proving(
    stage: Stage, world: World, taken: StoredSnapshot, priced: Priced, report: Report
) -> Tools:
    """Build the circuit, have its key, and deploy verifier and registry."""
    positions = {p.instrument.id: p.quantity_e8 for p in report.im.positions}
    size = size_for(evaluate(priced.policy, positions, Level.IM))
    stage.progress(f"building the circuit {size.name}")
    circuit = ready(size.name)
    stage.progress("opening the key")
    key = proving_key(circuit, None, stage.progress)
    stage.progress("deploying the verifier and the registry")
    net = world.home_chain.net
    verifier = await deploy_verifier(net, key.verification_key, kind_of(key))
    attestors = sorted((a.address for a in attestor_accounts(world)), key=lambda a: int(a, 16))
    owner = net.accounts[0].address
    threshold = world.config.threshold
    registry = await net.deploy_code(
        creation_code("SolvencyRegistry", owner, False, MAX_AGE_S, attestors, threshold)
    )
    name = circuit_id(verification_key_id(key.verification_key))
    await net.send(registry, set_verifier_call(name, verifier))
    await net.send(registry, set_policy_call(priced.root, priced.policy.expires))
    rows = [
        (
            "circuit",
            f"{size.name}: {circuit.compiled.n_constraints:,} constraints, up to {size.slots} positions",
        ),
        ("key", f"{kind_of(key).value}: made on this machine, for development only"),
        ("verifier", f"{verifier} on {net.caip2}"),
        ("registry", f"{registry} on {net.caip2}, {threshold} of {len(attestors)} attestors"),
    ]
    stage.show(Table("", ("", ""), rows))
    return Tools(circuit, key, verifier, registry)


def attestor_accounts(world: World) -> tuple[LocalAccount, ...]:
    """The attestors' keys."""
    return tuple(EthAccount.from_key(a.key) for a in world.accounts[1 : 1 + world.config.attestors])


async def attest_snapshot(
    stage: Stage, world: World, cast: Cast, taken: StoredSnapshot, priced: Priced, tools: Tools
) -> list[BundleAttestation]:
    """`threshold` attestors re-read the account themselves and sign what they saw."""
    net = world.home_chain.net
    request = attestation_request(taken, priced.policy, net.chain_id, tools.registry.lower(), wall_clock())
    signed = []
    for attestor in attestor_accounts(world)[: world.config.threshold]:
        stage.progress(f"attestor {attestor.address.lower()} re-reads the account")
        own = await read_account(world, cast, request.snapshot.cut_time)
        signed.append(attest(request, own, attestor, world.config.lifetime_s, world.networks))
    coverages = {item.coverage for item in signed}
    stage.confirm(len(coverages) == 1, "the attestors read the same chains and kinds")
    await net.send(tools.registry, set_coverage_call(bytes.fromhex(signed[0].coverage[2:]), True))
    rows = [
        (item.attestor, tables.short(f"0x{request.commitment:064x}"), tables.short(item.signature))
        for item in signed
    ]
    stage.show(Table("", ("Attestor", "Opened commitment", "Signature"), rows))
    stage.say("The commitment hides the positions: only an attestor the holder chose has seen them.")
    return signed


def prove_to(
    stage: Stage,
    world: World,
    cast: Cast,
    taken: StoredSnapshot,
    priced: Priced,
    tools: Tools,
    attestations: list[BundleAttestation],
    venue: str,
) -> Bundle:
    """A bundle for one venue, kept in the store."""
    now = wall_clock()
    bundle = make_proof(
        taken,
        cast.account,
        priced.policy,
        world.config.level,
        world.config.amount_e6,
        Audience(venue.lower(), world.home_chain.setup.chain_id, tools.registry.lower()),
        now + world.config.lifetime_s,
        attestations,
        now=now,
        key=tools.key,
        tell=stage.progress,
    )
    cast.store.add_bundle(encode_bundle(bundle), account=cast.account.name, snapshot=taken.id, now=now)
    return bundle


def show_bundle(stage: Stage, bundle: Bundle) -> None:
    """What the bundle says, and what it does not."""
    rows = [
        ("statement", f"excess of at least {tables.usd_down(bundle.amount_e6)} USD at {bundle.level.name}"),
        ("account", tables.short(f"0x{bundle.account_id:064x}")),
        ("commitment", tables.short(f"0x{bundle.commitment:064x}")),
        ("policy root", tables.short(f"0x{bundle.policy_root:064x}")),
        ("venue", bundle.context.venue),
        ("expires", tables.moment(bundle.context.expiry)),
        ("size", f"{len(bundle.proof)} bytes of proof, {len(encode_bundle(bundle)):,} bytes of bundle"),
        ("hidden", "the positions, their chains and amounts, the equity, and how much more there is"),
    ]
    stage.show(Table("", ("", ""), rows))


async def verify_three_ways(stage: Stage, world: World, tools: Tools, bundle: Bundle) -> None:
    """Rust, py-ecc and Solidity, each on its own."""
    rows = []
    for name in VERIFIERS:
        stage.progress(f"verifying with {name}")
        started = time.monotonic()
        await verify_by_name(world, tools, name, bundle)
        rows.append((name, _VERIFIER_NOTES[name], "accepts", f"{time.monotonic() - started:.3f}"))
    stage.show(Table("", ("Verifier", "", "Result", ">Seconds"), rows))


_VERIFIER_NOTES: Final = {
    "native": "arkworks, in the Rust core",
    "py-ecc": "pure Python, shares no code with the prover",
    "solidity": "the contract on the registry's chain",
}


async def verify_by_name(world: World, tools: Tools, name: str, bundle: Bundle) -> None:
    """One verifier; raises ProofRefusedError when it refuses."""
    if name == "solidity":
        await verify_on_chain(world.home_chain.net, tools.verifier, bundle)
    else:
        verify_with(name, tools.key.verification_key, bundle)


async def relay(stage: Stage, world: World, cast: Cast, call: Call, sender: int) -> Outcome:
    """Send one call through the relayer and follow it until it is final."""
    chain = world.home_chain
    await chain.net.mine()
    signer = load_signer("env:KEY", env={"KEY": chain.net.accounts[sender].key})
    async with chain.network.connect() as connected:
        with Journal(cast.home.root / "relayer.db") as journal:
            relayer = Relayer(
                web3_on(connected),
                chain.setup.chain_id,
                signer,
                journal,
                RELAYING,
                progress=lambda intent: stage.progress(f"{call.label}: {intent.state.value}"),
            )
            return await relayer.relay(call, yes=True)


async def submit(stage: Stage, world: World, cast: Cast, tools: Tools, bundle: Bundle) -> None:
    """Bring the bundle onto the registry's chain, once."""
    call = submission_call(submission_of(bundle), world.home_chain.setup.chain_id, tools.registry)
    outcome = await relay(stage, world, cast, call, RELAYER)
    show_outcome(stage, outcome)


def show_outcome(stage: Stage, outcome: Outcome) -> None:
    """State, transaction and gas of a relayed call."""
    intent = outcome.intent
    if intent is not None:
        stage.say(
            f"{sentence_case(intent.label)}: {outcome.state.value} in block {intent.block_number}, "
            f"{intent.gas_used or 0:,} gas, transaction {tables.short(intent.transaction_hash or '')}."
        )


def rules_of(
    world: World, priced: Priced, tools: Tools, coverage: str, venue: str, amount_e6: int
) -> VenueRules:
    """What a venue of the demo accepts."""
    policy, key = priced.policy, tools.key.verification_key
    header = PolicyHeader(policy.name, policy.publisher, policy.epoch, policy.as_of, policy.expires)
    return VenueRules(
        venue=venue.lower(),
        chain_id=world.home_chain.setup.chain_id,
        registry=tools.registry.lower(),
        amount_e6=amount_e6,
        level=world.config.level,
        attestors=tuple(a.address.lower() for a in attestor_accounts(world)),
        threshold=world.config.threshold,
        coverages=(coverage,),
        policies={priced.root: header},
        verification_keys={verification_key_id(key): AcceptedKey.own(tools.circuit, tools.key)},
        max_age_s=MAX_AGE_S,
        chains=tuple(chain.net.caip2 for chain in world.chains),
        accept_dev_keys=True,
    )


async def standing(world: World, tools: Tools, account_id: int, venue: str) -> VenueStanding:
    """What the registry says of the account and a venue."""
    registry = Registry(web3_on(world.home_chain.net.endpoint), tools.registry)
    return await registry.standing(account_id, venue)


async def check_and_pledge(
    stage: Stage, world: World, cast: Cast, tools: Tools, bundle: Bundle, rules: VenueRules
) -> None:
    """The first venue checks the bundle under its own rules and reserves margin."""
    pledges, _ = await check_pledges(world.networks, rules, bundle.account_id)
    checks = (*check_bundle(bundle, rules, wall_clock()), pledges)
    stage.show(checks_table(checks))
    require(checks)
    amount = world.config.first_pledge_e6
    show_outcome(stage, await relay(stage, world, cast, pledge_of(tools, bundle, amount), FIRST_VENUE))
    stage.show(standing_table(await standing(world, tools, bundle.account_id, rules.venue)))


def pledge_of(tools: Tools, bundle: Bundle, amount_e6: int) -> Call:
    """The call by which the bundle's venue reserves an amount."""
    label = f"pledge {tables.usd_down(amount_e6)} USD"
    name = f"pledge:{tools.registry}:{bundle.context.venue}:{amount_e6}"
    return Call(name, tools.registry, pledge_call(bundle.account_id, amount_e6), label)
