// Sliders over the market and changes to the book, valued at once by the same engine.
//
// A derivative that is opened at the mark changes two quantities: its own, and the cash (USD) that is paid for it.

import { get, post } from "./api.mjs";
import { healthGauge, statusTag, summaryFacts } from "./overview.mjs";
import { card, fill, h, health, notice, percent, quantity, table, usd, usdSigned, usdUp } from "./dom.mjs";

const WAIT_MS = 60;
const CASH = "USD";
const PAID_IN_CASH = ["perp", "future", "option"];
const [E8, E12] = [10n ** 8n, 10n ** 12n];

const e8 = (decimal) => {
  const [whole, part = ""] = decimal.replace("-", "").split(".");
  return (decimal.startsWith("-") ? -1n : 1n) * (BigInt(whole) * E8 + BigInt(part.padEnd(8, "0")));
};
const fromE8 = (value) => {
  const size = value < 0n ? -value : value;
  const part = (size % E8).toString().padStart(8, "0").replace(/0+$/, "");
  return `${value < 0n ? "-" : ""}${size / E8}${part && `.${part}`}`;
};

/** What a trade of `amount` (a decimal string) at a mark leaves in cash, rounded against the holder, as plans have it. */
export const cashLeg = (markE12, amount) => {
  const product = e8(amount) * BigInt(markE12);
  const up = product > 0n && product % E12 !== 0n ? 1n : 0n;
  return fromE8(-(product / E12 + up));
};

const slider = (name, label, low, high, step, format, changed) => {
  const output = h("output", {}, format(0));
  const input = h("input", { type: "range", min: low, max: high, step, value: 0, "aria-label": label });
  input.addEventListener("input", () => {
    output.textContent = format(Number(input.value));
    changed();
  });
  const reset = () => {
    input.value = 0;
    output.textContent = format(0);
  };
  return { name, row: h("div", { class: "slider" }, h("span", {}, label), input, output), value: () => Number(input.value), reset };
};

const signed = (x) => `${x > 0 ? "+" : ""}${percent(x, 0)}`;

export const before_after = (before, after) =>
  table("Before and after", [[""], ["Before", true], ["After", true]], [
    ["Equity", usd(before.equityUsd), usd(after.equityUsd)],
    ["Requirement at IM", usdUp(before.im.requirementUsd), usdUp(after.im.requirementUsd)],
    ["Requirement at MM", usdUp(before.mm.requirementUsd), usdUp(after.mm.requirementUsd)],
    ["Excess at IM", usd(before.im.excessUsd), usd(after.im.excessUsd)],
    ["Health at IM", health(before.im.health), health(after.im.health)],
    ["Health at MM", health(before.mm.health), health(after.mm.health)],
  ]);

export const whatIf = async (place, found) => {
  if (found.report === null) return fill(place, notice("warn", "The snapshot is not complete, so nothing can be valued from it."));
  const policy = await get(`/v1/policies/${found.policy}`);
  const movable = policy.canMove;
  const result = h("div", { "aria-live": "polite" });
  let [timer, running] = [null, null];
  const changes = new Map();

  const ask = async () => {
    running?.abort();
    running = new AbortController();
    const moves = {};
    const spot = Object.fromEntries(spots.filter((one) => one.value() !== 0).map((one) => [one.name, String(one.value())]));
    if (Object.keys(spot).length > 0) moves.spot = spot;
    for (const one of others) if (one.value() !== 0) moves[one.name] = String(one.value());
    const body = { policy: found.policy, snapshot: found.snapshot, changes: booked() };
    if (Object.keys(moves).length > 0) body.moves = moves;
    try {
      const answer = await post(`/v1/accounts/${found.account}/what-if`, body, { signal: running.signal, once: false });
      fill(result, h("div", { class: "hero" }, healthGauge(answer.after), h("div", {}, h("p", {}, statusTag(answer.after.status), ` equity changes by ${usdSigned(answer.equityChangeUsd)} USD`), before_after(answer.before, answer.after))));
    } catch (error) {
      if (error.name !== "AbortError") fill(result, notice("bad", error.message));
    }
  };
  const changed = () => {
    clearTimeout(timer);
    timer = setTimeout(ask, WAIT_MS);
  };

  const spots = movable ? Object.keys(policy.prices).map((name) => slider(name, `${name} price`, -0.8, 0.8, 0.01, signed, changed)) : [];
  const others = movable
    ? [
        slider("volatility", "Volatility", -0.5, 1.5, 0.05, signed, changed),
        slider("skew", "Skew", -0.3, 0.3, 0.01, signed, changed),
        slider("basis", "Basis", -0.3, 0.3, 0.01, signed, changed),
      ]
    : [];
  const listed = h("ul", { class: "plan-list" });
  const known = new Map(policy.policy.instruments.map((one) => [one.symbol, one]));
  const symbols = [...known.keys()];
  const atMark = h("input", { type: "checkbox", checked: true });
  const cashOf = (symbol, amount) => (atMark.checked && known.has(CASH) && PAID_IN_CASH.includes(known.get(symbol).kind) ? cashLeg(known.get(symbol).mark_e12, amount) : null);
  const booked = () => [...changes].flatMap(([symbol, amount]) => {
    const cash = cashOf(symbol, amount);
    return [{ symbol, quantity: amount }, ...(cash === null ? [] : [{ symbol: CASH, quantity: cash }])];
  });
  const choose = h("input", { list: "instruments", placeholder: "instrument", "aria-label": "Instrument" });
  const size = h("input", { inputmode: "decimal", placeholder: "+/− quantity", "aria-label": "Quantity to add" });
  const showChanges = () => fill(listed, [...changes].map(([symbol, amount]) =>
    h("li", {}, `${symbol} ${quantity(amount)} `, cashOf(symbol, amount) !== null && h("span", { class: "hint" }, `and ${usdSigned(cashOf(symbol, amount))} USD of cash `), h("button", { type: "button", class: "quiet", "aria-label": `Take ${symbol} out`, onclick: () => { changes.delete(symbol); showChanges(); changed(); } }, "×"))));
  const add = h("form", { class: "row", onsubmit: (event) => {
    event.preventDefault();
    const [symbol, amount] = [choose.value.trim(), size.value.trim().replace("−", "-").replace(/^\+/, "")];
    if (!symbols.includes(symbol) || !/^-?[0-9]{1,15}(\.[0-9]{1,8})?$/.test(amount)) {
      fill(result, notice("warn", "Choose an instrument of the policy and a quantity with at most 8 decimals."));
      return;
    }
    changes.set(symbol, amount);
    [choose.value, size.value] = ["", ""];
    showChanges();
    changed();
  } }, h("label", {}, "Instrument", choose, h("datalist", { id: "instruments" }, symbols.map((one) => h("option", { value: one })))), h("label", {}, "Change", size), h("button", { type: "submit" }, "Add"));

  atMark.addEventListener("change", () => { showChanges(); changed(); });
  fill(place, h("div", { class: "grid" },
    card("Move the market", {},
      h("div", { class: "form" },
        movable ? [...spots, ...others].map((one) => one.row) : notice("warn", "What this policy was built from is not kept here, so its market cannot be moved; positions can still be changed."),
        h("div", { class: "row" }, h("button", { type: "button", onclick: () => { [...spots, ...others].forEach((one) => one.reset()); changes.clear(); showChanges(); changed(); } }, "Back to now")))),
    card("Change the book", {}, h("div", { class: "form" }, add, listed,
      h("label", { class: "check" }, atMark, "opened at the mark: the cash (USD) of perps, futures and options is booked too"),
      h("p", { class: "hint" }, "Quantities are added to what is held."))),
    card("What it would be", { class: "wide" }, result)));
  await ask();
};
