// The text of --stats.

import type { HostStatistics } from "../index.js";

const count = (value: number) => value.toLocaleString("en-US");

/** Lines, each ended. `peakKilobytes`: the process's largest resident size. */
export function formatStatistics(statistics: HostStatistics, seconds: number, peakKilobytes: number): string {
  const { instructions, busyMs, idleMs, exits, hypercalls } = statistics;
  const mips = busyMs > 0 ? instructions / busyMs / 1000 : 0;
  const calls = Object.entries(hypercalls).sort((a, b) => b[1] - a[1]);
  const list = (entries: [string, number][]) => entries.map(([name, value]) => `${name} ${count(value)}`).join(", ");
  const total = calls.reduce((sum, [, value]) => sum + value, 0);
  const rows: [string, string][] = [
    [
      "wall time",
      `${seconds.toFixed(2)} s (${(busyMs / 1000).toFixed(2)} s busy, ${(idleMs / 1000).toFixed(2)} s idle)`,
    ],
    ["instructions", `${count(instructions)} (${mips.toFixed(1)} MIPS while busy)`],
    ["exits", list(Object.entries(exits).sort((a, b) => b[1] - a[1])) || "none"],
    ["hypercalls", total === 0 ? "none" : `${count(total)}: ${list(calls)}`],
    ["TLB", `${count(statistics.tlbMisses)} misses, ${count(statistics.tlbFlushes)} flushes`],
    [
      "code cache",
      `${count(statistics.decodedInstructions)} instructions decoded, ${count(statistics.codePages)} pages, ` +
        `${(statistics.codeBytes / 2 ** 20).toFixed(1)} MiB, ${count(statistics.codeInvalidations)} invalidations, ` +
        `${count(statistics.handlers)} handlers`,
    ],
    [
      "JIT",
      `${count(statistics.compiledRegions)} regions compiled, ${count(statistics.recalledRegions)} known before, ` +
        `${count(statistics.sharedRegions)} with others' code, ${count(statistics.installedRegions)} in use, ` +
        `about ${(statistics.jitCacheBytes / 2 ** 20).toFixed(1)} MiB of machine code`,
    ],
    ["peak memory", `${(peakKilobytes / 1024).toFixed(0)} MiB`],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, text]) => `${name.padEnd(width)}  ${text}\n`).join("");
}
