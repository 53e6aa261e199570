"""A venue file is read whole and strictly, or refused with the key that is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aggregator.model.errors import ConfigError, FormatError, InputError, PolicyError
from aggregator.model.policy import Level
from aggregator.policy import encode_policy
from aggregator.service.venue_file import load_venue
from circuits.policy_tree import build_tree
from tests.circuits.books import fixed_policy

TEXT = f"""
venue = "0x{"Aa" * 20}"
chain_id = 8453
registry = "0x{"bb" * 20}"
amount_usd = "250000.5"
level = "MM"
attestors = ["0x{"01" * 20}", "0x{"02" * 20}"]
threshold = 2
max_age_s = 900
coverages = ["0x{"0c" * 32}"]
chains = ["eip155:1"]
least_trust = "rpc-quorum"
accept_dev_keys = false
policies = ["policy.json"]
verification_keys = []
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.json").write_bytes(encode_policy(fixed_policy()))
    (tmp_path / "bad.json").write_text("{}")
    return tmp_path


def _load(folder: Path, text: str) -> object:
    path = folder / "venue.toml"
    path.write_text(text)
    return load_venue(path)


def test_a_venue_file_says_what_the_rules_say(folder: Path) -> None:
    path = folder / "venue.toml"
    path.write_text(TEXT)
    rules = load_venue(path)
    assert rules.venue == "0x" + "aa" * 20
    assert (rules.amount_e6, rules.level, rules.threshold) == (250_000_500_000, Level.MM, 2)
    assert list(rules.policies) == [build_tree(fixed_policy()).root]
    assert rules.verification_keys == {}
    assert rules.accept_dev_keys is False


@pytest.mark.parametrize(
    ("old", "new", "error", "part"),
    [
        ("chain_id = 8453", "", ConfigError, "lacks the field 'chain_id'"),
        ("chain_id = 8453", 'chain_id = "8453"', ConfigError, "chain_id is not a JSON integer"),
        ("max_age_s = 900", "max_age_s = 900\nsurprise = 1", ConfigError, "unknown field 'surprise'"),
        ("max_age_s = 900", "max_age_s = 0", ConfigError, "max_age_s is 0"),
        ('"250000.5"', '"-1"', ConfigError, "amount_usd: the amount -1"),
        ('"250000.5"', '"1e3"', ConfigError, "amount_usd: '1e3' is not a decimal"),
        ('level = "MM"', 'level = "mm"', ConfigError, "level is 'mm'"),
        ("threshold = 2", "threshold = 3", ConfigError, "threshold is 3"),
        ("threshold = 2", "threshold = 0", ConfigError, "threshold is 0"),
        ("02" * 20, "01" * 20, ConfigError, "names one attestor twice"),
        ("01" * 20, "01" * 19, ConfigError, "attestors[0] is"),
        ("bb" * 20, "bb" * 21, ConfigError, "registry is"),
        ("0c" * 32, "0C" * 32, ConfigError, "coverages[0] is not 32 bytes"),
        ('"eip155:1"', '"mainnet"', ConfigError, "chains: 'mainnet' is not a CAIP-2"),
        ('"rpc-quorum"', '"hearsay"', ConfigError, "least_trust is 'hearsay'"),
        (
            "accept_dev_keys = false",
            "accept_dev_keys = 0",
            ConfigError,
            "accept_dev_keys is not true or false",
        ),
        ('"policy.json"', '"bad.json"', PolicyError, "policy lacks the field"),
        ('"policy.json"', '"absent.json"', InputError, "absent.json cannot be read"),
        (
            "verification_keys = []",
            'verification_keys = [{ file = "bad.json", kind = "dev", circuit = "a", circuit_digest = "0x00" }]',
            FormatError,
            "bad.json: verification_key.json",
        ),
        (
            "verification_keys = []",
            'verification_keys = [{ file = "bad.json", kind = "good", circuit = "a", circuit_digest = "0x00" }]',
            ConfigError,
            "verification_keys[0].kind is 'good'",
        ),
        (
            "verification_keys = []",
            'verification_keys = [{ file = "bad.json", kind = "dev" }]',
            ConfigError,
            "lacks the field 'circuit'",
        ),
        ('level = "MM"', 'level = "M\\u001bM"', ConfigError, "printable"),
        ("threshold = 2", "threshold = [", ConfigError, "is not TOML"),
    ],
)
def test_each_wrong_key_is_named(
    folder: Path, old: str, new: str, error: type[InputError], part: str
) -> None:
    assert TEXT.count(old) == 1
    with pytest.raises(error, match=re.escape(part)):
        _load(folder, TEXT.replace(old, new))


def test_a_venue_needs_attestors(folder: Path) -> None:
    with pytest.raises(ConfigError, match="attestors is empty"):
        _load(folder, re.sub(r"attestors = .*", "attestors = []", TEXT))
