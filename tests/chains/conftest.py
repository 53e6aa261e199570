"""Real local chains for the tests of `chains`."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from chains.devnet import Devnet, devnet


@pytest.fixture
async def net() -> AsyncIterator[Devnet]:
    """One local chain with id 101."""
    async with devnet(101) as running:
        yield running
