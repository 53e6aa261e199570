"""`counterfoil venue check`: margin that is pledged to somebody else is not good, and a silent registry is no pass."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from aggregator.model.errors import ChainUnreachableError
from aggregator.model.policy import Level
from aggregator.service import standing, venue_file
from aggregator.service.standing import judge_pledges
from chains.contracts.registry import VenueRecord, VenueStanding
from circuits.bundle import encode_bundle
from tests.aggregator.cli.conftest import Invoke, Outcome
from tests.aggregator.service.scene import AMOUNT, NOW, bundle, rules

E6 = 10**6


def stands(*, free: int, own: int = 0, good: bool = True, until: int = NOW + 60) -> VenueStanding:
    """A registry's answer on a proof of the scene's amount; USD."""
    record = VenueRecord(0, until, AMOUNT if until else 0, Level.IM)
    pledged = AMOUNT - free * E6
    return VenueStanding(good, record, own * E6, pledged, free * E6)


@dataclass
class Venue:
    """The scene's venue at the command line, before a registry that answers as told."""

    invoke: Invoke
    path: Path
    network: Path
    monkeypatch: pytest.MonkeyPatch

    def check(self, answer: VenueStanding | Exception | None, *options: object) -> Outcome:
        async def read(*_arguments: object) -> VenueStanding:
            if isinstance(answer, Exception):
                raise answer
            assert answer is not None, "the registry was asked"
            return answer

        self.monkeypatch.setattr(standing, "read_standing", read)
        return self.invoke(
            *("venue", "check", self.path, "--venue", "venue.toml", "--networks", self.network, *options)
        )


@pytest.fixture
def venue(invoke: Invoke, tmp_path: Path, dead_network: Path, monkeypatch: pytest.MonkeyPatch) -> Venue:
    dead_network.write_text(dead_network.read_text().replace("31337999", "31337001"))
    monkeypatch.setattr(venue_file, "load_venue", lambda _: rules())
    monkeypatch.setattr(time, "time", lambda: float(NOW))
    path = tmp_path / "bundle.json"
    path.write_bytes(encode_bundle(bundle()))
    return Venue(invoke, path, dead_network, monkeypatch)


def test_margin_that_is_free_or_pledged_to_this_venue_is_good(venue: Venue) -> None:
    result = venue.check(stands(free=40_000, own=60_000))
    assert result.code == 0
    assert "pledges       pass    40,000.00 USD free, 60,000.00 USD pledged to this venue" in result.out
    assert "The bundle is good for 100,000.000000 USD" in result.out
    data = venue.check(stands(free=100_000), "--json").data
    assert (data["good"], data["pledgesAsked"], data["checks"][-1]["name"]) == (True, True, "pledges")


def test_margin_pledged_to_somebody_else_is_not_good(venue: Venue) -> None:
    result = venue.check(stands(free=40_000))
    assert result.code == 4
    assert "pledges       FAIL    40,000.00 USD free" in result.out
    assert (
        "error: 40,000.00 USD free, 0.00 USD pledged to this venue: less than the 100,000.00 USD"
        in result.err
    )
    assert "is good" not in result.out
    as_json = venue.check(stands(free=40_000), "--json")
    assert (as_json.code, as_json.data["good"], as_json.data["checks"][-1]["passed"]) == (4, False, False)


def test_a_registry_without_a_proof_for_the_venue_says_none(venue: Venue) -> None:
    result = venue.check(stands(free=0, good=False, until=0))
    assert (result.code, "relay submit" in result.err) == (4, True)
    line = next(line for line in result.out.splitlines() if "proof on record" in line)
    assert line.split() == ["proof", "on", "record", "none"]
    assert venue.check(stands(free=0, good=False, until=0), "--json").data["registry"]["level"] is None


def test_a_silent_registry_is_unknown_and_the_table_is_shown(venue: Venue) -> None:
    result = venue.check(ChainUnreachableError("no endpoint of Nowhere answers"))
    assert result.code == 3
    assert "proof         pass" in result.out
    assert "pledges       unknown" in result.out
    assert "run: counterfoil doctor" in result.err
    assert "is good" not in result.out
    as_json = venue.check(ChainUnreachableError("no endpoint of Nowhere answers"), "--json")
    assert (as_json.code, as_json.data["good"], as_json.data["checks"][-1]["passed"]) == (3, False, None)


def test_offline_says_that_pledges_were_not_asked(venue: Venue) -> None:
    result = venue.check(None, "--offline")
    assert result.code == 0
    assert "pledges: not asked" in result.out
    assert "The proof is good for" in result.out
    assert result.out.rstrip().endswith("; pledges were not asked.")
    assert venue.check(None, "--offline", "--json").data["pledgesAsked"] is False


@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        (stands(free=100_000), True),
        (stands(free=0, own=100_000), True),
        (stands(free=99_999), False),
        (stands(free=100_000, good=False), False),
        (stands(free=100_000, good=False, until=0), False),
    ],
)
def test_the_check_of_pledges(answer: VenueStanding, passed: bool) -> None:
    check = judge_pledges(answer, AMOUNT)
    assert (check.passed, check.error is None) == (passed, passed)
