// What every BlockStore does, whatever is behind it. Each implementation's test file runs this suite.
import { describe, expect, test } from "vitest";
import type { BlockStore } from "../../../src/devices/storage/block-store.js";

export const CONTRACT_SIZE = 2 * 1024 * 1024 + 512;

/** Bytes that differ from sector to sector. */
export function pattern(length: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 2654435761 + 12345) >>> 0;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

export async function readAll(store: BlockStore, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length).fill(0xee);
  await store.read(offset, bytes);
  return bytes;
}

/** Compares without printing megabytes. */
export function expectSame(actual: Uint8Array, expected: Uint8Array): void {
  expect(actual.length).toBe(expected.length);
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  expect(at, `first difference at ${at}`).toBe(-1);
}

export interface ContractOptions {
  /** A fresh writable disk of CONTRACT_SIZE bytes, all zero. */
  readonly create: () => Promise<BlockStore>;
  /** The same disk opened again, for those that outlive closing. */
  readonly reopen?: (isWritable: boolean) => Promise<BlockStore>;
}

export function blockStoreContract(name: string, { create, reopen }: ContractOptions): void {
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => undefined,
      (error: { code: string }) => error.code,
    );

  describe(`${name} as a block store`, () => {
    test("is as large as it should be, and empty", async () => {
      const store = await create();
      expect([store.size, store.sectorSize, store.isReadonly]).toEqual([CONTRACT_SIZE, 512, false]);
      expectSame(await readAll(store, CONTRACT_SIZE - 4096, 4096), new Uint8Array(4096));
      await store.close();
    });

    test("reads and writes pieces of memory one after the other within a call, or not at all", async () => {
      const store = await create();
      const data = pattern(200_704, 3);
      await store.write(65_024, new Uint8Array(data.length).fill(1));
      const cut = (bytes: Uint8Array) =>
        [0, 1000, 69_632, 69_700, 135_168, bytes.length].flatMap((at, i, all) =>
          i > 0 ? [bytes.subarray(all[i - 1], at)] : [],
        );
      if (!store.writeNow?.(65_024, cut(data))) await store.write(65_024, data);
      expectSame(await readAll(store, 65_024, data.length), data);
      const target = new Uint8Array(data.length);
      if (store.readNow?.(65_024, cut(target))) expectSame(target, data);
      if (store.readNow) expect(() => store.readNow!(65_024, [target.subarray(0, 511)])).toThrow(/not sectors/);
      await store.close();
    });

    test("reads what was written, and zeros around it", async () => {
      const store = await create();
      const data = pattern(70_144, 1);
      await store.write(65_024, data);
      expectSame(await readAll(store, 65_024, data.length), data);
      expectSame(await readAll(store, 64_512, 512), new Uint8Array(512));
      expectSame(await readAll(store, 65_024 + data.length, 512), new Uint8Array(512));
      await store.write(CONTRACT_SIZE - 512, data.subarray(0, 512));
      expectSame(await readAll(store, CONTRACT_SIZE - 512, 512), data.subarray(0, 512));
      await store.close();
    });

    test("behaves as an array of bytes under random writes", async () => {
      const store = await create();
      const model = new Uint8Array(CONTRACT_SIZE);
      let state = 7;
      const random = (below: number) => (state = (Math.imul(state, 48271) >>> 0) % 0x7fffffff) % below;
      for (let i = 0; i < 60; i++) {
        const sectors = 1 + random(i % 6 === 0 ? 300 : 9);
        const first = random(CONTRACT_SIZE / 512 - sectors);
        const data = pattern(sectors * 512, i);
        model.set(data, first * 512);
        await store.write(first * 512, data);
        if (i % 20 === 0) await store.flush();
      }
      expectSame(await readAll(store, 0, CONTRACT_SIZE), model);
      await store.close();
    });

    test("takes many requests at the same time", async () => {
      const store = await create();
      const model = pattern(256 * 4096, 3);
      const blocks = Array.from({ length: 256 }, (_, i) => (i * 37) % 256);
      await Promise.all([
        ...blocks.map((block) => store.write(block * 4096, model.subarray(block * 4096, (block + 1) * 4096))),
        store.flush(),
      ]);
      const read = await Promise.all(blocks.map((block) => readAll(store, block * 4096, 4096)));
      for (const [i, block] of blocks.entries()) expectSame(read[i]!, model.subarray(block * 4096, (block + 1) * 4096));
      await store.close();
    });

    test("a discarded range reads as before or as zeros, its neighbours as before", async () => {
      const store = await create();
      const data = pattern(512 * 1024, 4);
      await store.write(0, data);
      await store.discard(1024, 400 * 1024);
      const after = await readAll(store, 0, data.length);
      expectSame(after.subarray(0, 1024), data.subarray(0, 1024));
      expectSame(after.subarray(401 * 1024), data.subarray(401 * 1024));
      for (let at = 1024; at < 401 * 1024; at += 512) {
        const sector = after.subarray(at, at + 512);
        if (sector.some((byte) => byte !== 0)) expectSame(sector, data.subarray(at, at + 512));
      }
      await store.write(0, data);
      expectSame(await readAll(store, 0, data.length), data);
      await store.close();
    });

    test("refuses what isn't whole sectors of the disk", async () => {
      const store = await create();
      const bad: [number, number][] = [
        [1, 512],
        [0, 511],
        [CONTRACT_SIZE, 512],
        [-512, 512],
        [Number.NaN, 512],
        [2 ** 60, 512],
        [0.5, 512],
      ];
      for (const [offset, length] of bad) {
        expect(await failure(store.read(offset, new Uint8Array(length)))).toBe("out-of-range");
        expect(await failure(store.write(offset, new Uint8Array(length)))).toBe("out-of-range");
        expect(await failure(store.discard(offset, length))).toBe("out-of-range");
      }
      await store.read(CONTRACT_SIZE, new Uint8Array(0));
      await store.close();
    });

    test("does nothing once it is closed; closing twice does no harm", async () => {
      const store = await create();
      await store.close();
      await store.close();
      expect(await failure(store.read(0, new Uint8Array(512)))).toBe("closed");
      expect(await failure(store.write(0, new Uint8Array(512)))).toBe("closed");
      expect(await failure(store.flush())).toBe("closed");
      expect(await failure(store.discard(0, 512))).toBe("closed");
    });

    if (!reopen) return;
    test("keeps what was written; opened read-only it refuses writes", async () => {
      const store = await create();
      const data = pattern(300 * 1024, 5);
      await store.write(1024 * 1024, data);
      await store.close();
      const readonly = await reopen(false);
      expect(readonly.isReadonly).toBe(true);
      expectSame(await readAll(readonly, 1024 * 1024, data.length), data);
      expect(await failure(readonly.write(0, new Uint8Array(512)))).toBe("read-only");
      expect(await failure(readonly.discard(0, 512))).toBe("read-only");
      await readonly.flush();
      await readonly.close();
      const again = await reopen(true);
      await again.write(0, data);
      await again.flush();
      // Not closed: what was flushed is there for the next who opens it.
      const other = await reopen(false);
      expectSame(await readAll(other, 0, data.length), data);
      expectSame(await readAll(other, 1024 * 1024, data.length), data);
      await other.close();
      await again.close();
    });
  });
}
