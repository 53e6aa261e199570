"""Collateral refused or cut by who vouches for it and how it was read; debts never."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.margin.native import evaluate, positions_by_id
from aggregator.model.anchors import Trust
from aggregator.model.errors import PolicyError, ProofRefusedError
from aggregator.model.policy import Acceptance, Level, Policy
from aggregator.model.snapshot import Method, Reading
from aggregator.policy import encode_policy, parse_policy
from aggregator.policy.acceptance import accept_readings
from aggregator.policy.spec import parse_spec
from aggregator.service.accepting import accept, accepted_positions
from aggregator.service.attestor import AttestationRequest, attest
from circuits.assignment import commitment
from circuits.policy_tree import build_tree
from circuits.solvency import SMALL
from tests.aggregator.markets import SPECS, policy
from tests.aggregator.service.scene import ATTESTORS, CHAIN_ID, HOLDER, NETWORKS, REGISTRY
from tests.aggregator.service.scene import reading as read_of
from tests.aggregator.service.scene import snapshot as snapshot_of
from tests.circuits.books import fixed_policy

ETH, USDC = "ETH@eip155:1", "USDC@eip155:8453"


def reading(trust: Trust, method: Method, quantity: int = 40, symbol: str = ETH) -> Reading:
    made = read_of(1, symbol, abs(quantity))
    return replace(made, trust=trust, method=method, quantity_e8=quantity * 10**8)


def ruled(**rules: object) -> Policy:
    return replace(fixed_policy(), acceptance=Acceptance(**rules))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rules", "trust", "method", "counted", "words"),
    [
        (Acceptance(), Trust.REPORTED, Method.REPORTED, 40 * 10**8, ""),
        (Acceptance(Trust.RPC_QUORUM), Trust.RPC_QUORUM, Method.CALLED, 40 * 10**8, ""),
        (
            Acceptance(Trust.RPC_QUORUM),
            Trust.SINGLE_RPC,
            Method.PROVEN,
            0,
            "counts for nothing: its trust is single-rpc and the policy asks for rpc-quorum",
        ),
        (
            Acceptance(least_method=Method.PROVEN),
            Trust.L1_FINALIZED,
            Method.CALLED,
            0,
            "counts for nothing: it is called and the policy asks for proven",
        ),
        (
            Acceptance(haircuts_e6=(("called", 50_000), ("single-rpc", 100_000))),
            Trust.SINGLE_RPC,
            Method.CALLED,
            34 * 10**8,
            "counts for 85 %: called is cut by 5 % and single-rpc is cut by 10 %",
        ),
        (Acceptance(haircuts_e6=(("called", 50_000),)), Trust.SINGLE_RPC, Method.PROVEN, 40 * 10**8, ""),
        (
            Acceptance(haircuts_e6=(("called", 600_000), ("single-rpc", 600_000))),
            Trust.SINGLE_RPC,
            Method.CALLED,
            0,
            "counts for nothing",
        ),
    ],
)
def test_a_reading_is_cut_by_its_trust_and_method(
    rules: Acceptance, trust: Trust, method: Method, counted: int, words: str
) -> None:
    """To the digit, with the reason; what is owed counts in full however it was read."""
    found = accept_readings(rules, [reading(trust, method)])
    assert found.positions == ({ETH: counted} if counted else {})
    assert [words in note for note in found.notes] == ([True] if words else [])
    assert accept_readings(rules, [reading(trust, method, -40)]).positions == {ETH: -40 * 10**8}


@given(
    st.lists(st.tuples(st.sampled_from(Trust), st.sampled_from(Method), st.integers(-50, 50)), max_size=6),
    st.sampled_from(Trust),
    st.sampled_from(Method),
    st.dictionaries(st.sampled_from([*Trust, *Method]), st.integers(0, 10**6), max_size=3),
)
def test_acceptance_never_adds(
    rows: list[tuple[Trust, Method, int]], trust: Trust, method: Method, cuts: dict[str, int]
) -> None:
    """Under any rule every net position is at most what it is without one."""
    readings = [reading(*row) for row in rows]
    rules = Acceptance(trust, method, tuple(sorted((str(k), v) for k, v in cuts.items())))
    whole, cut = accept_readings(Acceptance(), readings), accept_readings(rules, readings)
    assert cut.positions.get(ETH, 0) <= whole.positions.get(ETH, 0)
    assert not whole.notes


def test_the_rule_is_part_of_the_policy_and_of_its_root() -> None:
    """It round-trips, changes the root, and is absent from a document without it."""
    plain, strict = fixed_policy(), ruled(least_method=Method.PROVEN, haircuts_e6=(("single-rpc", 100_000),))
    assert parse_policy(encode_policy(strict)) == strict
    assert b"acceptance" not in encode_policy(plain)
    assert build_tree(plain).root != build_tree(strict).root
    document = json.loads(encode_policy(strict))
    assert document["acceptance"] == {
        "least_trust": "reported",
        "least_method": "proven",
        "haircuts_e6": {"single-rpc": 100_000},
        "pool_range_e6": 500_000,
    }
    everything = {
        "least_trust": "reported",
        "least_method": "reported",
        "haircuts_e6": {},
        "pool_range_e6": 500_000,
    }
    for key, value, words in (
        ("least_trust", "rumour", "least_trust is 'rumour'"),
        ("least_method", "guessed", "least_method is 'guessed'"),
        ("haircuts_e6", {"rumour": 1}, "cuts 'rumour'"),
        ("haircuts_e6", {"called": 10**6 + 1}, "outside 0..1000000"),
        ("haircuts_e6", [], "is not a JSON object"),
        ("most_trust", "reported", "unknown field"),
        ("pool_range_e6", 990_001, "outside 0..990000"),
    ):
        with pytest.raises(PolicyError, match=words):
            parse_policy(document | {"acceptance": everything | {key: value}})
    with pytest.raises(PolicyError, match="has one form"):
        parse_policy(document | {"acceptance": everything})


def test_a_spec_states_the_rule() -> None:
    text = (SPECS / "demo.toml").read_text()
    made = parse_spec(
        text.replace(
            "correlations =",
            'accept = { least_trust = "single-rpc", least_method = "called", haircuts = { called = 0.05 } }\n'
            "correlations =",
            1,
        )
    )
    assert made.acceptance == Acceptance(Trust.SINGLE_RPC, Method.CALLED, (("called", 50_000),))
    assert parse_spec(text).acceptance == Acceptance() == policy().acceptance
    for row, words in (
        ('accept = { least_trust = "x" }', "accept.least_trust is 'x'"),
        ("accept = { haircuts = { called = 1.5 } }", "called is above 1"),
        ("accept = { haircuts = { x = 0.5 } }", "cuts 'x'"),
        ("accept = { most = 1 }", "most is not a known key"),
    ):
        with pytest.raises(PolicyError, match=words):
            parse_spec(text.replace("correlations =", f"{row}\ncorrelations =", 1))


def test_an_account_is_worth_what_is_accepted_and_the_attestor_agrees() -> None:
    """USDC only called: without it the excess falls by its worth, and the commitment holds the lower quantity."""
    called = snapshot_of(
        readings=[read_of(1, ETH, 40), replace(read_of(8453, USDC, 50_000), method=Method.CALLED)]
    )
    plain, strict = fixed_policy(), ruled(least_method=Method.PROVEN)
    whole = evaluate(plain, positions_by_id(plain, called.positions), Level.IM)
    less = evaluate(strict, positions_by_id(strict, accepted_positions(strict, called)), Level.IM)
    assert accept(strict, called).positions == {ETH: 40 * 10**8}
    assert whole.equity_e20 - less.equity_e20 == 50_000 * 10**8 * plain.by_symbol[USDC].mark_e12

    def opened(quantities: dict[str, int], policy: Policy = strict) -> int:
        policy_hash = build_tree(policy).document_hash
        return commitment(SMALL, policy_hash, HOLDER.blinding, positions_by_id(policy, quantities))

    request = AttestationRequest(
        called, strict, SMALL.name, HOLDER.blinding, opened({ETH: 40 * 10**8}), CHAIN_ID, REGISTRY
    )
    assert attest(request, called, ATTESTORS[0], 900, NETWORKS).attestor == ATTESTORS[0].address.lower()
    greedy = replace(request, commitment=opened(dict(called.positions)))
    with pytest.raises(ProofRefusedError, match="does not open"):
        attest(greedy, called, ATTESTORS[0], 900, NETWORKS)
    # Attested under the holder's own rules it is signed, and opens nothing under the venue's.
    lax = replace(request, policy=plain, commitment=opened(dict(called.positions), plain))
    attest(lax, called, ATTESTORS[0], 900, NETWORKS)
    assert lax.commitment != opened(dict(called.positions))
    claimed = replace(request, snapshot=snapshot_of())
    with pytest.raises(ProofRefusedError, match="but 0e-8 were read here"):
        attest(claimed, called, ATTESTORS[0], 900, NETWORKS)


@pytest.mark.parametrize(
    ("changes", "counted", "words"),
    [
        ({"detail": {"blocked": "true"}}, 0, "counts for nothing: the token lets its holder move nothing"),
        ({"detail": {"layout": "solidity:9/255", "besideBalance": "0x1"}}, 0, "lets its holder move nothing"),
        ({"detail": {"layout": "solidity:0/104", "besideBalance": "0x1"}}, 40 * 10**8, ""),
        ({"detail": {"blocked": "false"}}, 40 * 10**8, ""),
        ({"kind": "erc4626", "detail": {"maxRedeem": "40000000"}}, 40 * 10**8, ""),
        ({"kind": "erc4626", "detail": {"maxRedeem": str(2**256 - 1)}}, 40 * 10**8, ""),
        (
            {"kind": "erc4626", "detail": {"maxRedeem": "7"}},
            700,
            "counts in part: the vault redeems 7 of 40000000",
        ),
        ({"kind": "erc4626", "detail": {"maxRedeem": "0"}}, 0, "counts for nothing: the vault redeems 0"),
        ({"kind": "erc4626"}, 0, "counts for nothing: what the vault would redeem was not read"),
        ({"kind": "erc4626", "detail": {"maxRedeem": "-1"}}, 0, "was not read"),
        ({"kind": "erc4626", "detail": {"maxRedeem": "9" * 5000}}, 0, "was not read"),
    ],
)
def test_only_what_can_be_moved_is_collateral(changes: dict[str, object], counted: int, words: str) -> None:
    made = replace(read_of(1, ETH, 40), **changes)  # type: ignore[arg-type]
    found = accept_readings(Acceptance(), [made])
    assert found.positions.get(ETH, 0) == counted
    assert [words in note for note in found.notes] == [True] * bool(words)


def test_a_debt_counts_in_full_whatever_is_blocked() -> None:
    owed = replace(read_of(1, ETH, 40), kind="debt", raw=-40 * 10**6, quantity_e8=-40 * 10**8)
    blocked = replace(owed, detail={"blocked": "true", "layout": "solidity:9/255", "besideBalance": "0x1"})
    assert accept_readings(Acceptance(), [blocked]).positions == {ETH: -40 * 10**8}


def test_a_cut_by_trust_is_taken_of_what_can_be_moved() -> None:
    locked = replace(read_of(1, ETH, 40), kind="erc4626", detail={"maxRedeem": "10000000"})
    rules = Acceptance(haircuts_e6=(("proven", 500_000),))
    assert accept_readings(rules, [locked]).positions == {ETH: 5 * 10**8}
