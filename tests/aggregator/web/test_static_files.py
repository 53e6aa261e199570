"""Only the files of the dashboard are served, each as what it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from aggregator.web.static_files import MEDIA_TYPES, PAGES, STATIC, add_pages, file_response


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "static"
    (made / "sub").mkdir(parents=True)
    for name, text in (
        ("index.html", "<p>first"),
        ("venue.html", "<p>venue"),
        ("sub/app.js", "1"),
        ("secret.py", "no"),
        (".hidden", "no"),
    ):
        (made / name).write_text(text)
    (tmp_path / "outside.txt").write_text("outside")
    (made / "link.txt").symlink_to(tmp_path / "outside.txt")
    return made


async def ask(folder: Path, path: str) -> tuple[int, str, str]:
    app = web.Application()
    add_pages(app, folder)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get(path)
        return answer.status, answer.headers["Content-Type"], await answer.text()


@pytest.mark.parametrize(
    ("path", "kind", "text"),
    [
        ("/", "text/html", "<p>first"),
        ("/venue", "text/html", "<p>venue"),
        ("/static/sub/app.js", "text/javascript", "1"),
    ],
)
async def test_pages_and_files_are_served(folder: Path, path: str, kind: str, text: str) -> None:
    assert await ask(folder, path) == (200, f"{kind}; charset=utf-8", text)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../outside.txt",
        "/static/%2e%2e/outside.txt",
        "/static/..%2foutside.txt",
        "/static//etc/hosts.txt",
        "/static/link.txt",
        "/static/secret.py",
        "/static/.hidden",
        "/static/sub",
        "/static/none.js",
    ],
)
async def test_nothing_else_is_served(folder: Path, path: str) -> None:
    assert (await ask(folder, path))[0] == 404
    with pytest.raises(web.HTTPNotFound):
        file_response(folder, path.removeprefix("/static/"))


def test_the_dashboard_has_its_pages_and_no_kind_that_is_not_served() -> None:
    assert all((STATIC / name).is_file() for name in PAGES.values())
    kinds = {path.suffix for path in STATIC.rglob("*") if path.is_file()}
    assert kinds <= set(MEDIA_TYPES)
