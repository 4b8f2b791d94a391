// Random page table operations of two domains on a small machine. After each: all counts agree (audit.ts), no frame is both a
// table and mapped writable, nobody maps a frame of the other, and a TLB that is told what real CPUs are told holds nothing
// that could be used to get around it.

import fc from "fast-check";
import { expect, it } from "vitest";
import { auditFrames } from "../../src/hypervisor/audit.js";
import type { DomainMemory } from "../../src/hypervisor/domain-memory.js";
import { FrameType } from "../../src/hypervisor/frame-table.js";
import { PTE_P, PTE_RW, pteFrame } from "../../src/hypervisor/pte.js";
import type { TranslationCache } from "../../src/hypervisor/tlb-sync.js";
import type { MachineMemory } from "../../src/mmu/machine-memory.js";
import { smallMachine } from "./memory-fixture.js";

const FRAMES = 48;
/** Slots that the fuzzer uses, hypervisor's included. */
const SLOTS = [0, 0, 0, 0, 1, 1, 256, 271, 272];
/** A frame by its place among the domain's own, or any frame of the machine. */
const frameChoice = fc.oneof(
  { weight: 12, arbitrary: fc.record({ own: fc.constant(true), index: fc.nat(8) }) },
  { weight: 2, arbitrary: fc.record({ own: fc.constant(true), index: fc.nat(17) }) },
  { weight: 1, arbitrary: fc.record({ own: fc.constant(false), index: fc.nat(FRAMES) }) },
);

interface Translation {
  readonly mfn: number;
  readonly writable: boolean;
}

function walk(memory: MachineMemory, root: number, path: readonly number[]): Translation | undefined {
  let table = root;
  let writable = true;
  for (const slot of path) {
    if (table >= memory.frames) return undefined;
    const low = memory.readU32(table * 4096 + slot * 8);
    if (!(low & PTE_P)) return undefined;
    if (!(low & PTE_RW)) writable = false;
    table = pteFrame(low, memory.readU32(table * 4096 + slot * 8 + 4));
  }
  return { mfn: table, writable };
}

/** A TLB that never evicts by itself. */
class GreedyTlb implements TranslationCache {
  readonly spaces = new Map<number, Map<string, Translation>>();
  flushTlbAll(): void {
    this.spaces.clear();
  }
  invalidatePage(va: bigint): void {
    const path = [39n, 30n, 21n, 12n].map((shift) => Number((va >> shift) & 511n)).join();
    for (const space of this.spaces.values()) space.delete(path);
  }
  dropAddressSpace(root: number): void {
    this.spaces.delete(root);
  }
  /** The guest uses every address there is. */
  fill(memory: MachineMemory, root: number): void {
    let space = this.spaces.get(root);
    if (!space) this.spaces.set(root, (space = new Map()));
    for (const a of [0, 1, 272])
      for (const b of [0, 1])
        for (const c of [0, 1])
          for (const d of [0, 1]) {
            const key = [a, b, c, d].join();
            if (space.has(key)) continue;
            const found = walk(memory, root, [a, b, c, d]);
            if (found) space.set(key, found);
          }
  }
}

interface Guest {
  readonly space: DomainMemory;
  readonly tlb: GreedyTlb;
  root: number;
}

const operation = fc.record({
  guest: fc.nat(1),
  kind: fc.constantFrom(
    "write",
    "write",
    "modify",
    "modify",
    "modify",
    "pin",
    "pin",
    "unpin",
    "root",
    "give",
    "take",
    "sync",
  ),
  frameChoice,
  slot: fc.constantFrom(...SLOTS),
  targetChoice: frameChoice,
  level: fc.constantFrom(FrameType.L1, FrameType.L2, FrameType.L3, FrameType.L4),
  flags: fc.constantFrom(0, 0, 5, 5, 7, 7, 7, 0x67, 0x63, 0x85),
  high: fc.constantFrom(0, 0, 0, 0, 0x8000_0000, 0x100),
  preserve: fc.boolean(),
});

it("counts agree, tables are never writable, and translations never outlive rights", () => {
  fc.assert(
    fc.property(fc.array(operation, { minLength: 50, maxLength: 300, size: "max" }), (operations) => {
      const { memory, manager } = smallMachine(FRAMES);
      const { frames, types } = manager;
      const guests: Guest[] = [1, 2].map((id) => {
        const space = manager.createSpace({ id, privileged: false, maxPages: 18 });
        const tlb = new GreedyTlb();
        space.tlb.attach(tlb);
        // A tree to begin with, so that random changes find something to change.
        const [l4, l3, l2, l1] = Array.from({ length: 8 }, () => space.allocate()) as [number, number, number, number];
        for (const [table, child] of [
          [l4, l3],
          [l3, l2],
          [l2, l1],
        ] as const)
          memory.writeU32(table * 4096, (child << 12) | 7);
        expect(space.pin(l4, FrameType.L4)).toBe(true);
        space.getRoot(l4);
        return { space, tlb, root: l4 };
      });

      const choose = (space: DomainMemory, { own, index }: { own: boolean; index: number }): number => {
        if (!own) return index;
        const mine = [...frames.owners.keys()].filter((mfn) => frames.owners[mfn] === space.id);
        return mine[index % mine.length] ?? 0;
      };

      for (const { guest, kind, slot, level, flags, high, preserve, ...choices } of operations) {
        const { space, tlb } = guests[guest]!;
        const frame = choose(space, choices.frameChoice);
        const target = choose(space, choices.targetChoice);
        const low = ((target << 12) | flags) >>> 0;
        switch (kind) {
          case "write":
            // What a writable mapping lets the guest do.
            if (!frames.getPageAndType(frame, space.id, FrameType.Writable)) break;
            memory.writeU32(frame * 4096 + slot * 8, low);
            memory.writeU32(frame * 4096 + slot * 8 + 4, high);
            frames.putPageAndType(frame);
            break;
          case "modify":
            if (frames.ownerOf(frame) === space.id) types.modify(frame, slot, low, high, space, space.id, preserve);
            break;
          case "pin":
            space.pin(frame, level);
            break;
          case "unpin":
            if (frames.ownerOf(frame) === space.id) space.unpin(frame);
            break;
          case "root":
            if (frame === guests[guest]!.root || !space.getRoot(frame)) break;
            space.putRoot(guests[guest]!.root);
            guests[guest]!.root = frame;
            space.tlb.sync();
            break;
          case "give":
            if (space.owns(frame)) frames.dropClaim(frame);
            break;
          case "take":
            space.allocate();
            break;
          case "sync":
            space.tlb.sync();
            break;
        }

        expect(
          auditFrames(
            manager,
            guests.map(({ root }) => ({ mfn: root, references: 1, types: 1 })),
          ),
        ).toEqual([]);
        for (const { space: own, tlb: cache, root } of guests) {
          for (const [cachedRoot, translations] of cache.spaces)
            for (const [path, { mfn, writable }] of translations) {
              const where = `root ${cachedRoot} path ${path} frame ${mfn}`;
              const owner = frames.ownerOf(mfn);
              expect(owner === own.id || (frames.flags[mfn]! & 8) !== 0, where).toBe(true);
              if (writable) expect(frames.types[mfn], where).toBe(FrameType.Writable);
              if (own.tlb.isDirty || cachedRoot !== root) continue;
              const now = walk(memory, root, path.split(",").map(Number));
              expect(now, where).toEqual({ mfn, writable: now?.writable });
              if (writable) expect(now?.writable, where).toBe(true);
            }
          cache.fill(memory, root);
        }
        expect(tlb.spaces.size).toBeGreaterThan(0);
      }

      // Death gives everything back.
      for (const { space, root } of guests) {
        space.putRoot(root);
        expect(manager.destroySpace(space)).toBe(true);
      }
      expect(auditFrames(manager)).toEqual([]);
      expect(manager.freeFrames).toBe(smallMachine(FRAMES).manager.freeFrames);
    }),
    { numRuns: 120 },
  );
}, 20_000);
