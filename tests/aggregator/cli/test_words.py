"""What a user reads when an argument or a file is wrong: which one, what is wrong with it, and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from aggregator.cli import main as main_module
from aggregator.cli import tables
from aggregator.fixed import parse_decimal, parse_integer
from aggregator.model.errors import FormatError, InputError, PriceError
from aggregator.model.strictjson import load_json
from aggregator.policy.quotes import Quotes
from aggregator.service.venue_file import parse_usd
from tests.aggregator.cli.conftest import Invoke

HUGE = "9" * 23


@pytest.mark.parametrize(
    "words",
    [
        (
            "account",
            "link",
            "main",
            "--address",
            "0x" + "12" * 20,
            "--signature",
            "0x11",
            "--issued-at",
            "-4",
        ),
        (
            "account",
            "link",
            "main",
            "--address",
            "0x" + "12" * 20,
            "--signature",
            "0x11",
            "--issued-at",
            HUGE,
        ),
        ("snapshot", "take", "main", "--cut", HUGE),
        ("snapshot", "take", "main", "--cut", "-1"),
        ("policy", "build", "spec.toml", "--cut", HUGE),
        ("policy", "build", "spec.toml", "--epoch", HUGE),
        ("attestation", "sign", "r.json", "--key-file", "k", "--lifetime", HUGE),
        ("proof", "make", "main", "--lifetime", HUGE),
    ],
    ids=lambda words: f"{' '.join(words[:2])} {words[-2]} {words[-1][:3]}",
)
def test_numbers_that_no_document_holds_are_refused(invoke: Invoke, words: tuple[str, ...]) -> None:
    invoke(*words).refused(2, words[-2], "is not in the range")


def test_a_defect_leaves_a_problem_on_stdout_with_json(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(main_module.cli, "main", fail)
    for words in (["x"], ["x", "--json"]):
        with pytest.raises(ZeroDivisionError):
            main_module.run(words)
    out = capsys.readouterr().out
    assert out.count("{") == 1
    assert '"type": "urn:counterfoil:problem:internal"' in out
    assert '"exitCode": 1' in out
    assert "Traceback" not in out
    assert "secret" not in out


def test_a_moment_after_the_last_year_is_shown() -> None:
    assert tables.moment(2**53 - 1) == "second 9007199254740991"


FILES = {
    "snapshot": [("snapshot", "show"), ("snapshot", "verify"), ("health", "--policy", "POLICY")],
    "policy": [("policy", "check"), ("policy", "show")],
    "bundle": [("proof", "verify")],
    "attestation-request": [("attestation", "sign", "--key-file", "k")],
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_is_not_json_or_of_another_kind_is_named(
    invoke: Invoke, tmp_path: Path, kind: str
) -> None:
    broken, other, folder = tmp_path / "broken.json", tmp_path / "other.json", tmp_path / "folder.json"
    broken.write_text('{"schema": ')
    other.write_text('{"schema": "counterfoil/evidence/1", "chains": []}')
    folder.mkdir()
    for words in FILES[kind]:
        command = [word for word in words if not word.startswith("--")][:2]
        command = command[:1] if command[0] == "health" else command
        options = words[len(command) :]
        invoke(*command, broken, *options).refused(2, f"the {kind} {broken} is not JSON")
        invoke(*command, other, *options).refused(2, f"{other} is a counterfoil/evidence/1, not a", kind)
        invoke(*command, folder, *options).refused(2, f"{folder} is a folder; give the file in it")


def test_a_label_that_is_also_a_file_says_that_files_need_a_path(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").touch()
    invoke("proof", "verify", "empty").refused(2, "the file of that name needs a path: ./empty")
    invoke("proof", "verify", "none").refused(2, "holds no bundle 'none'")


def test_a_folder_as_a_key_is_called_a_folder(invoke: Invoke, tmp_path: Path) -> None:
    invoke("account", "create", "main", "--key-file", tmp_path).refused(2, "is a folder; give the file in it")


def test_a_link_without_a_signature_prints_the_next_command(invoke: Invoke) -> None:
    invoke("account", "create", "main")
    address = "0x" + "12" * 20
    printed = invoke("account", "link", "main", "--address", address, "--chain", "eip155:8453", "--json")
    issued = printed.data["message"]["issuedAt"]
    link = f"account link main --address {address} --days 90 --issued-at {issued}"
    wanted = f"{link} --signature 0x.. --chain eip155:8453"
    assert wanted in printed.err


@pytest.mark.parametrize("text", ["0", "-5", "1208925819614629175", "99999999999999999999"])
def test_the_range_of_an_amount(text: str) -> None:
    with pytest.raises(
        InputError, match=rf"amount {text} USD is not above 0 and at most 1208925819614629174;"
    ):
        parse_usd(text)


def test_an_amount_that_may_not_be_negative_has_no_negative_example() -> None:
    with pytest.raises(InputError, match=r"write digits like 12\.5,"):
        parse_usd("much")
    with pytest.raises(InputError, match=r"write digits like -12\.5,"):
        parse_decimal("much", 6)


@pytest.mark.parametrize("parse", [parse_usd, parse_integer])
def test_thousands_of_digits_are_too_long(parse: object) -> None:
    with pytest.raises(InputError, match="of 5001 characters is too long"):
        parse("1" * 5001)  # type: ignore[operator]


def test_a_long_json_integer_is_refused_in_our_words() -> None:
    with pytest.raises(FormatError, match="a number of 5001 digits") as refused:
        load_json('{"a": ' + "1" * 5001 + "}")
    assert "sys." not in str(refused.value)


def test_a_missing_price_names_the_option() -> None:
    quotes = Quotes({}, {}, as_of=0, zero_stale=False, stale_debt_margin_e6=0)
    with pytest.raises(PriceError, match=r"no network that was read lists a feed .*--zero-stale"):
        quotes.fresh_price("DOGE")
