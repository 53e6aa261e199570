// One glance: how good the account is, what is missing or stale, and where every dollar of the requirement comes from.

import { gauge, scenarios, shares, waterfall } from "./charts.mjs";
import { get } from "./api.mjs";
import { card, chain, chainName, fill, h, health, number, percent, quantity, shorten, table, usd, usdUp } from "./dom.mjs";

const GAUGE_MOST = 4;
const BANDS = [[0, "bad"], [1, "warn"], [1.5, "good"]];
const STATUS = {
  good: ["good", "good"],
  restricted: ["warn", "restricted: below initial margin, nothing new can be opened"],
  liquidatable: ["bad", "liquidatable: below maintenance margin"],
};

export const statusTag = (status) => h("span", { class: `tag ${STATUS[status]?.[0] ?? ""}` }, STATUS[status]?.[1] ?? status);

/** Equity, requirements and excess, with the gauge. `saved` is left out where it is not known. */
export const summaryFacts = (summary, saved) =>
  h(
    "dl",
    { class: "facts" },
    [
      ["Equity", usd(summary.equityUsd), "net value of everything, debts taken off"],
      ["Initial margin (IM)", usdUp(summary.im.requirementUsd), "needed to open"],
      ["Maintenance margin (MM)", usdUp(summary.mm.requirementUsd), "needed to keep"],
      ["Excess at IM", usd(summary.im.excessUsd), `${usd(summary.mm.excessUsd)} at MM`],
      ["Health at IM", health(summary.im.health), `${health(summary.mm.health)} at MM; below 1 is too little`],
      saved && ["Saved by cross margin", usd(saved.saved), `isolated it would need ${usdUp(saved.isolated)}`],
    ].filter(Boolean).map(([name, value, note]) => h("div", {}, h("dt", {}, name), h("dd", {}, value, h("small", {}, note)))),
  );

export const summaryOf = (report) => ({ status: report.status, equityUsd: report.equityUsd, im: report.im, mm: report.mm });

export const healthGauge = (summary) => {
  const value = summary.mm.health === null ? GAUGE_MOST : number(summary.mm.health);
  return gauge("health at maintenance margin", value, health(summary.mm.health), GAUGE_MOST, BANDS);
};

const chains = (report) =>
  card("By chain", {}, table("By chain", [["Chain"], ["Assets", true], ["Debts", true], ["Net USD", true]], report.chains.map((c) => [chain(c.chain), usd(c.assetsUsd), usd(c.debtsUsd), usd(c.netUsd)])));

const classes = ({ im }) =>
  card("By risk class", {},
    table("By risk class", [["Class"], ["Scan risk USD", true], ["Worst scenario"]], [
      ...im.classes.map((c) => [c.class, usdUp(c.scanRiskUsd), c.bindingScenario]),
      { class: "total", cells: ["Together", usdUp(im.correlatedScanUsd), `correlation credit ${usd(im.correlationCreditUsd)}`] },
    ]));

const assets = (report) =>
  card("By asset", {},
    table("Haircuts by asset, on the net over all chains", [["Asset"], ["Net", true], ["Haircut IM", true], ["MM", true]],
      report.im.groups.map((g, i) => [g.group, quantity(g.net), usdUp(g.chargeUsd), usdUp(report.mm.groups[i].chargeUsd)])),
    h("p", { class: "hint" }, "One haircut for the net quantity over all chains, more for larger sizes."));

const positions = (report) =>
  card("Positions", { class: "wide" },
    table("Positions", [["Instrument"], ["Kind"], ["Chain"], ["Quantity", true], ["Mark USD", true], ["Value USD", true]],
      [...report.positions].sort((a, b) => Math.abs(number(b.valueUsd)) - Math.abs(number(a.valueUsd)))
        .map((p) => [p.symbol, p.kind, chain(p.chain), quantity(p.quantity), usd(p.markUsd), usd(p.valueUsd)])));

const profile = (report) => {
  const select = h("select", { "aria-label": "Risk class" }, report.im.classes.map((c) => h("option", {}, c.class)));
  const place = h("div");
  const draw = () => {
    const chosen = report.im.classes[select.selectedIndex];
    if (chosen === undefined) return fill(place, h("p", { class: "empty" }, "No risk class is held."));
    const points = chosen.scenarios.map((one) => ({ name: one.name, value: number(one.pnlUsd), text: usd(one.pnlUsd) }));
    return fill(place, scenarios(`P&L of ${chosen.class} over ${points.length} scenarios`, points),
      h("p", { class: "hint" }, `Worst: ${chosen.bindingScenario}, ${usdUp(chosen.scanRiskUsd)} USD. It is what the class needs before correlation.`));
  };
  select.addEventListener("change", draw);
  draw();
  return card("Scan risk: P&L over scenarios", { aside: select }, place);
};

const haircuts = (found) => {
  const select = h("select", { "aria-label": "Level" }, h("option", { value: "im" }, "IM"), h("option", { value: "mm" }, "MM"));
  const place = h("div");
  const draw = () => {
    // Many small steps of one kind read better as one.
    const steps = [];
    for (const step of found.waterfall[select.value]) {
      const last = steps.at(-1);
      const small = step.group === "addon" && last?.group === "addon";
      if (small) {
        last.amount += number(step.amountUsd);
        last.text = last.amount.toFixed(2);
        last.name = "add-ons";
      } else {
        const text = step.kind === "plus" ? usd(step.amountUsd) : usdUp(step.amountUsd);
        const name = step.group === "scan" ? `scan risk ${step.name}` : step.group === "haircut" ? `haircut ${step.name}` : step.group === "debts" ? `debts ${chainName(step.name)}` : chainName(step.name);
        steps.push({ ...step, name, amount: number(step.amountUsd), text });
      }
    }
    fill(place, waterfall("From assets to excess", steps.filter((step) => step.group !== "requirement")));
  };
  select.addEventListener("change", draw);
  draw();
  return card("Where it goes: assets to excess", { aside: select }, place);
};

const isolated = ({ im }) => {
  const [together, apart] = [number(im.requirementUsd), number(im.isolatedRequirementUsd)];
  return card("Isolated versus cross", {},
    shares("Requirement together and saved", [
      { name: "needed together", value: together, text: usdUp(im.requirementUsd), class: "hue-0" },
      { name: "saved", value: Math.max(0, apart - together), text: usd(im.capitalSavedUsd), class: "hue-5" },
    ]),
    h("p", { class: "hint" }, `Position by position the same book would need ${usdUp(im.isolatedRequirementUsd)} USD.`),
    h("details", {}, h("summary", {}, "By position"),
      table("Isolated requirement by position", [["Instrument"], ["USD", true]], im.isolated.map((one) => [one.symbol, usdUp(one.requirementUsd)]))));
};

const greeks = ({ greeks: rows, greeksMissing }) =>
  card("Greeks", {},
    rows === null
      ? h("p", { class: "empty" }, greeksMissing ?? "Not known for this policy.")
      : table("Greeks in USD", [["Class"], ["Delta", true], ["Gamma", true], ["Vega", true], ["Theta", true]],
        rows.map((g) => [g.class, usd(g.deltaUsd), usd(g.gammaUsd), usd(g.vegaUsd), usd(g.thetaUsd)])),
    h("p", { class: "hint" }, "Delta: USD for a move of the asset by its own price; gamma and vega per 1 %; theta per day."));

/** Liquidation distance per asset; loaded by itself, as it searches for roots. */
const liquidation = (account, policy) => {
  const place = h("div", {}, h("p", { class: "empty" }, "Looking for the prices …"));
  get(`/v1/accounts/${account}/liquidation?policy=${policy}`).then((found) => {
    const rows = found.assets.flatMap((asset) =>
      asset.liquidations.length === 0
        ? [[asset.asset, usd(asset.priceUsd), "none found", "–"]]
        : asset.liquidations.map((one) => [asset.asset, usd(asset.priceUsd), usd(one.priceUsd), h("span", { class: Math.abs(number(one.distance)) < 0.2 ? "bad-text" : "" }, percent(one.distance))]));
    fill(place, table("Liquidation prices", [["Asset"], ["Price now", true], ["Liquidated at", true], ["Distance", true]], rows));
  }).catch((error) => fill(place, h("p", { class: "empty" }, error.message)));
  return card("Liquidation distance per asset", {}, place, h("p", { class: "hint" }, "All else as it is; the whole book is valued again at each price."));
};

const E6 = (value) => (value === null || value === undefined ? null : `${BigInt(value) < 0n ? "-" : ""}${(BigInt(value) < 0n ? -BigInt(value) : BigInt(value)).toString().padStart(7, "0").replace(/(\d{6})$/, ".$1")}`);

const rulebooks = (account, policy) => {
  const place = h("div", {}, h("p", { class: "empty" }, "Valuing under other venues' rules …"));
  get(`/v1/accounts/${account}/health?policy=${policy}&rulebook=all`).then((found) => {
    const rows = found.rulebooks.map((book) => {
      const level = book.levels.IM ?? Object.values(book.levels)[0] ?? {};
      return [book.name, usdUp(E6(level.requirementE6)), usd(E6(level.excessE6)), level.healthE6 === null ? "∞" : health(E6(level.healthE6)), usdUp(E6(level.isolatedRequirementE6)), level.binding ?? ""];
    });
    fill(place,
      table("Margin under several rulebooks", [["Rulebook"], ["Requirement", true], ["Excess", true], ["Health", true], ["Isolated", true], ["What binds"]], rows),
      found.rulebooksRefused.length > 0 && h("details", {}, h("summary", {}, `${found.rulebooksRefused.length} cannot value this account`), h("ul", {}, found.rulebooksRefused.map((one) => h("li", {}, `${one.name}: ${one.reason}`)))));
  }).catch((error) => fill(place, h("p", { class: "empty" }, error.message)));
  return card("Margin under several rulebooks", { class: "wide" }, place);
};

const words = (lines) => card("In words", {}, h("details", {}, h("summary", {}, "Every number with its arithmetic"), h("pre", { class: "scroll mono" }, lines.join("\n"))));

export const overview = (place, found) => {
  const { report } = found;
  if (report === null) {
    fill(place, h("div", { class: "grid" }, card("No total is shown", { class: "wide" },
      h("p", {}, "The snapshot is not complete: what was not read is not zero, it is unknown."),
      h("ul", {}, [...found.failedChains.map((f) => `${chain(f.chain)}: ${f.reason}`), ...found.missing].map((line) => h("li", {}, line))),
      h("p", { class: "hint" }, "Read the chains again when they answer."))));
    return;
  }
  fill(place, h("div", { class: "grid" },
    card("Health", { class: "wide", aside: statusTag(report.status) },
      h("div", { class: "hero" }, healthGauge(report), summaryFacts(summaryOf(report), { saved: report.im.capitalSavedUsd, isolated: report.im.isolatedRequirementUsd }))),
    haircuts(found), profile(report),
    chains(report), assets(report), classes(report), liquidation(found.account, found.policy),
    isolated(report), greeks(found),
    rulebooks(found.account, found.policy),
    positions(report),
    card("Account", {}, h("dl", { class: "facts" },
      h("div", {}, h("dt", {}, "Account id"), h("dd", { class: "mono", title: found.accountId }, shorten(found.accountId))),
      h("div", {}, h("dt", {}, "Policy root"), h("dd", { class: "mono", title: found.policyRoot }, shorten(found.policyRoot))),
      h("div", {}, h("dt", {}, "Snapshot"), h("dd", { class: "mono" }, shorten(found.snapshot))))),
    words(found.explanation)));
};
