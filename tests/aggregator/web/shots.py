"""The pictures of docs/dashboard.md, of the real pages over a real demo: python -m tests.aggregator.web.shots."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from playwright.sync_api import Page, expect

from tests.aggregator.web.browser import chromium, demo

FOLDER: Final = Path(__file__).parents[3] / "docs" / "images"
DESK: Final = {"width": 1280, "height": 900}
PHONE: Final = {"width": 390, "height": 844}


def take(page: Page, name: str, *, whole: bool = True) -> None:
    """One picture."""
    page.wait_for_timeout(1200)
    page.screenshot(path=FOLDER / f"{name}.png", full_page=whole)


def main() -> None:
    """All pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, demo(Path(home) / "home") as running, chromium() as browser:
        light = browser.new_context(viewport=DESK, color_scheme="light").new_page()  # type: ignore[arg-type]
        dark = browser.new_context(viewport=DESK, color_scheme="dark").new_page()  # type: ignore[arg-type]
        phone = browser.new_context(viewport=PHONE, color_scheme="light").new_page()  # type: ignore[arg-type]
        light.goto(running.base)
        take(light, "overview")
        light.goto(f"{running.base}/#stress")
        take(light, "stress")
        light.goto(f"{running.base}/#plans")
        light.wait_for_timeout(2000)
        take(light, "plans")
        dark.goto(f"{running.base}/#what-if")
        dark.get_by_label("ETH price").fill("-0.35")
        take(dark, "what-if")
        light.goto(f"{running.base}/#proofs")
        light.get_by_label("Excess of at least, USD").fill("150000")
        light.get_by_role("button", name="Make the proof").click()
        expect(light.get_by_text("The positions stay hidden")).to_be_visible(timeout=30_000)
        take(light, "proofs")
        made = running.get("/v1/accounts/main/proofs")["items"][0]["id"]
        light.goto(f"{running.base}/venue#bundle={made}")
        expect(light.get_by_text("Good for")).to_be_visible(timeout=30_000)
        take(light, "venue")
        phone.goto(running.base)
        take(phone, "phone", whole=False)


if __name__ == "__main__":
    main()
