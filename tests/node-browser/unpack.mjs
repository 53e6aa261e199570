// Unpacks the package's Chromium and the libraries it needs into a folder, and says where: node unpack.mjs FOLDER
import { createReadStream, existsSync, mkdirSync } from "node:fs";
import { chmod, rename, writeFile } from "node:fs/promises";
import { createBrotliDecompress } from "node:zlib";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buffer } from "node:stream/consumers";
import { spawnSync } from "node:child_process";

const packed = join(dirname(fileURLToPath(import.meta.url)), "node_modules", "@sparticuz", "chromium", "bin");
const folder = process.argv[2];
mkdirSync(folder, { recursive: true });
const unpacked = (name) => buffer(createReadStream(join(packed, name)).pipe(createBrotliDecompress()));

const browser = join(folder, "chromium");
if (!existsSync(browser)) {
  for (const name of ["al2023.tar.br", "swiftshader.tar.br"]) {
    const done = spawnSync("tar", ["-xf", "-", "-C", folder], { input: await unpacked(name) });
    if (done.status !== 0) throw new Error(`${name} cannot be unpacked: ${done.stderr}`);
  }
  await writeFile(`${browser}.part`, await unpacked("chromium.br"));
  await chmod(`${browser}.part`, 0o755);
  await rename(`${browser}.part`, browser);
}
console.log(JSON.stringify({ browser, libraries: join(folder, "lib") }));
