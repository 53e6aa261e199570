// Plans: what to move or trade, within the owner's limits, and how the account would be before and after.

import { post } from "./api.mjs";
import { before_after } from "./what_if.mjs";
import { card, chain, fill, h, notice, quantity, table, usdUp } from "./dom.mjs";

const KINDS = [["hedge", "Hedge: lower the requirement by trading"], ["rebalance", "Rebalance: move collateral between chains"]];

// Only moves lead from one place to another.
const place_of = (symbol) => symbol?.replace(/@(.+)$/, (_, id) => ` on ${chain(id)}`) ?? "";
const stepsTable = (steps) => {
  const moves = steps.some((step) => step.from ?? step.to);
  return table("Steps", [["Step"], ...(moves ? [["From"], ["To"]] : []), ["Quantity", true], ["Cost USD", true]],
    steps.map((step) => [step.text, ...(moves ? [place_of(step.from), place_of(step.to)] : []), quantity(step.quantity), usdUp(step.costUsd)]));
};

export const plans = async (place, found) => {
  if (found.report === null) return fill(place, notice("warn", "The snapshot is not complete, so nothing can be planned from it."));
  const result = h("div", { "aria-live": "polite" });
  const kind = h("select", {}, KINDS.map(([value, text]) => h("option", { value }, text)));
  const most = h("input", { inputmode: "decimal", placeholder: "no limit", "aria-label": "Most to trade or move, USD" });
  const button = h("button", { type: "submit", class: "primary" }, "Plan");
  const ask = async () => {
    button.disabled = true;
    fill(result, h("p", { class: "empty" }, "Looking for a plan …"));
    try {
      const body = { kind: kind.value, policy: found.policy, snapshot: found.snapshot };
      if (most.value.trim()) body.limitUsd = most.value.trim();
      const answer = await post(`/v1/accounts/${found.account}/plans`, body, { once: false });
      fill(result,
        answer.steps.length === 0 ? notice("good", answer.reason) : [
          h("p", {}, answer.reason),
          stepsTable(answer.steps),
          before_after(answer.before, answer.after),
        ],
        h("p", { class: "hint" }, "A plan is only shown. Nothing is traded or moved."));
    } catch (error) {
      fill(result, notice("bad", error.message));
    }
    button.disabled = false;
  };
  const form = h("form", { class: "form", onsubmit: (event) => { event.preventDefault(); ask(); } },
    h("div", { class: "row" }, h("label", {}, "What", kind), h("label", {}, "At most, USD", most), button));
  fill(place, h("div", { class: "grid" }, card("Plan", { class: "wide" }, form, result)));
  await ask();
};
