// Debian 6.1 with several vCPUs: work on all of them, vCPUs that come and go, memory that goes and comes back.
import { afterAll, beforeAll, expect, test } from "vitest";
import { createXenHost, type GuestDomain, type XenHost } from "../../src/index.js";
import { testImage } from "../support/image.js";

const BOOT_MS = 300_000;
/** KiB that the guest's kernel has for its use. */
const MEM_TOTAL = "sed -n 's/MemTotal: *//p' /proc/meminfo";

let host: XenHost;
let guest: GuestDomain;
let freeMemory = 0;

beforeAll(async () => {
  const image = await testImage("bookworm");
  host = await createXenHost({ memory: "400M", cpus: 2 });
  freeMemory = host.info.freeMemory;
  guest = await host.createDomain({
    ...{ kernel: image.kernel, ramdisk: image.initrd, memory: "256M", maxMemory: "320M", name: "wide" },
    ...{ vcpus: 2, maxVcpus: 4, cmdline: "console=hvc0 quiet" },
  });
  await guest.waitForShell({ timeout: BOOT_MS });
}, BOOT_MS);
afterAll(() => host?.close());

const sh = async (command: string) => (await guest.exec(command, { timeout: 60_000 })).stdout.trim();
const online = () => guest.info.vcpus.filter(({ isOnline }) => isOnline).length;

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 60_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not in time: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test("starts with those that are online, and brings up the others when it may", async () => {
  await until(() => online() === 2);
  expect(await sh("nproc; grep -c ^processor /proc/cpuinfo")).toBe("2\n2");
  guest.setVcpus(4);
  await until(() => online() === 4);
  expect(await sh("nproc; cat /sys/devices/system/cpu/present")).toBe("4\n0-3");
  expect(await sh("cat /sys/devices/system/cpu/online")).toBe("0-3");
});

test("work runs on all of them, each with its own timer and its own share", async () => {
  const before = guest.info.vcpus.map(({ cpuTime }) => cpuTime);
  const busy = "n=0; while [ $n -lt 20000 ]; do n=$((n+1)); done";
  const places = await sh(
    `for cpu in 0 1 2 3; do (taskset -p $((1<<cpu)) $(sh -c 'echo $PPID') >/dev/null; ${busy}; cut -d' ' -f39 /proc/self/stat) & done; wait`,
  );
  expect(places.split("\n").sort()).toEqual(["0", "1", "2", "3"]);
  for (const [i, { cpuTime }] of guest.info.vcpus.entries()) expect(cpuTime).toBeGreaterThan(before[i]!);
  // Each stopped and went on: the timer of every vCPU has ticked, and each was sent IPIs.
  const counts = (await sh("grep -E 'timer[0-3]$|callfuncsingle[0-3]$' /proc/interrupts")).split("\n");
  expect(counts).toHaveLength(8);
  for (const line of counts) expect(Math.max(...line.trim().split(/ +/).slice(1, 5).map(Number))).toBeGreaterThan(0);
});

test("what four processes append to one file and send through one pipe is all there", async () => {
  const lines = "n=0; while [ $n -lt 500 ]; do echo x; n=$((n+1)); done";
  const all = `for p in 1 2 3 4; do (${lines} >>/tmp/all) & done; wait; grep -c x /tmp/all`;
  expect(await sh(`rm -f /tmp/all; ${all}`)).toBe("2000");
  expect(await sh(`(for p in 1 2 3 4; do (${lines}) & done; wait) | grep -c x`)).toBe("2000");
});

test("gives vCPUs back, from outside and from inside", async () => {
  guest.setVcpus(1);
  await until(() => online() === 1);
  await until(async () => (await sh("nproc")) === "1");
  guest.setVcpus(3);
  await until(() => online() === 3);
  expect(await sh("nproc")).toBe("3");
  expect(await sh("echo 0 >/sys/devices/system/cpu/cpu2/online; nproc")).toBe("2");
  await until(() => online() === 2);
});

test("its memory goes and comes back with its target, up to its maximum", async () => {
  const total = async () => Number.parseInt(await sh(MEM_TOTAL), 10);
  const { hypervisor } = host;
  const before = await total();
  const free = hypervisor.mm.freeFrames;
  guest.setMemoryTarget(160 * 2 ** 20);
  await until(() => guest.info.memoryKib === 160 * 1024);
  expect((before - (await total())) / 1024).toBeCloseTo(96, -0.7);
  expect(hypervisor.mm.freeFrames - free).toBe((96 * 2 ** 20) / 4096);
  guest.setMemoryTarget(320 * 2 ** 20);
  await until(() => guest.info.memoryKib === 320 * 1024);
  expect(((await total()) - before) / 1024).toBeCloseTo(64, -0.7);
  expect(() => guest.setMemoryTarget(321 * 2 ** 20)).toThrow(/above its maximum of 327680 KiB/);
  expect(() => guest.setMaxMemory(300 * 2 ** 20)).toThrow(/has 327680 KiB already/);
});

test("its image keeps an idle kernel asleep", async () => {
  expect(await sh("cd /proc/sys/vm; cat compaction_proactiveness stat_interval")).toBe("0\n10");
});

test("nothing stalled, and it powers off with two vCPUs", async () => {
  const complaints = await sh("dmesg | grep -iE 'rcu.*stall|lockup|hung task|WARNING:|BUG:|Call Trace'");
  expect(complaints).toBe("");
  expect(await guest.shutdown()).toBe("poweroff");
  guest.destroy();
  expect(host.info.freeMemory).toBe(freeMemory);
});
