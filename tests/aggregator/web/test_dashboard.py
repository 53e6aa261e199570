"""The dashboard and the venue's page in a real Chromium, against the real service over local chains."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, expect

from aggregator.store import Home
from tests.aggregator.service.serving import serving, settings
from tests.aggregator.web.browser import Demo, chromium, demo

pytestmark = [pytest.mark.anvil, pytest.mark.node, pytest.mark.slow]
VIEWS = ("overview", "what-if", "stress", "plans", "proofs", "history", "addresses")
A_NETWORK = Path(__file__).parents[3] / "configs" / "networks" / "base.toml"
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with demo(tmp_path_factory.mktemp("demo") / "home") as started:
        yield started


class Watch:
    """What a page asked for and complained of."""

    def __init__(self, context: BrowserContext, base: str) -> None:
        self.errors: list[str] = []
        self.strangers: list[str] = []
        self.base = base
        context.on("console", lambda message: self._said(message.type, message.text))
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("request", self._asked)

    def _said(self, kind: str, text: str) -> None:
        # A refusal of the service is shown on the page; the browser logs its status too.
        if kind == "error" and "Failed to load resource" not in text:
            self.errors.append(text)

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.base, "blob:", "data:")):
            self.strangers.append(request.url)


@pytest.fixture
def context(browser: Browser, running: Demo) -> Iterator[BrowserContext]:
    """A fresh browser; a script error or a request to anywhere else fails the test."""
    opened = browser.new_context(viewport={"width": 1280, "height": 900})
    opened.set_default_timeout(15_000)
    watch = Watch(opened, running.base)
    yield opened
    opened.close()
    assert watch.errors == []
    assert watch.strangers == []


@pytest.fixture
def page(context: BrowserContext, running: Demo) -> Page:
    """The overview."""
    opened = context.new_page()
    opened.goto(running.base)
    expect(opened.get_by_role("img", name=re.compile("health at maintenance margin"))).to_be_visible()
    return opened


def on_screen(place: Locator) -> None:
    """What is there can be seen without scrolling sideways, also inside its table."""
    expect(place).to_be_visible()
    box = place.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]


def shown(decimal: str) -> str:
    """A decimal string as the page shows it: cut to cents."""
    whole, _, part = decimal.partition(".")
    return f"{int(whole):,}.{part[:2].ljust(2, '0')}"


def test_one_glance_shows_the_services_own_figures(page: Page, running: Demo) -> None:
    report = running.get("/v1/accounts/main/health")["report"]
    health = page.get_by_role("region", name="Health")
    expect(health).to_contain_text(shown(report["equityUsd"]))
    expect(health).to_contain_text(shown(report["im"]["excessUsd"]))
    # What is required is shown one cent up, a health factor never.
    required = report["mm"]["requirementUsd"]
    up = shown(required) if re.fullmatch(r"-?\d+(\.\d{1,2}0*)?", required) else None
    expect(health).to_contain_text(up or f"{int(required.split('.')[0]):,}.")
    assert health.get_by_role("img").get_attribute("aria-label") == (
        f"health at maintenance margin: {report['mm']['health'][: report['mm']['health'].index('.') + 4]}"
    )
    expect(page.locator("#freshness")).to_contain_text("Alder (eip155:31337001) #")
    chains = page.get_by_role("region", name="By chain").first
    expect(chains).to_contain_text("Birch (eip155:31337002)")
    for chain in report["chains"]:
        expect(chains).to_contain_text(chain["chain"])
    expect(page.get_by_role("region", name="Positions").first).to_contain_text("ETH-PERP")
    expect(page.get_by_role("region", name="Margin under several rulebooks").first).to_contain_text("native")
    expect(page.locator("#freshness")).to_contain_text("Complete")
    expect(page.locator("#live")).to_have_text("live")


def test_a_slider_answers_at_once(page: Page) -> None:
    """The market moves and the after column with it; back to now gives the first figures again."""
    page.get_by_role("link", name="What if").click()
    after = page.get_by_role("row", name=re.compile("^Equity")).get_by_role("cell").nth(1)
    first = after.inner_text()
    page.get_by_label("ETH price").fill("-0.4")
    expect(after).not_to_have_text(first)
    page.get_by_label("Instrument").fill("ETH-PERP")
    page.get_by_label("Quantity to add").fill("-10")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("listitem")).to_contain_text("ETH-PERP −10")
    page.get_by_role("button", name="Back to now").click()
    expect(after).to_have_text(first)


def test_a_perp_opens_at_the_mark_with_its_cash(page: Page) -> None:
    """Equity stays as it is and nothing is liquidated; without the cash, the whole notional would count as a loss."""
    page.get_by_role("link", name="What if").click()
    result = page.get_by_role("region", name="What it would be")
    equity = result.get_by_role("row", name=re.compile("^Equity")).get_by_role("cell")
    expect(result).to_contain_text("equity changes by 0.00 USD")
    page.get_by_label("Instrument").fill("ETH-PERP")
    page.get_by_label("Quantity to add").fill("-80")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("listitem")).to_contain_text("ETH-PERP −80 and +240,000.00 USD of cash")
    health = result.get_by_role("row", name=re.compile("^Health at MM")).get_by_role("cell")
    expect(health.nth(1)).not_to_have_text(health.nth(0).inner_text())
    expect(equity.nth(1)).to_have_text(equity.nth(0).inner_text())
    expect(result).to_contain_text("equity changes by 0.00 USD")
    expect(result).not_to_contain_text("liquidatable")
    page.get_by_label(re.compile("^opened at the mark")).uncheck()
    expect(result).to_contain_text("equity changes by −240,000.00 USD")
    expect(result).to_contain_text("liquidatable")
    page.get_by_role("button", name="Back to now").click()
    page.get_by_label("ETH price").fill("0.4")
    expect(result).to_contain_text(re.compile(r"equity changes by \+[1-9][0-9,.]+ USD"))


def test_what_is_no_change_is_refused(page: Page) -> None:
    page.get_by_role("link", name="What if").click()
    page.get_by_label("Quantity to add").fill("lots")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("status").filter(has_text="at most 8 decimals")).to_be_visible()


def test_stress_replays_say_what_made_the_loss(page: Page) -> None:
    page.get_by_role("link", name="Stress").click()
    results = page.get_by_role("region", name="Stress results")
    row = results.get_by_role("row").filter(has_text="12 March 2020").first
    row.locator("summary").click()
    expect(row).to_contain_text("By factor")


def test_plans_show_the_account_before_and_after(page: Page, running: Demo) -> None:
    """A hedge within a limit and a rebalance: the page shows the service's own steps and figures."""
    page.get_by_role("link", name="Plans").click()
    plan = page.get_by_role("region", name="Plan").first
    plan.get_by_label("Most to trade or move, USD").fill("20000")
    with page.expect_response(lambda r: "limitUsd" in (r.request.post_data or "")) as answered:
        plan.get_by_role("button", name="Plan").click()
    hedge, asked = answered.value.json(), answered.value.request.post_data_json
    assert running.post("/v1/accounts/main/plans", asked) == hedge
    assert asked is not None
    assert asked["limitUsd"] == "20000"
    expect(plan.get_by_text(hedge["reason"])).to_be_visible()
    steps = plan.get_by_role("table", name="Steps")
    assert steps.get_by_role("columnheader").all_inner_texts() == ["Step", "Quantity", "Cost USD"]
    assert hedge["steps"]
    for step in hedge["steps"]:
        expect(steps.get_by_role("row", name=re.compile("^" + re.escape(step["text"])))).to_be_visible()
    excess = plan.get_by_role("row", name=re.compile("^Excess at IM")).get_by_role("cell")
    for n, when in enumerate(("before", "after")):
        expect(excess.nth(n)).to_have_text(shown(hedge[when]["im"]["excessUsd"]))
    plan.get_by_role("combobox").select_option("rebalance")
    plan.get_by_label("Most to trade or move, USD").fill("")
    plan.get_by_role("button", name="Plan").click()
    expect(steps).to_contain_text("Move 8 ETH from eip155:31337002 to eip155:31337001")
    expect(steps).to_contain_text("ETH on Birch (eip155:31337002)")
    plan.get_by_label("Most to trade or move, USD").fill("0")
    plan.get_by_role("button", name="Plan").click()
    expect(plan.get_by_text("No move saves more IM add-on than it costs")).to_be_visible()
    plan.get_by_label("Most to trade or move, USD").fill("lots")
    plan.get_by_role("button", name="Plan").click()
    expect(plan.get_by_text("is not a decimal number")).to_be_visible()


def test_a_proof_is_made_shared_checked_and_submitted(
    page: Page, context: BrowserContext, running: Demo, tmp_path: Path
) -> None:
    """The trader's way, then the venue's: the saved file passes every check in the browser and by the service."""
    page.get_by_role("link", name="Proofs and pledges").click()
    page.get_by_label("Excess of at least, USD").fill("150000")
    page.get_by_role("button", name="Make the proof").click()
    expect(page.get_by_role("status").filter(has_text="The positions stay hidden")).to_be_visible()
    row = page.get_by_role("row", name=re.compile("150,000.00")).first
    with page.expect_download() as saved:
        row.get_by_role("button", name="Save").click()
    path = tmp_path / "bundle.json"
    saved.value.save_as(path)

    venue = context.new_page()
    venue.goto(running.base + "/venue")
    venue.get_by_label(re.compile("Drop a bundle")).set_input_files(path)
    expect(venue.get_by_text("Good for 150,000.00 USD at IM.")).to_be_visible()
    results = venue.get_by_role("region", name="Every condition of the bundle")
    assert results.get_by_text("FAIL").count() == 0
    assert results.get_by_text("pass", exact=True).count() >= 18
    expect(results).to_contain_text("pledges")

    altered = json.loads(path.read_text())
    altered["statement"]["amountUsd"] = "150001"
    (tmp_path / "altered.json").write_text(json.dumps(altered))
    venue.get_by_label(re.compile("Drop a bundle")).set_input_files(tmp_path / "altered.json")
    expect(venue.get_by_role("alert")).to_contain_text("it has been altered")
    forged = json.loads(path.read_text())
    forged["proof"]["pi_c"] = forged["proof"]["pi_a"]
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    venue.get_by_label(re.compile("Drop a bundle")).set_input_files(tmp_path / "forged.json")
    expect(venue.get_by_role("row", name=re.compile("^proof"))).to_contain_text("FAIL")

    row.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("status").filter(has_text="The registry holds")).to_be_visible(timeout=30_000)


def test_a_venue_needs_nothing_of_the_service(context: BrowserContext, running: Demo, tmp_path: Path) -> None:
    """With its own key and rules, and the service cut off, the page still says what holds."""
    made = running.get("/v1/accounts/main/proofs")["items"][0]
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(running.get(f"/v1/bundles/{made['id']}")))
    known = next(one for one in running.get("/v1/venues")["items"] if one["venue"] == made["venue"])
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps({"venue": made["venue"], "acceptDevKeys": True}))
    venue = context.new_page()
    venue.goto(running.base + "/venue")
    venue.wait_for_load_state("networkidle")
    context.set_offline(True)
    venue.get_by_label("Your own verification_key.json").set_input_files(
        running.home / "playground" / "verification_key.json"
    )
    expect(venue.locator("#key-id")).to_contain_text("its id is 0x")
    venue.get_by_label("Your own rules (JSON)").set_input_files(rules)
    venue.get_by_role("checkbox").uncheck()
    venue.get_by_label(re.compile("Drop a bundle")).set_input_files(path)
    # One rule alone is no verdict: a stranger's attestors or policy would pass unseen.
    expect(venue.get_by_text(re.compile("^No verdict: .*attestors"))).to_be_visible()
    own = {n: v for n, v in known.items() if n not in ("id", "registry", "maxAgeSeconds", "verificationKeys")}
    _, chain, registry = known["registry"].split(":")
    own |= {"chainId": int(chain), "registry": registry, "maxAgeS": known["maxAgeSeconds"], "keyKind": "dev"}
    circuit = json.loads(path.read_text())["circuit"]
    own |= {"circuit": circuit["name"], "circuitDigest": circuit["digest"]}
    whole = tmp_path / "whole.json"
    whole.write_text(json.dumps({**own, "amountUsd": "1"}))
    venue.get_by_label("Your own rules (JSON)").set_input_files(whole)
    expect(venue.get_by_text(re.compile("^Good for"))).to_be_visible()
    others = tmp_path / "others.json"
    others.write_text(json.dumps({"venue": "0x" + "12" * 20, "acceptDevKeys": True}))
    venue.get_by_label("Your own rules (JSON)").set_input_files(others)
    expect(venue.get_by_role("row", name=re.compile("^audience"))).to_contain_text("FAIL")
    context.set_offline(False)


def test_a_wallet_links_an_address(context: BrowserContext, running: Demo) -> None:
    """The page asks the browser's wallet (EIP-1193) to sign; here the wallet is a real key in this test."""
    wallet = Account.create()

    def ask(method: str, parameters: Any) -> Any:
        if method == "eth_requestAccounts":
            return [wallet.address]
        assert method == "eth_signTypedData_v4"
        signed = wallet.sign_typed_data(full_message=json.loads(parameters[1]))
        return "0x" + bytes(signed.signature).hex()

    context.expose_function("askWallet", ask)
    context.add_init_script(
        "window.ethereum = { request: ({ method, params }) => window.askWallet(method, params ?? []) };"
    )
    page = context.new_page()
    page.goto(running.base + "/#addresses")
    page.get_by_role("button", name="Sign with this browser's wallet").click()
    expect(page.get_by_role("status").filter(has_text="belongs to the account now")).to_be_visible()
    expect(page.get_by_role("region", name="Linked addresses").first).to_contain_text(wallet.address.lower())


def test_a_pasted_signature_links_an_address(page: Page) -> None:
    """Signed elsewhere; a signature of another key is refused with the service's reason."""
    wallet, other = Account.create(), Account.create()
    page.get_by_role("link", name="Addresses").click()
    assert (
        page.get_by_label("Address", exact=True).get_attribute("title") == "an address: 0x and 40 hex digits"
    )
    page.get_by_label("Address", exact=True).fill(wallet.address)
    page.get_by_role("button", name="Next").click()
    message = json.loads(page.get_by_label("Message to sign").input_value())
    for key in (other, wallet):
        signature = "0x" + bytes(key.sign_typed_data(full_message=message).signature).hex()
        page.get_by_label("Signature", exact=True).fill(signature)
        page.get_by_role("button", name="Next").click()
        if key is other:
            expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="belongs to the account now")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_view_fits_a_phone_in_both_colours(browser: Browser, running: Demo, scheme: Any) -> None:
    """No view is wider than the screen; colours follow the system, and the button overrides them."""
    context = browser.new_context(viewport=PHONE, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    for view in VIEWS:
        page.goto(f"{running.base}/#{view}")
        page.wait_for_selector(".card")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], view
        tab = page.locator("nav [aria-current]").bounding_box()
        assert tab is not None
        assert tab["x"] >= 0, view
        assert tab["x"] + tab["width"] <= PHONE["width"], view
    page.goto(f"{running.base}/#proofs")
    button = page.get_by_role("region", name="Bundles").get_by_role("button", name="Save").first
    on_screen(button)
    made = running.get("/v1/accounts/main/proofs")["items"][0]["id"]
    page.goto(f"{running.base}/venue#bundle={made}")
    rows = page.get_by_role("region", name="Every condition of the bundle").get_by_role("row")
    on_screen(rows.filter(has_text="audience").get_by_role("cell").last)
    page.goto(f"{running.base}/venue")
    page.wait_for_selector(".card")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    page.get_by_role("button", name=re.compile("light and dark")).click()
    assert page.evaluate("document.documentElement.dataset.theme") != scheme
    context.close()


def test_the_keyboard_and_a_screen_reader_reach_everything(page: Page) -> None:
    """A skip link first, a name for every control, a caption for every table, a text for every drawing."""
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for view in VIEWS:
        page.goto(re.sub("#.*", "", page.url) + f"#{view}")
        page.wait_for_selector(".card")
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, a, input, select, textarea, [role=img]")].filter((one) =>
              one.checkVisibility() && !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.length)
            ).map((one) => one.outerHTML)"""
        )
        assert nameless == [], view
        bare = "() => [...document.querySelectorAll('table')].filter((one) => !one.caption).length"
        assert page.evaluate(bare) == 0
        assert (
            page.get_by_role("link", name=re.compile(".+")).and_(page.locator("[aria-current]")).count() == 1
        )


def test_an_empty_service_has_nothing_to_read(browser: Browser, tmp_path: Path) -> None:
    """Without an account the button cannot be pressed."""
    with serving(Home(tmp_path / "home"), settings(data__networks=(str(A_NETWORK),))) as empty:
        page = browser.new_page()
        page.goto(empty.base)
        expect(page.get_by_text("No account yet")).to_be_visible()
        expect(page.get_by_role("button", name="Read the chains now")).to_be_disabled()
        page.close()


def test_a_dead_chain_is_named_and_no_total_is_shown(page: Page, running: Demo) -> None:
    """The last test: it kills a node. What was not read is unknown, and the page says so."""
    running.stop_chain(1)
    running.post("/v1/accounts/main/snapshots", {"incomplete": True})
    bar = page.locator("#freshness")
    expect(bar).to_contain_text("NOT COMPLETE", timeout=60_000)
    expect(bar).to_contain_text("eip155:31337002")
    expect(page.get_by_text("No total is shown")).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("health"))).to_have_count(0)
    page.get_by_role("link", name="Proofs and pledges").click()
    expect(page.get_by_text("No proof is made of an incomplete snapshot")).to_be_visible()
    page.get_by_role("button", name="Read the chains now").click()
    expect(bar).to_contain_text(re.compile("The reading at .* failed: .*eip155:31337002"), timeout=60_000)
    # It stands over the redrawing of every ten seconds and over other views, until a reading succeeds.
    page.get_by_role("link", name="Addresses").click()
    page.wait_for_timeout(11_000)
    expect(bar).to_contain_text("failed:")
    expect(bar).to_contain_text("NOT COMPLETE")
