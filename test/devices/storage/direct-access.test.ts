// Files are read at once while that is quick; after a slow access the pool has its turn.
import { writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { DirectAccess } from "../../../src/devices/storage/direct-access.js";
import { FileLocks } from "../../../src/devices/storage/file-locks.js";
import { HostFile } from "../../../src/devices/storage/host-file.js";
import { openDisk } from "../../../src/devices/storage/open-disk.js";
import { createQcow2 } from "../../../src/devices/storage/qcow2/create-qcow2.js";
import { temporaryPaths } from "./temporary-directory.js";

const fresh = temporaryPaths();

test("quick accesses are direct, long ones never; slow ones send ever more of the next to the pool", () => {
  let time = 0;
  const direct = new DirectAccess(() => time);
  const pooled = () => {
    let count = 0;
    while (!direct.allows(512)) count++;
    return count;
  };
  const slow = () => {
    direct.run(() => (time += 3));
    return pooled();
  };
  expect([direct.allows(4096), direct.allows(2 ** 20 + 512)]).toEqual([true, false]);
  expect(direct.run(() => ++time)).toBe(1);
  expect(pooled()).toBe(0);
  expect([slow(), slow(), slow(), slow()]).toEqual([0, 16, 32, 48]);
  expect(slow()).toBe(64);
  // Half of what a disk is asked for is in the cache.
  for (let i = 0; i < 8; i++) {
    direct.run(() => time);
    expect([pooled(), slow()]).toEqual([0, 64]);
  }
  for (let i = 0; i < 20; i++) direct.run(() => time);
  // A process that loses its processor now and then.
  for (let i = 0; i < 8; i++) {
    expect(slow()).toBe(0);
    for (let quick = 0; quick < 4; quick++) direct.run(() => time);
  }
});

test("a file with a clock: the same bytes, ends and errors both ways", async () => {
  const path = fresh("disk.img");
  writeFileSync(path, "0123456789");
  for (const took of [0, 5]) {
    let time = 0;
    const now = () => (time += took);
    const file = await HostFile.open(path, true, { locks: new FileLocks(), holder: "test", now });
    const target = new Uint8Array(8);
    expect(await file.read(6, target)).toBe(4);
    expect(Buffer.from(target).toString("latin1", 0, 4)).toBe("6789");
    await file.write(2, Buffer.from("xy"));
    expect(await file.read(0, target)).toBe(8);
    expect(Buffer.from(target).toString()).toBe("01xy4567");
    await file.write(2, Buffer.from("23"));
    await file.close();
    await expect(file.read(0, target)).rejects.toMatchObject({ code: "closed" });
    const readonly = await HostFile.open(path, false, { locks: new FileLocks(), holder: "test", now });
    await expect(readonly.write(0, target)).rejects.toMatchObject({ name: "StorageError" });
    await readonly.close();
  }
});

test("within a call: whole ranges of quick files, nothing else", async () => {
  const path = fresh("disk.img");
  writeFileSync(path, "0123456789");
  let took = 0;
  let time = 0;
  const now = () => (time += took);
  const open = (isWritable: boolean) =>
    HostFile.open(path, isWritable, { locks: new FileLocks(), holder: "test", now });
  const file = await open(true);
  const target = new Uint8Array(8);
  expect(file.readNow(2, [target])).toBe(true);
  expect(Buffer.from(target).toString()).toBe("23456789");
  expect(file.readNow(3, [target])).toBe(false);
  expect(file.writeNow(8, [Buffer.from("abcd")])).toBe(true);
  expect(file.length).toBe(12);
  expect(file.readNow(0, [new Uint8Array(2 ** 20)])).toBe(false);
  took = 5;
  expect(file.readNow(2, [target])).toBe(true);
  expect(file.readNow(2, [target])).toBe(true);
  expect(file.readNow(2, [target])).toBe(false);
  expect(file.writeNow(2, [target])).toBe(false);
  await file.close();
  expect(file.readNow(2, [target])).toBe(false);
  took = 0;
  const readonly = await open(false);
  expect(readonly.writeNow(0, [target])).toBe(false);
  await readonly.close();
  const unknown = await HostFile.open(path, false);
  expect(unknown.readNow(2, [target])).toBe(false);
  await unknown.close();
});

test("a qcow2 image within a call: clusters that are there, once its table is in memory", async () => {
  const path = fresh("disk.qcow2");
  const size = 2 ** 22;
  await createQcow2(path, { size });
  const lock = { locks: new FileLocks(), holder: "test", now: () => 0 };
  const open = () => openDisk({ format: "qcow2", target: path, access: "w", lock });
  let store = await open();
  const data = Buffer.alloc(131072, "some data in two clusters\n");
  const target = Buffer.alloc(131072);
  expect(store.writeNow!(65536, [data])).toBe(false);
  await store.write(65536, data);
  expect(store.readNow!(65536, [target])).toBe(true);
  expect(target.equals(data)).toBe(true);
  expect(store.readNow!(131072, [target])).toBe(false);
  expect(store.writeNow!(131072, [data])).toBe(false);
  data.fill("x");
  expect(store.writeNow!(65536, [data])).toBe(true);
  // A flush has the image to itself.
  const flush = store.flush();
  expect(store.readNow!(65536, [target])).toBe(false);
  await flush;
  await store.close();
  store = await open();
  expect(store.readNow!(65536, [target])).toBe(false);
  await store.read(65536, target);
  expect(target.equals(data)).toBe(true);
  target.fill(0);
  expect(store.readNow!(65536, [target])).toBe(true);
  expect(target.equals(data)).toBe(true);
  expect(() => store.readNow!(size, [target])).toThrow(/not sectors of this disk/);
  // Clusters that lie in the file in another order, and pieces of memory with other borders.
  await store.write(0, data.subarray(0, 65536));
  const all = Buffer.from(Array.from({ length: 196608 }, (_, i) => i >>> 9));
  const pieces = (bytes: Uint8Array) => [
    bytes.subarray(0, 5000),
    bytes.subarray(5000, 100_000),
    bytes.subarray(100_000),
  ];
  expect(store.writeNow!(0, pieces(all))).toBe(true);
  const read = Buffer.alloc(all.length);
  await store.read(0, read);
  expect(read.equals(all)).toBe(true);
  read.fill(0);
  expect(store.readNow!(0, pieces(read))).toBe(true);
  expect(read.equals(all)).toBe(true);
  await store.close();
});
