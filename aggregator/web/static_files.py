"""The dashboard's files, served as they lie in `static`: no build step, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiohttp import web

STATIC: Final = Path(__file__).parent / "static"
PAGES: Final[Mapping[str, str]] = {"/": "index.html", "/venue": "venue.html"}
MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/vnd.microsoft.icon",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
}
"""What is served, by ending; other files are not."""


def add_pages(app: web.Application, folder: Path = STATIC) -> None:
    """Serve the pages at their paths and every file below `folder` under /static/."""

    async def page(request: web.Request) -> web.StreamResponse:
        return file_response(folder, PAGES[request.path])

    async def file(request: web.Request) -> web.StreamResponse:
        return file_response(folder, request.match_info["path"])

    for path in PAGES:
        app.router.add_get(path, page)
    app.router.add_get("/static/{path:.+}", file)


def file_response(folder: Path, name: str) -> web.StreamResponse:
    """The file `name` below `folder`; HTTPNotFound for one outside it, of another kind, or missing."""
    path = (folder / name).resolve()
    kind = MEDIA_TYPES.get(path.suffix)
    if kind is None or not path.is_relative_to(folder.resolve()) or not path.is_file():
        raise web.HTTPNotFound
    return web.FileResponse(path, headers={"Content-Type": kind, "Cache-Control": "no-cache"})
