// npm run bench:boot: the same Debian kernel and ramdisk booted to a shell by xen-ts as dom0, by QEMU's software emulation directly, and
// by real Xen under QEMU; what isn't installed is skipped. Prints a table, then the figures as JSON. The first boot only fills
// the kernel cache and isn't counted.
// Environment: BENCH_RUNS (3), BENCH_SUITE (bookworm), BENCH_XEN (a Xen image; default the newest of /boot/xen-*.gz).

import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { buildImage } from "../../dist/src/index.js";

const RUNS = Number(process.env.BENCH_RUNS ?? 3);
const MARKER = "XENTS-SHELL-READY";
const MEMORY_MIB = 512;
const TIMEOUT_MS = 300_000;

const image = await buildImage({ suite: process.env.BENCH_SUITE ?? "bookworm" });
const scratch = mkdtempSync(join(tmpdir(), "xen-ts-bench-"));

/** A PVH or multiboot image that QEMU's -kernel takes: Xen's file says ELF class 32, machine 386. */
function findXen() {
  const packed = process.env.BENCH_XEN ?? bootFile();
  if (packed === undefined) return undefined;
  const bytes = readFileSync(packed);
  const path = join(scratch, "xen");
  writeFileSync(path, bytes[0] === 0x1f ? gunzipSync(bytes) : bytes);
  return path;
}

function bootFile() {
  try {
    const found = readdirSync("/boot").filter((name) => /^xen-[\d.]+-amd64\.gz$/.test(name));
    return found.length > 0 ? join("/boot", found.sort().at(-1)) : undefined;
  } catch {
    return undefined;
  }
}

function xenTs(jit) {
  const script = fileURLToPath(new URL("boot-once.mjs", import.meta.url));
  const words = [script, image.kernel, image.initrd, `${MEMORY_MIB}M`, MARKER, jit];
  const result = spawnSync(process.execPath, words, { encoding: "utf8", timeout: TIMEOUT_MS });
  if (result.status !== 0)
    throw new Error(`xen-ts didn't reach ${MARKER}:\n${result.stderr}${result.stdout.slice(-2000)}`);
  return JSON.parse(result.stdout.trim().split("\n").at(-1));
}

/** Runs QEMU until the marker is on its serial line. */
function qemu(words) {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn("qemu-system-x86_64", ["-accel", "tcg", "-nographic", "-no-reboot", "-nic", "none", ...words]);
    let output = "";
    const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
    child.stdout.on("data", (chunk) => {
      if (output.includes(MARKER)) return;
      output += chunk;
      if (!output.includes(MARKER)) return;
      const seconds = (performance.now() - start) / 1000;
      const peak = /^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"));
      resolve({ seconds, rssMiB: Number(peak?.[1] ?? Number.NaN) / 1024 });
      child.kill("SIGKILL");
    });
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(timer);
      if (!output.includes(MARKER)) reject(new Error(`QEMU didn't reach ${MARKER}:\n${output.slice(-2000)}`));
    });
  });
}

const hasQemu = spawnSync("qemu-system-x86_64", ["--version"]).status === 0;
const xen = findXen();
const direct = ["-m", `${MEMORY_MIB}`, "-cpu", "max", "-kernel", image.kernel, "-initrd", image.initrd];
const underXen = [
  ...["-m", `${MEMORY_MIB + 128}`, "-cpu", "EPYC,-smap,-smep,-monitor", "-kernel", xen],
  ...["-append", `console=com1 com1=115200,8n1 dom0_mem=${MEMORY_MIB}M smap=0 smep=0 spec-ctrl=no xpti=0`],
  ...["-initrd", `${image.kernel} console=hvc0 panic=-1,${image.initrd}`],
];
const contestants = [
  ["xen-ts, dom0", true, () => xenTs("")],
  ["xen-ts, dom0, compiled regions (jit)", true, () => xenTs("jit")],
  ["QEMU TCG, no Xen", hasQemu, () => qemu([...direct, "-append", "console=ttyS0 panic=-1"])],
  ["QEMU TCG, real Xen, dom0", hasQemu && xen !== undefined, () => qemu(underXen)],
];

try {
  xenTs("");
  const results = [];
  for (const [name, isThere, run] of contestants) {
    if (!isThere) {
      console.log(`skipped: ${name} (not installed)`);
      continue;
    }
    const runs = [];
    for (let i = 0; i < RUNS; i++) runs.push(await run());
    runs.sort((a, b) => a.seconds - b.seconds);
    results.push({ name, median: runs[Math.floor(runs.length / 2)], seconds: runs.map(({ seconds }) => seconds) });
  }
  const cell = (value, digits) => (value === undefined ? "" : value.toFixed(digits)).padStart(10);
  console.log(
    `${image.name}, kernel ${image.manifest.kernelRelease}, ${cpus()[0]?.model}, Node ${process.version}, median of ${RUNS}`,
  );
  console.log(`${"".padEnd(38)}   seconds   M instr.      MIPS  peak MiB`);
  for (const { name, median } of results) {
    const { seconds, instructions, mips, rssMiB } = median;
    const millions = instructions === undefined ? undefined : instructions / 1e6;
    console.log(name.padEnd(38) + cell(seconds, 2) + cell(millions, 0) + cell(mips, 0) + cell(rssMiB, 0));
  }
  console.log(JSON.stringify(results));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
