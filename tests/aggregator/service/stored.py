"""A home with an account, snapshots, a movable policy and a bundle, made without any chain."""

from __future__ import annotations

from dataclasses import dataclass

from aggregator.model.anchors import BlockAnchor, Finality, Trust, eip155
from aggregator.model.snapshot import FailedChain, Snapshot, encode_snapshot, make_snapshot
from aggregator.policy import encode_policy
from aggregator.policy.build import build_policy
from aggregator.policy.inputs import PolicyInputs, encode_inputs
from aggregator.policy.quotes import PriceQuote, RateQuote
from aggregator.policy.resolve import resolve
from aggregator.policy.spec import parse_spec
from aggregator.service.http.service import Service
from aggregator.service.venue import AcceptedKey
from aggregator.store import Home
from circuits.artifacts import ready
from circuits.bundle import encode_bundle
from circuits.keys import ensure_dev_key
from circuits.policy_tree import build_tree
from circuits.solvency import SMALL
from tests.aggregator.markets import PRICES_E12, RATES_E12, SPECS
from tests.aggregator.service.scene import CUT, NOW, OWNER, POLICY, bundle, reading

CHAINS = (31337001, 31337002, 31337003)


@dataclass(frozen=True)
class Stored:
    """The ids of what is in the home."""

    home: Home
    account_id: int
    snapshot: str
    incomplete: str
    policy: str
    fixed_policy: str
    bundle: str


def account_snapshot(account_id: int, *, complete: bool = True, ether: int = 20) -> Snapshot:
    """Ether and dollars on the demo's chains, the third of which fails in an incomplete one."""
    chains = CHAINS if complete else CHAINS[:2]
    return make_snapshot(
        cut_time=CUT,
        taken_at=CUT + 3,
        account_id=account_id,
        sub_account=0,
        addresses=[OWNER],
        anchors=[
            BlockAnchor(
                eip155(n),
                9,
                f"0x{n:064x}",
                f"0x{n + 1:064x}",
                CUT - 5,
                Finality.FINALIZED,
                Trust.RPC_QUORUM,
            )
            for n in chains
        ],
        readings=[
            reading(CHAINS[0], f"ETH@eip155:{CHAINS[0]}", ether),
            reading(CHAINS[1], f"USDC@eip155:{CHAINS[1]}", 50_000),
        ],
        failed_chains=[] if complete else [FailedChain(eip155(CHAINS[2]), "no endpoint answers")],
    )


def fill(home: Home) -> Stored:
    """Make the home's account and documents."""
    text = (SPECS / "demo.toml").read_text()
    spec = parse_spec(text, "demo.toml")
    prices = {name: PriceQuote(price, CUT) for name, price in PRICES_E12.items()}
    rates = {name: RateQuote(rate, CUT) for name, rate in RATES_E12.items()}
    resolved = resolve(spec, {}, dict(PRICES_E12), as_of=CUT, previous=None)
    policy = build_policy(resolved.applied(spec), prices, rates, as_of=CUT, epoch=1)
    with home.store() as store:
        account = home.create_account(store, "main", sub_account=0, key_file=None, now=CUT)
        incomplete, snapshot = (
            store.add_snapshot(
                encode_snapshot(account_snapshot(account.account_id, complete=complete)),
                account="main",
                cut_time=CUT,
                complete=complete,
                now=NOW,
            )
            for complete in (False, True)
        )
        fixed = store.add_policy(
            encode_policy(POLICY), name=POLICY.name, root=build_tree(POLICY).root, now=NOW
        )
        made = store.add_policy(
            encode_policy(policy), name=policy.name, root=build_tree(policy).root, now=NOW
        )
        inputs = PolicyInputs(text, resolved, prices, rates, CUT, 1, False)
        store.add_policy_inputs(made, encode_inputs(inputs))
        proof = store.add_bundle(encode_bundle(bundle()), account="main", snapshot=snapshot, now=NOW)
    return Stored(home, account.account_id, snapshot, incomplete, made, fixed, proof)


def at_that_time(service: Service) -> None:
    """Let a service live at the scene's time, and know the scene's key."""
    service.clock = lambda: NOW
    circuit = ready(SMALL.name)
    service.add_own_key(AcceptedKey.own(circuit, ensure_dev_key(circuit)))
