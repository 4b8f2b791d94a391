// Damaged and hostile qcow2 images: whatever the bytes, opening, reading and writing end with data or a StorageError.
import { readFileSync, writeFileSync } from "node:fs";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { openDisk } from "../../../src/devices/storage/open-disk.js";
import { createQcow2 } from "../../../src/devices/storage/qcow2/create-qcow2.js";
import { StorageError } from "../../../src/devices/storage/storage-error.js";
import { pattern } from "./block-store-contract.js";
import { temporaryPaths } from "./temporary-directory.js";

const fresh = temporaryPaths();
const SIZE = 256 * 1024;

/** A small image with a few clusters in use: header, tables and data lie close together. */
async function sample(): Promise<Uint8Array> {
  const path = fresh(".qcow2");
  await createQcow2(path, { size: SIZE, clusterBits: 9 });
  const store = await openDisk({ format: "qcow2", target: path, access: "w" });
  for (const at of [0, 32_768, 65_536, 200_704]) await store.write(at, pattern(2048, at));
  await store.discard(512, 512);
  await store.close();
  return readFileSync(path);
}

async function use(image: Uint8Array): Promise<string> {
  const path = fresh(".qcow2");
  writeFileSync(path, image);
  let outcome = "ok";
  const attempt = async (work: () => Promise<unknown>) => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      expect(error.message).toContain(path);
      outcome = error.code;
      return undefined;
    }
  };
  for (const access of ["r", "w"] as const) {
    const store = (await attempt(() => openDisk({ format: "qcow2", target: path, access }))) as
      | Awaited<ReturnType<typeof openDisk>>
      | undefined;
    if (!store) continue;
    const end = Math.min(store.size, SIZE);
    for (let at = 0; at + 8192 <= end; at += 32_768) {
      await attempt(() => store.read(at, new Uint8Array(8192)));
      if (access === "r") continue;
      await attempt(() => store.write(at, new Uint8Array(2560)));
      await attempt(() => store.discard(at + 1024, 4096));
      await attempt(() => store.flush());
    }
    await attempt(() => store.close());
  }
  return outcome;
}

test("changed bytes and words, and cut files", { timeout: 60_000 }, async () => {
  const image = await sample();
  const outcomes = new Map<string, number>();
  const interesting = [0, 1, 512, 0x200, 0x7fffffff, 0x80000000, 0xffffffff, 0x00ffffff, 0x40000000, image.length];
  const change = fc.record({
    // Half of the changes hit the header, the others the tables and what follows.
    at: fc.oneof(fc.nat(111), fc.nat(image.length - 4)),
    value: fc.oneof(fc.constantFrom(...interesting), fc.nat(0xffffffff)),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { minLength: 1, maxLength: 4 }),
      fc.option(fc.nat(image.length)),
      async (changes, cut) => {
        const bytes = Buffer.from(image);
        for (const { at, value } of changes) bytes.writeUInt32BE(value >>> 0, at > 111 ? at : at & ~3);
        const outcome = await use(cut === null ? bytes : bytes.subarray(0, cut));
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      },
    ),
    { numRuns: 150 },
  );
  // The changes do reach: some images still work, some are found to be damaged.
  expect([...outcomes.keys()]).toEqual(expect.arrayContaining(["ok", "corrupt"]));
});

test("header fields at their bounds", async () => {
  const image = await sample();
  const cases: [number, number, string][] = [
    [4, 4, "unsupported"],
    [20, 8, "corrupt"],
    [20, 22, "corrupt"],
    [24, 0x100000, "corrupt"],
    [32, 1, "unsupported"],
    [36, 0xffffffff, "corrupt"],
    [36, 0, "corrupt"],
    [44, 513, "corrupt"],
    [44, 0x10000000, "corrupt"],
    [52, 0, "corrupt"],
    [56, 0, "corrupt"],
    [56, 0xffffff, "corrupt"],
    [76, 1 << 9, "unsupported"],
    [76, 1, "corrupt"],
    [96, 7, "corrupt"],
    [100, 0xfffffff8, "corrupt"],
  ];
  for (const [at, value, outcome] of cases) {
    const bytes = Buffer.from(image);
    bytes.writeUInt32BE(value, at);
    expect(`${at}: ${await use(bytes)}`).toBe(`${at}: ${outcome}`);
  }
});
