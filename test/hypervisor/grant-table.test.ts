import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { GrantTable } from "../../src/hypervisor/grant-table.js";
import { errno } from "../../src/hypervisor/public/errno.js";
import {
  GNTST_bad_gntref,
  GNTST_eagain,
  GNTST_general_error,
  GTF_permit_access,
  GTF_reading,
  GTF_readonly,
  GTF_sub_page,
  GTF_transitive,
  GTF_writing,
} from "../../src/hypervisor/public/grant-table.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";

const FRAMES = 32;

function makeTable(maxFrames = 4) {
  const memory = new MachineMemory({ frames: FRAMES, engineBytes: 65536 });
  const used = new Set<number>();
  const table = new GrantTable({
    domid: 1,
    memory,
    maxFrames,
    allocateFrame: () => {
      for (let mfn = 1; mfn < FRAMES; mfn++)
        if (!used.has(mfn)) {
          used.add(mfn);
          memory.fill(mfn * 4096, 4096);
          return mfn;
        }
      throw new Error("no frame");
    },
    freeFrame: (mfn) => used.delete(mfn),
    putFrame: () => {},
  });
  const flags = (ref: number) => memory.readU32(table.frames[0]! * 4096 + ref * 8) & 0xffff;
  return { memory, table, used, flags };
}

describe("version 1", () => {
  test("a grant shows in its flags what it is used for, until it is released", () => {
    const { table, flags } = makeTable();
    table.seed(8, 5, 0x123n);
    expect(table.acquire(8, 5, true, true)).toMatchObject({ frame: 0x123n, start: 0, length: 4096 });
    expect(flags(8)).toBe(GTF_permit_access | GTF_reading);
    table.acquire(8, 5, false, true);
    expect(flags(8)).toBe(GTF_permit_access | GTF_reading | GTF_writing);
    table.release(8, false);
    expect(flags(8)).toBe(GTF_permit_access | GTF_reading);
    table.release(8, true);
    expect(flags(8)).toBe(GTF_permit_access);
    expect(table.activeCount).toBe(0);
  });

  test("refused: out of range, unused, another domain's, writing a read-only one", () => {
    const { table } = makeTable();
    table.seed(8, 5, 0x123n, GTF_permit_access | GTF_readonly);
    expect(table.acquire(512, 5, true, true)).toBe(GNTST_bad_gntref);
    expect(table.acquire(9, 5, true, true)).toBe(GNTST_general_error);
    expect(table.acquire(8, 6, true, true)).toBe(GNTST_general_error);
    expect(table.acquire(8, 5, false, true)).toBe(GNTST_general_error);
    expect(table.acquire(8, 5, true, true)).toMatchObject({ frame: 0x123n });
  });

  test("changing an entry in use doesn't move the grant", () => {
    const { table } = makeTable();
    table.seed(8, 5, 0x123n);
    table.acquire(8, 5, true, true);
    table.seed(8, 6, 0x999n);
    expect(table.acquire(8, 5, true, true)).toMatchObject({ frame: 0x123n });
    expect(table.acquire(8, 6, true, true)).toBe(GNTST_general_error);
  });

  test("releasing more often than acquired is our own bug and throws", () => {
    const { table } = makeTable();
    expect(() => table.release(8, true)).toThrow(/released more often/);
  });

  test("grows to its limit", () => {
    const { table } = makeTable(4);
    expect([table.entries, table.grow(4), table.entries, table.grow(5)]).toEqual([512, true, 2048, false]);
  });

  test("entries out of use can be swapped", () => {
    const { table } = makeTable();
    table.seed(8, 5, 0x123n);
    table.acquire(8, 5, true, true);
    expect(table.swap(8, 9)).toBe(GNTST_eagain);
    table.release(8, true);
    expect(table.swap(8, 9)).toBe(0);
    expect(table.acquire(9, 5, true, true)).toMatchObject({ frame: 0x123n });
  });
});

describe("version 2", () => {
  test("reserved entries survive the change; it is refused while grants are in use", () => {
    const { table } = makeTable();
    table.seed(1, 0, 0x77n);
    table.seed(9, 5, 0x123n);
    table.acquire(9, 5, true, true);
    expect(table.setVersion(2)).toBe(-errno.EBUSY);
    table.release(9, true);
    expect(table.setVersion(2)).toBe(0);
    expect(table.acquire(1, 0, false, true)).toMatchObject({ frame: 0x77n });
    expect(table.acquire(9, 5, true, true)).toBe(GNTST_general_error);
  });

  test("in-use bits are in the status array, not in the entry", () => {
    const { table, memory } = makeTable();
    table.setVersion(2);
    table.seed(9, 5, 0x123n);
    table.acquire(9, 5, false, true);
    expect(memory.readU32(table.frames[0]! * 4096 + 9 * 16) & 0xffff).toBe(GTF_permit_access);
    const status = (memory.readU32(table.statusFrames[0]! * 4096 + 16) >>> 16) & 0xffff;
    expect(status).toBe(GTF_reading | GTF_writing);
  });

  test("a part of a page can be copied, not mapped", () => {
    const { table, memory } = makeTable();
    table.setVersion(2);
    table.seed(9, 5, 0x123n, GTF_permit_access | GTF_sub_page);
    memory.writeU32(table.frames[0]! * 4096 + 9 * 16 + 4, 0x100 | (0x80 << 16));
    expect(table.acquire(9, 5, true, true)).toBe(GNTST_general_error);
    expect(table.acquire(9, 5, true, false)).toMatchObject({ start: 0x100, length: 0x80 });
  });

  test("a transitive entry names where the frame comes from", () => {
    const { table, memory } = makeTable();
    table.setVersion(2);
    table.seed(9, 5, 0n, GTF_transitive);
    const at = table.frames[0]! * 4096 + 9 * 16;
    memory.writeU32(at + 4, 3);
    memory.writeU32(at + 8, 44);
    expect(table.acquire(9, 5, true, false)).toMatchObject({ transitive: { domid: 3, ref: 44 } });
  });

  test("going back frees the status frames", () => {
    const { table, used } = makeTable();
    const before = used.size;
    table.setVersion(2);
    expect(used.size).toBeGreaterThan(before);
    table.setVersion(1);
    expect(used.size).toBe(before);
  });
});

test("handles are unique while in use, and destroying returns all pins and frames", () => {
  const granter = makeTable();
  const mapper = makeTable();
  for (let ref = 8; ref < 12; ref++) granter.table.seed(ref, 1, BigInt(ref));
  const handles = [8, 9, 10, 11].map((ref) => {
    granter.table.acquire(ref, 1, false, true);
    return mapper.table.addMapping({ granter: granter.table, ref, mfn: ref, flags: 2, hostAddress: 0n })!.handle;
  });
  expect(new Set(handles).size).toBe(4);
  granter.table.release(9, false);
  mapper.table.removeMapping(handles[1]!);
  granter.table.acquire(8, 1, false, true);
  const again = mapper.table.addMapping({ granter: granter.table, ref: 8, mfn: 8, flags: 2, hostAddress: 0n })!;
  expect(again.handle).toBe(handles[1]);
  mapper.table.destroy();
  expect([granter.table.activeCount, mapper.used.size]).toEqual([0, 0]);
});

test("a pin that outlives the granting domain touches none of the frames that were its table", () => {
  const { table, memory } = makeTable();
  table.seed(8, 5, 0x123n);
  table.acquire(8, 5, false, true);
  const frame = table.frames[0]!;
  table.destroy();
  memory.fill(frame * 4096, 4096, 0xff);
  table.release(8, false);
  expect(memory.bytes(frame * 4096, 4096).every((byte) => byte === 0xff)).toBe(true);
  expect(table.acquire(8, 5, true, true)).toBe(GNTST_bad_gntref);
});

test("whatever the guest writes into its table: in-use bits follow the pins, and nothing throws", () => {
  const step = fc.oneof(
    fc.record({ entry: fc.nat(15), word: fc.integer({ min: 0, max: 2 ** 32 - 1 }), half: fc.nat(3) }),
    fc.record({ acquire: fc.nat(15), domid: fc.nat(2), readonly: fc.boolean(), map: fc.boolean() }),
    fc.record({ release: fc.nat() }),
  );
  fc.assert(
    fc.property(fc.constantFrom<1 | 2>(1, 2), fc.array(step, { maxLength: 60 }), (version, steps) => {
      const { table, memory } = makeTable();
      table.setVersion(version);
      const held: { ref: number; readonly: boolean }[] = [];
      for (const each of steps) {
        if ("entry" in each) {
          const size = version === 1 ? 8 : 16;
          const at = table.frames[0]! * 4096 + each.entry * size + ((each.half * 4) % size);
          memory.writeU32(at, each.word & 0xffff00ff);
        } else if ("acquire" in each) {
          const result = table.acquire(each.acquire, each.domid, each.readonly, each.map);
          if (typeof result !== "number") held.push({ ref: each.acquire, readonly: each.readonly });
        } else if (held.length > 0) {
          const [pin] = held.splice(each.release % held.length, 1);
          table.release(pin!.ref, pin!.readonly);
        }
        expect(table.activeCount).toBe(new Set(held.map(({ ref }) => ref)).size);
      }
    }),
  );
});
