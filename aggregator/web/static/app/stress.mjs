// Historical crashes and worse, replayed over the account, with what made the loss.

import { list, post } from "./api.mjs";
import { statusTag } from "./overview.mjs";
import { card, fill, h, health, notice, percent, table, usd } from "./dom.mjs";

const told = (moves) =>
  [...Object.entries(moves.spot ?? {}).map(([name, move]) => `${name === "*" ? "others" : name} ${percent(move)}`),
    ...["volatility", "skew", "basis", "correlation"].filter((name) => moves[name]).map((name) => `${name} ${moves[name]}`)].join(", ");

export const stress = async (place, found) => {
  if (found.report === null) return fill(place, notice("warn", "The snapshot is not complete, so nothing can be valued from it."));
  const replays = await list("/v1/stress-replays");
  const result = h("div", { "aria-live": "polite" }, h("p", { class: "empty" }, "Running …"));
  fill(place, h("div", { class: "grid" },
    card("Stress replays", { class: "wide" }, result),
    card("What is replayed", { class: "wide" }, table("Replays", [["Event"], ["Moves"], ["Source"]], replays.map((one) => [one.name, told(one.moves), one.source])))));
  if (replays.length === 0) return fill(result, h("p", { class: "empty" }, "No replays are configured."));
  try {
    const answer = await post(`/v1/accounts/${found.account}/stress`, { policy: found.policy, snapshot: found.snapshot, replays: replays.map((one) => one.name) }, { once: false });
    const rows = answer.results.map((one) => ({
      class: one.liquidated ? "fail-row" : "",
      cells: [
        h("details", {}, h("summary", {}, one.name),
          table(`${one.name} by factor`, [["By factor"], ["USD", true]], Object.entries(one.byFactor).map(([name, value]) => [name, usd(value)])),
          table(`${one.name} by class`, [["By class"], ["USD", true]], Object.entries(one.byClass).map(([name, value]) => [name, usd(value)])),
          table(`${one.name} by instrument`, [["By instrument"], ["USD", true]], one.instruments.map((i) => [i.symbol, usd(i.pnlUsd)])),
          one.notQuoted.length > 0 && h("p", { class: "hint" }, `Not quoted by the policy and left as they are: ${one.notQuoted.join(", ")}`)),
        usd(one.pnlUsd), usd(one.after.equityUsd), usd(one.after.mm.excessUsd), health(one.after.mm.health), statusTag(one.after.status),
      ],
    }));
    fill(result, table("Stress results", [["Event"], ["P&L USD", true], ["Equity after", true], ["Excess at MM", true], ["Health at MM", true], ["Then"]], rows));
  } catch (error) {
    fill(result, notice("bad", error.message));
  }
};
