"""The main job by its command lines, on local chains; and what each command refuses, leaving nothing behind."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from aggregator.cli.main import run
from aggregator.cli.verifying import deploy_verifier
from aggregator.service.submission import circuit_id
from chains.contracts.calldata import verifying_key_digest, verifying_key_words
from circuits.artifacts import ready
from circuits.formats.snarkjs import parse_verification_key
from circuits.keys import verification_key_id
from tests.aggregator.cli.conftest import Outcome
from tests.aggregator.cli.local import Local, local_chains
from tests.aggregator.estimated import files, spec_text
from tests.aggregator.histories import csv_of

pytestmark = [pytest.mark.anvil, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
SPEC = ROOT / "configs" / "policies" / "demo.toml"
AMOUNT = "100000"


@dataclass
class Desk:
    """One holder, one attestor, one venue, and the files that pass between them."""

    local: Local
    capture: pytest.CaptureFixture[str] | None = None
    policy_id: str = ""
    policy_root: str = ""
    coverage: str = ""
    registry: str = ""

    @property
    def files(self) -> Path:
        return self.local.folder

    @property
    def home(self) -> Path:
        return self.files / "home"

    @property
    def venue(self) -> str:
        return self.local.world.accounts[4].address.lower()

    @property
    def caip10(self) -> str:
        return f"eip155:{self.local.world.home_chain.setup.chain_id}:{self.registry}"

    def __call__(self, *arguments: object) -> Outcome:
        assert self.capture is not None
        self.capture.readouterr()
        code = run([*(str(a) for a in arguments), "--home", str(self.home)])
        return Outcome(code, *self.capture.readouterr())

    def data(self, *arguments: object) -> Any:
        result = self(*arguments, "--json")
        assert result.code == 0, result.err
        return result.data

    def state(self) -> dict[str, bytes]:
        """Every file the holder has, but for SQLite's own bookkeeping."""
        return {
            str(path): path.read_bytes()
            for path in sorted(self.files.rglob("*"))
            if path.is_file() and not path.name.endswith(("-wal", "-shm"))
        }

    def venue_file(self, name: str = "venue", **changes: object) -> Path:
        world = self.local.world
        values: dict[str, object] = {
            "venue": self.venue,
            "chain_id": world.home_chain.setup.chain_id,
            "registry": self.registry,
            "amount_usd": AMOUNT,
            "level": "IM",
            "attestors": [world.accounts[1].address],
            "threshold": 1,
            "max_age_s": 3600,
            "coverages": [self.coverage],
            "chains": [chain.net.caip2 for chain in world.chains],
            "least_trust": "single-rpc",
            "accept_dev_keys": True,
            "policies": ["policy.json"],
            **changes,
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        lines += ["[[verification_keys]]", 'file = "verification_key.json"', 'kind = "dev"']
        lines += ['circuit = "solvency-16"', f'circuit_digest = "{ready("solvency-16").digest}"']
        path = self.files / f"{name}.toml"
        path.write_text("\n".join(lines) + "\n")
        return path

    def make_proof(self, *extra: object) -> Outcome:
        return self(
            *("proof", "make", "main", "--policy", self.policy_id, "--amount", AMOUNT),
            *("--venue", self.venue, "--registry", self.caip10),
            *("--attestation", self.files / "attestation.json", *extra),
        )


@pytest.fixture(scope="module")
def _desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with local_chains(tmp_path_factory.mktemp("desk")) as local:
        yield Desk(local)


@pytest.fixture
def desk(_desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("COUNTERFOIL_NETWORKS", str(_desk.local.networks))
    _desk.capture = capsys
    return _desk


@pytest.fixture
def attested(desk: Desk) -> Desk:
    """An account that is linked, read, valued and attested; made once."""
    if not desk.registry:
        _prepare(desk)
    return desk


def _prepare(desk: Desk) -> None:
    local, files = desk.local, desk.files
    desk.data("account", "create", "main")
    for n, wallet in enumerate(local.wallets):
        key = local.key_file(f"wallet{n}", bytes(wallet.key))
        desk.data("account", "link", "main", "--address", wallet.address, "--key-file", key)
    desk.data("snapshot", "take", "main", "--out", files / "snapshot.json")
    built = desk.data("policy", "build", SPEC, "--out", files / "policy.json")
    desk.policy_id, desk.policy_root = built["id"], built["root"]

    shown = desk.data("proof", "key", "--out", files / "verification_key.json")
    vk = parse_verification_key(json.loads((files / "verification_key.json").read_text()))
    assert (shown["id"], shown["kind"]) == (verification_key_id(vk), "dev")
    verifier = local.run(deploy_verifier(local.world.home_chain.net, vk))
    desk.registry = local.registry(
        circuit_id(verification_key_id(vk)),
        verifier,
        int(desk.policy_root, 16),
        built["expires"],
    ).lower()

    request = files / "request.json"
    at = f"{local.world.home_chain.net.caip2}:{desk.registry}"
    asked = ("attestation", "request", "main", "--policy", desk.policy_id, "--registry", at)
    desk.data(*asked, "--out", request)
    key = local.key_file("attestor", local.world.accounts[1].key)
    signed = desk.data("attestation", "sign", request, "--key-file", key, "--out", files / "attestation.json")
    desk.coverage = signed["coverage"]
    local.accept_coverage(desk.registry, desk.coverage)
    made = desk.make_proof("--out", files / "bundle.json")
    assert made.code == 0, made.err
    assert str(local.wallets[0].address).lower() not in made.out


def test_the_accounts_risk_by_its_commands(attested: Desk) -> None:
    """What `policy build` kept is enough to move the market of the account that was read from the chains."""
    under = ("main", "--policy", attested.policy_id)
    risk = attested.data("health", *under, "--risk")["risk"]
    assert {one["name"] for one in risk["classes"]} == {"ETH", "BTC"}
    scenarios = Path(__file__).parents[3] / "configs" / "stress" / "history.toml"
    stressed = attested.data("stress", *under, "--scenarios", scenarios)["scenarios"]
    assert {one["state"] for one in stressed} <= {"good", "restricted", "liquidated"}
    assert any(int(one["pnlE20"]) < 0 for one in stressed)
    found = attested.data("liquidation", *under, "--price", "ETH")["prices"]
    assert [one["name"] for one in found] == ["ETH"]


def test_a_policy_is_estimated_from_files_beside_its_spec(attested: Desk, tmp_path: Path) -> None:
    """Haircuts and correlations from histories; the next epoch moves them no faster than its speed limit."""
    today = datetime.now(UTC).date()
    spec = tmp_path / "estimated.toml"
    text = spec_text().replace('name = "demo"', 'name = "estimated"', 1)
    spec.write_text(text.replace("floor = 0.02", "floor = 0.01"))

    def write(scale: float) -> None:
        for name, rows in files(scale=scale).items():
            closes = [float(row.split(",")[1]) for row in rows.split()[1:]] if name != "options.csv" else []
            if closes:
                (tmp_path / name).write_text(csv_of(closes, today - timedelta(days=1)))

    def first_haircut(built: dict[str, Any]) -> float:
        note = next(one for one in built["estimates"] if one.startswith("ETH: volatility"))
        return float(note.partition("haircuts at IM ")[2].partition("%")[0])

    write(0.03)
    first = attested.data("policy", "build", spec)
    assert any("shrinkage" in note for note in first["estimates"])
    write(0.001)
    second = attested.data("policy", "build", spec)
    assert (first["epoch"], second["epoch"]) == (1, 2)
    assert first_haircut(second) == pytest.approx(first_haircut(first) - 1, abs=0.01), "down a point an epoch"
    figures = attested.data("health", "main", "--policy", second["id"], "--risk")["risk"]
    assert (figures["benchmark"], figures["classes"][1]["betaE6"]) == ("BTC", "1000000")
    (tmp_path / "eth.csv").write_text("date,close\n2026-01-01,nan\n")
    attested("policy", "build", spec).refused(2, "eth.csv line 2: close is 'nan'")


def test_the_main_job_by_its_commands(attested: Desk) -> None:
    desk, files = attested, attested.files
    health = desk.data("health", "main", "--policy", desk.policy_id)["report"]
    assert health["status"] == "good"
    assert {chain["chain"] for chain in health["chains"]} >= {"eip155:31337001", "eip155:31337003"}
    assert "Excess" in desk("health", "main", "--policy", desk.policy_id, "--explain").out

    verified = desk.data("proof", "verify", "main", "--with", "all", "--venue", desk.venue)
    assert set(verified["verifiers"]) == {"native", "py-ecc", "solidity"}
    assert verified["statement"] == {"amountUsd": AMOUNT, "level": "IM"}
    by_key = desk.data(
        *("proof", "verify", files / "bundle.json", "--verification-key", files / "verification_key.json")
    )
    assert by_key["verified"] is True
    assert (by_key["keyKind"], by_key["keyKindChecked"]) == ("dev", False)

    venue = desk.venue_file()
    key = desk.local.key_file("venue", desk.local.world.accounts[4].key)
    signing = ("--signer", f"file:{key}", "--confirmations", 1)
    planned = desk.data("relay", "submit", "main", *signing)
    assert (planned["sent"], planned["keyKind"]) == (False, "dev")
    assert "could forge proofs" in desk("relay", "submit", "main", *signing).out
    desk("venue", "pledge", "main", "--venue", venue, "--amount", "60000", *signing, "--yes").refused(
        6, "no proof"
    )
    desk.local.run(desk.local.world.home_chain.net.mine())
    submitted = desk.data("relay", "submit", "main", *signing, "--yes")
    assert submitted["state"] == "final"
    assert (submitted["sent"], submitted["already"]) == (True, False)
    again = desk.data("relay", "submit", "main", *signing, "--yes")
    assert again == {**submitted, "sent": False, "already": True}
    assert (
        f"Already done in block {submitted['blockNumber']} (" in desk("relay", "submit", "main", *signing).out
    )

    checked = desk.data("venue", "check", "main", "--venue", venue)
    assert checked["good"] is True
    assert checked["registry"]["availableUsdE6"] == "100000000000"
    pledge = ("venue", "pledge", "main", "--venue", venue, *signing)
    assert desk.data(*pledge, "--amount", "60000")["sent"] is False
    assert desk.data(*pledge, "--amount", "60000", "--yes")["state"] == "final"
    repeated(desk, *pledge, "--amount", "60000")
    desk(*pledge, "--amount", "60000", "--reference", "again", "--yes").refused(6, "pledges")
    after = desk.data("venue", "check", "main", "--venue", venue)["registry"]
    assert (after["ownPledgeUsdE6"], after["availableUsdE6"]) == ("60000000000", "40000000000")
    assert "still free to pledge" in desk("venue", "check", "main", "--venue", venue).out
    part = (checked["accountId"], "--venue", venue, "--amount", "25000", *signing)
    other = desk.local.world.accounts[7].address
    desk("venue", "transfer", *part, "--to", other, "--yes").refused(6, "no proof")
    assert desk.data("venue", "release", *part)["sent"] is False
    own = lambda: desk.data("venue", "check", "main", "--venue", venue)["registry"]["ownPledgeUsdE6"]  # noqa: E731
    assert desk.data("venue", "release", *part, "--yes")["state"] == "final"
    repeated(desk, "venue", "release", *part)
    assert own() == "35000000000"
    named = ("venue", "release", *part, "--reference", "second", "--yes")
    first = desk.data(*named)
    assert (first["state"], first["sent"], own()) == ("final", True, "10000000000")
    assert desk.data(*named) == {**first, "sent": False, "already": True}
    assert "under the reference second; nothing was sent." in desk(*named).out
    assert own() == "10000000000"
    desk("venue", "release", "main", *part[1:]).refused(2, "not an account id")
    desk("venue", "transfer", *part, "--to", "0x12").refused(2, "not an address")
    assert 'state="final"} 4' in desk("relay", "metrics").out
    seen = desk.data("registry", "show", desk.caip10)
    assert (seen["production"], seen["threshold"], seen["paused"]) == (False, 1, False)
    (verifier,) = seen["verifiers"]
    assert (verifier["dev"], verifier["circuitId"]) == (True, by_key["verificationKey"])
    vk = json.loads((files / "verification_key.json").read_text())
    assert verifier["keyDigest"] == "0x" + verifying_key_digest(verifying_key_words(vk)).hex()
    shown = desk("registry", "show", desk.caip10).out
    assert "was not checked" in shown
    assert "dev key: whoever made it could forge proofs" in shown
    lock = ("--timelock", other, "--proposer", other)
    desk("registry", "show", desk.caip10, *lock).refused(3, "finish the handover")
    desk("registry", "show", desk.caip10, *lock[:2]).refused(2, "--proposer")
    desk("registry", "show", "somewhere").refused(2, "not a contract on a chain")


def repeated(desk: Desk, *change: object) -> None:
    """The same change once more does nothing, says so, and ends with an exit code of its own; also with no --yes."""
    for yes in ((), ("--yes",)):
        desk(*change, *yes).refused(8, "Already done in block ", "nothing was sent", "give --reference")
        told = desk(*change, *yes, "--json")
        assert (told.code, told.data["sent"], told.data["already"]) == (8, False, True)


def test_secrets_are_for_their_owner_only(attested: Desk) -> None:
    modes = {
        path.name: path.stat().st_mode & 0o777
        for path in (attested.home / "keys" / "main.key", attested.files / "request.json")
    }
    assert modes == {"main.key": 0o600, "request.json": 0o600}


def test_a_proof_for_another_venue_is_refused(attested: Desk) -> None:
    other = "0x" + "77" * 20
    attested("proof", "verify", "main", "--venue", other).refused(4, f"not {other}", "ask the holder")
    result = attested("venue", "check", "main", "--venue", attested.venue_file("other", venue=other))
    assert result.code == 4
    assert f"error: the proof is for venue {attested.venue}, not {other}" in result.err
    as_json = attested(
        *("venue", "check", "main", "--venue", attested.venue_file("other", venue=other), "--json")
    )
    assert as_json.code == 4
    failed = [check["name"] for check in as_json.data["checks"] if not check["passed"]]
    assert (as_json.data["good"], failed) == (False, ["audience", "pledges"])


def test_an_expired_bundle_is_refused_everywhere(attested: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.time() + 2000
    monkeypatch.setattr(time, "time", lambda: later)
    before = attested.state()
    attested("proof", "verify", "main").refused(4, "expired", "ask the holder for a fresh one")
    signer = f"file:{attested.local.key_file('relayer', attested.local.world.accounts[6].key)}"
    attested("relay", "submit", "main", "--signer", signer, "--yes").refused(4, "expired", "fresh")
    result = attested("venue", "check", "main", "--venue", attested.venue_file())
    assert (result.code, "expired" in result.err) == (4, True)
    changed = {name for name, data in attested.state().items() if before.get(name) != data}
    assert {Path(name).name for name in changed} <= {"venue.toml", "relayer.key"}


def test_an_altered_bundle_is_refused(attested: Desk) -> None:
    bundle = json.loads((attested.files / "bundle.json").read_text())
    path = attested.files / "altered.json"
    bundle["statement"]["amountUsd"] = "100001"
    path.write_text(json.dumps(bundle))
    attested("proof", "verify", path).refused(4, "it has been altered", "do not rely on it")
    public = int(bundle["public"]["requirementAndLevel"]) + 10**6
    bundle["public"]["requirementAndLevel"] = str(public)
    path.write_text(json.dumps(bundle))
    for verifier in ("native", "py-ecc", "solidity"):
        attested("proof", "verify", path, "--with", verifier).refused(4, "refused")
    path.write_text("{")
    attested("proof", "verify", path).refused(2, "not JSON")


def test_more_than_the_excess_cannot_be_proven(attested: Desk) -> None:
    before = attested.state()
    attested(
        *("proof", "make", "main", "--policy", attested.policy_id, "--amount", "100000000"),
        *("--venue", attested.venue, "--registry", attested.caip10),
        *("--attestation", attested.files / "attestation.json"),
    ).refused(5, "less than the 100,000,000.000000 USD asked for")
    assert attested.state() == before


@pytest.mark.parametrize(
    ("extra", "code", "part"),
    [
        (["--amount", "-5"], 2, "is not above 0 and at most"),
        (["--amount", "1.2345678"], 2, "more than 6 decimals"),
        (["--venue", "0x12"], 2, "is not an address"),
        (["--registry", "eip155:1"], 2, "write it like eip155:8453:0x"),
        (["--policy", "nothing"], 2, "holds no policy 'nothing'"),
        (["--proving-key", "/nonexistent.zkey"], 2, "/nonexistent.zkey"),
        (["--out", "/nonexistent/bundle.json"], 2, "cannot be written"),
    ],
)
def test_bad_input_to_a_proof_leaves_nothing(attested: Desk, extra: list[str], code: int, part: str) -> None:
    before = attested.state()
    attested.make_proof(*extra).refused(code, part)
    assert attested.state() == before


def test_a_proof_needs_an_attestation_of_this_snapshot(attested: Desk) -> None:
    other = attested.files / "other-attestation.json"
    signed = json.loads((attested.files / "attestation.json").read_text())
    other.write_text(json.dumps({**signed, "expiry": signed["expiry"] + 1}))
    before = attested.state()
    attested.make_proof("--attestation", other).refused(
        4, "is not over this account, snapshot, policy and registry"
    )
    assert attested.state() == before


def test_an_attestor_signs_only_what_it_reads_and_who_is_linked(attested: Desk) -> None:
    files = attested.files
    key = attested.local.key_file("attestor", attested.local.world.accounts[1].key)
    request = json.loads((files / "request.json").read_text())
    path = files / "altered-request.json"

    request["snapshot"]["account"]["accountId"] = "5"
    path.write_text(json.dumps(request))
    attested("attestation", "sign", path, "--key-file", key).refused(4, "is signed by")

    request = json.loads((files / "request.json").read_text())
    request["blinding"] = "5"
    path.write_text(json.dumps(request))
    attested("attestation", "sign", path, "--key-file", key).refused(4, "does not open", "not signed")

    request = json.loads((files / "request.json").read_text())
    request["links"] = request["links"][:1]
    path.write_text(json.dumps(request))
    attested("attestation", "sign", path, "--key-file", key).refused(4, "set of addresses", "not signed")

    short = attested.local.key_file("short", "ab" * 31)
    attested("attestation", "sign", files / "request.json", "--key-file", short).refused(2, "62 hex digits")


def test_a_dead_chain_is_named_and_nothing_is_stored(attested: Desk, dead_network: Path) -> None:
    before = attested.state()
    networks = ("--networks", attested.local.networks, "--networks", dead_network)
    result = attested("snapshot", "take", "main", *networks)
    result.refused(3, "lacks chain eip155:31337999", "cannot be reached")
    assert attested.state() == before

    kept = attested.data("snapshot", "take", "main", *networks, "--incomplete")
    assert kept["snapshot"]["complete"] is False
    assert [chain["chain"] for chain in kept["snapshot"]["failedChains"]] == ["eip155:31337999"]
    shown = attested("health", kept["id"], "--policy", attested.policy_id)
    assert shown.code == 3
    assert "NOT COMPLETE: chain eip155:31337999" in shown.out
    assert "Equity" not in shown.out
    as_json = attested("health", kept["id"], "--policy", attested.policy_id, "--json")
    assert (as_json.code, as_json.data["report"]) == (3, None)
    asked = ("attestation", "request", kept["id"], "--policy", attested.policy_id)
    where = ("--registry", f"eip155:1:{attested.registry}", "--out", "/nonexistent/x")
    attested(*asked, *where).refused(3, "lacks chain eip155:31337999")


def test_a_policy_past_its_end_values_nothing(attested: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    later = time.time() + 10_000
    monkeypatch.setattr(time, "time", lambda: later)
    attested("health", attested.files / "snapshot.json", "--policy", attested.policy_id).refused(
        4, "ran out", "next epoch"
    )
    assert (
        attested("health", attested.files / "snapshot.json", "--policy", attested.policy_id, "--expired").code
        == 0
    )


def test_an_owned_address_is_no_contract(attested: Desk) -> None:
    wallet = attested.local.wallets[0]
    attested(
        *("account", "link", "main", "--address", wallet.address, "--chain", "eip155:31337001"),
        *("--signature", "0x1234", "--issued-at", 1),
    ).refused(4, "is no contract on Alder")
    attested(
        *("account", "link", "main", "--address", wallet.address, "--chain", "eip155:5"),
        *("--signature", "0x1234", "--issued-at", 1),
    ).refused(2, "no network file describes eip155:5")
