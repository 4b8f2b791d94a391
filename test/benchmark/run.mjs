// npm run bench: the same programs natively, in QEMU's software emulation, in real Xen under it, in v86 and in xen-ts; see README.md.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { buildImage } from "../../dist/images/index.js";
import { measureBoots } from "./boot.mjs";
import { exitOnSignals, measurePrograms } from "./measure.mjs";
import { Packages, unpackedKernel } from "./packages.mjs";
import { compileKernels, initramfs, payloadFiles, runScript, unpackInto } from "./payload.mjs";
import { PEERS } from "./peers.mjs";
import { PROGRAMS } from "./programs.mjs";
import { formatReport, groupMeans, ratioRows } from "./report.mjs";

const USAGE = `usage: npm run bench -- [options]      (or, after npm run build: node test/benchmark/run.mjs [options])
  --peers A,B       ${Object.keys(PEERS).join(", ")}; default all that are here
  --programs A,B    names of programs or groups (integer, memory, float, system), "boot"; default all
  --runs N          runs of each program in one boot, boots of each peer; default 5 and 3
  --i386            the 32-bit programs on every peer, not only natively and in v86
  --suite NAME      Debian suite of kernel and busybox; default bookworm
  --node PATH       runs xen-ts and v86 with this Node
  --json FILE       writes all times, ratios and means to FILE
  --timeout S       seconds for one peer's programs; default 900
  --list            names the programs
  --help            this text
Exit codes: 0 done; 1 a peer or a program failed; 2 usage.`;

function fail(message) {
  process.stderr.write(`bench: ${message}\n`);
  process.exit(2);
}

function readOptions() {
  const text = { type: "string" };
  const flag = { type: "boolean" };
  const options = { peers: text, programs: text, runs: text, suite: text, node: text, json: text, timeout: text };
  try {
    return parseArgs({ options: { ...options, i386: flag, list: flag, help: flag } }).values;
  } catch (error) {
    return fail(`${error.message}\n${USAGE}`);
  }
}

function choose(text, known, what) {
  const names = text?.split(",") ?? known;
  for (const name of names) if (!known.includes(name)) fail(`there is no ${what} "${name}" (${known.join(", ")})`);
  return names;
}

const options = readOptions();
if (options.help) {
  console.log(USAGE);
  process.exit(0);
}
if (options.list) {
  for (const { group, name, command } of PROGRAMS) console.log(`${group.padEnd(8)} ${name.padEnd(12)} ${command}`);
  process.exit(0);
}
const groups = ["integer", "memory", "float", "system"];
const wanted = choose(options.programs, [...PROGRAMS.map(({ name }) => name), ...groups, "boot"], "program");
const everything = options.programs === undefined;
const peerNames = choose(options.peers, Object.keys(PEERS), "peer");
const runs = Number(options.runs ?? 5);
if (!Number.isInteger(runs) || runs < 1) fail(`--runs: "${options.runs}" is not a number of runs`);
const node = options.node ?? process.execPath;
const nodeVersion = spawnSync(node, ["--version"], { encoding: "utf8" }).stdout?.trim();
if (!nodeVersion) fail(`--node: ${node} can't be run`);
const suite = options.suite ?? "bookworm";
exitOnSignals();
const scratch = mkdtempSync(join(tmpdir(), "xen-ts-bench-"));
const say = (text) => process.stderr.write(`${text}\n`);
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

const present = peerNames.filter((name) => {
  const reason = PEERS[name].absent({ scratch });
  if (reason) say(`skipped: ${name}: ${reason}`);
  return !reason;
});

/** The programs of an architecture that can run here. */
function programsOf(architecture, hasKernels) {
  return PROGRAMS.filter(
    ({ name, group, needs }) =>
      (everything || wanted.includes(name) || wanted.includes(group)) && (needs !== "gcc" || hasKernels),
  ).map((program) => ({ ...program, architecture, key: `${architecture}/${program.name}` }));
}

const runs32 = (peer) => options.i386 || peer === "v86" || (peer === "native" && present.includes("v86"));
const architectures = ["amd64", "i386"].filter((each) => each === "amd64" || present.some(runs32));
const packages = new Packages(suite);
const image = await buildImage({ suite });
const parts = {};
const programs = {};
for (const architecture of architectures) {
  const { binary, packed } = await packages.busybox(architecture);
  const kernels = compileKernels(architecture);
  if (kernels.reason) say(`skipped: compiled ${architecture} programs: ${kernels.reason}`);
  parts[architecture] = { busybox: binary, packed, kernels: kernels.binary };
  programs[architecture] = programsOf(architecture, kernels.binary !== undefined);
}
const selected = architectures.flatMap((architecture) => programs[architecture]);

async function runPeer(name, runs) {
  const peer = PEERS[name];
  const own = selected.filter(
    ({ architecture }) => peer.architectures.includes(architecture) && (architecture === "amd64" || runs32(name)),
  );
  if (own.length === 0) return undefined;
  const script = runScript(own, runs);
  const is32 = !peer.architectures.includes("amd64");
  const files = payloadFiles(is32 ? { i386: parts.i386 } : parts);
  const onProgress = (key) => say(`${name}: ${key}`);
  const timeoutMs = Number(options.timeout ?? 900) * 1000;
  if (name === "native") {
    const directory = mkdtempSync(join(scratch, "native-"));
    unpackInto(directory, files, script);
    const bench = join(directory, "bench");
    const shell = join(bench, own[0].architecture, "busybox");
    return measurePrograms([shell, "sh", join(bench, "run.sh"), bench, join(directory, "tmp")], {
      timeoutMs,
      onProgress,
    });
  }
  const ramdisk = join(scratch, "initrd.cpio");
  writeFileSync(ramdisk, initramfs(files, script, is32 ? "i386" : "amd64"));
  const kernel = is32
    ? await packages.kernel686()
    : name.startsWith("xen-ts")
      ? image.kernel
      : await unpackedKernel(image.kernel);
  const seabios = name === "v86" ? await packages.seabios() : undefined;
  const words = peer.command({ kernel, ramdisk, node, scratch, seabios, cmdline: "quiet panic=-1" });
  if (peer.learns) {
    say(`${name}: a run that isn't counted`);
    await measurePrograms(words, { timeoutMs, signal: "SIGTERM" });
  }
  return measurePrograms(words, { timeoutMs, onProgress });
}

const results = {};
let boots = [];
const about = `${new Date().toISOString()}, ${cpus()[0]?.model} x${cpus().length}, Node ${nodeVersion}, ${image.name} (kernel ${image.manifest.kernelRelease}), medians of ${runs}`;

/** After each peer, so that an interrupted run leaves what it has. */
function writeJson() {
  if (!options.json) return;
  const rows = ratioRows(selected, results);
  writeFileSync(options.json, `${JSON.stringify({ about, results, rows, means: groupMeans(rows), boots }, null, 1)}\n`);
}

let exitCode = 0;
/** Puts a peer's times to what is known of it. */
async function measure(name, runs) {
  const result = await runPeer(name, runs);
  if (!result) return;
  const { times, hashes, failed, peakMiB, milliseconds } = result;
  results[name] ??= { times: {}, hashes: {}, peakMiB: name === "native" ? undefined : peakMiB, milliseconds: 0 };
  const known = results[name];
  known.milliseconds += milliseconds;
  for (const [key, list] of times) known.times[key] = [...(known.times[key] ?? []), ...list];
  for (const [key, values] of hashes) known.hashes[key] = [...values].join();
  for (const key of failed) {
    say(`${name}: ${key} failed`);
    exitCode = 1;
  }
  writeJson();
}

if (selected.length > 0) {
  for (const name of present) {
    try {
      await measure(name, runs);
      // Whatever else the machine does weighs on native times as on the others'.
      if (name !== "native" && present.includes("native")) await measure("native", Math.ceil(runs / 2));
    } catch (error) {
      say(`${name}: ${error.message}`);
      exitCode = 1;
    }
  }
}
for (const { key } of selected) {
  const outputs = new Map();
  for (const [name, { hashes }] of Object.entries(results))
    if (hashes[key]) outputs.set(hashes[key], [...(outputs.get(hashes[key]) ?? []), name]);
  if (outputs.size <= 1) continue;
  say(
    `${key}: outputs differ: ${[...outputs].map(([hash, names]) => `${names.join("+")} ${hash.slice(0, 8)}`).join(", ")}`,
  );
  exitCode = 1;
}
if (everything || wanted.includes("boot")) {
  const unpacked = await unpackedKernel(image.kernel);
  const bootRuns = options.runs === undefined ? 3 : runs;
  const where = {
    runs: bootRuns,
    kernel: image.kernel,
    unpacked,
    ramdisk: image.initrd,
    node,
    scratch,
    onProgress: say,
  };
  boots = await measureBoots(present, PEERS, where);
}
console.log(formatReport({ selected, results, boots, about }));
writeJson();
process.exit(exitCode);
