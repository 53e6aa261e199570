// Compiles every src/**/*.sol with solc and writes artifacts/<Contract>.json.
//
//   node compile.mjs [--out DIR]     DIR defaults to artifacts/ beside this file
//
// The output depends on the sources, the pinned solc and the pinned OpenZeppelin only: the metadata hash is left
// out of the bytecode, and source names are relative, so two machines get the same bytes.

import { createRequire } from "node:module";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const solc = createRequire(import.meta.url)("solc");
const here = dirname(fileURLToPath(import.meta.url));
const { values } = parseArgs({ options: { out: { type: "string" } } });
const outDir = resolve(values.out ?? join(here, "artifacts"));

const settings = {
  optimizer: { enabled: true, runs: 30000 },
  viaIR: true,
  evmVersion: "prague",
  metadata: { bytecodeHash: "none", appendCBOR: false },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"] } },
};

/** Paths of all .sol files under `dir`, relative to `here`, with forward slashes, sorted. */
function sourceNames(dir) {
  return readdirSync(dir, { recursive: true })
    .filter((name) => name.endsWith(".sol"))
    .map((name) => relative(here, join(dir, name)).split(sep).join("/"))
    .sort();
}

function readImport(name) {
  try {
    return { contents: readFileSync(join(here, name.startsWith("@") ? "node_modules" : ".", name), "utf8") };
  } catch (error) {
    return { error: `${name}: ${error.message}; run npm ci in ${here} first` };
  }
}

const names = sourceNames(join(here, "src"));
const sources = Object.fromEntries(names.map((name) => [name, { content: readFileSync(join(here, name), "utf8") }]));
const output = JSON.parse(
  solc.compile(JSON.stringify({ language: "Solidity", sources, settings }), { import: readImport }),
);

const problems = (output.errors ?? []).filter((e) => e.severity !== "info");
for (const problem of problems) console.error(problem.formattedMessage);
if (problems.length > 0) {
  console.error(`compile.mjs: ${problems.length} error(s) or warning(s); nothing was written`);
  process.exit(1);
}

const artifacts = new Map();
for (const source of names) {
  for (const [contractName, { abi, evm }] of Object.entries(output.contracts[source] ?? {})) {
    if (artifacts.has(contractName)) throw new Error(`two contracts are named ${contractName}; rename one`);
    artifacts.set(contractName, {
      contractName,
      abi,
      bytecode: `0x${evm.bytecode.object}`,
      deployedBytecode: `0x${evm.deployedBytecode.object}`,
      immutables: Object.values(evm.deployedBytecode.immutableReferences ?? {})
        .flat()
        .map(({ start, length }) => [start, length])
        .sort(([a], [b]) => a - b),
      solc: solc.version().replace(/\.Emscripten.*$/, ""),
    });
  }
}

mkdirSync(outDir, { recursive: true });
for (const name of readdirSync(outDir)) {
  if (name.endsWith(".json") && !artifacts.has(name.slice(0, -5))) rmSync(join(outDir, name));
}
for (const [name, artifact] of artifacts) {
  writeFileSync(join(outDir, `${name}.json`), `${JSON.stringify(artifact, null, 1)}\n`);
}
console.log(`compiled ${artifacts.size} contracts with solc ${solc.version()} into ${outDir}`);
