"""`snapshot take --evidence` and `snapshot verify`: proven again offline, and tampering refused in one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.aggregator.cli.conftest import Invoke
from tests.aggregator.cli.local import Local, local_chains

pytestmark = [pytest.mark.anvil, pytest.mark.slow]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with local_chains(tmp_path_factory.mktemp("evidence")) as running:
        yield running


@dataclass
class Kept:
    """A snapshot file and its evidence, and the command line that verifies them."""

    invoke: Invoke
    networks: Path
    snapshot: Path
    evidence: Path

    @property
    def readings(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.snapshot.read_text())["readings"]
        return found


@pytest.fixture
def kept(local: Local, invoke: Invoke, tmp_path: Path) -> Kept:
    assert invoke("account", "create", "main").code == 0
    wallet = local.wallets[0]
    key = local.key_file("wallet", bytes(wallet.key))
    linked = invoke("account", "link", "main", "--address", wallet.address, "--key-file", key)
    assert linked.code == 0, linked.err
    made = Kept(invoke, local.networks, tmp_path / "snapshot.json", tmp_path / "evidence.json")
    taken = invoke(
        *("snapshot", "take", "main", "--out", made.snapshot, "--evidence", made.evidence),
        *("--networks", local.networks, "--json"),
    )
    assert taken.code == 0, taken.err
    return made


def test_a_snapshot_is_proven_again_offline(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the two files alone: the networks it may use by default are not there."""
    monkeypatch.setenv("COUNTERFOIL_NETWORKS", "/nonexistent")
    proven = [r for r in kept.readings if r["method"] == "proven"]
    answer = kept.invoke("snapshot", "verify", kept.snapshot, kept.evidence, "--json")
    assert answer.code == 0, answer.err
    data = answer.data
    assert (data["verified"], data["described"], data["complete"]) == (True, False, True)
    assert data["proven"] == len(proven) > 0
    assert len(data["unproven"]) == len(kept.readings) - len(proven)
    stated = {(r["chain"], r["token"], r["detail"]["layout"]) for r in proven if "layout" in r["detail"]}
    assert {(x["chain"], x["token"], x["layout"]) for x in data["layouts"]} == stated != set()
    assert all(len(x["codeHash"]) == 66 for x in data["layouts"])

    from_store = kept.invoke("snapshot", "verify", "main", "--json")
    assert from_store.data == data
    assert kept.invoke("snapshot", "verify", kept.snapshot, "--json").data == data

    by_label = kept.invoke("snapshot", "verify", "main", kept.evidence, "--networks", kept.networks)
    assert by_label.code == 0, by_label.err
    assert f"Proven again: {len(proven)} of {len(kept.readings)} readings" in by_label.out
    assert "are those of the network files" in by_label.out
    assert data["anchors"][0]["hash"] in by_label.out


def test_tampering_is_refused(kept: Kept, tmp_path: Path) -> None:
    """A bit of a node, a node left out, another header, a raised balance."""
    honest = json.loads(kept.evidence.read_text())
    altered = tmp_path / "altered.json"

    def verify(*extra: object) -> Any:
        return kept.invoke("snapshot", "verify", kept.snapshot, altered, *extra)

    def write(**changes: object) -> None:
        first, *others = honest["chains"]
        altered.write_text(json.dumps({**honest, "chains": [{**first, **changes}, *others]}))

    nodes = honest["chains"][0]["nodes"]
    flipped = nodes[0][:-1] + f"{int(nodes[0][-1], 16) ^ 1:x}"
    write(nodes=sorted([flipped, *nodes[1:]]))
    verify().refused(3)
    assert verify("--json").data["type"] == "urn:counterfoil:problem:state-proof"
    write(nodes=nodes[1:])
    verify().refused(3)
    write(nodes=sorted([*nodes, "0xc0"]))
    verify().refused(3, "1 nodes that prove nothing")
    header = honest["chains"][0]["header"]
    write(header=header[:-2] + f"{int(header[-2:], 16) ^ 1:02x}")
    verify().refused(3, "does not hash to its anchor")
    write(nodes=nodes[::-1])
    verify().refused(2, "is not sorted")
    altered.write_text("{")
    verify().refused(2, "not JSON")

    document = json.loads(kept.snapshot.read_text())
    richer = next(r for r in document["readings"] if r["method"] == "proven" and r["kind"] == "erc20")
    added = 10 ** int(richer["decimals"])
    richer["raw"] = str(int(richer["raw"]) + added)
    richer["quantityE8"] = str(int(richer["quantityE8"]) + 10**8)
    held = document["positions"].get(richer["instrument"], "0")
    document["positions"][richer["instrument"]] = str(int(held) + 10**8)
    forged = tmp_path / "forged.json"
    forged.write_text(json.dumps(document))
    kept.invoke("snapshot", "verify", forged, kept.evidence).refused(3, "in the snapshot and", "refused")


def test_another_token_than_the_networks_say_is_refused(kept: Kept, tmp_path: Path) -> None:
    """The storage is proven either way; only the reader's network files know which token it should be."""
    for path in kept.networks.iterdir():
        (tmp_path / path.name).write_text(path.read_text().replace("decimals = 6", "decimals = 7"))
    files = [part for path in kept.networks.iterdir() for part in ("--networks", tmp_path / path.name)]
    verify = ("snapshot", "verify", kept.snapshot, kept.evidence)
    kept.invoke(*verify, *files).refused(3, "read with decimals '6'", "says '7'")
    kept.invoke(*verify, "--networks", "/nonexistent.toml").refused(2, "cannot be read")


def test_files_that_are_not_there_are_refused(invoke: Invoke, tmp_path: Path) -> None:
    invoke("snapshot", "verify", tmp_path / "no.json", tmp_path / "no.json").refused(2, "cannot be read")
