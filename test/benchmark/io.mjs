// npm run bench:io: block and network work in guests of QEMU's software emulation (virtio) and of xen-ts (blkfront, netfront), on the same
// kernel and programs; see README.md.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { writeCpio } from "../../dist/images/index.js";
import { openDisk } from "../../dist/src/devices/storage/open-disk.js";
import { createQcow2 } from "../../dist/src/devices/storage/qcow2/create-qcow2.js";
import { IO_PEERS, startPeer } from "./io-peers.mjs";
import { coldAndWarm, exitOnSignals, geometricMean, measurePrograms } from "./measure.mjs";
import { Packages, unpackedKernel } from "./packages.mjs";
import { compileProgram, runScript } from "./payload.mjs";
import { Turns } from "./turns.mjs";

const USAGE = `usage: npm run bench:io -- [options]      (or, after npm run build: node test/benchmark/io.mjs [options])
  --peers A,B    qemu, xen-ts (the default), xen-ts-again, with the translation cache that a run before left, and
                 xen-ts-base, of another checkout
  --base DIR     that checkout, built
  --rows A,B     names of rows; default all
  --runs N       turns of all rows in one boot; default 60, some 25 of which a JIT takes to get warm
  --node PATH    runs xen-ts with this Node
  --json FILE    writes all times to FILE
  --timeout S    seconds for one machine, also those in which it waits; default 3600
  --list         names the rows
  --help         this text
Exit codes: 0 done; 1 a peer or a row failed; 2 usage.`;

const MIB = 2 ** 20;
const DISK_BYTES = 128 * MIB;
const DOWNLOAD_BYTES = 64 * MIB;
/** So much that starting the program isn't what is measured. */
const SEQUENTIAL_MIB = 512;
const ROUNDS = 1000;
const MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "xen-blkfront", "xen-netfront"];
const disk = (what) => `$IO disk ${what}`;
const rows = ["raw", "qcow2"].flatMap((kind) => [
  [`${kind}-read-1M`, SEQUENTIAL_MIB * MIB, disk(`read $DISK_${kind} 1048576 ${SEQUENTIAL_MIB} sequential 1`)],
  [`${kind}-write-1M`, SEQUENTIAL_MIB * MIB, disk(`write $DISK_${kind} 1048576 ${SEQUENTIAL_MIB} sequential 1`)],
  [`${kind}-read-4K`, 1000, disk(`read $DISK_${kind} 4096 1000 random 1`)],
  [`${kind}-write-4K`, 1000, disk(`write $DISK_${kind} 4096 1000 random 1`)],
  [`${kind}-read-4K-8jobs`, 4000, disk(`read $DISK_${kind} 4096 4000 random 8`)],
  [`${kind}-write-4K-8jobs`, 4000, disk(`write $DISK_${kind} 4096 4000 random 8`)],
]);
rows.push(
  ["buffered-read", 64 * MIB, "echo 3 >/proc/sys/vm/drop_caches; $BB dd if=$DISK_raw of=/dev/null bs=64k count=1024"],
  ["tcp-guest", DOWNLOAD_BYTES, "$BB wget -q -O /dev/null http://10.77.0.2/data"],
  ["tcp-nat", DOWNLOAD_BYTES, "$BB wget -q -O /dev/null http://10.0.2.2:$PORT/"],
  ["ping", ROUNDS, `$IO ping 10.77.0.2 ${ROUNDS}`],
  ["tcp-bounce", ROUNDS, `$IO bounce 10.77.0.2 7000 ${ROUNDS}`],
);
const ROWS = rows.map(([name, amount, command]) => ({
  name,
  key: `io/${name}`,
  amount,
  command,
  architecture: "amd64",
}));

function fail(message) {
  process.stderr.write(`bench:io: ${message}\n`);
  process.exit(2);
}

function readOptions() {
  const text = { type: "string" };
  const flag = { type: "boolean" };
  try {
    return parseArgs({
      options: {
        peers: text,
        base: text,
        rows: text,
        runs: text,
        node: text,
        json: text,
        timeout: text,
        list: flag,
        help: flag,
      },
    }).values;
  } catch (error) {
    return fail(`${error.message}\n${USAGE}`);
  }
}

const options = readOptions();
if (options.help) {
  console.log(USAGE);
  process.exit(0);
}
if (options.list) {
  for (const { name, command } of ROWS) console.log(`${name.padEnd(22)} ${command}`);
  process.exit(0);
}
const pick = (text, known, what) => {
  const names = [...new Set(text?.split(",") ?? known)];
  for (const name of names) if (!known.includes(name)) fail(`there is no ${what} "${name}" (${known.join(", ")})`);
  return names;
};
const names = pick(
  options.rows,
  ROWS.map(({ name }) => name),
  "row",
);
const peers = pick(options.peers ?? "qemu,xen-ts", IO_PEERS, "peer");
const runs = Number(options.runs ?? 60);
if (peers.includes("xen-ts-base") !== (options.base !== undefined)) fail("xen-ts-base and --base go together");
if (!Number.isInteger(runs) || runs < 1) fail(`--runs: "${options.runs}" is not a number of turns`);
const node = options.node ?? process.execPath;
const selected = ROWS.filter(({ name }) => names.includes(name));
const say = (text) => process.stderr.write(`${text}\n`);
exitOnSignals();
const scratch = mkdtempSync(join(tmpdir(), "xen-ts-io-"));
process.on("exit", () => rmSync(scratch, { recursive: true, force: true }));

const io = compileProgram(["io.c"], "amd64");
if (io.reason) fail(io.reason);
const packages = new Packages("bookworm");
const { binary: busybox } = await packages.busybox("amd64");
const { release, kernel, modules } = await packages.kernelWithModules(MODULES);
const unpacked = await unpackedKernel(kernel);
const download = Buffer.alloc(DOWNLOAD_BYTES, "what comes through the NAT is not looked at, only counted\n");
const web = createServer((_, response) => response.end(download));
await new Promise((resolve) => web.listen(0, "127.0.0.1", resolve));
const ramdisk = join(scratch, "initrd.cpio");
writeFileSync(ramdisk, makeInitramfs(web.address().port));

/** The same for both roles: `io.role` on the command line decides. */
function makeInitramfs(port) {
  const bb = "/bench/amd64/busybox";
  const init = `#!${bb} sh
export BB=${bb} IO=/bench/amd64/io PORT=${port}
$BB mount -t proc proc /proc; $BB mount -t sysfs sysfs /sys; $BB mount -t devtmpfs dev /dev; $BB mount -t tmpfs tmp /tmp
for word in $($BB cat /proc/cmdline); do case $word in
  io.role=*) role=\${word#*=};; io.raw=*) export DISK_raw=\${word#*=};; io.qcow2=*) export DISK_qcow2=\${word#*=};; esac; done
for module in $($BB cat /bench/modules); do
  case $module in xen-blkfront*) options=max_indirect_segments=256;; *) options=;; esac
  $BB insmod /bench/$module $options
done
until [ -e /sys/class/net/eth0 ]; do $BB sleep 0.1; done
$BB ip link set lo up; $BB ip link set eth0 up
if [ $role = server ]; then
  $BB ip addr add 10.77.0.2/24 dev eth0
  $BB mkdir /tmp/www; $BB head -c ${DOWNLOAD_BYTES} /dev/zero >/tmp/www/data
  $BB httpd -h /tmp/www
  while :; do $IO serve 7000; done
fi
until [ -e /sys/class/net/eth1 ] && [ -e $DISK_raw ] && [ -e $DISK_qcow2 ]; do $BB sleep 0.1; done
$BB ip addr add 10.77.0.1/24 dev eth0; $BB ip link set eth1 up; $BB ip addr add 10.0.2.15/24 dev eth1
until $IO ping 10.77.0.2 1 && $IO bounce 10.77.0.2 7000 1; do $BB sleep 1; done 2>/dev/null >&2
$BB sh /bench/run.sh /bench /tmp
$BB poweroff -f
`;
  const files = [
    ["bench/amd64/busybox", busybox, 0o755],
    ["bench/amd64/io", io.binary, 0o755],
    ["bench/run.sh", Buffer.from(runScript(selected, runs, { prepare: "", inTurns: true }))],
    ["bench/modules", Buffer.from(`${modules.map(({ name }) => name).join("\n")}\n`)],
    ["init", Buffer.from(init), 0o755],
    ...modules.map(({ name, data }) => [`bench/${name}`, data]),
  ];
  const directories = ["bench", "bench/amd64", "bench/data", "dev", "proc", "sys", "tmp"];
  return writeCpio([
    ...directories.map((path) => ({ kind: "directory", path })),
    { kind: "character-device", path: "dev/console", major: 5, minor: 1, mode: 0o600 },
    ...files.map(([path, data, mode = 0o644]) => ({ kind: "file", path, data, mode })),
  ]);
}

/** Two disks with all their space allocated. */
async function makeDisks(name) {
  const paths = { raw: join(scratch, `${name}.img`), qcow2: join(scratch, `${name}.qcow2`) };
  rmSync(paths.qcow2, { force: true });
  const piece = Buffer.alloc(MIB, "the disk's contents\n");
  writeFileSync(paths.raw, Buffer.alloc(0));
  await createQcow2(paths.qcow2, { size: DISK_BYTES });
  truncateSync(paths.raw, DISK_BYTES);
  for (const format of ["raw", "qcow2"]) {
    const store = await openDisk({ format, target: paths[format], access: "w" });
    for (let at = 0; at < DISK_BYTES; at += MIB) await store.write(at, piece);
    await store.close();
  }
  return paths;
}

const timeoutMs = Number(options.timeout ?? 3600) * 1000;

/** One boot of a peer with all rows. `signal` ends it. */
async function runPeer(name, { onProgress, onReady, signal } = {}) {
  const { words, others, stop } = startPeer(name, {
    node,
    kernel: name === "qemu" ? unpacked : kernel,
    ramdisk,
    link: join(scratch, `link-${name}`),
    translations: name === "xen-ts-again" ? join(scratch, "translations") : "",
    base: options.base,
    ...(await makeDisks(name)),
  });
  try {
    return await measurePrograms(words, {
      timeoutMs,
      onProgress,
      onReady: (child) => onReady?.([child, ...others]),
      signal,
    });
  } finally {
    stop();
  }
}

let exitCode = 0;
const present = peers.filter((name) => {
  if (name !== "qemu" || spawnSync("qemu-system-x86_64", ["--version"]).status === 0) return true;
  say("skipped: qemu: qemu-system-x86_64 isn't installed");
  return false;
});
const turns = new Turns(present);

/** A peer's times by row, and its name; nothing when it fails, which is said. */
async function measurePeer(name) {
  try {
    const { times, failed, peakMiB } = await runPeer(name, {
      onProgress: (key) => say(`${name}: ${key}`),
      onReady: (processes) => turns.wait(name, processes),
    });
    for (const key of failed) {
      say(`${name}: ${key} failed`);
      exitCode = 1;
    }
    return [[name, { times: Object.fromEntries(times), peakMiB }]];
  } catch (error) {
    say(`${name}: ${error.message}`);
    exitCode = 1;
    return [];
  } finally {
    turns.end(name);
  }
}

if (present.includes("xen-ts-again")) {
  say("xen-ts-again: a run that isn't counted");
  await runPeer("xen-ts-again", { signal: "SIGTERM" }).catch((error) => {
    say(`xen-ts-again: ${error.message}`);
    process.exit(1);
  });
}
const results = Object.fromEntries((await Promise.all(present.map(measurePeer))).flat());

const unit = (amount, milliseconds) =>
  amount >= MIB
    ? `${(amount / MIB / (milliseconds / 1000)).toFixed(1)} MiB/s`
    : `${((milliseconds * 1000) / amount).toFixed(0)} us each`;
const about = `${new Date().toISOString()}, ${cpus()[0]?.model} x${cpus().length}, Node ${process.version}, kernel ${release}, ${runs} turns`;
console.log(`${about}; cold: the first one, warm: median of the second half of them`);
const own = Object.keys(results).filter((name) => name !== "qemu");
const columns = Object.keys(results).flatMap((name) => [`${name} cold`, `${name} warm`]);
console.log(
  "".padEnd(22) +
    columns.map((title) => title.padStart(18)).join("") +
    own.map((name) => `${name} / qemu`.padStart(22)).join(""),
);
/** How many times as fast as QEMU, by peer and row. */
const ratios = Object.fromEntries(own.map((name) => [name, {}]));
for (const { name, key, amount } of selected) {
  const measured = Object.entries(results).map(([peer, { times }]) => [peer, times[key] && coldAndWarm(times[key])]);
  const of = Object.fromEntries(measured);
  for (const peer of own)
    if (of.qemu && of[peer])
      ratios[peer][name] = { cold: of.qemu.cold / of[peer].cold, warm: of.qemu.warm / of[peer].warm };
  const cells = measured.flatMap(([, each]) =>
    each ? [unit(amount, each.cold), unit(amount, each.warm)] : ["-", "-"],
  );
  const compared = own.map((peer) => {
    const ratio = ratios[peer][name];
    return (ratio ? `${ratio.cold.toFixed(2)}  ${ratio.warm.toFixed(2)}` : "").padStart(22);
  });
  console.log(`  ${name.padEnd(20)}${cells.map((cell) => cell.padStart(18)).join("")}${compared.join("")}`);
}
for (const [group, pattern] of [
  ["disks", /raw|qcow2|buffered/],
  ["networks", /tcp|ping/],
]) {
  for (const peer of own) {
    const members = Object.entries(ratios[peer]).filter(([name]) => pattern.test(name));
    if (members.length === 0) continue;
    const [cold, warm] = ["cold", "warm"].map((kind) =>
      geometricMean(members.map(([, each]) => each[kind])).toFixed(2),
    );
    console.log(`${group}, ${peer}: geometric means ${cold} (cold) and ${warm} (warm) times as fast as QEMU`);
  }
}
if (options.json) writeFileSync(options.json, `${JSON.stringify({ about, results, ratios }, null, 1)}\n`);
process.exit(exitCode);
