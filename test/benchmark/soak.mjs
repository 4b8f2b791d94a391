// npm run soak: one guest works for half an hour in rounds of the same work: programs made up and run (awk, sed, sort, gzip, bzip2), forks
// and pipes, programs that change their own code, and copies of programs at ever new places, which leave ever new code in a small code
// cache. Every round must print the same hash, and memory must not grow from the second quarter to the last. Not counted as growth: the
// decoder's records, which fill an area of fixed size before all of them are dropped (its pages stay resident).

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { buildImage, createXenHost, writeCpio } from "../../dist/src/index.js";
import { median } from "./measure.mjs";
import { Packages } from "./packages.mjs";
import { compileKernels, payloadFiles } from "./payload.mjs";

const USAGE = `usage: npm run soak -- [options]      (or, after npm run build: node test/benchmark/soak.mjs [options])
  --minutes N       how long; default 30
  --jit on|off      default on
  --jit-cache SIZE  bound of compiled code; default 16M, so that code is dropped all the time
  --json FILE       writes the samples to FILE
  --help            this text
Exit codes: 0 all rounds alike and memory flat; 1 not so; 2 usage.`;

function usage(message) {
  process.stderr.write(`soak: ${message}\n${USAGE}\n`);
  process.exit(2);
}

function readOptions() {
  const text = { type: "string" };
  try {
    const options = { minutes: text, jit: text, "jit-cache": text, json: text, help: { type: "boolean" } };
    return parseArgs({ options }).values;
  } catch (error) {
    return usage(error.message);
  }
}

const options = readOptions();
if (options.help) {
  console.log(USAGE);
  process.exit(0);
}
// As `xen-ts up -d` starts a host (src/host/README.md, memory): malloc reads it once.
if (process.env.MALLOC_ARENA_MAX === undefined) {
  const env = { ...process.env, MALLOC_ARENA_MAX: "1" };
  process.exit(spawnSync(process.execPath, process.argv.slice(1), { env, stdio: "inherit" }).status ?? 1);
}
const minutes = Number(options.minutes ?? 30);
if (!(minutes > 0)) usage(`--minutes: "${options.minutes}" is not a number of minutes`);
if (!["on", "off"].includes(options.jit ?? "on")) usage(`--jit: "${options.jit}" is neither on nor off`);

/** $B: the payload. Prints everything that is to be hashed. */
const ROUND = `
BB=$B/amd64/busybox K=$B/amd64/kernels D=$B/data
mkdir -p /tmp/s/1 /tmp/s/2 && cd /tmp/s
# "Compilers": a program is written, read by its interpreter, run; its output is the next one's input.
i=0; while [ $i -lt 20 ]; do
  echo "function f$i(a) { return a * $i + f(a % 7) } function f(a) { s += a; return s % 1009 } BEGIN { for (i = 0; i < 400; i++) t += f$i(i); print t, s }" >1/p$i.awk
  awk -f 1/p$i.awk; i=$((i + 1))
done >1/out
head -c 200000 $D/text | sed -e 's/a\\(.\\)/\\1A/g' -e '/zz/d' | sort | uniq -c | sort -rn | head -n 200 >2/words
head -c 400000 $D/text | gzip -c | gunzip -c | md5sum
head -c 60000 $D/text | bzip2 -c | bunzip2 -c | md5sum
md5sum <1/out; md5sum <2/words
# Processes.
i=0; while [ $i -lt 40 ]; do $BB true; ( : ); i=$((i + 1)); done
i=0; while [ $i -lt 10 ]; do echo $i | cat | cat | wc -c; i=$((i + 1)); done
# The same programs from pages that were never code before.
i=0; while [ $i -lt 4 ]; do
  C=/tmp/s/$i/busybox; mkdir -p $i; cp $BB $C; $C head -c 200000 $D/text | $C sha256sum
  $C awk 'BEGIN { for (i = 0; i < 3000; i++) s += i; print s }'; rm -r $i; i=$((i + 1))
done
if [ -f $K ]; then
  cp $K copy; ./copy selfmod 1500; ./copy interpreter 500; ./copy records 2000; rm copy
  for k in "sieve 1" "hash 20" "qsort 1" "nbody 2000" "fft 20" "fork 20" "pages 20" "signals 500" "pingpong 50"; do $K $k; done
fi
cd / && rm -r /tmp/s
`;

const image = await buildImage();
const { binary, packed } = await new Packages("bookworm").busybox("amd64");
const kernels = compileKernels("amd64");
if (kernels.reason) process.stderr.write(`without compiled programs: ${kernels.reason}\n`);
const files = payloadFiles({ amd64: { busybox: binary, packed, kernels: kernels.binary } });
const scratch = mkdtempSync(join(tmpdir(), "xen-ts-soak-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));
const ramdisk = join(scratch, "initrd.cpio");
const directories = ["bench", "bench/amd64", "bench/data"].map((path) => ({ kind: "directory", path }));
const payload = writeCpio([
  ...directories,
  ...[...files].map(([path, { data, mode }]) => ({ kind: "file", path, data, mode })),
  { kind: "file", path: "bench/round.sh", data: Buffer.from(ROUND) },
]);

writeFileSync(ramdisk, Buffer.concat([readFileSync(image.initrd), payload]));

const host = await createXenHost({
  translationCache: join(scratch, "translations"),
  memory: "300M",
  jit: options.jit !== "off",
  ...(options.jit === "off" ? {} : { jitCache: options["jit-cache"] ?? "16M" }),
});
const guest = await host.createDomain({
  kernel: image.kernel,
  ramdisk,
  memory: "256M",
  privileged: true,
  cmdline: "console=hvc0 quiet panic=-1",
});
await guest.waitForShell({ timeout: 300_000 });
/** Garbage isn't growth: each sample is taken after a collection. */
setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc");
const samples = [];
let records = 0;
const outputs = new Map();
const begin = performance.now();
const MIB = 2 ** 20;
/** How long the event loop waits for its turn: guests' slices, compilation, garbage collection. */
const delays = monitorEventLoopDelay({ resolution: 1 });
while (performance.now() - begin < minutes * 60_000) {
  const start = performance.now();
  delays.reset();
  delays.enable();
  const { stdout, exitCode } = await guest.exec("B=/bench sh /bench/round.sh 2>&1 | tee /tmp/last | md5sum", {
    timeout: 600_000,
  });
  if (exitCode !== 0) throw new Error(`a round ended with ${exitCode}: ${stdout}`);
  outputs.set(stdout, (outputs.get(stdout) ?? 0) + 1);
  const roundMs = performance.now() - start;
  delays.disable();
  const pauses = { longestMs: delays.max / 1e6, per1000Ms: delays.percentile(99.9) / 1e6 };
  collectGarbage();
  const { rss, heapUsed, external } = process.memoryUsage();
  const { instructions, compiledRegions, codeBytes, codeInvalidations, jitCacheBytes } = host.statistics;
  records = Math.max(records, codeBytes);
  const sample = {
    settled: (rss - records) / MIB,
    seconds: (performance.now() - begin) / 1000,
    roundMs,
    pauses,
    ...{ rss: rss / MIB, heap: heapUsed / MIB, external: external / MIB },
    ...{ instructions, compiledRegions, codeBytes, codeInvalidations, jitCacheBytes },
  };
  samples.push(sample);
  const figures = `${sample.rss.toFixed(0)} MiB resident, ${sample.heap.toFixed(0)} heap, ${sample.external.toFixed(0)} external, longest pause ${pauses.longestMs.toFixed(0)} ms`;
  console.log(
    `${sample.seconds.toFixed(0).padStart(5)} s  round ${samples.length}  ${(sample.roundMs / 1000).toFixed(2)} s  ${figures}  ${compiledRegions} regions made  ${stdout.slice(0, 8)}`,
  );
  if (options.json) writeFileSync(options.json, JSON.stringify(samples));
}
const last = await guest.exec("cat /tmp/last");
await guest.shutdown().catch(() => {});
await host.close();

let failed = false;
if (outputs.size !== 1) {
  console.log(
    `FAILED: ${outputs.size} different outputs: ${JSON.stringify([...outputs])}; the last one:\n${last.stdout}`,
  );
  failed = true;
}
const quarter = (index, of) =>
  median(
    samples.slice(Math.floor((index * samples.length) / 4), Math.floor(((index + 1) * samples.length) / 4)).map(of),
  );
if (samples.length >= 8) {
  for (const what of ["settled", "external"]) {
    const [early, late] = [quarter(1, (s) => s[what]), quarter(3, (s) => s[what])];
    const flat = late <= early * 1.05 + 16;
    const name = what === "settled" ? "resident without records" : what;
    console.log(
      `${flat ? "flat" : "FAILED: grows"}: ${name}: ${early.toFixed(0)} MiB in the second quarter, ${late.toFixed(0)} in the last`,
    );
    failed ||= !flat;
  }
} else console.log("too few rounds to tell about memory");
const pause = (of) => median(samples.map(({ pauses }) => pauses[of])).toFixed(1);
console.log(
  `pauses of the event loop: longest of a round ${pause("longestMs")} ms (median), 999 of 1,000 below ${pause("per1000Ms")} ms`,
);
console.log(
  `${samples.length} rounds, ${outputs.size} output, ${(samples.at(-1).instructions / 1e9).toFixed(1)} G instructions`,
);
process.exit(failed ? 1 : 0);
