// Space that a guest gives up returns to the machine: holes in raw files by fallocate(2). A disk whose space can't return doesn't offer it.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { FileLocks } from "../../src/devices/storage/file-locks.js";
import type { FreeSpace } from "../../src/devices/storage/host-file.js";
import { openDisk } from "../../src/devices/storage/open-disk.js";
import { openDiskConfig } from "../../src/host/disk-config.js";
import { spaceFreer } from "../../src/host/free-space.js";

const MIB = 1024 * 1024;
const directory = mkdtempSync(join(tmpdir(), "xen-ts-discard-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
const target = join(directory, "disk.img");
const blocks = () => statSync(target).blocks * 512;
const fill = () => writeFileSync(target, new Uint8Array(8 * MIB).fill(0x5a));
const owner = { locks: new FileLocks(), name: "web" };

/** With space that can be freed, or not, by what the machine has. */
async function openWith(freeSpace: FreeSpace, access: "r" | "w" = "w") {
  fill();
  return openDisk({ format: "raw", target, access, lock: { locks: new FileLocks(), holder: "test", freeSpace } });
}

describe("discard on raw files", () => {
  test("frees the file's blocks, which read as zeros; what isn't discarded stays", async ({ skip }) => {
    fill();
    const { store } = await openDiskConfig({ vdev: "xvda", target }, owner);
    if (store.discardGranularity === 0) {
      await store.close();
      skip("no koffi, or a file system without holes");
    }
    const before = blocks();
    expect(before).toBeGreaterThanOrEqual(8 * MIB);
    await store.discard(MIB + 512, 4 * MIB);
    await store.discard(0, 0);
    await store.flush();
    expect(before - blocks()).toBeGreaterThanOrEqual(4 * MIB - 2 * store.discardGranularity);
    expect(statSync(target).size).toBe(8 * MIB);
    const bytes = new Uint8Array(8 * MIB);
    await store.read(0, bytes);
    const edges = [MIB + 511, MIB + 512, 5 * MIB + 511, 5 * MIB + 512].map((at) => bytes[at]);
    expect(edges).toEqual([0x5a, 0, 0, 0x5a]);
    await store.close();
    await expect(store.discard(0, 512)).rejects.toThrow(/closed/);
  });

  test("a block device is trimmed", async ({ skip }) => {
    fill();
    const { stdout, status } = spawnSync("losetup", ["--find", "--show", target], { encoding: "utf8" });
    if (status !== 0) return skip("no loop device to be had");
    const device = stdout.trim();
    try {
      const { store } = await openDiskConfig({ vdev: "xvda", target: device }, owner);
      if (store.discardGranularity > 0) {
        await store.discard(MIB, 4 * MIB);
        expect(blocks()).toBeLessThanOrEqual(4 * MIB + store.discardGranularity);
        const bytes = new Uint8Array(1024);
        await store.read(MIB - 512, bytes);
        expect([bytes[511], bytes[512]]).toEqual([0x5a, 0]);
      }
      await store.close();
    } finally {
      spawnSync("losetup", ["--detach", device]);
    }
  });

  test("isn't offered when the user says so, on a read-only disk, or where the file system makes no holes", async () => {
    const off = await openDiskConfig({ vdev: "xvda", target, discard: false }, owner);
    expect(off.store.discardGranularity).toBe(0);
    await off.store.close();
    const readonly = await openWith(() => Promise.resolve(), "r");
    expect(readonly.discardGranularity).toBe(0);
    await readonly.close();
    const unable = await openWith(() => Promise.reject(new Error("fallocate failed")));
    expect(unable.discardGranularity).toBe(0);
    await unable.discard(0, MIB);
    await unable.close();
  });

  test("a failure of the machine is an I/O error that names the file", async () => {
    const store = await openWith((_fd, _isDevice, offset) =>
      offset >= 8 * MIB ? Promise.resolve() : Promise.reject(new Error("fallocate failed")),
    );
    expect(store.discardGranularity).toBe(statSync(target).blksize);
    await expect(store.discard(0, MIB)).rejects.toMatchObject({ code: "io", message: /disk\.img: fallocate failed/ });
    await store.close();
  });

  test("what the kernel refuses is a rejection", async ({ skip }) => {
    const freeSpace = await spaceFreer();
    if (!freeSpace) return skip("no koffi");
    await expect(freeSpace(-1, false, 0, 4096)).rejects.toThrow("fallocate of 4096 bytes at 0 failed");
    await expect(freeSpace(-1, true, 0, 4096)).rejects.toThrow("BLKDISCARD of 4096 bytes at 0 failed");
  });
});
