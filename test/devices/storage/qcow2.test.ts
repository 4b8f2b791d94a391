// qcow2 images: the contract for several geometries; backing files; growth of the reference counts; order of durable writes;
// and, where qemu-img is installed, agreement with it in both directions.
import { execFileSync, spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { describe, expect, test } from "vitest";
import type { BlockStore } from "../../../src/devices/storage/block-store.js";
import { openDisk } from "../../../src/devices/storage/open-disk.js";
import { type CreateQcow2Options, createQcow2 } from "../../../src/devices/storage/qcow2/create-qcow2.js";
import { blockStoreContract, CONTRACT_SIZE, expectSame, pattern, readAll } from "./block-store-contract.js";
import { temporaryPaths } from "./temporary-directory.js";

const fresh = temporaryPaths();
const hasQemuImg = spawnSync("qemu-img", ["--version"]).status === 0;
const withQemu = test.skipIf(!hasQemuImg);

const open = (target: string, access: "r" | "w" = "w"): Promise<BlockStore> =>
  openDisk({ format: "qcow2", target, access });

async function create(options: CreateQcow2Options): Promise<string> {
  const path = fresh(".qcow2");
  await createQcow2(path, options);
  return path;
}

function qemuImg(...args: string[]): string {
  return execFileSync("qemu-img", args, { encoding: "utf8" });
}

/** No errors, no leaks. */
function check(path: string): void {
  if (!hasQemuImg) return;
  const { status, stdout, stderr } = spawnSync("qemu-img", ["check", "-f", "qcow2", path], { encoding: "utf8" });
  expect(`${status} ${stdout}${stderr}`).toMatch(/^0 No errors were found/);
}

/** The disk as qemu-img reads it. */
function converted(path: string, ...args: string[]): Uint8Array {
  const raw = fresh(".raw");
  qemuImg("convert", "-f", "qcow2", ...args, "-O", "raw", path, raw);
  return readFileSync(raw);
}

const GEOMETRIES: Omit<CreateQcow2Options, "size">[] = [
  {},
  { version: 2 },
  { clusterBits: 9, refcountOrder: 6 },
  { clusterBits: 12, refcountOrder: 0 },
  { clusterBits: 21, refcountOrder: 3 },
];
for (const geometry of GEOMETRIES) {
  let path = "";
  blockStoreContract(`qcow2 ${JSON.stringify(geometry)}`, {
    create: async () => {
      path = await create({ size: CONTRACT_SIZE, ...geometry });
      return open(path);
    },
    reopen: (isWritable) => open(path, isWritable ? "w" : "r"),
  });
}

describe("qcow2", () => {
  test("stays consistent through random writes and discards, and returns what is discarded", async () => {
    for (const geometry of GEOMETRIES) {
      const path = await create({ size: CONTRACT_SIZE, ...geometry });
      const store = await open(path);
      const model = new Uint8Array(CONTRACT_SIZE);
      let state = 11;
      const random = (below: number) => (state = (Math.imul(state, 48271) >>> 0) % 0x7fffffff) % below;
      for (let i = 0; i < 30; i++) {
        const sectors = 1 + random(200);
        const first = random(CONTRACT_SIZE / 512 - sectors);
        const data = pattern(sectors * 512, i);
        if (i % 5 === 4) {
          await store.discard(first * 512, data.length);
          model.set(await readAll(store, first * 512, data.length), first * 512);
        } else {
          await store.write(first * 512, data);
          model.set(data, first * 512);
        }
        if (i % 8 === 7) await store.flush();
      }
      await store.close();
      check(path);
      if (hasQemuImg) expectSame(converted(path), model);
      const again = await open(path);
      expectSame(await readAll(again, 0, CONTRACT_SIZE), model);
      await again.discard(0, CONTRACT_SIZE);
      await again.close();
      const length = readFileSync(path).length;
      const reused = await open(path);
      await reused.write(0, model.subarray(0, 512 * 1024));
      await reused.close();
      expect(readFileSync(path).length).toBeLessThanOrEqual(length);
      check(path);
    }
  });

  test("the reference count table moves when it is full", async () => {
    // 512-byte clusters and 64-bit counts: one table cluster counts 64 * 64 clusters, 2 MiB.
    const path = await create({ size: 4 * 1024 * 1024, clusterBits: 9, refcountOrder: 6 });
    const store = await open(path);
    const data = pattern(4 * 1024 * 1024, 1);
    for (let at = 0; at < data.length; at += 512 * 1024) await store.write(at, data.subarray(at, at + 512 * 1024));
    await store.close();
    check(path);
    const again = await open(path, "r");
    expectSame(await readAll(again, 0, data.length), data);
    await again.close();
  });

  test("a copy of the file taken after any flush is a consistent image with all that was flushed", async () => {
    const path = await create({ size: CONTRACT_SIZE, clusterBits: 9 });
    const store = await open(path);
    for (let i = 0; i < 6; i++) {
      await store.write(i * 65536, pattern(65536, i));
      await store.flush();
      await store.write(1024 * 1024 + i * 512, pattern(512, 99));
      const copy = fresh(".qcow2");
      copyFileSync(path, copy);
      const other = await open(copy, "r");
      for (let j = 0; j <= i; j++) expectSame(await readAll(other, j * 65536, 65536), pattern(65536, j));
      await other.close();
    }
    await store.close();
  });

  test("a raw backing file shows through, is never written, and may be shorter", async () => {
    for (const version of [2, 3] as const) {
      const base = fresh(".raw");
      const data = pattern(512 * 1024 + 512, 1);
      writeFileSync(base, data);
      const path = await create({ size: CONTRACT_SIZE, version, backing: { name: basename(base), format: "raw" } });
      const store = await open(path);
      const model = new Uint8Array(CONTRACT_SIZE);
      model.set(data);
      for (const [offset, length] of [
        [0, 512],
        [66_048, 1024],
        [512 * 1024 - 512, 2048],
        [1024 * 1024, 512],
      ] as const) {
        await store.write(offset, pattern(length, offset + 2));
        model.set(pattern(length, offset + 2), offset);
      }
      expectSame(await readAll(store, 0, CONTRACT_SIZE), model);
      await store.discard(131_072, 131_072);
      const discarded = await readAll(store, 131_072, 131_072);
      expectSame(discarded, version === 3 ? new Uint8Array(131_072) : model.subarray(131_072, 262_144));
      model.set(discarded, 131_072);
      await store.close();
      expectSame(readFileSync(base), data);
      check(path);
      if (hasQemuImg) expectSame(converted(path), model);
    }
  });

  test("a chain of images", async () => {
    const bottom = await create({ size: CONTRACT_SIZE });
    const first = await open(bottom);
    await first.write(0, pattern(200_704, 1));
    await first.close();
    const top = await create({ size: CONTRACT_SIZE, backing: { name: bottom, format: "qcow2" } });
    const store = await open(top);
    await store.write(512, pattern(512, 2));
    const bytes = await readAll(store, 0, 200_704);
    expectSame(bytes.subarray(0, 512), pattern(200_704, 1).subarray(0, 512));
    expectSame(bytes.subarray(512, 1024), pattern(512, 2));
    expectSame(bytes.subarray(1024), pattern(200_704, 1).subarray(1024));
    await store.close();
    check(top);
  });
});

describe("qcow2 beside qemu-img", () => {
  withQemu("reads and rewrites compressed clusters, deflate and zstd", async () => {
    for (const type of ["zlib", "zstd"]) {
      const raw = fresh(".raw");
      const model = new Uint8Array(CONTRACT_SIZE);
      for (let at = 0; at < CONTRACT_SIZE - 4096; at += 9000) model.set(pattern(3000, at), at);
      writeFileSync(raw, model);
      const path = fresh(".qcow2");
      const made = spawnSync("qemu-img", [
        "convert",
        "-c",
        "-f",
        "raw",
        "-O",
        "qcow2",
        "-o",
        `compression_type=${type}`,
        raw,
        path,
      ]);
      if (made.status !== 0 && type === "zstd") continue;
      expect(String(made.stderr)).toBe("");
      const store = await open(path);
      expectSame(await readAll(store, 0, CONTRACT_SIZE), model);
      for (let i = 0; i < 20; i++) {
        await store.write(i * 98_304, pattern(1536, i));
        model.set(pattern(1536, i), i * 98_304);
      }
      await store.flush();
      await store.discard(0, 131_072);
      model.fill(0, 0, 131_072);
      await store.close();
      check(path);
      expectSame(converted(path), model);
    }
  });

  withQemu("leaves internal snapshots as they were", async () => {
    const path = fresh(".qcow2");
    qemuImg("create", "-q", "-f", "qcow2", "-o", "cluster_size=4k", path, String(CONTRACT_SIZE));
    const before = pattern(CONTRACT_SIZE, 1);
    const store = await open(path);
    await store.write(0, before);
    await store.close();
    qemuImg("snapshot", "-c", "first", path);
    const after = before.slice();
    const second = await open(path);
    for (let i = 0; i < 30; i++) {
      await second.write(i * 66_048, pattern(1024, i));
      after.set(pattern(1024, i), i * 66_048);
    }
    await second.discard(1_048_576, 8192);
    after.set(await readAll(second, 1_048_576, 8192), 1_048_576);
    await second.close();
    check(path);
    expectSame(converted(path), after);
    expectSame(converted(path, "-l", "snapshot.name=first"), before);
    qemuImg("snapshot", "-d", "first", path);
    check(path);
    const third = await open(path);
    expectSame(await readAll(third, 0, CONTRACT_SIZE), after);
    await third.write(0, before.subarray(0, 8192));
    await third.close();
    check(path);
  });

  withQemu("reads preallocated, zeroed and odd images of its making", async () => {
    for (const options of [
      "preallocation=metadata",
      "preallocation=falloc",
      "compat=0.10",
      "lazy_refcounts=on",
      "refcount_bits=1,cluster_size=2M",
    ]) {
      const path = fresh(".qcow2");
      qemuImg("create", "-q", "-f", "qcow2", "-o", options, path, String(CONTRACT_SIZE));
      const store = await open(path);
      expectSame(await readAll(store, 0, CONTRACT_SIZE), new Uint8Array(CONTRACT_SIZE));
      await store.write(512, pattern(100_352, 1));
      await store.close();
      check(path);
      expectSame(converted(path).subarray(512, 100_864), pattern(100_352, 1));
    }
  });

  withQemu("says what it can't open", async () => {
    for (const [options, text] of [
      ["extended_l2=on", "subclusters"],
      ["data_file=/tmp/xen-ts-none.raw", "external data file"],
    ] as const) {
      const path = fresh(".qcow2");
      const dataFile = fresh(".data");
      qemuImg("create", "-q", "-f", "qcow2", "-o", options.replace("/tmp/xen-ts-none.raw", dataFile), path, "1M");
      await expect(open(path)).rejects.toMatchObject({ code: "unsupported", message: expect.stringContaining(text) });
    }
  });
});
