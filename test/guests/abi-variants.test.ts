// Linux told to use the forms of the ABI that it doesn't choose by itself: grant tables of version 2 and 2-level event channels.
import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createXenHost, type GuestDomain, MemoryStore, type XenHost } from "../../src/index.js";
import { testImage } from "../support/image.js";

const BOOT_MS = 240_000;
const SIZE = 8 << 20;
const disk = new MemoryStore(SIZE);
let host: XenHost;
let guest: GuestDomain;
let free: number;

async function run(command: string): Promise<string> {
  const { stdout, exitCode } = await guest.exec(command, { timeout: 120_000 });
  expect(exitCode, `${command}: ${stdout}`).toBe(0);
  return stdout;
}

beforeAll(async () => {
  const { kernel, initrd } = await testImage("bookworm");
  host = await createXenHost({ memory: "224M", jit: true });
  free = host.info.freeMemory;
  guest = await host.createDomain({
    ...{ kernel, ramdisk: initrd, memory: "192M", vcpus: 2 },
    cmdline: "console=hvc0 grant_table.version=2 xen.fifo_events=0",
    disks: [{ vdev: "xvda", store: disk }],
    vifs: [{}],
  });
  await guest.waitForShell({ timeout: BOOT_MS });
});
afterAll(() => host?.close());

test("the kernel uses them", async () => {
  const log = await run("dmesg");
  expect(log).toMatch(/Grant tables using version 2 layout/);
  expect(log).toMatch(/Using 2-level ABI/);
  expect(log).not.toMatch(/WARNING:|BUG:|Call Trace/);
});

test("what it writes is on the disk, and what it reads is what was written", async () => {
  await run("head -c 8388608 /dev/urandom > /dev/xvda; sync; echo 3 > /proc/sys/vm/drop_caches");
  const content = new Uint8Array(SIZE);
  await disk.read(0, content);
  expect(await run("md5sum < /dev/xvda")).toBe(`${createHash("md5").update(content).digest("hex")}  -\n`);
});

test("packets go and come", async () => {
  await run("udhcpc -i eth0 -q -n");
  expect(await run("ping -q -c 4 -s 1400 -W 20 10.0.2.2")).toContain("4 packets transmitted, 4 packets received");
});

test("nothing is left of it", async () => {
  expect(await guest.shutdown()).toBe("poweroff");
  guest.destroy();
  await guest.released();
  expect(host.info.freeMemory).toBe(free);
});
