// How the account has been: every snapshot that was valued, incomplete ones named and left out of the lines.

import { lines } from "./charts.mjs";
import { list } from "./api.mjs";
import { card, chain, fill, h, health, moment, number, table, usd, usdUp } from "./dom.mjs";

export const history = async (place, found) => {
  const points = (await list(`/v1/accounts/${found.account}/history`, 300)).sort((a, b) => a.cutTime - b.cutTime);
  const whole = points.filter((p) => p.summary !== null);
  const of = (read) => whole.map((p) => [p.cutTime, number(read(p.summary))]);
  fill(place, h("div", { class: "grid" },
    card("Equity, excess and requirement", {}, lines("Equity, excess at IM and requirement at IM over time", [
      { name: "equity", class: "equity", points: of((s) => s.equityUsd) },
      { name: "excess at IM", class: "excess", points: of((s) => s.im.excessUsd) },
      { name: "requirement at IM", class: "requirement", points: of((s) => s.im.requirementUsd) },
    ])),
    card("Health at maintenance margin", {}, lines("Health at MM over time", [{ name: "health at MM", class: "equity", points: of((s) => s.mm.health ?? "0") }], (v) => v.toFixed(1))),
    card("Snapshots", { class: "wide" }, table("History", [["Cut"], ["Complete"], ["Equity", true], ["Requirement IM", true], ["Excess IM", true], ["Health IM", true], ["Health MM", true]],
      [...points].reverse().map((p) => p.summary === null
        ? [moment(p.cutTime), `no: ${p.failedChains.map((f) => chain(f.chain)).join(", ")}`, "–", "–", "–", "–", "–"]
        : [moment(p.cutTime), p.complete ? "yes" : "no", usd(p.summary.equityUsd), usdUp(p.summary.im.requirementUsd), usd(p.summary.im.excessUsd), health(p.summary.im.health), health(p.summary.mm.health)])))));
};
