// What was flushed survives when the host process is killed in the middle of later writes, and the image stays consistent.
import { spawn, spawnSync } from "node:child_process";
import { truncateSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { openDisk } from "../../../src/devices/storage/open-disk.js";
import { createQcow2 } from "../../../src/devices/storage/qcow2/create-qcow2.js";
import { expectSame, readAll } from "./block-store-contract.js";
import { temporaryPaths } from "./temporary-directory.js";

const fresh = temporaryPaths();
const SIZE = 16 * 1024 * 1024;
const CHUNK = 24 * 1024;
const built = pathToFileURL(resolve("dist/src/devices/storage/open-disk.js")).href;

/** Writes chunk after chunk, each filled with its number; says which are flushed; overwrites and discards behind. */
const WRITER = `
const { openDisk } = await import(process.argv[3]);
const store = await openDisk({ format: process.argv[1], target: process.argv[2], access: "w" });
for (let i = 1; ; i++) {
  await store.write(i * ${CHUNK}, new Uint8Array(${CHUNK}).fill(i));
  if (i % 4 === 0) {
    await store.flush();
    process.stdout.write(i + "\\n");
  }
  const far = ${SIZE / 2} + ((i * 7919) % 128) * 49152;
  await store.write(far, new Uint8Array(49152).fill(0xaa));
  if (i % 3 === 0) await store.discard(far, 49152);
}`;

test.each(["raw", "qcow2"] as const)("%s", async (format) => {
  const target = fresh(`.${format}`);
  if (format === "qcow2") await createQcow2(target, { size: SIZE, clusterBits: 12 });
  else {
    writeFileSync(target, "");
    truncateSync(target, SIZE);
  }
  const child = spawn(process.execPath, ["--input-type=module", "-e", WRITER, format, target, built]);
  let errors = "";
  child.stderr.on("data", (text) => {
    errors += text;
  });
  let flushed = 0;
  child.stdout.on("data", (text) => {
    flushed = Number(String(text).trim().split("\n").at(-1));
    // At some moment within the writes that follow.
    if (flushed >= 40 && !child.killed) setTimeout(() => child.kill("SIGKILL"), flushed % 7);
  });
  await new Promise((done) => child.once("exit", done));
  expect(errors).toBe("");
  expect(child.signalCode).toBe("SIGKILL");
  const store = await openDisk({ format, target, access: "w" });
  for (let i = 1; i <= flushed; i++) expectSame(await readAll(store, i * CHUNK, CHUNK), new Uint8Array(CHUNK).fill(i));
  await store.write(0, new Uint8Array(CHUNK).fill(1));
  await store.close();
  if (format === "raw" || spawnSync("qemu-img", ["-V"]).error) return;
  // 3: clusters that nobody uses count as used. Lost space, no lost data.
  const check = spawnSync("qemu-img", ["check", "-f", "qcow2", target], { encoding: "utf8" });
  expect([0, 3], check.stdout + check.stderr).toContain(check.status);
});
