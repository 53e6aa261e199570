"""A registry, and a signer that is nobody special."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from chains.devnet import devnet
from chains.relayer import Journal
from tests.chains.contracts.world import World
from tests.chains.relayer.scenes import automine
from tests.postgres import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]


@pytest.fixture(params=("sqlite", "postgres"))
def location(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """Where an empty journal can be: a file, or a database."""
    if request.param == "sqlite":
        return tmp_path / "relayer.sqlite"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A configured registry."""
    async with devnet(101) as net:
        yield await World.make(net)


@pytest.fixture
async def venue(world: World) -> World:
    """The first venue can pledge 1000 USD, and no block comes by itself."""
    await world.prove_and_submit(await world.submission())
    await automine(world, False)
    return world


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """An empty journal."""
    with Journal(tmp_path / "relayer.sqlite") as opened:
        yield opened


@pytest.fixture
async def blocks(world: World) -> AsyncIterator[None]:
    """Blocks keep coming, so that finality moves."""

    async def mine() -> None:
        while True:
            await world.net.mine()
            await asyncio.sleep(0.02)

    task = asyncio.create_task(mine())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
