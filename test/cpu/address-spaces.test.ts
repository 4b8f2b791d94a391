// Which address spaces keep their translations: sixteen slots, the first of which is never filled.

import { beforeEach, expect, it } from "vitest";
import { ADDRESS_SPACES_BYTES, AddressSpaces } from "../../src/cpu/address-spaces.js";
import { STATE_SIZE } from "../../src/cpu/state-layout.js";
import { TLB_READ } from "../../src/cpu/tlb-layout.js";
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
