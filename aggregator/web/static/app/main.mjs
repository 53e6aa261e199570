// The trader's page: one account under one policy, and what can be done about it.

import { addresses } from "./addresses.mjs";
import { Problem, events, follow, get, list, post, setApiKey } from "./api.mjs";
import { ago, byId, card, chain, fill, h, moment, nameNetworks, notice } from "./dom.mjs";
import { history } from "./history.mjs";
import { overview } from "./overview.mjs";
import { plans } from "./plans.mjs";
import { proofs } from "./proofs.mjs";
import { stress } from "./stress.mjs";
import { followTheme } from "./theme.mjs";
import { whatIf } from "./what_if.mjs";

const VIEWS = [
  ["overview", "Overview", overview],
  ["what-if", "What if", whatIf],
  ["stress", "Stress", stress],
  ["plans", "Plans", plans],
  ["proofs", "Proofs and pledges", proofs],
  ["history", "History", history],
  ["addresses", "Addresses", addresses],
];
const STALE_S = 15 * 60;
const main = byId("main");
const [accountChoice, policyChoice, readButton] = ["account", "policy", "read"].map(byId);
let [info, found] = [null, null];
// What "Read the chains now" is at, and why it failed last: that stands until the next success.
let [reading, trouble] = [null, null];
let drawn = { id: null, place: null };

const view = () => VIEWS.find(([id]) => id === location.hash.slice(1)) ?? VIEWS[0];

const drawNav = () => {
  const nav = fill(byId("views"), VIEWS.map(([id, title]) => h("a", { href: `#${id}`, "aria-current": id === view()[0] ? "page" : null }, title)));
  const [whole, tab] = [nav, nav.querySelector("[aria-current]")].map((one) => one.getBoundingClientRect());
  nav.scrollLeft += tab.left - whole.left - (whole.width - tab.width) / 2;
};

const drawFreshness = () => {
  const bar = byId("freshness");
  if (reading !== null) {
    bar.className = "freshness";
    return fill(bar, h("span", {}, `Reading the chains: ${reading}`));
  }
  const failed = trouble !== null && h("span", {}, `The reading at ${moment(trouble.at)} failed: ${trouble.reason}`);
  if (found === null) {
    bar.className = `freshness${failed ? " bad" : ""}`;
    return fill(bar, failed);
  }
  const oldest = Math.min(...found.asOf.map((a) => a.timestamp), found.cutTime);
  const old = Date.now() / 1000 - oldest > STALE_S;
  const bad = failed || !found.complete;
  bar.className = `freshness${bad ? " bad" : old || found.policyExpired ? " warn" : ""}`;
  return fill(bar,
    failed,
    h("span", {}, found.complete ? "Complete" : `NOT COMPLETE: ${[...found.failedChains.map((f) => `${chain(f.chain)} (${f.reason})`), ...found.missing].join("; ")}`),
    h("span", { title: moment(found.cutTime) }, `read ${ago(found.cutTime)}${old ? ", stale" : ""}`),
    h("span", {}, found.asOf.map((a) => `${chain(a.chain)} #${a.number}`).join(", ")),
    h("span", {}, `trust: ${found.trust ?? "–"}`),
    found.policyExpired && h("span", {}, "the policy has ended: its prices are old"));
};

const draw = async ({ focus = false } = {}) => {
  drawNav();
  drawFreshness();
  if (found === null) return;
  const [id, title, show] = view();
  document.title = `${title} · ${found.account} · counterfoil`;
  // Each drawing has a place of its own: what an earlier view still waits for is not put over this one.
  const place = h("div", {}, h("p", { class: "empty" }, "Loading …"));
  const again = drawn.id === id;
  drawn = { id, place };
  if (!again) fill(main, place);
  main.setAttribute("aria-busy", "true");
  try {
    await show(place, found, info);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    fill(place, notice("bad", error.message));
  }
  if (drawn.place !== place) return;
  if (again) fill(main, place);
  main.removeAttribute("aria-busy");
  if (focus) main.focus();
};

const load = async () => {
  const account = accountChoice.value;
  readButton.disabled = !account || reading !== null;
  readButton.title = account ? "" : "there is no account to read yet";
  if (!account) {
    [found, drawn] = [null, { id: null, place: null }];
    return fill(main, h("div", { class: "grid" }, card("No account yet", { class: "wide" },
      h("p", {}, "An account is a key on the service's machine and the addresses that signed for it."),
      h("p", {}, "Make one with ", h("code", {}, "counterfoil account create NAME"), ", then link its addresses here."))));
  }
  const policy = policyChoice.value ? `&policy=${policyChoice.value}` : "";
  try {
    found = await get(`/v1/accounts/${account}/health?expired=true${policy}`);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const bare = await get(`/v1/accounts/${account}`);
    found = { account, accountId: bare.accountId, report: null, asOf: [], failedChains: [], missing: [error.message], complete: false, cutTime: Date.now() / 1000, trust: null, explanation: [], policy: policyChoice.value, policyRoot: "", snapshot: "" };
  }
  return draw();
};

const drawCall = (event) => {
  if (event.kind !== "margin-call") return;
  const status = event.data.status ?? "called";
  const over = status === "covered" || status === "good";
  fill(byId("call"), !over && notice("bad", `Margin call on ${event.account ?? "an account"}: ${event.data.reason ?? status}${event.data.deadline ? `, to be met by ${moment(event.data.deadline)}` : ""}.`));
};

const askForKey = () => {
  const input = h("input", { type: "password", autocomplete: "off", required: true, "aria-label": "API key" });
  fill(main, h("div", { class: "grid" }, card("This service asks for a key", { class: "wide" },
    h("form", { class: "form", onsubmit: (event) => {
      event.preventDefault();
      setApiKey(input.value.trim());
      location.reload();
    } }, h("div", { class: "row" }, h("label", {}, "API key", input), h("button", { type: "submit", class: "primary" }, "Go on")),
    h("p", { class: "hint" }, "Made with counterfoil serve key create; it is kept in this tab only.")))));
};

const fillChoices = async () => {
  const [accounts, policies] = await Promise.all([list("/v1/accounts"), list("/v1/policies", 50)]);
  const chosen = [accountChoice.value || localStorage.getItem("counterfoil-account"), policyChoice.value];
  fill(accountChoice, accounts.map((a) => h("option", { value: a.name, selected: a.name === chosen[0] }, a.name)));
  fill(policyChoice, policies.map((p) => h("option", { value: p.id, selected: p.id === chosen[1] }, `${p.name}, epoch ${p.epoch}${p.expired ? " (ended)" : ""}`)));
};

const readNow = async () => {
  const account = accountChoice.value;
  const tell = (stage) => {
    reading = stage;
    drawFreshness();
  };
  readButton.disabled = true;
  tell("asked");
  try {
    const job = await post(`/v1/accounts/${account}/snapshots`, {});
    await follow(job, (now) => tell(now.stage));
    [reading, trouble] = [null, null];
    await load();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    trouble = account === accountChoice.value ? { at: Date.now() / 1000, reason: error.message } : null;
  }
  reading = null;
  readButton.disabled = !accountChoice.value;
  drawFreshness();
};

const heard = async (event) => {
  drawCall(event);
  const own = event.account === accountChoice.value;
  const quiet = view()[0] === "overview" || view()[0] === "history";
  if ((event.kind === "policy" || (own && event.kind === "snapshot")) && quiet && event.id > newest) {
    newest = event.id;
    if (event.kind === "snapshot") trouble = null;
    if (event.kind === "policy") {
      policyChoice.value = "";
      await fillChoices();
    }
    await load();
  }
};
let newest = 0;

const start = async () => {
  followTheme(byId("theme"));
  drawNav();
  addEventListener("hashchange", () => draw({ focus: true }));
  accountChoice.addEventListener("change", () => {
    localStorage.setItem("counterfoil-account", accountChoice.value);
    trouble = null;
    load();
  });
  policyChoice.addEventListener("change", load);
  readButton.addEventListener("click", readNow);
  try {
    info = await get("/v1/info");
    nameNetworks(info.networks);
    byId("about").textContent = `counterfoil ${info.version}, ${info.networks.map((n) => n.name).join(", ")}`;
    await fillChoices();
    await load();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    if (error.status === 401 || error.status === 403) return askForKey();
    return fill(main, notice("bad", error.message));
  }
  events(heard, (on) => {
    const live = byId("live");
    live.className = `live ${on ? "on" : "off"}`;
    live.textContent = on ? "live" : "not connected";
  });
  setInterval(drawFreshness, 10_000);
  return undefined;
};


start();
