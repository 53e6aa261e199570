// Runs the page's own verifier over cases from a file: node check.mjs CASES.json
import { readFileSync } from "node:fs";
import { checkBundle, parseBundle, verificationKeyId } from "../../../aggregator/web/static/verify/bundle.mjs";
import { FormatError, RefusedError, parseVerificationKey, verify } from "../../../aggregator/web/static/verify/groth16.mjs";
import { keccak256 } from "../../../aggregator/web/static/verify/keccak.mjs";
import { recoverAddress } from "../../../aggregator/web/static/verify/secp256k1.mjs";

const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const run = {
  bundle: async ({ text, rules, now }) => {
    try {
      return { checks: await checkBundle(parseBundle(text), rules, now) };
    } catch (error) {
      if (error instanceof FormatError) return { malformed: error.message };
      if (error instanceof RefusedError) return { refused: error.message };
      throw error;
    }
  },
  proof: async ({ key, inputs, proof }) => {
    try {
      verify(parseVerificationKey(key), inputs.map(BigInt), proof);
      return true;
    } catch (error) {
      if (error instanceof FormatError || error instanceof RefusedError) return error.message;
      throw error;
    }
  },
  keyId: async (key) => verificationKeyId(key),
  keccak: async (hex) => Buffer.from(keccak256(bytes(hex))).toString("hex"),
  recover: async ({ digest, signature }) => recoverAddress(bytes(digest), bytes(signature)),
};

const cases = JSON.parse(readFileSync(process.argv[2], "utf8"));
const answers = [];
for (const [kind, value] of cases) answers.push(await run[kind](value));
console.log(JSON.stringify(answers));
