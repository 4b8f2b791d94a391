// Joins the compiled commands, and the worker threads they start, to a few files: loading the 600 modules one by one took 0.2 s of each
// command. The library stays as tsc made it. Packages that the commands need are not taken in.
// Beside both goes what each start would generate anew.

import { chmodSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

/** As deep as dist/src/cli, from where commands find package.json; threads lie beside what starts them. */
const OUT = "dist/bundle/cli";
const commands = ["main", "xm"];
const threads = ["src/host/jit-worker-thread", "images/package/decompress-worker"];

rmSync("dist/bundle", { recursive: true, force: true });
await build({
  entryPoints: [...commands.map((name) => `src/cli/${name}`), ...threads].map((name) => `dist/${name}.js`),
  outdir: OUT,
  entryNames: "[name]",
  bundle: true,
  splitting: true,
  platform: "node",
  format: "esm",
  target: "node20",
  packages: "external",
  logLevel: "warning",
});
// Those that tsc made too: npx keeps the way to a command by folder, and it led there before there were bundles.
for (const name of commands) for (const folder of [OUT, "dist/src/cli"]) chmodSync(`${folder}/${name}.js`, 0o755);

const { makePreparedHandlers, PREPARED_HANDLERS_FILE } = await import("./dist/src/host/prepared-handlers.js");
const handlers = makePreparedHandlers();
for (const folder of [OUT, "dist/src/host"]) writeFileSync(`${folder}/${PREPARED_HANDLERS_FILE}`, handlers);
