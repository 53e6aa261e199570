// A venue's page: drop a bundle, see every check. The checks run here, in this browser; the service may be asked too.

import { checkBundle, formatUsd, parseBundle, uncompared, verificationKeyId } from "../verify/bundle.mjs";
import { FormatError, RefusedError } from "../verify/groth16.mjs";
import { Problem, get, list, post } from "./api.mjs";
import { byId, card, fill, h, moment, notice, shorten, table, until, usd } from "./dom.mjs";
import { followTheme } from "./theme.mjs";

const LARGEST = 1 << 20;
const MEANING = {
  audience: "made for this venue, chain and registry",
  expiry: "not past its end",
  freshness: "the snapshot is young enough",
  anchors: "every chain is pinned to a block",
  policy: "under a policy this venue accepts",
  attestations: "enough accepted attestors re-read the account",
  amount: "at least what is asked, at the level asked",
  key: "an accepted verification key",
  proof: "the zero-knowledge proof holds",
  pledges: "what is asked is free in the registry, or pledged to this venue",
};

let [venues, keys] = [[], []];
const [result, summary] = [h("div", { "aria-live": "polite" }), h("div", { class: "slot" })];
const rulesChoice = h("select");
const keyFile = h("input", { type: "file", accept: ".json,application/json" });
const rulesFile = h("input", { type: "file", accept: ".json,application/json" });
const askService = h("input", { type: "checkbox", checked: true });
let [ownKey, ownRules, current] = [null, null, null];

const mark = (passed) => (passed === null ? h("span", { class: "tag" }, "no answer") : h("span", { class: passed ? "pass" : "fail" }, passed ? "pass" : "FAIL"));

const rulesOf = (bundle) => {
  const venue = venues[Number(rulesChoice.value)];
  const given = keys.find((k) => k.id === bundle.circuit.verificationKey);
  const key = ownKey ?? given?.verificationKey;
  if (key === undefined) throw new FormatError(`the verification key ${bundle.circuit.verificationKey} is not known here; give its verification_key.json`);
  const base = ownRules ?? (rulesChoice.value === "" || venue === undefined ? { acceptDevKeys: true } : {
    venue: venue.venue,
    chainId: Number(venue.registry.split(":")[1]),
    registry: venue.registry.split(":")[2],
    amountUsd: venue.amountUsd,
    level: venue.level,
    attestors: venue.attestors,
    threshold: venue.threshold,
    coverages: venue.coverages,
    maxAgeS: venue.maxAgeSeconds,
    chains: venue.chains,
    leastTrust: venue.leastTrust,
    acceptDevKeys: venue.acceptDevKeys,
    policies: venue.policies,
  });
  return { ...base, verificationKey: key, ...(ownKey === null && given ? { keyKind: given.kind, circuit: given.circuit, circuitDigest: given.circuitDigest } : {}) };
};

const drawChecks = (here, service) => {
  const by = new Map((service?.checks ?? []).map((c) => [c.name, c]));
  const names = [...here.map((c) => c.name), ...(by.has("pledges") ? ["pledges"] : [])];
  const rows = names.map((name) => {
    const own = here.find((c) => c.name === name);
    const theirs = by.get(name);
    const detail = own?.detail ?? theirs?.detail ?? "";
    return [h("span", {}, name, h("small", { class: "hint" }, ` ${MEANING[name] ?? ""}`)), own ? mark(own.passed) : "–", ...(service ? [theirs ? mark(theirs.passed) : "–"] : []), h("span", { class: "detail" }, detail, theirs && own && theirs.passed !== own.passed ? ` (the service: ${theirs.detail})` : "")];
  });
  return table("Every condition of the bundle", [["Condition"], ["In this browser"], ...(service ? [["By the service"]] : []), ["Detail"]], rows);
};

const verdict = (bundle, good, open, service) => {
  if (!good) return notice("bad", "Refused: see what failed.");
  if (service && !service.good) return notice("bad", "Nothing failed here, and the service refuses it: see below.");
  if (open.length > 0) {
    return notice("warn", `No verdict: the proof holds, but your rules do not say ${open.join(", ")}, so these are only what the bundle says.`);
  }
  return notice("good", `Good for ${formatUsd(bundle.amount)} USD at ${bundle.level}.`);
};

const check = async (text, name) => {
  current = { text, name };
  fill(result, h("p", { class: "empty" }, "Checking …"));
  try {
    const bundle = parseBundle(text);
    const rules = rulesOf(bundle);
    const here = await checkBundle(bundle, rules, Math.floor(Date.now() / 1000));
    const good = here.every((c) => c.passed);
    const open = uncompared(rules);
    const venue = venues[Number(rulesChoice.value)];
    let [service, trouble] = [null, null];
    if (askService.checked && rulesChoice.value !== "" && venue) {
      try {
        service = await post("/v1/bundles/verify", { bundle: JSON.parse(text), venue: venue.id, registry: true }, { once: false });
      } catch (error) {
        if (!(error instanceof Problem)) throw error;
        trouble = error.message;
      }
    }
    fill(summary, card("What it says", {}, h("dl", { class: "facts" },
      [["Excess of at least", `${formatUsd(bundle.amount)} USD`, `at ${bundle.level}`],
        ["For venue", shorten(bundle.context.venue), `chain ${bundle.context.chainId}`],
        ["Expires", until(bundle.context.expiry), moment(bundle.context.expiry)],
        ["Read at", moment(bundle.context.cutTime), `${bundle.anchors.length} chains`],
        ["Policy", bundle.policy.name, `epoch ${bundle.policy.epoch}`],
        ["Key", bundle.circuit.key, bundle.circuit.name]]
        .map(([title, value, note]) => h("div", {}, h("dt", {}, title), h("dd", {}, value, h("small", {}, note))))),
      h("p", { class: "hint mono" }, `account 0x${bundle.signals[0].toString(16).padStart(64, "0")}`),
      h("p", { class: "hint" }, "Hidden: the positions, their chains and amounts, the equity, and how much more there is.")));
    fill(result,
      verdict(bundle, good, open, service),
      drawChecks(here, service),
      service?.standing && h("p", {}, `In the registry: ${usd(service.standing.pledgedUsd)} USD pledged to all venues, ${usd(service.standing.availableUsd)} USD still free.`),
      trouble && notice("warn", `The service was not of help: ${trouble}. What this browser found stands by itself.`));
  } catch (error) {
    const refused = error instanceof RefusedError;
    if (!(refused || error instanceof FormatError)) throw error;
    fill(summary);
    fill(result, notice("bad", `${refused ? "Refused: " : ""}${name}: ${error.message}.`));
  }
};

const readFile = async (file) => {
  if (file.size > LARGEST) {
    fill(result, notice("bad", `${file.name} is larger than a bundle can be (1 MiB).`));
    return;
  }
  await check(await file.text(), file.name);
};

const readJson = async (input) => {
  const file = input.files[0];
  if (file === undefined) return null;
  try {
    return JSON.parse(await file.text());
  } catch {
    fill(result, notice("bad", `${file.name} is not JSON.`));
    return null;
  }
};

const start = async () => {
  followTheme(byId("theme"));
  const input = h("input", { type: "file", accept: ".json,application/json", class: "visually-hidden", id: "bundle-file" });
  const drop = h("label", { class: "drop", for: "bundle-file" }, h("strong", {}, "Drop a bundle here"), h("br"), "or choose its file. It is checked in this browser and goes nowhere unless you ask the service.", input);
  input.addEventListener("change", () => input.files[0] && readFile(input.files[0]));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.toggle("over", kind === "dragover");
      if (kind === "drop" && event.dataTransfer.files[0]) readFile(event.dataTransfer.files[0]);
    });
  }
  const pasted = h("textarea", { rows: 3, placeholder: "or paste it", "aria-label": "Bundle as text" });
  pasted.addEventListener("input", () => pasted.value.trim() && check(pasted.value, "the pasted text"));
  const again = () => current && check(current.text, current.name);
  keyFile.addEventListener("change", async () => {
    ownKey = await readJson(keyFile);
    if (ownKey !== null) {
      try {
        byId("key-id").textContent = `its id is ${await verificationKeyId(ownKey)}`;
      } catch (error) {
        ownKey = null;
        byId("key-id").textContent = error.message;
      }
    }
    await again();
  });
  rulesFile.addEventListener("change", async () => {
    ownRules = await readJson(rulesFile);
    await again();
  });
  // A file that was changed on disk may be chosen again.
  for (const chooser of [input, keyFile, rulesFile]) chooser.addEventListener("click", () => { chooser.value = ""; });
  rulesChoice.addEventListener("change", again);
  askService.addEventListener("change", again);

  fill(byId("main"), h("div", { class: "grid" },
    card("The bundle", {}, drop, h("div", { class: "form" }, pasted)),
    card("Your rules", {}, h("div", { class: "form" },
      h("label", {}, "Rules of", rulesChoice),
      h("label", { class: "check" }, askService, "ask the service as well, with the pledges in the registry"),
      h("label", {}, "Your own verification_key.json", keyFile), h("p", { class: "hint mono", id: "key-id" }),
      h("label", {}, "Your own rules (JSON)", rulesFile),
      h("p", { class: "hint" }, "With your own key and rules nothing has to be believed of the service: signatures, hashes and the pairing are computed here."))),
    summary,
    card("Every check", { class: "wide" }, result)));
  fill(result, h("p", { class: "empty" }, "No bundle yet."));

  try {
    [venues, keys] = await Promise.all([list("/v1/venues"), list("/v1/verification-keys")]);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    fill(result, notice("warn", `The service gives no rules (${error.message}); use your own key and rules.`));
  }
  fill(rulesChoice, venues.map((v, i) => h("option", { value: i }, `${v.id} (${shorten(v.venue)})`)), h("option", { value: "" }, "nobody: only show what it says"));
  const wanted = /^#bundle=(0x[0-9a-f]{16})$/.exec(location.hash);
  if (wanted !== null) {
    try {
      await check(JSON.stringify(await get(`/v1/bundles/${wanted[1]}`)), wanted[1]);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      fill(result, notice("bad", error.message));
    }
  }
};

start();
