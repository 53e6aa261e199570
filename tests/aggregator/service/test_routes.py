"""Each operation answers as openapi.json says, and refuses what it must; without any chain."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from aggregator.service.coverage import coverage
from aggregator.service.http.app import HANDLERS
from aggregator.service.http.operations import operations
from aggregator.store import new_holder_key, write_secret
from aggregator.store.archive import ChainNodes
from circuits.bundle import bundle_json
from circuits.hashing import account_id
from tests.aggregator.service.scene import AMOUNT, ATTESTORS, NETWORKS, REGISTRY, VENUE, bundle
from tests.aggregator.service.serving import Running
from tests.aggregator.service.stored import CHAINS, Stored

MONEY = ("asOf", "complete", "cutTime", "failedChains", "missing", "trust")


def rules(**changes: object) -> dict[str, object]:
    """Rules that the scene's bundle keeps."""
    return {
        "venue": VENUE,
        "chainId": 31337001,
        "registry": REGISTRY,
        "amountUsd": str(AMOUNT // 10**6),
        "level": "IM",
        "attestors": [a.address for a in ATTESTORS],
        "threshold": 2,
        "maxAgeSeconds": 120,
        "coverages": [coverage(NETWORKS)],
        "policies": ["fixed"],
        "acceptDevKeys": True,
        **changes,
    }


def verdict(running: Running, **changes: object) -> Any:
    reply = running.post("/v1/bundles/verify", {"bundle": bundle_json(bundle()), "rules": rules(**changes)})
    assert reply.status == 200, reply.body
    return reply.data


def test_every_operation_has_a_handler_and_no_handler_is_idle() -> None:
    assert {operation.id for operation in operations()} == set(HANDLERS)


def test_a_good_bundle_passes_every_check(running: Running) -> None:
    found = verdict(running)
    assert found["good"] is True
    assert [check["name"] for check in found["checks"]] == [
        *("audience", "expiry", "freshness", "anchors", "policy"),
        *("attestations", "amount", "key", "proof"),
    ]
    assert found["statement"]["amountUsd"] == "100000"
    assert all(name in found for name in MONEY)
    assert (found["complete"], found["trust"]) == (True, "rpc-quorum")


@pytest.mark.parametrize(
    ("changes", "failed"),
    [
        ({"venue": "0x" + "01" * 20}, ["audience"]),
        ({"maxAgeSeconds": 1}, ["freshness"]),
        (
            {"threshold": 3, "attestors": ["0x" + "01" * 20] * 1 + [a.address for a in ATTESTORS[:2]]},
            ["attestations"],
        ),
        ({"policies": ["demo"]}, ["policy"]),
        ({"amountUsd": "100000.000001"}, ["amount"]),
        ({"acceptDevKeys": False}, ["key"]),
        ({"chains": ["eip155:5"]}, ["anchors"]),
    ],
)
def test_each_rule_fails_its_own_check(
    running: Running, changes: dict[str, object], failed: list[str]
) -> None:
    found = verdict(running, **changes)
    assert (found["good"], [c["name"] for c in found["checks"] if not c["passed"]]) == (False, failed)
    assert all(
        c["problem"].startswith("urn:counterfoil:problem:") for c in found["checks"] if not c["passed"]
    )


def test_pledges_that_cannot_be_asked_for_are_no_pass(running: Running) -> None:
    body = {"bundle": bundle_json(bundle()), "rules": rules(), "registry": True}
    found = running.post("/v1/bundles/verify", body).data
    assert found["good"] is False
    (pledges,) = (check for check in found["checks"] if check["name"] == "pledges")
    assert (pledges["passed"], pledges["problem"]) == (None, "urn:counterfoil:problem:invalid-config")
    assert found["pledgesAsked"] is True
    bare = running.post("/v1/bundles/verify", {**body, "registry": False}).data
    assert (bare["good"], bare["pledgesAsked"]) == (True, False), "good is said of the proof alone"


def test_an_altered_bundle_is_refused(running: Running) -> None:
    altered = bundle_json(bundle())
    altered["statement"] = {"amountUsd": "100001", "level": "IM"}
    reply = running.post("/v1/bundles/verify", {"bundle": altered, "rules": rules()})
    reply.refused(422, "proof-refused", "altered")
    reply = running.post("/v1/bundles/verify", {"bundle": {}, "rules": rules()})
    reply.refused(400, "invalid-format", "lacks")


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({}, "bundle"),
        ({"bundle": {}}, "neither or both"),
        ({"bundle": {}, "rules": {}, "venue": "x"}, "neither or both"),
        ({"bundle": {}, "rules": {}, "more": 1}, "unknown field"),
    ],
)
def test_a_malformed_verification_is_refused(running: Running, body: object, part: str) -> None:
    running.post("/v1/bundles/verify", body).refused(400, "invalid-input", part)


def test_health_is_the_report_and_where_it_comes_from(running: Running, stored: Stored) -> None:
    found = running.get("/v1/accounts/main/health?rulebook=all").data
    report, fall = found["report"], found["waterfall"]["im"]
    assert (found["snapshot"], found["policy"]) == (stored.snapshot, stored.policy)
    assert report["equityUsd"] == "110000"
    assert {r["name"] for r in found["rulebooks"]} >= {"native"}
    assert found["explanation"]
    assert {g["class"] for g in found["greeks"]} >= {"ETH"}
    assert [a["chain"] for a in found["asOf"]] == [f"eip155:{n}" for n in CHAINS]
    steps = {"plus": 1, "minus": -1, "total": 0}
    before_equity = [s for s in fall if s["group"] in ("assets", "debts")]
    assert sum(steps[s["kind"]] * Decimal(s["amountUsd"]) for s in before_equity) == 110_000
    after = [s for s in fall if s["group"] in ("scan", "correlation", "haircut", "addon")]
    (excess,) = (Decimal(s["amountUsd"]) for s in fall if s["group"] == "excess")
    reached = 110_000 + sum(steps[s["kind"]] * Decimal(s["amountUsd"]) for s in after)
    assert 0 <= reached - excess < Decimal("0.00001")


def test_an_incomplete_snapshot_has_no_totals(running: Running, stored: Stored) -> None:
    found = running.get(f"/v1/accounts/main/health?snapshot={stored.incomplete}").data
    assert (found["complete"], found["report"], found["waterfall"]) == (False, None, None)
    assert found["failedChains"] == [{"chain": f"eip155:{CHAINS[2]}", "reason": "no endpoint answers"}]
    for path in ("what-if", "stress"):
        reply = running.post(f"/v1/accounts/main/{path}", {"snapshot": stored.incomplete})
        reply.refused(422, "incomplete-snapshot", f"eip155:{CHAINS[2]}")


@pytest.mark.parametrize(
    ("query", "status", "kind", "part"),
    [
        ("policy=nothing", 404, "not-found", "'nothing'"),
        ("snapshot=0x0000000000000000", 404, "not-found", "no snapshot"),
        ("snapshot=zz", 400, "invalid-input", "snapshot"),
        ("expired=maybe", 400, "invalid-input", "true or false"),
        ("rulebook=none", 400, "invalid-input", "no rulebook"),
        ("polcy=demo", 400, "invalid-input", "no parameter 'polcy'"),
        ("policy=demo&policy=fixed", 400, "invalid-input", "2 times"),
    ],
)
def test_health_refuses(running: Running, query: str, status: int, kind: str, part: str) -> None:
    running.get(f"/v1/accounts/main/health?{query}").refused(status, kind, part)


def test_a_policy_past_its_end_values_nothing(running: Running) -> None:
    service = running.service
    then = service.clock
    service.clock = lambda: then() + 10_000
    try:
        running.get("/v1/accounts/main/health").refused(422, "expired", "ran out")
        found = running.get("/v1/accounts/main/health?expired=true").data
        assert (found["policyExpired"], found["report"]["equityUsd"]) == (True, "110000")
    finally:
        service.clock = then


def test_what_if_without_changes_changes_nothing(running: Running) -> None:
    found = running.post(
        "/v1/accounts/main/what-if", {"moves": {"spot": {"ETH": "0"}, "volatility": "0"}}
    ).data
    assert found["before"] == found["after"]
    assert found["equityChangeUsd"] == "0"


def test_what_if_moves_prices_and_positions(running: Running) -> None:
    fall = {"moves": {"spot": {"ETH": "-0.5"}}, "detail": "full"}
    found = running.post("/v1/accounts/main/what-if", fall).data
    assert found["equityChangeUsd"] == "-30000"
    assert found["reportAfter"]["equityUsd"] == "80000"
    sold = {"changes": [{"symbol": f"ETH@eip155:{CHAINS[0]}", "quantity": "-20"}]}
    found = running.post("/v1/accounts/main/what-if", sold).data
    assert found["equityChangeUsd"] == "-60000"
    assert found["after"]["im"]["scanUsd"] == "0"
    both = running.post("/v1/accounts/main/what-if", {**fall, **sold}).data
    assert both["after"]["equityUsd"] == "50000"


@pytest.mark.parametrize(
    ("body", "status", "kind", "part"),
    [
        ({"moves": {"spot": {"ETH": -0.5}}}, 400, "invalid-format", "decimal strings"),
        ({"moves": {"spot": {"ETH": "-1"}}}, 400, "invalid-input", "zero or below"),
        ({"moves": {"spot": {"ETH": "-0.0000001"}}}, 400, "invalid-input", "decimals"),
        ({"moves": {"spot": {"NONE": "-0.5"}}}, 400, "invalid-input", "NONE"),
        ({"moves": {"spin": "1"}}, 400, "invalid-input", "unknown field"),
        ({"changes": [{"symbol": "NONE", "quantity": "1"}]}, 400, "invalid-input", "prices no"),
        ({"detail": "much"}, 400, "invalid-input", "summary"),
        ({"policy": "fixed", "moves": {"volatility": "1"}}, 404, "not-found", "not kept here"),
    ],
)
def test_what_if_refuses(running: Running, body: object, status: int, kind: str, part: str) -> None:
    running.post("/v1/accounts/main/what-if", body).refused(status, kind, part)


def test_stress_replays_past_crises(running: Running) -> None:
    replays = running.get("/v1/stress-replays").data["items"]
    assert replays
    found = running.post("/v1/accounts/main/stress", {"replays": [replays[0]["name"]]}).data
    (result,) = found["results"]
    assert sum(map(Decimal, result["byFactor"].values())) == Decimal(result["pnlUsd"]) < 0
    own = {"scenarios": [{"name": "half", "moves": {"spot": {"ETH": "-0.5"}}}]}
    assert running.post("/v1/accounts/main/stress", own).data["results"][0]["pnlUsd"] == "-30000"
    running.post("/v1/accounts/main/stress", {"replays": ["none"]}).refused(404, "not-found")
    running.post("/v1/accounts/main/stress", {"scenarios": []}).refused(400, "invalid-input", "0 scenarios")


def test_liquidation_names_where_the_account_falls(running: Running) -> None:
    found = running.get("/v1/accounts/main/liquidation?asset=ETH").data["assets"]
    assert [(a["asset"], a["priceUsd"]) for a in found] == [("ETH", "3000")]
    running.get("/v1/accounts/main/liquidation?asset=NONE").refused(400, "invalid-input", "NONE")


def test_documents_are_listed_page_by_page(running: Running, stored: Stored) -> None:
    first = running.get("/v1/accounts/main/snapshots?limit=1").data
    assert [one["id"] for one in first["items"]] == [stored.snapshot]
    second = running.get(f"/v1/accounts/main/snapshots?limit=1&cursor={first['next']}").data
    assert ([one["id"] for one in second["items"]], second["next"]) == ([stored.incomplete], None)
    policies = running.get("/v1/policies").data["items"]
    assert [(p["id"], p["canMove"]) for p in policies] == [
        (stored.policy, True),
        (stored.fixed_policy, False),
    ]
    assert running.get(f"/v1/policies/{stored.policy}").data["prices"]["ETH"] == "3000"
    bundles = running.get("/v1/accounts/main/proofs").data["items"]
    assert [(b["id"], b["amountUsd"], b["expired"]) for b in bundles] == [(stored.bundle, "100000", False)]
    assert running.get(f"/v1/bundles/{stored.bundle}").data == bundle_json(bundle())
    running.get("/v1/policies?limit=0").refused(400, "invalid-input", "not a whole number in 1..200")
    running.get("/v1/policies?cursor=x").refused(400, "invalid-input", "cursor")
    running.get("/v1/accounts/nobody/snapshots").refused(404, "not-found", "nobody")


def test_no_answer_shows_a_blinding_or_a_key(running: Running, stored: Stored) -> None:
    with stored.home.store() as store:
        blinding = store.snapshot(stored.snapshot).blinding
    shown = running.get(f"/v1/snapshots/{stored.snapshot}").body + running.get("/v1/accounts").body
    assert str(blinding).encode() not in shown
    assert f"{blinding:x}".encode() not in shown
    assert b"key" not in running.get("/v1/accounts/main").body.lower()


def test_evidence_that_proves_nothing_here_is_refused(running: Running, stored: Stored) -> None:
    running.get(f"/v1/snapshots/{stored.incomplete}/evidence").refused(404, "not-found", "no evidence")
    wrong = [ChainNodes("eip155:31337001", b"\x01", (b"\x02",))]
    with stored.home.store() as store:
        store.add_evidence(stored.snapshot, wrong)
        assert store.evidence(stored.snapshot) == tuple(wrong)
    running.get(f"/v1/snapshots/{stored.snapshot}/evidence").refused(502, "state-proof", "hash")


def test_accounts_are_made_once_and_linked_by_a_signature(running: Running) -> None:
    made = running.post("/v1/accounts", {"name": "linked"})
    assert made.status == 201
    running.post("/v1/accounts", {"name": "linked"}).refused(409, "conflict", "exists")
    running.post("/v1/accounts", {"name": "0xab"}).refused(400, "invalid-input", "cannot name")
    sub = running.post("/v1/accounts", {"name": "sub", "subAccount": 1, "sameKeyAs": "linked"})
    assert (sub.status, sub.data["subAccount"]) == (201, 1)
    running.post("/v1/accounts", {"name": "third", "sameKeyAs": "none"}).refused(404, "not-found")
    running.get("/v1/accounts/nobody").refused(404, "not-found")

    owner = ATTESTORS[0]
    message = running.get(f"/v1/accounts/linked/links/message?address={owner.address}").data
    signed = owner.sign_typed_data(full_message=message["typedData"])
    link = {
        "address": owner.address,
        "issuedAt": message["issuedAt"],
        "expiry": message["expiry"],
        "signature": "0x" + signed.signature.hex(),
    }
    assert message["expiry"] - message["issuedAt"] == 90 * 86_400
    assert running.post("/v1/accounts/linked/links", link).data["address"] == owner.address.lower()
    running.post("/v1/accounts/main/links", link).refused(422, "proof-refused")
    other = {**link, "address": ATTESTORS[1].address}
    running.post("/v1/accounts/linked/links", other).refused(422, "proof-refused", "signed by")
    running.post("/v1/accounts/linked/links", {**link, "chain": "eip155:5"}).refused(400, "invalid-config")
    assert [one["address"] for one in running.get("/v1/accounts/linked/links").data["items"]] == [
        owner.address.lower()
    ]
    running.get("/v1/accounts/linked/links/message").refused(400, "invalid-input", "missing")
    late = {**link, "expiry": link["issuedAt"] + 366 * 86_400}
    running.post("/v1/accounts/linked/links", late).refused(422, "proof-refused", "365 days")
    ended = {**link, "issuedAt": 1_700_000_000, "expiry": 1_700_000_001}
    running.post("/v1/accounts/linked/links", ended).refused(422, "expired", "ran out")


def test_an_address_leaves_by_its_own_signature(running: Running) -> None:
    running.post("/v1/accounts", {"name": "leaver"})
    owner = ATTESTORS[2]

    def signed(message: Any, key: Any = owner) -> dict[str, Any]:
        signature = key.sign_typed_data(full_message=message["typedData"]).signature
        times = {name: message[name] for name in ("issuedAt", "expiry") if name in message}
        return {"address": owner.address, **times, "signature": "0x" + signature.hex()}

    link = signed(running.get(f"/v1/accounts/leaver/links/message?address={owner.address}").data)
    assert running.post("/v1/accounts/leaver/links", link).status == 201
    message = running.get(f"/v1/unlinks/message?address={owner.address}").data
    running.post("/v1/unlinks", signed(message, ATTESTORS[1])).refused(422, "proof-refused", "revocation")
    gone = running.post("/v1/unlinks", signed(message))
    assert (gone.status, gone.data["accounts"]) == (201, ["leaver"])
    assert running.get("/v1/accounts/leaver/links").data["items"] == []
    running.post("/v1/accounts/leaver/links", link).refused(409, "conflict", "withdrew")
    assert running.post("/v1/unlinks", signed(message)).data["accounts"] == []
    running.get("/v1/unlinks/message").refused(400, "invalid-input", "missing")


def test_a_key_that_a_cut_off_request_left_is_used(running: Running, stored: Stored) -> None:
    left = stored.home.keys / "left.key"
    key = new_holder_key()
    write_secret(left, key)
    made = running.post("/v1/accounts", {"name": "left"}).data
    assert int(made["accountId"], 16) == account_id(key, 0)
    (stored.home.keys / "broken.key").write_text("precious")
    running.post("/v1/accounts", {"name": "broken"}).refused(503, "invalid-key", "open to other users")
    assert (stored.home.keys / "broken.key").read_text() == "precious"


def test_what_is_not_set_up_says_so(running: Running, stored: Stored) -> None:
    running.post("/v1/intents", {"bundle": stored.bundle}).refused(400, "invalid-config", "no relayer")
    assert running.get("/v1/intents").data == {"items": [], "next": None}
    running.get("/v1/intents/none").refused(404, "not-found")
    at = f"eip155:31337001:{REGISTRY}"
    request = running.post("/v1/accounts/main/attestation-requests", {"registry": at}).data
    assert request["schema"] == "counterfoil/attestation-request/1"
    running.post("/v1/attestations", request).refused(400, "invalid-config", "no attestor")
    account = f"0x{stored.account_id:064x}"
    running.get(f"/v1/registry/accounts/{account}").refused(400, "invalid-input", "no registry")
    elsewhere = f"?registry=eip155:31337999:{REGISTRY}"
    running.get(f"/v1/registry/accounts/{account}{elsewhere}").refused(502, "chain-unreachable")
    running.post("/v1/accounts/main/snapshots").refused(400, "invalid-input", "no address")
    info = running.get("/v1/info").data
    assert (info["features"]["relayer"], info["features"]["attestor"], info["keysRequired"]) == (
        False,
        False,
        False,
    )


def test_a_proof_nobody_can_attest_fails_with_its_reason(running: Running) -> None:
    asked = {"amountUsd": "1000", "level": "IM", "venue": VENUE, "registry": f"eip155:31337001:{REGISTRY}"}
    job = running.job(running.post("/v1/accounts/main/proofs", asked))
    assert (job["state"], job["problem"]["type"]) == ("failed", "urn:counterfoil:problem:proof-refused")
    assert job["id"] in {one["id"] for one in running.get("/v1/jobs").data["items"]}
    told = [e for e in running.events(0, "&kinds=job") if e["data"]["job"] == job["id"]]
    assert told[-1]["data"]["state"] == "failed"
    running.get("/v1/jobs/j0000000000000000").refused(404, "not-found")
    running.post("/v1/accounts/main/proofs", {**asked, "amountUsd": "-1"}).refused(400, "invalid-input")
    running.post("/v1/accounts/main/proofs", {**asked, "registry": "eip155:1"}).refused(400, "invalid-input")


def test_the_service_says_how_it_is(running: Running) -> None:
    assert running.get("/livez").data["ready"] is True
    assert running.get("/readyz").data["ready"] is True
    running.get("/v1/accounts/main")
    text = running.get("/metrics").body.decode()
    assert 'counterfoil_requests_total{operation="getAccount",status="200"}' in text
    assert "0x" not in text
    assert "main" not in text
    assert running.get("/openapi.json").data["openapi"] == "3.1.0"
