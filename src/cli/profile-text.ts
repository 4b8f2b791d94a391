// The text of --profile.

import type { HotPlace, Profile } from "../index.js";

const EXITS = 20;
const FUNCTIONS = 30;
const ADDRESSES = 20;

const count = (value: number) => value.toLocaleString("en-US");

/** Lines, each ended: the split of host time, exits, hot functions and addresses with their share of guest time. */
export function formatProfile(profile: Profile): string {
  const { busyMs, idleMs, guestMs, exitMs, exits, work, compiledShare, functions, addresses } = profile;
  const share = (ms: number, of: number) => `${(of > 0 ? (100 * ms) / of : 0).toFixed(1)}%`.padStart(6);
  const time = (name: string, ms: number) => `  ${name.padEnd(22)}${share(ms, busyMs)}  ${count(Math.round(ms))} ms\n`;
  const lines = [
    `profile: ${(busyMs / 1000).toFixed(2)} s busy, ${(idleMs / 1000).toFixed(2)} s idle\n`,
    time("guest code", guestMs),
    ...work.map(({ name, count: times, ms }) => {
      const what = name === "decode" ? "instructions" : "regions";
      return time(`  ${name}`, ms).replace("\n", `, ${count(times)} ${what}\n`);
    }),
    time("exits", exitMs),
    time("timers, events, loop", Math.max(0, busyMs - guestMs - exitMs)),
  ];
  lines.push(`  in compiled code       ${share(compiledShare, 1)} of guest code, by samples\n`);
  if (exits.length > 0) lines.push("exits by host time\n");
  for (const { name, count: times, ms } of exits.slice(0, EXITS)) {
    const each = `${((1000 * ms) / times).toFixed(2)} us`;
    lines.push(
      `  ${name.padEnd(32)}${share(ms, busyMs)} ${count(times).padStart(12)} times ${each.padStart(11)} each\n`,
    );
  }
  const place = ({ domain, mode, address, symbol, ms }: HotPlace) => {
    const where = `0x${address.toString(16).padStart(16, "0")}`;
    return `  ${share(ms, guestMs)} ${domain.padEnd(10)} ${where} ${symbol ?? (mode === "user" ? "user code" : "module or unknown")}\n`;
  };
  if (functions.length > 0) lines.push("hot functions (of user code and modules: pages), share of guest time\n");
  lines.push(...functions.slice(0, FUNCTIONS).map(place));
  if (addresses.length > 0) lines.push("hot addresses, share of guest time\n");
  lines.push(...addresses.slice(0, ADDRESSES).map(place));
  return lines.join("");
}
