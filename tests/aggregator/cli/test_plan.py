"""`plan hedge` and `plan rebalance`: the figures are those of docs/plans.md, and every refusal names its reason."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from aggregator.model.anchors import BlockAnchor, Finality, Trust, eip155
from aggregator.model.snapshot import FailedChain, Method, Reading, encode_snapshot, make_snapshot
from aggregator.policy import encode_policy
from aggregator.policy.build import build_policy
from aggregator.policy.quotes import PriceQuote, RateQuote
from tests.aggregator.cli.conftest import Invoke
from tests.aggregator.markets import PRICES_E12, RATES_E12, spec

ROOT = Path(__file__).parents[3]
NOW = int(time.time())
CHAINS = (31337001, 31337002)
OWNER = "0x" + "ab" * 20
HELD = ((CHAINS[0], "ETH", 20), (CHAINS[1], "ETH", 8), (CHAINS[1], "USDC", 10_000))


def snapshot(*, complete: bool = True) -> bytes:
    """The account of the example in docs/plans.md."""
    word = "0x" + "01" * 32
    readings = [
        Reading(
            chain=eip155(chain),
            address=OWNER,
            instrument=f"{name}@{eip155(chain)}",
            kind="erc20",
            token="0x" + f"{n:02x}" * 20,
            raw=whole * 10**8,
            decimals=8,
            quantity_e8=whole * 10**8,
            trust=Trust.RPC_QUORUM,
            method=Method.CALLED,
            detail={},
        )
        for n, (chain, name, whole) in enumerate(HELD, 1)
    ]
    taken = make_snapshot(
        cut_time=NOW - 15,
        taken_at=NOW,
        account_id=7,
        sub_account=0,
        addresses=[OWNER],
        anchors=[
            BlockAnchor(eip155(n), 5, word, word, NOW - 20, Finality.FINALIZED, Trust.RPC_QUORUM)
            for n in CHAINS
        ],
        readings=readings,
        failed_chains=[] if complete else [FailedChain(eip155(31337003), "no endpoint answers")],
    )
    return encode_snapshot(taken)


def policy(as_of: int) -> bytes:
    """The demo's policy at the fixed quotes."""
    prices = {name: PriceQuote(price, as_of) for name, price in PRICES_E12.items()}
    rates = {name: RateQuote(rate, as_of) for name, rate in RATES_E12.items()}
    return encode_policy(build_policy(spec(), prices, rates, as_of=as_of, epoch=1))


@pytest.fixture
def account(tmp_path: Path) -> tuple[object, ...]:
    """SNAPSHOT --policy POLICY, as files."""
    (tmp_path / "snapshot.json").write_bytes(snapshot())
    (tmp_path / "policy.json").write_bytes(policy(NOW))
    return tmp_path / "snapshot.json", "--policy", tmp_path / "policy.json"


def _example(kind: str) -> list[str]:
    """What docs/plans.md shows below the command: steps, then the reason."""
    _, found, rest = (ROOT / "docs" / "plans.md").read_text().partition(f"\ncounterfoil plan {kind} SNAPSHOT")
    assert found
    return rest.partition("```")[0].splitlines()[2:]


@pytest.mark.parametrize(
    ("kind", "options"),
    [("hedge", ("--limit", "30000", "--instrument", "ETH-PERP")), ("rebalance", ())],
)
def test_the_example_of_the_docs_is_what_the_command_says(
    invoke: Invoke, account: tuple[object, ...], kind: str, options: tuple[str, ...]
) -> None:
    *steps, reason = _example(kind)
    found = invoke("plan", kind, *account, *options, "--json").data
    assert [step["text"] for step in found["steps"]] == steps
    assert found["reason"] == reason
    text = invoke("plan", kind, *account, *options).out
    assert reason in text.replace("\n", " ")
    assert all(part in text for part in (*steps, "Before and after (USD)", "Excess IM", "74,299.60"))


def test_costs_targets_and_wrappers_are_the_owners(invoke: Invoke, account: tuple[object, ...]) -> None:
    where = f"ETH@{eip155(CHAINS[1])}"
    found = invoke(
        *("plan", "rebalance", *account, "--json", "--fee", "1", "--cost-ppm", 0, "--wrappers"),
        *("--target", f"{where}=9.5", "--instrument", where, "--instrument", f"ETH@{eip155(CHAINS[0])}"),
    ).data
    (step,) = found["steps"]
    assert (step["to"], step["quantity"], step["costUsd"]) == (where, "1.5", "1")
    dear = invoke("plan", "hedge", *account, "--cost-ppm", 10**6)
    assert (dear.code, "more than it costs" in dear.out) == (0, True)
    assert "Before and after" not in dear.out


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (("hedge", "--instrument", "NONE"), "prices no 'NONE'"),
        (("hedge", "--limit", "-5"), "at least 0"),
        (("hedge", "--limit", "much"), "not a decimal number"),
        (("rebalance", "--target", "ETH"), "has no quantity"),
        (("rebalance", "--target", "ETH=1"), "is no token"),
        (("rebalance", "--fee", "-1"), "--fee is -1"),
    ],
)
def test_what_cannot_be_planned_is_refused(
    invoke: Invoke, account: tuple[object, ...], options: tuple[str, ...], part: str
) -> None:
    kind, *rest = options
    invoke("plan", kind, *account, *rest).refused(2, part)


def test_missing_chains_and_old_policies_are_refused(
    invoke: Invoke, account: tuple[object, ...], tmp_path: Path
) -> None:
    (tmp_path / "part.json").write_bytes(snapshot(complete=False))
    invoke("plan", "hedge", tmp_path / "part.json", *account[1:]).refused(3, "eip155:31337003")
    (tmp_path / "policy.json").write_bytes(policy(NOW - 10**5))
    invoke("plan", "hedge", *account).refused(4, "ran out")
    assert invoke("plan", "hedge", *account, "--expired").code == 0
