// Which address spaces keep their translations: sixteen slots, the first of which is never filled.

import fc from "fast-check";
import { beforeEach, expect, it } from "vitest";
import { ADDRESS_SPACES_BYTES, AddressSpaces } from "../../src/cpu/address-spaces.js";
import { STATE_SIZE } from "../../src/cpu/state-layout.js";
import {
  ADDRESS_SPACE_BYTES,
  CODE_TLB_ENTRY_SHIFT,
  CODE_TLB_PAGE,
  CODE_TLB_TAG,
  emptyTag,
  TLB_BYTES,
  TLB_ENTRY_SHIFT,
  TLB_LINEAR,
  TLB_READ,
  TLB_WRITE,
} from "../../src/cpu/tlb-layout.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";

const KEPT = 15;
let memory: MachineMemory;
let spaces: AddressSpaces;

/** Whether reads of page 0 hit in the current slot. */
const hits = () => memory.view.getBigInt64(spaces.dataTlb + TLB_READ, true) === 0n;

beforeEach(() => {
  memory = new MachineMemory({ frames: 16, engineBytes: 4 << 20 });
  const state = memory.allocateEngine(STATE_SIZE);
  spaces = new AddressSpaces(memory, memory.allocateEngine(ADDRESS_SPACES_BYTES, 4096), state);
  for (let key = 1; key <= KEPT; key++) {
    spaces.select(key);
    spaces.fill(0, 0, 0, false);
  }
});

/** Whether the translations of a key are there; then it becomes the one used last. */
function isKept(key: number): boolean {
  if (spaces.find(key) === 0) return false;
  spaces.select(key);
  return hits();
}

it("keeps as many as there are slots", () => {
  for (let key = 1; key <= KEPT; key++) expect(isKept(key)).toBe(true);
});

it("gives up one that wasn't used lately for a new one, which starts empty", () => {
  for (let key = 100; key < 200; key++) {
    for (let recent = 1; recent <= 3; recent++) expect(isKept(recent)).toBe(true);
    spaces.select(key);
    expect(hits()).toBe(false);
  }
});

it("finds most of them again when a few more than there are slots take turns", () => {
  let found = 0;
  for (let round = 0; round < 50; round++)
    for (let key = 1; key <= KEPT + 3; key++) {
      if (isKept(key)) found++;
      else spaces.select(key);
      spaces.fill(0, 0, 0, false);
    }
  expect(found).toBeGreaterThan(50 * KEPT * 0.6);
});

it("gives up one that was dropped before any other", () => {
  spaces.drop(7);
  spaces.select(100);
  expect([hits(), isKept(1), isKept(7)]).toEqual([false, true, false]);
  // Only once: the next one takes another's.
  spaces.select(101);
  const others = Array.from({ length: KEPT }, (_, i) => i + 1).filter((key) => key !== 7);
  expect(others.filter((key) => !isKept(key))).toHaveLength(1);
});

it("doesn't bring back what was dropped", () => {
  spaces.drop(7);
  expect(spaces.find(7)).toBe(0);
  spaces.select(7);
  expect(hits()).toBe(false);
  expect(isKept(1)).toBe(true);
});

it("empties the current one at once when it is dropped", () => {
  spaces.drop(KEPT);
  expect(hits()).toBe(false);
});

/** Roots whose upper half is an entry 1 at slot 300, and what one of them knows of a kernel's page and of two of its user's. */
const [KERNEL_LOW, KERNEL_HIGH] = [0x81003000 | 0, -1];
function knowKernel(root: number): void {
  spaces.select(root, true);
  spaces.fill(KERNEL_LOW, KERNEL_HIGH, 0x5000, true);
  spaces.fill(0x7000, 0, 0x6000, true);
  spaces.fill(0x8000, 0x7fff, 0x6000, true);
  spaces.fillCode(KERNEL_LOW, KERNEL_HIGH, 0x1234, 2);
  spaces.fillCode(0x7000, 0, 0x5678, 2);
}
/** Whether the current slot knows the kernel's page for reads, writes and code, and the user's. */
function known(): boolean[] {
  const entry = (page: number) => spaces.dataTlb + (page << TLB_ENTRY_SHIFT);
  const code = (page: number) => spaces.codeTlb + (page << CODE_TLB_ENTRY_SHIFT);
  const { view } = memory;
  const kernel = BigInt.asIntN(64, 0xffff_ffff_8100_3000n);
  return [
    view.getBigInt64(entry(3) + TLB_READ, true) === -kernel,
    view.getBigInt64(entry(3) + TLB_WRITE, true) === -kernel,
    view.getBigInt64(code(3) + CODE_TLB_TAG, true) === (kernel | 2n) &&
      view.getUint32(code(3) + CODE_TLB_PAGE, true) === 0x1234,
    view.getBigInt64(entry(7) + TLB_READ, true) === -0x7000n,
    view.getBigInt64(entry(7) + TLB_WRITE, true) === -0x7000n,
    view.getBigInt64(entry(8) + TLB_READ, true) === -0x7fff_0000_8000n,
    view.getBigInt64(code(7) + CODE_TLB_TAG, true) === 0x7002n,
  ];
}
const upper = (root: number, slot: number, entry: bigint) => memory.writeU64(root + slot * 8, entry);
const KERNEL_ONLY = [true, true, true, false, false, false, false];
const NOTHING = KERNEL_ONLY.map(() => false);

it("lets a new root begin with what is known of the kernel, where both have the same tables there", () => {
  for (const root of [0x1000, 0x2000]) upper(root, 300, 0x9067n);
  upper(0x2000, 3, 0xa067n);
  upper(0x2000, 300, 0x9027n);
  knowKernel(0x1000);
  expect(known()).not.toContain(false);
  spaces.select(0x2000, true);
  expect(known()).toEqual(KERNEL_ONLY);
  spaces.select(0x1000, true);
  expect(known()).not.toContain(false);
});

it("lets it begin with nothing otherwise", () => {
  for (const [entry, sharesKernel] of [
    [0x9067n, false],
    [0x8067n, true],
    [0x9065n, true],
    [(1n << 63n) | 0x9067n, true],
  ] as const) {
    upper(0x1000, 300, 0x9067n);
    knowKernel(0x1000);
    upper(0x2000, 300, entry);
    spaces.drop(0x2000);
    spaces.select(0x2000, sharesKernel);
    expect(known()).toEqual(NOTHING);
  }
});

it("takes over nothing that was invalidated, dropped or is to be flushed", () => {
  for (const root of [0x1000, 0x2000]) upper(root, 300, 0x9067n);
  knowKernel(0x1000);
  spaces.invalidatePage(KERNEL_LOW);
  spaces.select(0x2000, true);
  expect(known()).toEqual(NOTHING);
  spaces.drop(0x1000);
  spaces.drop(0x2000);
  knowKernel(0x1000);
  spaces.select(1);
  spaces.flushAll();
  spaces.select(0x2000, true);
  expect(known()).toEqual(NOTHING);
});

it("has entries that say nothing hit for no address of theirs", () => {
  const hit = (va: bigint, tag: bigint) => BigInt.asUintN(64, va + tag) <= 4095n;
  spaces.select(100);
  spaces.invalidatePage(0x1000);
  for (const index of [0n, 1n, 2n, 4095n])
    for (const va of [index << 12n, (index << 12n) + 4095n, (0xffff_8000_0000_0000n + (index << 12n)) | 1n])
      for (const place of [TLB_READ, TLB_WRITE]) {
        const tag = memory.view.getBigInt64(spaces.dataTlb + (Number(index) << TLB_ENTRY_SHIFT) + place, true);
        expect(hit(va, tag), va.toString(16)).toBe(false);
      }
});

/** Whether some kept translation lets writes to a frame through; slot 0 is never filled. */
function isWritten(frame: number): boolean {
  const { view, ramBase } = memory;
  for (let slot = 1; slot <= KEPT; slot++) {
    const start = spaces.emptyTlb + slot * ADDRESS_SPACE_BYTES;
    for (let entry = start; entry < start + TLB_BYTES; entry += 1 << TLB_ENTRY_SHIFT) {
      const tag = view.getBigInt64(entry + TLB_WRITE, true);
      if (tag === BigInt(emptyTag((entry - start) >> TLB_ENTRY_SHIFT))) continue;
      const page = view.getInt32(entry + TLB_LINEAR, true) - Number(BigInt.asIntN(32, tag));
      if (((page - ramBase) | 0) >> 12 === frame) return true;
    }
  }
  return false;
}

it("finds all that may write to a frame in the parts of the TLBs that are noted for it", () => {
  const fill = fc.record({
    key: fc.integer({ min: 1, max: 20 }),
    page: fc.integer({ min: 0, max: 8191 }),
    frame: fc.integer({ min: 2, max: 5 }),
    writable: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(fill, { maxLength: 40 }), (fills) => {
      for (const { key, page, frame, writable } of fills) {
        spaces.select(key);
        spaces.fill(page << 12, 0, frame << 12, writable);
      }
      for (const frame of [3, 4]) {
        const parts = memory.frameWriters[frame]!;
        spaces.protectFrames(frame, 1, parts);
        memory.frameWriters[frame] = 0;
        expect(isWritten(frame)).toBe(false);
      }
      const last = fills.at(-1);
      if (last?.writable && last.frame !== 3 && last.frame !== 4) expect(isWritten(last.frame)).toBe(true);
    }),
  );
});
