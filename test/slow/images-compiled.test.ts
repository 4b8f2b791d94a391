// Image building as users run it, compiled: decompression happens in a worker thread, so the event loop stays alive, and a caller's
// abort stops it in the middle. (From the TypeScript sources there is no worker: see decompress-aside.ts.)
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";

const root = resolve(import.meta.dirname, "../..");
// Below the project, so that the compiled files find its node_modules.
const directory = join(root, "node_modules/.cache", `images-compiled-${process.pid}`);

beforeAll(() => {
  mkdirSync(directory, { recursive: true });
  const config = {
    extends: join(root, "tsconfig.json"),
    compilerOptions: { outDir: directory, rootDir: root, noEmit: false, declaration: false },
    include: [],
    files: [join(root, "images/index.ts"), join(root, "images/package/decompress-worker.ts")],
  };
  writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(config));
  writeFileSync(join(directory, "package.json"), '{"type":"module"}');
  const tsc = spawnSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", directory]);
  expect(tsc.stdout.toString()).toBe("");
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Runs a module with `decompressAside`, 64 MB of gzip data `packed`, and `beats`, a count of timer ticks. */
function run(body: string): unknown {
  const script = `
    import { gzipSync } from "node:zlib";
    import { decompressAside } from ${JSON.stringify(join(directory, "images/package/decompress-aside.js"))};
    const packed = gzipSync(Buffer.alloc(64e6, "abcdefg"), { level: 1 });
    let beats = 0;
    const timer = setInterval(() => beats++, 1);
    ${body}
    clearInterval(timer);`;
  const node = spawnSync(process.execPath, ["--input-type=module", "-e", script], { cwd: root });
  expect(node.stderr.toString()).toBe("");
  return JSON.parse(node.stdout.toString());
}

const OPTIONS = '{ format: "gzip", maxOutput: 1e8 }';

it("decompresses while timers go on", () => {
  const result = run(`const output = await decompressAside(packed, ${OPTIONS}, undefined);
    console.log(JSON.stringify({ length: output.length, last: output.at(-1), alive: beats > 3 }));`);
  expect(result).toEqual({ length: 64e6, last: "abcdefg".charCodeAt((64e6 - 1) % 7), alive: true });
});

it("passes errors on, and stops when the caller aborts", () => {
  const result = run(`
    const broken = await decompressAside(packed.subarray(0, 1000), ${OPTIONS}, undefined).catch((error) => error.message);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 5);
    const aborted = await decompressAside(packed, ${OPTIONS}, controller.signal).catch((error) => error.code);
    console.log(JSON.stringify({ broken, aborted }));`);
  expect(result).toEqual({ broken: expect.stringMatching(/^gzip: /), aborted: "aborted" });
});
