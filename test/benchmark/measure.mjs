// Runs a peer as a child process and takes the time of each program from outside: between the markers that its script prints on the
// console. Guest clocks are not asked.

import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";

const KEPT_OUTPUT = 4000;

/** Peak resident memory of a process that still runs, MiB. */
function peakMemory(pid) {
  try {
    const found = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
    return found ? Number(found[1]) / 1024 : undefined;
  } catch {
    return undefined;
  }
}

/** A benchmark that is told to end takes its machines with it: without this a signal leaves "exit" listeners out. */
export function exitOnSignals() {
  for (const [signal, number] of Object.entries({ SIGHUP: 1, SIGINT: 2, SIGTERM: 15 }))
    process.once(signal, () => process.exit(128 + number));
}

/** Has `child` killed when this process exits. @returns what ends that */
export function killAtExit(child) {
  const kill = () => child.kill("SIGKILL");
  process.on("exit", kill);
  return () => process.off("exit", kill);
}

/** `words` for a child that the kernel kills when this process is killed itself, where util-linux has setpriv. */
export function dyingWithParent(words) {
  const prefix = ["setpriv", "--pdeathsig", "KILL"];
  return spawnSync(prefix[0], [...prefix.slice(1), "true"]).status === 0 ? [...prefix, ...words] : words;
}

/**
 * Runs `words` until `onLine(line, milliseconds, child)` returns true, then ends it by `signal`. `hasInput`: it gets a pipe to read from.
 * Resolves with the milliseconds and the peak memory by then.
 */
export function watch(words, { onLine, timeoutMs, cwd, hasInput = false, signal = "SIGKILL" }) {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn(words[0], words.slice(1), {
      stdio: [hasInput ? "pipe" : "ignore", "pipe", "pipe"],
      ...(cwd ? { cwd } : {}),
    });
    // A machine that ends doesn't read what it is told.
    child.stdin?.on("error", () => {});
    const forget = killAtExit(child);
    let pending = "";
    let tail = "";
    let result;
    const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
    child.stdout.setEncoding("latin1").on("data", (chunk) => {
      const now = performance.now() - start;
      tail = (tail + chunk).slice(-KEPT_OUTPUT);
      pending += chunk;
      const lines = pending.split(/\r*\n/);
      pending = lines.pop();
      for (const line of lines) {
        if (result || !onLine(line, now, child)) continue;
        result = { milliseconds: now, peakMiB: peakMemory(child.pid) };
        child.kill(signal);
      }
    });
    child.stderr.setEncoding("latin1").on("data", (chunk) => {
      tail = (tail + chunk).slice(-KEPT_OUTPUT);
    });
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(timer);
      forget();
      if (result) resolve(result);
      else
        reject(
          new Error(`${words[0]} ended before its last line; the end of its output:\n${tail.slice(-KEPT_OUTPUT)}`),
        );
    });
  });
}

/**
 * Milliseconds of all runs by program, and the hash of each one's output. `onProgress` gets each program's key when it begins.
 * `onReady(child)`: what a machine whose script asks before each run has to wait for.
 */
export async function measurePrograms(words, { timeoutMs, cwd, onProgress, onReady, signal }) {
  const times = new Map();
  const hashes = new Map();
  const failed = new Set();
  let begun;
  const onLine = (line, now, child) => {
    if (line.includes("@@DONE")) return true;
    if (line.includes("@@R")) {
      Promise.resolve(onReady(child)).then(() => child.stdin.write("\n"));
      return false;
    }
    const marker = /@@([BEH]) (\S+) (\d+)(?: (\S+))?$/.exec(line);
    if (!marker) return false;
    const [, kind, key, run, value] = marker;
    if (kind === "B") {
      begun = now;
      if (run === "1") onProgress?.(key);
    } else if (kind === "E") {
      times.set(key, [...(times.get(key) ?? []), now - begun]);
      if (value !== "0") failed.add(key);
    } else hashes.set(key, new Set([...(hashes.get(key) ?? []), value]));
    return false;
  };
  const { milliseconds, peakMiB } = await watch(words, {
    onLine,
    timeoutMs,
    cwd,
    hasInput: onReady !== undefined,
    signal,
  });
  return { times, hashes, failed, milliseconds, peakMiB };
}

/** The first run, and the median of the second half of the runs: a JIT compiles in the first ones. */
export function coldAndWarm(times) {
  return { cold: times[0], warm: median(times.slice(Math.floor(times.length / 2))) };
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

export const geometricMean = (values) =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
