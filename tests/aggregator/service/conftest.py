"""Services that several modules of tests ask."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aggregator.store import Home
from tests.aggregator.cli.conftest import NETWORK
from tests.aggregator.service.serving import Running, serving, settings
from tests.aggregator.service.stored import Stored, at_that_time, fill
from tests.postgres import postgres, postgres_url

__all__ = ["postgres", "postgres_url"]

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    """A home with documents of every kind."""
    return fill(Home(tmp_path_factory.mktemp("stored") / "home"))


@pytest.fixture(scope="session")
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A network file whose endpoint answers nothing."""
    path = tmp_path_factory.mktemp("networks") / "nowhere.toml"
    path.write_text(NETWORK)
    return str(path)


@pytest.fixture(scope="session")
def running(stored: Stored, nowhere: str) -> Iterator[Running]:
    """A service over that home which asks for no keys."""
    chosen = settings(
        data__networks=(nowhere,),
        data__rulebooks=(str(ROOT / "configs" / "rulebooks"),),
        data__stress=str(ROOT / "configs" / "stress" / "history.toml"),
    )
    with serving(stored.home, chosen, at_that_time) as service:
        yield service
