// Linux's own xen-blkfront on our block backend: raw and qcow2 files, read-only and CD-ROM disks, flushes, disk errors, and disks
// that come and go while the guest runs.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createQcow2 } from "../../src/devices/storage/qcow2/create-qcow2.js";
import { createXenHost, FaultyStore, type GuestDomain, MemoryStore, type XenHost } from "../../src/index.js";
import { testImage } from "../support/image.js";

const MIB = 1024 * 1024;
const directory = mkdtempSync(join(tmpdir(), "xen-ts-blkfront-"));
const path = (name: string) => join(directory, name);
const hasTool = (name: string) => spawnSync(name, ["-V"]).error === undefined;

function emptyDisk(name: string, size: number): string {
  writeFileSync(path(name), "");
  truncateSync(path(name), size);
  return path(name);
}

describe("disks of a Linux guest", () => {
  let host: XenHost;
  let guest: GuestDomain;
  const log: string[] = [];
  const content = Buffer.from(Array.from({ length: MIB / 4 }, (_, i) => `${i}\n`).join("")).subarray(0, MIB);
  let [isSlow, goOn] = [false, () => {}];
  const faulty = new FaultyStore(
    new MemoryStore(4 * MIB),
    ({ operation, offset }) => {
      const isBad = offset >= 2 * MIB && (operation === "read" || operation === "write");
      return isBad ? { error: "worn out" } : isSlow ? { delayMs: 1000 } : undefined;
    },
    // As long as the test likes.
    () => new Promise((resolve) => (goOn = resolve)),
  );

  /** Runs a command that must succeed. */
  async function run(command: string): Promise<string> {
    const { stdout, exitCode } = await guest.exec(command, { timeout: 120_000 });
    expect(exitCode, `${command}: ${stdout}`).toBe(0);
    return stdout;
  }

  beforeAll(async () => {
    const image = await testImage("bookworm");
    writeFileSync(path("readonly.img"), content);
    await createQcow2(path("disk.qcow2"), { size: 32 * MIB });
    host = await createXenHost({ memory: "256M", log: (line) => log.push(line) });
    guest = await host.createDomain({
      kernel: image.kernel,
      ramdisk: image.initrd,
      memory: "192M",
      disks: [
        { vdev: "xvda", target: emptyDisk("raw.img", 32 * MIB), persistentGrants: true },
        { vdev: "xvdb", target: path("disk.qcow2"), format: "qcow2" },
        { vdev: "xvdc", target: path("readonly.img"), access: "r" },
        { vdev: "xvdd", target: path("readonly.img"), cdrom: true },
        { vdev: "xvde", store: faulty },
        { vdev: "xvdf", target: path("readonly.img"), snapshot: true },
      ],
    });
    await guest.waitForShell({ timeout: 240_000 });
    await run(
      "modprobe xen-blkfront; i=0; while [ ! -e /dev/xvdf ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done; ls /dev/xvdf",
    );
  });
  afterAll(async () => {
    await host?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  test("appear with their sizes, and all features are in use", async () => {
    expect(await run("cat /sys/block/xvda/size /sys/block/xvdb/size /sys/block/xvdc/size")).toBe(
      "65536\n65536\n2048\n",
    );
    expect(await run("cat /sys/block/xvda/ro /sys/block/xvdc/ro /sys/block/xvdd/removable")).toBe("0\n1\n1\n");
    expect(await run("dmesg | grep xvda")).toContain(
      "xvda: flush diskcache: enabled; persistent grants: enabled; indirect descriptors: enabled",
    );
    expect(await run("dmesg | grep xvdb")).toContain("persistent grants: disabled; indirect descriptors: enabled");
    expect(guest.disks().map(({ name, state }) => `${name} ${state}`)).toEqual(
      ["xvda", "xvdb", "xvdc", "xvdd", "xvde", "xvdf"].map((name) => `${name} 4`),
    );
  });

  test.each([0, 1])("disk %i: 1 MiB past the page cache is one request", async (index) => {
    const name = ["xvda", "xvdb"][index];
    expect(await run(`cat /sys/block/${name}/queue/max_segments`)).toBe("256\n");
    await run("head -c 4194304 /dev/urandom > /tmp/large");
    const before = { ...guest.disks()[index]!.statistics };
    const direct = (options: string) => `dd bs=1M count=4 ${options} 2>/dev/null`;
    await run(direct(`if=/tmp/large of=/dev/${name} seek=20 oflag=direct`));
    const sum = await run(`${direct(`if=/dev/${name} skip=20 iflag=direct`)} | sha256sum`);
    expect(sum).toBe(await run("sha256sum </tmp/large"));
    const { reads, writes } = guest.disks()[index]!.statistics;
    expect([reads - before.reads, writes - before.writes]).toEqual([4, 4]);
  });

  test.each(["xvda", "xvdb"])(
    "%s: what is written and flushed is read back, by the guest and by the host",
    async (name) => {
      await run(
        `head -c 8388608 /dev/urandom > /tmp/data; dd if=/tmp/data of=/dev/${name} bs=64k seek=16 conv=fsync 2>/dev/null`,
      );
      const [sum] = (await run("sha256sum /tmp/data")).split(" ");
      await run("echo 3 > /proc/sys/vm/drop_caches");
      expect(await run(`dd if=/dev/${name} bs=1M skip=1 count=8 2>/dev/null | sha256sum`)).toContain(sum);
      // Single sectors and odd places, past the page cache.
      await run(`dd if=/tmp/data of=/dev/${name} bs=512 seek=41000 count=7 oflag=direct 2>/dev/null`);
      expect(await run(`dd if=/dev/${name} bs=512 skip=41000 count=7 iflag=direct 2>/dev/null | sha256sum`)).toBe(
        await run("head -c 3584 /tmp/data | sha256sum"),
      );
      if (name !== "xvda") return;
      const onHost = readFileSync(path("raw.img")).subarray(MIB, 9 * MIB);
      expect(createHash("sha256").update(onHost).digest("hex")).toBe(sum);
      const { statistics } = guest.disks()[0]!;
      expect(statistics.flushes).toBeGreaterThan(0);
      expect(statistics.errors).toBe(0);
    },
  );

  test("a file system on qcow2 survives unmounting and checks clean", async () => {
    await run("mke2fs -F /dev/xvdb > /dev/null; modprobe ext4; mkdir -p /mnt; mount -t ext4 /dev/xvdb /mnt");
    await run(
      "for i in 1 2 3 4 5 6 7 8 9; do head -c 700000 /dev/urandom > /mnt/$i; done; sync; sha256sum /mnt/? > /tmp/sums",
    );
    await run(
      "umount /mnt; echo 3 > /proc/sys/vm/drop_caches; mount -t ext4 /dev/xvdb /mnt; sha256sum -c /tmp/sums; umount /mnt",
    );
  });

  test("what the guest trims, a raw file on the host no longer holds", async ({ skip }) => {
    const backend = guest.disks()[0]!.backendPath;
    if (host.xenstore.read(`${backend}/feature-discard`) !== "1") skip("no koffi, or a file system without holes");
    const held = () => statSync(path("raw.img")).blocks * 512;
    expect(await run("cat /sys/block/xvda/queue/discard_granularity")).toBe(`${statSync(path("raw.img")).blksize}\n`);
    await run("mke2fs -F /dev/xvda > /dev/null; modprobe ext4; mkdir -p /trim; mount -t ext4 /dev/xvda /trim");
    await run("head -c 16777216 /dev/urandom > /trim/large; echo kept > /trim/small; sync");
    const before = held();
    await run("rm /trim/large; sync; fstrim /trim");
    expect(before - held()).toBeGreaterThan(14 * MIB);
    await run("umount /trim; echo 3 > /proc/sys/vm/drop_caches; mount -t ext4 /dev/xvda /trim");
    expect(await run("cat /trim/small")).toBe("kept\n");
    await run("umount /trim");
    expect(guest.disks()[0]!.statistics).toMatchObject({ errors: 0 });
    expect(guest.disks()[0]!.statistics.discards).toBeGreaterThan(0);
  });

  test("a read-only disk is read, and not written", async () => {
    const sum = createHash("sha256").update(content).digest("hex");
    expect(await run("sha256sum /dev/xvdc")).toContain(sum);
    expect(await run("sha256sum /dev/xvdd")).toContain(sum);
    expect((await guest.exec("dd if=/dev/zero of=/dev/xvdc bs=4k count=1 conv=fsync")).exitCode).not.toBe(0);
    await run("dd if=/dev/zero of=/dev/xvdf bs=4k count=4 conv=fsync; echo 3 > /proc/sys/vm/drop_caches");
    expect(await run("head -c 16384 /dev/xvdf | tr -d '\\0' | wc -c")).toBe("0\n");
    expect(readFileSync(path("readonly.img")).equals(content)).toBe(true);
  });

  test("errors of the host's disk are I/O errors for the guest and lines in the log; the rest goes on", async () => {
    expect((await guest.exec("dd if=/dev/xvde of=/dev/null bs=64k skip=32 count=1")).exitCode).not.toBe(0);
    await run("dd if=/dev/xvde of=/dev/null bs=64k count=16");
    expect(await run("dmesg | grep 'I/O error'")).toContain("xvde");
    expect(log.join("\n")).toContain("worn out");
    await run("dd if=/dev/xvda of=/dev/null bs=64k count=16 iflag=direct");
  });

  test("a slow disk keeps its own requests waiting, and no others", async () => {
    isSlow = true;
    await run("(dd if=/dev/xvde of=/tmp/slow bs=4k count=1 iflag=direct 2>/dev/null; echo done > /tmp/done) &");
    await run("dd if=/dev/xvda of=/dev/null bs=64k count=16 iflag=direct; [ ! -e /tmp/done ]");
    isSlow = false;
    goOn();
    await run(
      "i=0; until [ -e /tmp/done ] || [ $i -ge 100 ]; do sleep 0.1; i=$((i+1)); done; [ $(wc -c < /tmp/slow) = 4096 ]",
    );
  });

  test("a full file system of the host, and an image that is cut short meanwhile, are I/O errors and lines in the log", async ({
    skip,
  }) => {
    const small = path("small");
    mkdirSync(small);
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=4m", "none", small], { encoding: "utf8" });
    if (mounted.status !== 0) return skip(`a file system of 4 MiB can't be mounted: ${mounted.stderr?.trim()}`);
    try {
      const target = join(small, "disk.img");
      writeFileSync(target, "");
      truncateSync(target, 16 * MIB);
      await guest.attachDisk({ vdev: "xvdg", target });
      await run("i=0; while [ ! -e /dev/xvdg ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done; ls /dev/xvdg");
      await run("dd if=/dev/urandom of=/tmp/two bs=1M count=2 2>/dev/null");
      await run("dd if=/tmp/two of=/dev/xvdg bs=64k oflag=direct 2>/dev/null");
      const filled = await guest.exec("dd if=/dev/zero of=/dev/xvdg bs=64k seek=128 oflag=direct");
      expect(filled.exitCode, filled.stdout).not.toBe(0);
      expect(log.join("\n")).toMatch(/disk\.img.*(ENOSPC|no space left)/);
      // What is there is read and written as before.
      const [sum] = (await run("sha256sum /tmp/two")).split(" ");
      await run("dd if=/tmp/two of=/dev/xvdg bs=64k oflag=direct 2>/dev/null");
      expect(await run("dd if=/dev/xvdg bs=64k count=32 iflag=direct 2>/dev/null | sha256sum")).toContain(sum);
      truncateSync(target, MIB);
      const cut = await guest.exec("dd if=/dev/xvdg of=/dev/null bs=64k skip=16 count=1 iflag=direct");
      expect(cut.exitCode, cut.stdout).not.toBe(0);
      expect(log.join("\n")).toMatch(/disk\.img.*has become shorter than the disk/);
      await run("dd if=/dev/xvdg of=/dev/null bs=64k count=16 iflag=direct");
      expect(await run("dmesg | grep 'I/O error'")).toContain("xvdg");
      await guest.detachDisk("xvdg");
    } finally {
      spawnSync("umount", ["-l", small]);
    }
  });

  test("a disk is attached and detached while the guest runs", async () => {
    const store = new MemoryStore(2 * MIB);
    await guest.attachDisk({ vdev: "xvdh", store });
    await run("i=0; while [ ! -e /sys/block/xvdh ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done");
    await run("[ -e /dev/xvdh ] || mdev -s; echo hello | dd of=/dev/xvdh conv=fsync 2>/dev/null");
    const sector = new Uint8Array(512);
    await store.read(0, sector);
    expect(Buffer.from(sector.subarray(0, 6)).toString()).toBe("hello\n");
    await guest.detachDisk("xvdh");
    expect(await run("ls /sys/block")).not.toContain("xvdh");
    expect(guest.disks().map(({ name }) => name)).not.toContain("xvdh");
    await guest.attachDisk({ vdev: "xvdh", store: new MemoryStore(MIB) });
    await run("i=0; while [ ! -e /sys/block/xvdh ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done");
    expect(await run("cat /sys/block/xvdh/size")).toBe("2048\n");
  });

  test("the kernel complains of nothing, and the images are whole", async () => {
    expect(await run("dmesg")).not.toMatch(/WARNING:|BUG:|Call Trace|wrong operation/);
    expect(await guest.shutdown()).toBe("poweroff");
    guest.destroy();
    await guest.released();
    if (!hasTool("qemu-img")) return;
    const check = spawnSync("qemu-img", ["check", "-f", "qcow2", path("disk.qcow2")], { encoding: "utf8" });
    expect(check.stdout).toContain("No errors were found");
    if (!hasTool("e2fsck")) return;
    spawnSync("qemu-img", ["convert", "-O", "raw", path("disk.qcow2"), path("plain.img")]);
    expect(spawnSync("e2fsck", ["-fn", path("plain.img")]).status).toBe(0);
  });
});
