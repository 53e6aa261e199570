"""docs/service.md and configs/service.toml say what settings and problems there are; files are read strictly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from aggregator.model.errors import ConfigError
from aggregator.service.events import KINDS
from aggregator.service.http.app import store_url
from aggregator.service.http.operations import operations
from aggregator.service.http.problems import HTTP_ONLY, PREFIX
from aggregator.service.settings import (
    SETTINGS,
    Setting,
    check_settings,
    default_settings,
    load_settings,
)
from aggregator.store import Home

ROOT = Path(__file__).parents[3]
DOC = (ROOT / "docs" / "service.md").read_text()


def rows(first: str) -> list[list[str]]:
    """Rows of tables whose first cell matches."""
    cells = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in DOC.splitlines()
        if line.startswith("|")
    ]
    return [row for row in cells if re.fullmatch(first, row[0])]


def written(setting: Setting) -> str:
    value = setting.default
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[]"
    return str(value) if isinstance(value, int) else f'"{value}"'


def test_every_setting_is_documented_with_its_default() -> None:
    documented = {tuple(row) for row in rows(r"[a-z]+\.[a-z_]+")}
    assert documented == {(f"{s.table}.{s.name}", written(s), s.text) for s in SETTINGS}


def test_every_problem_of_http_is_documented() -> None:
    documented = {(row[0], row[1]) for row in rows(rf"{PREFIX}[a-z-]+")}
    assert documented == {(PREFIX + name, str(status)) for status, name in HTTP_ONLY.items()}


def test_every_kind_of_event_is_documented() -> None:
    assert {row[0] for row in rows("[a-z-]+")} >= set(KINDS)


def test_every_route_is_documented() -> None:
    for operation in operations():
        parts = [p for p in operation.path.split("/") if p and "{" not in p and p not in ("v1", "message")]
        assert all(part in DOC for part in parts), operation.path


def test_the_shipped_configuration_is_the_defaults() -> None:
    path = ROOT / "configs" / "service.toml"
    loaded = load_settings(path)
    check_settings(loaded)
    named = set(re.findall(r"^([a-z_]+) =", path.read_text(), flags=re.MULTILINE))
    assert named == {s.name for s in SETTINGS}
    for key, value in default_settings().values.items():
        if key == ("data", "stress"):
            assert Path(loaded.text(*key)).resolve() == (ROOT / str(value)).resolve()
        else:
            assert loaded.values[key] == value, key


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("http = 1", "not a table"),
        ("[http]\nprot = 1", "no setting http.prot"),
        ("[http]\nport = 70000", "outside 0..65535"),
        ('[http]\nport = "80"', "not an integer"),
        ("[http]\nport = true", "not an integer"),
        ("[http]\nwithout_keys = 1", "true or false"),
        ("[http]\nhost = 1", "not a text"),
        ("[http]\nhosts = 'a'", "not a list"),
        ("[http]\nhosts = [1]", "not a list of texts"),
        ("[[venues]]\nid = 'A'\nfile = 'x'", "cannot be a venue's id"),
        ("[[venues]]\nid = 'a'", "exactly the keys"),
        ("venues = 1", "not a list of tables"),
        ("x = ", "not TOML"),
    ],
)
def test_a_malformed_configuration_is_refused(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "service.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=part):
        load_settings(path)


def test_settings_that_contradict_each_other_are_refused() -> None:
    both = (
        default_settings().changed("store", "url", "postgresql://h/d").changed("store", "url_variable", "X")
    )
    with pytest.raises(ConfigError, match="both set"):
        check_settings(both)
    with pytest.raises(ConfigError, match="name the spec"):
        check_settings(default_settings().changed("background", "price_every_s", 5))


def test_the_store_of_a_url_is_never_named_with_its_password(tmp_path: Path) -> None:
    home, plain = Home(tmp_path), default_settings()
    assert store_url(plain, home, {}) == (f"sqlite+aiosqlite:///{home.database}", str(home.database))
    named = plain.changed("store", "url_variable", "DB")
    url, where = store_url(named, home, {"DB": "postgresql://me:secret@h/d"})
    assert (url, "secret" in where) == ("postgresql+psycopg://me:secret@h/d", False)
    with pytest.raises(ConfigError, match="DB"):
        store_url(named, home, {})
    with pytest.raises(ConfigError, match="not a PostgreSQL URL") as refused:
        store_url(plain.changed("store", "url", "mysql://me:secret@h/d"), home, {})
    assert "secret" not in str(refused.value)
