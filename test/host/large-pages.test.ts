import { existsSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { createXenHost } from "../../src/index.js";

const setting = "/sys/kernel/mm/transparent_hugepage/enabled";
const isOnRequest = existsSync(setting) && readFileSync(setting, "latin1").includes("[madvise]");

/** KiB of this process's mappings that ask for large pages (VmFlags "hg"). */
function advised(): number {
  const mappings = readFileSync("/proc/self/smaps", "latin1").split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const marked = mappings.filter((mapping) => /^VmFlags:.* hg( |$)/m.test(mapping));
  return marked.reduce((sum, mapping) => sum + Number(/^Size: +(\d+) kB/m.exec(mapping)?.[1]), 0);
}

test.skipIf(!isOnRequest)("a host's memory is in large pages, a small host's isn't", async () => {
  const log: string[] = [];
  const before = advised();
  const small = await createXenHost({ memory: "32M", log: (line) => log.push(line) });
  expect(advised()).toBe(before);
  const host = await createXenHost({ memory: "128M", log: (line) => log.push(line) });
  expect(advised() - before).toBeGreaterThanOrEqual(128 * 1024);
  await Promise.all([small.close(), host.close()]);
  expect(log).toEqual([]);
});
