// The benchmark's results as a table: each program's native median in milliseconds, the other peers as multiples of it; geometric means
// by group; then what isn't a program: a system call, booting, memory.

import { geometricMean, median } from "./measure.mjs";

const GROUPS = ["integer", "memory", "float", "system"];

/**
 * Ratios to native: { architecture, group, program, native, ratios: { peer: number } }[].
 * `results`: { peer: { times: { "architecture/program": ms[] } } }.
 */
export function ratioRows(selected, results) {
  return selected.map(({ key, architecture, group, name }) => {
    const base = results.native?.times[key];
    const native = base && median(base);
    const ratios = {};
    for (const [peer, { times }] of Object.entries(results))
      if (times?.[key] && native && peer !== "native") ratios[peer] = median(times[key]) / native;
    return { key, architecture, group, program: name, native, ratios };
  });
}

/** { "architecture/group": { peer: mean } }; a mean counts the programs that the peer and native both ran. */
export function groupMeans(rows) {
  const means = {};
  for (const architecture of new Set(rows.map((row) => row.architecture))) {
    for (const group of GROUPS) {
      const own = rows.filter((row) => row.architecture === architecture && row.group === group);
      const peers = new Set(own.flatMap(({ ratios }) => Object.keys(ratios)));
      for (const peer of peers) {
        const values = own.map(({ ratios }) => ratios[peer]).filter((ratio) => ratio !== undefined);
        means[`${architecture}/${group}`] = { ...means[`${architecture}/${group}`], [peer]: geometricMean(values) };
      }
    }
  }
  return means;
}

/** Microseconds of a system call, process start included. */
export function systemCallMicroseconds(selected, results, peer) {
  const values = selected.filter(({ calls, key }) => calls && results[peer].times?.[key]);
  return values.map(({ architecture, calls, key }) => [
    architecture,
    (median(results[peer].times[key]) * 1000) / calls,
  ]);
}

const number = (value) =>
  value === undefined ? "-" : value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);

/** Lines of text. */
export function formatReport({ selected, results, boots, about }) {
  const peers = Object.keys(results);
  const others = peers.filter((peer) => peer !== "native");
  const width = 12;
  const row = (label, cells) => label.padEnd(24) + cells.map((cell) => cell.padStart(Math.max(width, 9))).join("");
  const lines = [about];
  const rows = ratioRows(selected, results);
  const means = groupMeans(rows);
  const header = ["native ms", ...others.map((peer) => peer.replace("interpreter", "int"))];
  for (const architecture of new Set(rows.map((each) => each.architecture))) {
    lines.push("", row(`${architecture}: times native`, header));
    for (const group of GROUPS) {
      const own = rows.filter((each) => each.architecture === architecture && each.group === group);
      for (const { program, key, native, ratios } of own) {
        const cell = (peer) =>
          native
            ? number(ratios[peer])
            : results[peer].times?.[key]
              ? `${number(median(results[peer].times[key]))}ms`
              : "-";
        lines.push(row(`  ${program}`, [number(native), ...others.map(cell)]));
      }
      const mean = means[`${architecture}/${group}`];
      if (mean) lines.push(row(`${group}: geometric mean`, ["", ...others.map((peer) => number(mean[peer]))]));
    }
  }
  const calls = new Map(
    peers.flatMap((peer) =>
      systemCallMicroseconds(selected, results, peer).map(([architecture, us]) => [`${peer} ${architecture}`, us]),
    ),
  );
  if (calls.size > 0)
    lines.push("", "system call, us", ...[...calls].map(([name, us]) => row(`  ${name}`, [number(us)])));
  const withMemory = peers.filter((peer) => results[peer].peakMiB);
  if (withMemory.length > 0)
    lines.push(
      "",
      "peak memory while the programs ran, MiB",
      ...withMemory.map((peer) => row(`  ${peer}`, [number(results[peer].peakMiB)])),
    );
  if (boots.length > 0) {
    lines.push("", row("boot to a shell", ["seconds", "peak MiB"]));
    for (const { name, seconds, peakMiB } of boots)
      lines.push(row(`  ${name}`, [number(median(seconds)), number(peakMiB)]));
  }
  return lines.join("\n");
}
