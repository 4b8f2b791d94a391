// A dom0 whose kernel has block and net backends of its own: Debian's xen-blkback and xen-netback, loaded by hand. The devices of guests are
// ours: they are never "initialising" when dom0 hears of them, so its drivers leave them alone.
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeCpio } from "../../images/initramfs/cpio.js";
import { createXenHost, type GuestDomain, MemoryStore, type XenHost } from "../../src/index.js";
import { debianFile } from "../support/debian-file.js";
import { testImage } from "../support/image.js";

const BOOT_MS = 240_000;
let host: XenHost;
let dom0: GuestDomain;
let guest: GuestDomain;
const disk = new MemoryStore(4 << 20);
const hot = new MemoryStore(1 << 20);

async function run(domain: GuestDomain, command: string): Promise<string> {
  const { stdout, exitCode } = await domain.exec(command, { timeout: 120_000 });
  expect(exitCode, `${command}: ${stdout}`).toBe(0);
  return stdout;
}

beforeAll(async () => {
  const { kernel, initrd, manifest } = await testImage("bookworm");
  const driver = (path: string) =>
    debianFile(
      `linux-image-${manifest.kernelRelease}`,
      `lib/modules/${manifest.kernelRelease}/kernel/drivers/${path}.ko`,
    );
  const modules = writeCpio([
    { path: "blkback.ko", kind: "file", data: await driver("block/xen-blkback/xen-blkback") },
    { path: "netback.ko", kind: "file", data: await driver("net/xen-netback/xen-netback") },
  ]);
  host = await createXenHost({ memory: "512M", jit: true });
  host.network("xenbr0", { nat: {} });
  const ramdisk = Buffer.concat([readFileSync(initrd), modules]);
  dom0 = await host.createDomain({ kernel, ramdisk, memory: "256M", privileged: true, cmdline: "console=hvc0" });
  await dom0.waitForShell({ timeout: BOOT_MS });
  await run(dom0, "insmod /blkback.ko && insmod /netback.ko && lsmod | grep -c '^xen_\\(blk\\|net\\)back '");
  guest = await host.createDomain({
    ...{ kernel, ramdisk: initrd, memory: "192M", cmdline: "console=hvc0" },
    disks: [{ vdev: "xvda", store: disk }],
    vifs: [{}],
  });
  await guest.waitForShell({ timeout: BOOT_MS });
});
afterAll(() => host?.close());

test("the guest's disk and interface work, and are ours", async () => {
  await run(guest, "echo written | dd of=/dev/xvda bs=512 conv=sync,fsync");
  const sector = Buffer.alloc(512);
  await disk.read(0, sector);
  expect(sector.toString("latin1", 0, 8)).toBe("written\n");
  await run(guest, "udhcpc -i eth0 -q -n && ping -c 2 -W 20 10.0.2.2");
  expect(guest.disks()[0]!.statistics.writes).toBeGreaterThan(0);
  expect(guest.interfaces()[0]!.statistics.sentFrames).toBeGreaterThan(2);
});

/** A console's backend has no driver in any kernel: it stays as the toolstack made it, here as with xl. */
const LEFT = "console-1-0\n";

test("dom0's drivers have taken nothing", async () => {
  expect(await run(dom0, "ls -1 /sys/bus/xen-backend/devices")).toBe(LEFT);
  expect(await run(dom0, "ls -1 /sys/bus/xen-backend/drivers")).toBe("vbd\nvif\n");
  expect(await run(dom0, "ls -1 /sys/class/net")).toBe("lo\n");
  expect(await run(dom0, "dmesg | grep -iE 'vbd|vif|backend|BUG|WARN' || true")).not.toMatch(/vbd-|vif-|BUG|WARN/);
});

test("nor do they when devices come and go", async () => {
  await guest.attachDisk({ vdev: "xvdb", store: hot });
  await run(guest, "while [ ! -b /dev/xvdb ]; do sleep 0.1; done; echo hot | dd of=/dev/xvdb bs=512 conv=sync,fsync");
  await guest.detachDisk("xvdb");
  const { devid } = await guest.attachNetwork("bridge=xenbr0");
  await run(guest, "while [ ! -d /sys/class/net/eth1 ]; do sleep 0.1; done; ifconfig eth1 up");
  await guest.detachNetwork(devid);
  expect(await run(dom0, "ls -1 /sys/bus/xen-backend/devices")).toBe(LEFT);
  expect(await guest.shutdown()).toBe("poweroff");
  await run(dom0, "rmmod xen_netback && rmmod xen_blkback");
});
