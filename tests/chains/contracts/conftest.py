"""A registry to test against."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from chains.devnet import devnet
from tests.chains.contracts.world import World


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A configured registry with a verifier that accepts what it is told to."""
    async with devnet(101) as net:
        yield await World.make(net)
