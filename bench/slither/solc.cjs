#!/usr/bin/env node
// The native compiler's command line, as far as Slither uses it (`solc --combined-json .. file.sol`), over the pinned
// npm solc: no binary is downloaded, and the sources and imports are those that compile.mjs reads.

const { createRequire } = require("module");
const fs = require("fs");
const path = require("path");

const contracts = path.resolve(__dirname, "../../chains/contracts");
const solc = createRequire(path.join(contracts, "package.json"))("solc");
const args = process.argv.slice(2);
if (args.includes("--version")) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version()}`);
  process.exit(0);
}

const places = (name) => [path.join(contracts, name), path.join(contracts, "node_modules", name)];
const place = (name) => places(name).find((file) => fs.existsSync(file));
const read = (name) => (place(name) ? { contents: fs.readFileSync(place(name), "utf8") } : { error: `${name} is missing` });
const main = path.relative(contracts, path.resolve(args.find((argument) => argument.endsWith(".sol"))));
const code = ["object", "sourceMap"];
const outputs = ["abi", "evm.methodIdentifiers", "userdoc", "devdoc"].concat(
  code.map((part) => `evm.bytecode.${part}`),
  code.map((part) => `evm.deployedBytecode.${part}`),
);
const output = JSON.parse(
  solc.compile(
    JSON.stringify({
      language: "Solidity",
      sources: { [main]: { content: read(main).contents } },
      settings: {
        evmVersion: "prague",
        viaIR: true,
        optimizer: { enabled: true, runs: 200 },
        outputSelection: { "*": { "": ["ast"], "*": outputs } },
      },
    }),
    { import: read },
  ),
);
const errors = (output.errors ?? []).filter((error) => error.severity === "error");
if (errors.length > 0) {
  console.error(errors.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}

const combined = { contracts: {}, sources: {}, sourceList: [], version: solc.version() };
for (const [name, { ast }] of Object.entries(output.sources).sort(([, a], [, b]) => a.id - b.id)) {
  ast.absolutePath = place(name);
  for (const node of ast.nodes) if (node.absolutePath) node.absolutePath = place(node.absolutePath);
  combined.sourceList.push(place(name));
  combined.sources[place(name)] = { AST: ast };
}
for (const [name, found] of Object.entries(output.contracts)) {
  for (const [contract, { abi, evm, userdoc, devdoc }] of Object.entries(found)) {
    combined.contracts[`${place(name)}:${contract}`] = {
      abi,
      bin: evm.bytecode.object,
      "bin-runtime": evm.deployedBytecode.object,
      srcmap: evm.bytecode.sourceMap,
      "srcmap-runtime": evm.deployedBytecode.sourceMap,
      hashes: evm.methodIdentifiers,
      userdoc,
      devdoc,
    };
  }
}
console.log(JSON.stringify(combined));
