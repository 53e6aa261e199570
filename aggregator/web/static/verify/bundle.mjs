// A venue's own check of a bundle, in its own browser: nothing here asks a server, and nothing has to be believed of
// whoever served the page but these files. The conditions and their order are those of aggregator/service/venue.py.

import { R } from "./bn254.mjs";
import { FormatError, RefusedError, keyBytes, parseNumber, parseVerificationKey, verify } from "./groth16.mjs";
import { keccak256 } from "./keccak.mjs";
import { recoverAddress } from "./secp256k1.mjs";

export const SIGNALS = ["accountId", "commitment", "policyRoot", "requirementAndLevel", "context"];
const TRUST = ["reported", "single-rpc", "rpc-quorum", "sequencer-signed", "consensus-verified", "l1-finalized"];
const LEVELS = ["MM", "IM"];
const LEVEL_SHIFT = 80n;
const MAX_CLOCK_SKEW_S = 60;
const MAX_ATTESTATIONS = 64;
const MAX_BYTES = 1 << 20;
const MAX_TEXT = 200;

const text = new TextEncoder();
const hash = (string) => keccak256(text.encode(string));
const hex = (bytes) => `0x${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
const word = (number) => {
  const digits = BigInt(number).toString(16).padStart(64, "0");
  return Uint8Array.from(digits.match(/../g), (pair) => parseInt(pair, 16));
};
const join = (parts) => {
  const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  parts.reduce((at, part) => (out.set(part, at), at + part.length), 0);
  return out;
};

const DOMAIN_TYPE = hash("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
const domainOf = (chainId, registry) =>
  keccak256(join([DOMAIN_TYPE, hash("counterfoil"), hash("1"), word(chainId), word(registry)]));
const ATTESTATION = hash(
  "Attestation(uint256 accountId,uint256 commitment,bytes32 anchorsHash,uint64 cutTime,uint64 expiry,bytes32 coverage)",
);
const CONTEXT = hash("counterfoil/context/1");

const fail = (message) => {
  throw new FormatError(message);
};
const altered = (what, how = "altered") => {
  throw new RefusedError(`${what}; it has been ${how}: do not rely on it; ask the holder for a new one`);
};
const keys = (value, names, where) => {
  if (value === null || typeof value !== "object" || Array.isArray(value)) fail(`${where} is not an object`);
  const given = Object.keys(value).sort().join();
  if (given !== [...names].sort().join()) fail(`${where} has not exactly the fields ${names.join(", ")}`);
  return value;
};
// As the service reads texts: a control or bidirectional character could redraw what is shown beside it.
const UNPRINTABLE = /[\p{C}\p{Z}]/u;
const string = (value, where) => {
  if (typeof value !== "string" || value === "" || [...value].length > MAX_TEXT) fail(`${where} is not a text of 1 to ${MAX_TEXT} characters`);
  return UNPRINTABLE.test(value.replaceAll(" ", "")) ? fail(`${where} is not all printable characters`) : value;
};
const hexOf = (value, bytes, where) =>
  typeof value === "string" && new RegExp(`^0x[0-9a-f]{${2 * bytes}}$`).test(value) ? value : fail(`${where} is not ${bytes} bytes of lower-case hex`);
const integer = (value, where, low = 0) => (Number.isSafeInteger(value) && value >= low ? value : fail(`${where} is not a whole number from ${low}`));
const list = (value, where) => (Array.isArray(value) ? value : fail(`${where} is not a list`));

// "250000.5" -> 250000500000n
const parseUsd = (value, where) => {
  const match = /^(0|[1-9][0-9]{0,23})(?:\.([0-9]{1,6}))?$/.exec(string(value, where));
  if (match === null) fail(`${where} is not an amount in USD with at most 6 decimals`);
  return BigInt(match[1]) * 1000000n + BigInt((match[2] ?? "").padEnd(6, "0"));
};
// 250000500000n -> "250000.5", as bundles write it
const plainUsd = (amountE6) => {
  const part = (amountE6 % 1000000n).toString().padStart(6, "0").replace(/0+$/, "");
  return `${amountE6 / 1000000n}${part === "" ? "" : `.${part}`}`;
};
export const formatUsd = (amountE6) => {
  const [whole, part] = [amountE6 / 1000000n, (amountE6 % 1000000n).toString().padStart(6, "0")];
  return `${whole.toString().replace(/\B(?=(\d{3})+$)/g, ",")}.${part.replace(/0{1,4}$/, "")}`;
};

const anchorOf = (value, i) => {
  const where = `anchors[${i}]`;
  keys(value, ["chain", "number", "hash", "stateRoot", "timestamp", "finality", "trust"], where);
  const bound = 1n << 64n;
  parseNumber(value.number, bound, `${where}.number`);
  if (!/^[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}$/.test(string(value.chain, where))) fail(`${where}.chain is not a chain id`);
  if (!["finalized", "safe", "latest"].includes(value.finality)) fail(`${where}.finality is unknown`);
  if (!TRUST.includes(value.trust)) fail(`${where}.trust is unknown`);
  return {
    chain: value.chain,
    finality: value.finality,
    hash: hexOf(value.hash, 32, `${where}.hash`),
    number: value.number,
    stateRoot: hexOf(value.stateRoot, 32, `${where}.stateRoot`),
    timestamp: parseNumber(value.timestamp, bound, `${where}.timestamp`).toString(),
    trust: value.trust,
  };
};

/** keccak256 of the anchors' canonical JSON (RFC 8785: here all keys and values are ASCII, so sorting them is enough). */
const anchorsHash = (anchors) => {
  const sorted = [...anchors].sort((a, b) => (a.chain < b.chain ? -1 : 1));
  return hex(hash(JSON.stringify(sorted)));
};

const contextSignal = (c) => {
  const words = [CONTEXT, word(c.chainId), word(c.registry), word(c.venue), word(c.expiry), word(c.anchorsHash), word(c.cutTime)];
  return BigInt(hex(keccak256(join(words)))) >> 8n;
};

/**
 * Untrusted text into a bundle whose words agree with its signals. Throws FormatError when it is malformed, RefusedError
 * when its words are not those of its signals. The proof is not checked yet.
 */
export const parseBundle = (source) => {
  if (source.length > MAX_BYTES) fail("the bundle is larger than 1 MiB");
  let value;
  try {
    value = JSON.parse(source);
  } catch {
    fail("the bundle is not JSON");
  }
  keys(value, ["schema", "circuit", "statement", "public", "proof", "context", "policy", "anchors", "attestations"], "the bundle");
  if (value.schema !== "counterfoil/bundle/1") fail("the bundle's schema is not counterfoil/bundle/1");
  const circuit = keys(value.circuit, ["name", "digest", "key", "verificationKey"], "circuit");
  string(circuit.name, "circuit.name");
  hexOf(circuit.digest, 32, "circuit.digest");
  hexOf(circuit.verificationKey, 32, "circuit.verificationKey");
  if (!["dev", "ceremony"].includes(circuit.key)) fail("circuit.key is neither dev nor ceremony");
  keys(value.public, SIGNALS, "public");
  const signals = SIGNALS.map((name) => parseNumber(value.public[name], R, `public.${name}`));
  const [amount, level] = [signals[3] & ((1n << LEVEL_SHIFT) - 1n), signals[3] >> LEVEL_SHIFT];
  if (level > 1n) fail("public.requirementAndLevel is above 2^81");
  const context = keys(value.context, ["chainId", "registry", "venue", "expiry", "anchorsHash", "cutTime"], "context");
  integer(context.chainId, "context.chainId", 1);
  hexOf(context.registry, 20, "context.registry");
  hexOf(context.venue, 20, "context.venue");
  integer(context.expiry, "context.expiry");
  hexOf(context.anchorsHash, 32, "context.anchorsHash");
  integer(context.cutTime, "context.cutTime");
  const policy = keys(value.policy, ["name", "publisher", "epoch", "asOf", "expires"], "policy");
  ["name", "publisher"].forEach((name) => string(policy[name], `policy.${name}`));
  ["epoch", "asOf", "expires"].forEach((name) => integer(policy[name], `policy.${name}`));
  const anchors = list(value.anchors, "anchors").map(anchorOf);
  if (new Set(anchors.map((a) => a.chain)).size !== anchors.length) fail("two anchors are of one chain");
  const attestations = list(value.attestations, "attestations").map((each, i) => {
    keys(each, ["attestor", "expiry", "coverage", "signature"], `attestations[${i}]`);
    hexOf(each.attestor, 20, `attestations[${i}].attestor`);
    integer(each.expiry, `attestations[${i}].expiry`);
    hexOf(each.coverage, 32, `attestations[${i}].coverage`);
    hexOf(each.signature, 65, `attestations[${i}].signature`);
    return each;
  });
  if (attestations.length > MAX_ATTESTATIONS) fail(`more than ${MAX_ATTESTATIONS} attestations`);
  const statement = keys(value.statement, ["amountUsd", "level"], "statement");
  string(statement.amountUsd, "statement.amountUsd");
  if (!LEVELS.includes(statement.level)) fail("statement.level is neither IM nor MM");
  const [proven, at] = [plainUsd(amount), LEVELS[Number(level)]];
  if (statement.amountUsd !== proven || statement.level !== at) {
    altered(`the bundle states ${statement.amountUsd} USD at ${statement.level}, but its public signal says ${proven} at ${at}`);
  }
  if (anchorsHash(anchors) !== context.anchorsHash) {
    altered("the bundle's anchors do not hash to its context's anchorsHash");
  }
  if (contextSignal(context) !== signals[4]) {
    altered("the bundle's context (venue, chain, registry, expiry, anchors, cut) is not the one its proof is bound to", "altered or made for somebody else");
  }
  return { circuit, signals, amount, level: LEVELS[Number(level)], context, policy, anchors, attestations, proof: value.proof };
};

const attestor = (bundle, attestation) => {
  const struct = keccak256(
    join([
      ATTESTATION,
      word(bundle.signals[0]),
      word(bundle.signals[1]),
      word(bundle.context.anchorsHash),
      word(bundle.context.cutTime),
      word(attestation.expiry),
      word(attestation.coverage),
    ]),
  );
  const digest = keccak256(join([Uint8Array.of(0x19, 0x01), domainOf(bundle.context.chainId, bundle.context.registry), struct]));
  return recoverAddress(digest, Uint8Array.from(attestation.signature.slice(2).match(/../g), (pair) => parseInt(pair, 16)));
};

const refuse = (message) => {
  throw new RefusedError(message);
};

/** The attestors that signed, as the registry counts them: those alike in expiry and coverage, the largest such set. */
const attestedAlike = (attestations) => {
  const sets = new Map();
  for (const each of attestations) {
    const same = `${each.expiry} ${each.coverage}`;
    sets.set(same, [...(sets.get(same) ?? []), each]);
  }
  const ordered = [...sets.values()].sort(([a], [b]) => a.expiry - b.expiry || (a.coverage < b.coverage ? -1 : 1));
  return ordered.reduce((best, set) => (set.length > best.length ? set : best), []);
};

/** SHA-256 of a verification_key.json's bytes, by which bundles and registries name it. */
export const verificationKeyId = async (json) => {
  const digest = await crypto.subtle.digest("SHA-256", keyBytes(parseVerificationKey(json)));
  return hex(new Uint8Array(digest));
};

const CONDITIONS = [
  ["audience", ({ context }, rules) => {
    for (const name of ["venue", "chainId", "registry"]) {
      const [given, own] = [String(context[name]), rules[name] === undefined ? undefined : String(rules[name]).toLowerCase()];
      if (own !== undefined && given !== own) refuse(`the proof is for ${name} ${given}, not ${own}`);
    }
    return `venue ${context.venue} on chain ${context.chainId}`;
  }],
  ["expiry", ({ context }, _, now) => {
    const left = context.expiry - now;
    return left < 0 ? refuse(`the proof expired ${-left} s ago`) : `${left} s left`;
  }],
  ["freshness", ({ context }, { maxAgeS }, now) => {
    const age = now - context.cutTime;
    if (maxAgeS !== undefined && age > maxAgeS) refuse(`the snapshot is ${age} s old and ${maxAgeS} s are accepted`);
    if (age < -MAX_CLOCK_SKEW_S) refuse(`the snapshot's cut lies ${-age} s in the future; check both clocks`);
    return `cut ${Math.max(age, 0)} s ago`;
  }],
  ["anchors", ({ anchors, context }, { chains = [], leastTrust = "single-rpc" }) => {
    const absent = chains.find((chain) => !anchors.some((anchor) => anchor.chain === chain));
    if (absent !== undefined) refuse(`no block of ${absent} is anchored; the snapshot did not read that chain`);
    for (const anchor of anchors) {
      if (TRUST.indexOf(anchor.trust) < TRUST.indexOf(leastTrust)) refuse(`the block of ${anchor.chain} is vouched for by ${anchor.trust}, below ${leastTrust}`);
      if (BigInt(anchor.timestamp) > BigInt(context.cutTime)) refuse(`the block of ${anchor.chain} is later than the cut`);
    }
    return `${anchors.length} chains`;
  }],
  ["policy", ({ signals, policy }, { policies }, now) => {
    const root = `0x${signals[2].toString(16).padStart(64, "0")}`;
    if (policies !== undefined) {
      const known = policies.find((each) => BigInt(each.root) === signals[2]);
      if (known === undefined) refuse(`the policy root ${root} is not one this venue accepts`);
      for (const name of ["name", "publisher", "epoch", "asOf", "expires"]) {
        if (known[name] !== undefined && known[name] !== policy[name]) refuse(`the bundle's policy ${name} is not that of its root; it has been altered`);
      }
    }
    if (now > policy.expires) refuse(`the policy ${policy.name} ran out ${now - policy.expires} s ago`);
    return policies === undefined ? `${policy.name}, epoch ${policy.epoch}, root ${root}: compare it yourself` : `${policy.name}, epoch ${policy.epoch}`;
  }],
  ["attestations", (bundle, { attestors, threshold, coverages }, now) => {
    const alike = attestedAlike(bundle.attestations);
    const good = new Set();
    for (const each of alike) {
      const signer = attestor(bundle, each);
      if (signer !== each.attestor) refuse(`an attestation claims ${each.attestor} and is not signed by it; it has been altered`);
      if (attestors !== undefined && !attestors.some((a) => a.toLowerCase() === signer)) continue;
      if (each.expiry < now) refuse(`the attestation of ${signer} expired ${now - each.expiry} s ago`);
      good.add(signer);
    }
    const needed = threshold ?? 1;
    if (good.size < needed) refuse(`${good.size} of the ${needed} attestations needed are there`);
    if (coverages !== undefined && !coverages.includes(alike[0].coverage)) refuse(`the attestors read the coverage ${alike[0].coverage}, which this venue does not accept`);
    const who = [...good].join(", ");
    return attestors === undefined ? `signed by ${who}: compare them yourself` : `${good.size} of ${attestors.length} attestors, ${needed} needed`;
  }],
  ["amount", ({ amount, level }, { amountUsd, level: wanted }) => {
    if (wanted === "IM" && level !== "IM") refuse("the proof is at MM, not IM");
    if (amountUsd !== undefined && amount < parseUsd(amountUsd, "the amount asked for")) refuse(`the proof is good for ${formatUsd(amount)} USD, not the ${amountUsd} asked for`);
    return `${formatUsd(amount)} USD at ${level}`;
  }],
  ["key", async ({ circuit }, { verificationKey, keyKind, circuit: ofCircuit, circuitDigest, acceptDevKeys = false }) => {
    const id = await verificationKeyId(verificationKey);
    if (id !== circuit.verificationKey) refuse(`the bundle is made with the key ${circuit.verificationKey}, and the one given is ${id}`);
    for (const [what, called, known] of [["circuit", circuit.name, ofCircuit], ["circuit's digest", circuit.digest, circuitDigest], ["key", circuit.key, keyKind]]) {
      if (known !== undefined && known !== called) refuse(`the bundle calls its ${what} ${called}, but by the verification key it is ${known}; it has been altered`);
    }
    if (circuit.key === "dev" && !acceptDevKeys) refuse("the proof is made with a dev key, whose maker could forge proofs");
    return `${circuit.name}, ${circuit.key} key`;
  }],
  ["proof", ({ signals, proof }, { verificationKey }) => {
    verify(parseVerificationKey(verificationKey), signals, proof);
    return "the statement holds";
  }],
];

const NEEDED = ["venue", "chainId", "registry", "maxAgeS", "policies", "attestors", "threshold", "coverages", "circuit", "circuitDigest", "keyKind"];

/**
 * What of a venue's rules is missing, so that passing every condition is no verdict yet: whoever made the bundle chose
 * these. A policy's end is among them, because a proof binds the root only.
 */
export const uncompared = (rules) => [
  ...NEEDED.filter((name) => rules[name] === undefined),
  ...((rules.policies ?? []).some((each) => each.expires === undefined) ? ["policies' expires"] : []),
];

/**
 * Every condition of a bundle, none skipped: [{name, passed, detail}].
 *
 * rules: verificationKey (verification_key.json, required) and whatever of these the venue has: venue, chainId,
 * registry, maxAgeS, chains, leastTrust, policies [{root, name, ..}], attestors, threshold, coverages, amountUsd,
 * level, circuit, circuitDigest, keyKind, acceptDevKeys. What is left out is shown and not compared. `now` is Unix seconds.
 */
export const checkBundle = async (bundle, rules, now) => {
  const checks = [];
  for (const [name, condition] of CONDITIONS) {
    try {
      checks.push({ name, passed: true, detail: await condition(bundle, rules, now) });
    } catch (error) {
      if (!(error instanceof FormatError || error instanceof RefusedError)) throw error;
      checks.push({ name, passed: false, detail: error.message });
    }
  }
  return checks;
};
