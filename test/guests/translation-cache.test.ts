// A second run of the same guest begins with the regions and the machine code that the first one left, and does the same.

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { canPack } from "../../src/host/code-pack.js";
import { MAX_UNITS } from "../../src/host/pack-catalog.js";
import { readCatalog } from "../../src/host/region-catalog.js";
import { testImage } from "../support/image.js";

/** As built: run from the sources, there is no thread that compiles. */
const { createXenHost } = (await import(
  pathToFileURL(resolve("dist/src/index.js")).href
)) as typeof import("../../src/index.js");

const TIMEOUT_MS = 200_000;
/** Long enough to be hot, and its output tells whether all of it was right. */
const WORK = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo $i; seq 30000 | sort -rn | md5sum";

async function run(directory: string) {
  const image = await testImage("bookworm");
  const lines: string[] = [];
  const host = await createXenHost({ memory: "300M", translationCache: directory, log: (line) => lines.push(line) });
  try {
    const dom0 = await host.createDomain({
      ...{ kernel: image.kernel, ramdisk: image.initrd, memory: "256M", privileged: true },
      cmdline: "console=hvc0 quiet",
    });
    await dom0.waitForShell({ timeout: TIMEOUT_MS });
    const { stdout } = await dom0.exec(WORK, { timeout: TIMEOUT_MS });
    return { stdout, recalled: host.statistics.recalledRegions, lines: lines.filter((line) => /cache|jit/.test(line)) };
  } finally {
    await host.close();
  }
}

test("a second run finds what the first one left, and prints the same", { timeout: 2 * TIMEOUT_MS }, async () => {
  const directory = mkdtempSync(join(tmpdir(), "xen-ts-translations-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const first = await run(directory);
  const files = readdirSync(directory);
  expect(files.filter((name) => name.startsWith("regions-"))).toHaveLength(1);
  const units = files.filter((name) => name.endsWith(".code"));
  if (process.versions.v8.startsWith("11.")) expect(units.length).toBeGreaterThan(0);
  const catalog = readCatalog(join(directory, files.find((name) => name.startsWith("regions-"))!));
  // More modules' code is put together.
  if (canPack) expect(new Set(catalog.flatMap(({ code }) => code?.unit ?? [])).size).toBeLessThanOrEqual(MAX_UNITS);
  const second = await run(directory);
  expect(second.recalled).toBeGreaterThan(100);
  expect(second.recalled).toBeGreaterThan(2 * first.recalled);
  expect(second.stdout).toBe(first.stdout);
  expect([...first.lines, ...second.lines]).toEqual([]);
});
