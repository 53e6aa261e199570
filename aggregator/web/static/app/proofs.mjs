// Make a proof with progress, share the bundle, bring it on chain, and see what venues have pledged.

import { follow, get, list, post } from "./api.mjs";
import { card, copyButton, download, fill, h, moment, notice, shorten, table, until, usd } from "./dom.mjs";

const STAGES = ["waiting", "attest", "circuit", "key", "witness", "prov", "done"];

const progressOf = (stage) => {
  const at = STAGES.findIndex((word) => stage.toLowerCase().includes(word));
  return at < 0 ? null : at / (STAGES.length - 1);
};

// Whoever made a dev key could forge proofs.
const keyTag = (kind) => h("span", { class: kind === "ceremony" ? "" : "tag", title: kind === "ceremony" ? "" : "whoever made this key could forge proofs" }, kind);

export const pledges = async (accountId) => {
  try {
    const found = await get(`/v1/registry/accounts/${accountId}`);
    return [
      h("dl", { class: "facts" },
        [["Proven and fresh", usd(found.firmUsd)], ["Pledged to venues", usd(found.pledgedUsd)], ["Still free to pledge", usd(found.availableUsd)], ["Status", found.status]]
          .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      found.deadline !== null && notice("bad", `A margin call runs until ${moment(found.deadline)}.`),
      table("Pledges by venue", [["Venue"], ["Pledged USD", true], ["Proven USD", true], ["Proof"], ["Good"]],
        found.pledges.map((p) => [h("span", { class: "mono", title: p.venue }, shorten(p.venue)), usd(p.amountUsd), usd(p.provenUsd), until(p.until), p.good ? h("span", { class: "pass" }, "yes") : h("span", { class: "fail" }, "no")])),
      h("p", { class: "hint mono" }, found.registry),
    ];
  } catch (error) {
    return h("p", { class: "empty" }, error.message);
  }
};

export const proofs = async (place, found, info) => {
  const venues = await list("/v1/venues");
  const listed = h("div");
  const told = h("div", { "aria-live": "polite" });
  const standing = h("div");

  const show = async () => {
    const bundles = await list(`/v1/accounts/${found.account}/proofs`, 100);
    fill(listed, bundles.length === 0 ? h("p", { class: "empty" }, "No proof yet.") : table("Bundles", [["Bundle"], ["States USD", true], ["Level"], ["For venue"], ["Made"], ["Expires"], ["Key"], ["", true]],
      bundles.map((b) => [
        h("span", { class: "mono" }, shorten(b.id)), usd(b.amountUsd), b.level, h("span", { class: "mono", title: b.venue }, shorten(b.venue)), moment(b.storedAt), b.expired ? h("span", { class: "tag" }, "expired") : until(b.expiry), keyTag(b.keyKind),
        h("span", {},
          h("button", { type: "button", class: "quiet", onclick: async () => download(`bundle-${b.id}.json`, JSON.stringify(await get(`/v1/bundles/${b.id}`))) }, "Save"),
          copyButton(`${location.origin}/venue#bundle=${b.id}`, "Link"),
          info.features.relayer && !b.expired && h("button", { type: "button", class: "quiet", onclick: (event) => submit(b, event.target) }, "Submit"))])));
  };
  const submit = async (bundle, button) => {
    button.disabled = true;
    try {
      const job = await post("/v1/intents", { bundle: bundle.id });
      await follow(job, (now) => fill(told, notice("", `Submitting ${shorten(bundle.id)}: ${now.stage}`), h("progress")));
      fill(told, notice("good", `The registry holds ${usd(bundle.amountUsd)} USD for venue ${shorten(bundle.venue)}.`));
    } catch (error) {
      fill(told, notice("bad", error.message));
    }
    button.disabled = false;
    fill(standing, await pledges(found.accountId));
  };

  const amount = h("input", { inputmode: "decimal", required: true, placeholder: "250000", name: "amount" });
  const level = h("select", { name: "level" }, h("option", {}, "IM"), h("option", {}, "MM"));
  const venue = h("select", { name: "venue" }, venues.map((v, i) => h("option", { value: i }, `${v.id} (${shorten(v.venue)})`)), h("option", { value: "" }, "another venue …"));
  const address = h("input", { placeholder: "0x… venue", pattern: "0x[0-9a-fA-F]{40}", title: "an address: 0x and 40 hex digits" });
  const registry = h("input", { placeholder: "eip155:1:0x… registry", pattern: "eip155:[0-9]+:0x[0-9a-fA-F]{40}", title: "a contract on a chain: eip155:CHAIN:0x and 40 hex digits" });
  const other = h("div", { class: "row", hidden: venues.length > 0 }, h("label", {}, "Venue", address), h("label", {}, "Registry (CAIP-10)", registry));
  venue.addEventListener("change", () => { other.hidden = venue.value !== ""; });
  const button = h("button", { type: "submit", class: "primary" }, "Make the proof");
  const form = h("form", { class: "form", onsubmit: async (event) => {
    event.preventDefault();
    button.disabled = true;
    const chosen = venues[Number(venue.value)];
    const to = venue.value !== "" && chosen ? { venue: chosen.venue, registry: chosen.registry } : { venue: address.value.toLowerCase(), registry: registry.value.toLowerCase() };
    try {
      const job = await post(`/v1/accounts/${found.account}/proofs`, { amountUsd: amount.value.trim(), level: level.value, policy: found.policy, snapshot: found.snapshot, ...to });
      const bar = h("progress", { max: 1 });
      const words = h("p", {}, "");
      fill(told, words, bar);
      const made = await follow(job, (now) => {
        words.textContent = now.stage;
        const share = progressOf(now.stage);
        if (share === null) bar.removeAttribute("value");
        else bar.value = share;
      });
      fill(told, notice("good", `Made bundle ${shorten(made.bundle)}: ${amount.value} USD at ${level.value}, with a ${made.keyKind} key. The positions stay hidden.`));
    } catch (error) {
      fill(told, notice("bad", error.message));
    }
    button.disabled = false;
    await show();
  } },
  h("div", { class: "row" }, h("label", {}, "Excess of at least, USD", amount), h("label", {}, "Level", level), h("label", {}, "For", venue)), other,
  h("div", { class: "row" }, button, h("span", { class: "hint" }, found.report ? `at most ${usd(found.report.im.excessUsd)} at IM can be proven` : "")), told);

  fill(place, h("div", { class: "grid" },
    card("Make a proof", {}, info.features.proving && found.report !== null ? form : notice("warn", found.report === null ? "No proof is made of an incomplete snapshot." : "This service makes no proofs.")),
    card("Pledges by venue", {}, standing),
    card("Bundles", { class: "wide" }, listed)));
  fill(standing, await pledges(found.accountId));
  await show();
};
