// Compiles contracts/*.sol and prints {name: {abi, bytecode}} as JSON. Uses the solc of chains/contracts.

import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const solc = createRequire(join(here, "../../chains/contracts/package.json"))("solc");
const names = readdirSync(join(here, "contracts")).map((name) => `contracts/${name}`);
const sources = Object.fromEntries(names.map((name) => [name, { content: readFileSync(join(here, name), "utf8") }]));
const settings = {
  evmVersion: "prague",
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
};

function readImport(name) {
  try {
    return { contents: readFileSync(join(here, "node_modules", name), "utf8") };
  } catch (error) {
    return { error: `${name}: ${error.message}; run npm ci in ${here} first` };
  }
}

const input = JSON.stringify({ language: "Solidity", sources, settings });
const output = JSON.parse(solc.compile(input, { import: readImport }));
const errors = (output.errors ?? []).filter((e) => e.severity === "error");
if (errors.length > 0) {
  console.error(errors.map((e) => e.formattedMessage).join("\n"));
  process.exit(1);
}
const made = names.flatMap((name) => Object.entries(output.contracts[name] ?? {}));
console.log(
  JSON.stringify(Object.fromEntries(made.map(([name, { abi, evm }]) => [name, { abi, bytecode: evm.bytecode.object }]))),
);
