"""One account of two positions, attested by three, proven to one venue, and that venue's rules."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from eth_account import Account
from eth_account.signers.local import LocalAccount

from aggregator.margin.native import evaluate, positions_by_id
from aggregator.model.anchors import BlockAnchor, Finality, Trust, anchors_hash, eip155
from aggregator.model.policy import Level
from aggregator.model.snapshot import Method, Reading, Snapshot, make_snapshot
from aggregator.service.attestor import AttestationRequest, attest
from aggregator.service.coverage import coverage
from aggregator.service.venue import AcceptedKey, VenueRules
from chains.networks import Native, Network, Token
from circuits.artifacts import ready
from circuits.assignment import Holder, commitment
from circuits.bundle import Bundle, PolicyHeader, make_bundle
from circuits.context import Context
from circuits.keys import ensure_dev_key, verification_key_id
from circuits.policy_tree import build_tree
from circuits.prover import prove
from circuits.solvency import SMALL
from tests.circuits.books import fixed_policy

CUT = 1_795_000_000
NOW = CUT + 30
OWNER = "0x" + "0a" * 20
CHAIN_ID = 31337001
TOKEN = "0x" + "77" * 20
VENUE, REGISTRY = "0x" + "fe" * 20, "0x" + "11" * 20
POLICY = fixed_policy()
HOLDER = Holder(secret_key=987, sub_account=0, blinding=4711)
ATTESTORS: list[LocalAccount] = [Account.from_key(n.to_bytes(32, "big")) for n in (101, 102, 103)]
AMOUNT = 100_000 * 10**6
NETWORKS = tuple(
    Network(name, number, ("http://127.0.0.1:1",), Native("COIN"), tokens=(Token(symbol, "erc20", TOKEN, 6),))
    for name, number, symbol in (("one", 1, "ETH"), ("two", 8453, "USDC"))
)


def reading(chain: int, symbol: str, whole: int) -> Reading:
    return Reading(
        chain=eip155(chain),
        address=OWNER,
        instrument=symbol,
        kind="erc20",
        token=TOKEN,
        raw=whole * 10**6,
        decimals=6,
        quantity_e8=whole * 10**8,
        trust=Trust.RPC_QUORUM,
        method=Method.PROVEN,
        detail={},
    )


def snapshot(**changes: object) -> Snapshot:
    anchors = tuple(
        BlockAnchor(
            eip155(n), 9, f"0x{n:064x}", f"0x{n + 1:064x}", CUT - 5, Finality.FINALIZED, Trust.RPC_QUORUM
        )
        for n in (1, 8453)
    )
    given = {
        "cut_time": CUT,
        "taken_at": CUT + 3,
        "account_id": HOLDER.account_id,
        "sub_account": 0,
        "addresses": [OWNER],
        "anchors": anchors,
        "readings": [reading(1, "ETH@eip155:1", 40), reading(8453, "USDC@eip155:8453", 50_000)],
    }
    return make_snapshot(**{**given, **changes})  # type: ignore[arg-type]


@cache
def commitment_of_it() -> int:
    tree = build_tree(POLICY)
    return commitment(
        SMALL, tree.document_hash, HOLDER.blinding, positions_by_id(POLICY, snapshot().positions)
    )


def request() -> AttestationRequest:
    return AttestationRequest(
        snapshot(), POLICY, SMALL.name, HOLDER.blinding, commitment_of_it(), CHAIN_ID, REGISTRY
    )


@cache
def bundle() -> Bundle:
    taken = snapshot()
    context = Context(CHAIN_ID, REGISTRY, VENUE, CUT + 600, anchors_hash(taken.anchors), CUT)
    circuit = ready(SMALL.name)
    key = ensure_dev_key(circuit)
    evaluation = evaluate(POLICY, positions_by_id(POLICY, taken.positions), Level.IM)
    proof = prove(circuit, key, POLICY, build_tree(POLICY), evaluation, HOLDER, AMOUNT, context.signal())
    signed = [attest(request(), taken, attestor, 900, NETWORKS) for attestor in ATTESTORS]
    return make_bundle(circuit, key, POLICY, proof, context, taken.anchors, signed)


def rules(**changes: object) -> VenueRules:
    circuit = ready(SMALL.name)
    key = AcceptedKey.own(circuit, ensure_dev_key(circuit))
    plain = VenueRules(
        venue=VENUE,
        chain_id=31337001,
        registry=REGISTRY,
        amount_e6=AMOUNT,
        level=Level.IM,
        attestors=tuple(a.address.lower() for a in ATTESTORS),
        threshold=2,
        coverages=(coverage(NETWORKS),),
        policies={build_tree(POLICY).root: PolicyHeader("fixed", "tests", 1, 1_790_000_000, 1_800_000_000)},
        verification_keys={verification_key_id(key.key): key},
        max_age_s=120,
        chains=("eip155:1", "eip155:8453"),
        least_trust=Trust.RPC_QUORUM,
        accept_dev_keys=True,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]
