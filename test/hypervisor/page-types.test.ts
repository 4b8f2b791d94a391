import { describe, expect, it } from "vitest";
import { auditFrames } from "../../src/hypervisor/audit.js";
import { FrameType, OWNER_IO, OWNER_XEN } from "../../src/hypervisor/frame-table.js";
import { findL1Slot } from "../../src/hypervisor/guest-tables.js";
import { errno } from "../../src/hypervisor/public/errno.js";
import { A, D, entryOf, P, poke, RecordingCache, RW, smallMachine, US } from "./memory-fixture.js";

const PTE = P | RW | US;

function setup() {
  const { memory, manager } = smallMachine();
  const domain = manager.createSpace({ id: 1, privileged: false, maxPages: 64 });
  const cache = new RecordingCache();
  domain.tlb.attach(cache);
  const alloc = () => domain.allocate();
  /** L4 → L3 → L2 → L1, linked at slots 0; not validated. */
  const tables = () => {
    const [l4, l3, l2, l1] = [alloc(), alloc(), alloc(), alloc()] as [number, number, number, number];
    poke(memory, l4, 0, l3, PTE);
    poke(memory, l3, 0, l2, PTE);
    poke(memory, l2, 0, l1, PTE);
    return { l4, l3, l2, l1 };
  };
  const set = (table: number, slot: number, mfn: number, flags: number, target = 1, high = 0) =>
    manager.types.modify(table, slot, ((mfn << 12) | flags) >>> 0, high, domain, target, false);
  return { memory, manager, domain, cache, alloc, tables, set, frames: manager.frames };
}

describe("page types", () => {
  it("pinning an L4 validates the tree below it and takes a reference for each entry", () => {
    const { memory, manager, domain, tables, alloc, frames } = setup();
    const { l4, l3, l2, l1 } = tables();
    const data = alloc();
    poke(memory, l1, 3, data, PTE);
    poke(memory, l1, 4, l4, P | US);
    expect(domain.pin(l4, FrameType.L4)).toBe(true);
    for (const [mfn, type] of [
      [l4, FrameType.L4],
      [l3, FrameType.L3],
      [l2, FrameType.L2],
      [l1, FrameType.L1],
    ] as const)
      expect(frames.isValidated(mfn, type)).toBe(true);
    expect(frames.types[data]).toBe(FrameType.Writable);
    expect(auditFrames(manager)).toEqual([]);
    expect(domain.pin(l4, FrameType.L4)).toBe(false);
    expect(domain.unpin(l4)).toBe(true);
    expect(frames.typeCounts[l1]).toBe(0);
    expect(frames.typeCounts[data]).toBe(0);
    expect(auditFrames(manager)).toEqual([]);
  });

  it("a table that is mapped writable can't be pinned, and nothing stays behind", () => {
    const { memory, manager, domain, tables, alloc, frames } = setup();
    const { l4, l1 } = tables();
    poke(memory, l1, 0, alloc(), PTE);
    poke(memory, l1, 9, l4, PTE);
    expect(domain.pin(l4, FrameType.L4)).toBe(false);
    expect(auditFrames(manager)).toEqual([]);
    expect(Math.max(...frames.typeCounts.slice(l4, l4 + 8))).toBe(0);
  });

  it("a frame mapped writable can't become a table until the mapping is gone", () => {
    const { manager, domain, tables, alloc, set } = setup();
    const { l4, l1 } = tables();
    const frame = alloc();
    domain.pin(l4, FrameType.L4);
    expect(set(l1, 0, frame, PTE)).toBe(0);
    expect(domain.pin(frame, FrameType.L1)).toBe(false);
    expect(set(l1, 0, frame, P | US)).toBe(0);
    expect(domain.pin(frame, FrameType.L1)).toBe(true);
    expect(set(l1, 0, frame, PTE)).toBe(-errno.EBUSY);
    expect(auditFrames(manager)).toEqual([]);
  });

  it("refuses frames of others, free frames and I/O space to an unprivileged domain", () => {
    const { manager, domain, tables, set } = setup();
    const other = manager.createSpace({ id: 2, privileged: false, maxPages: 4 });
    const { l4, l1 } = tables();
    domain.pin(l4, FrameType.L4);
    const foreign = other.allocate();
    expect(set(l1, 0, foreign, P | US)).toBeLessThan(0);
    expect(set(l1, 0, manager.m2p.extents()[0]!, P | US)).toBeLessThan(0);
    expect(set(l1, 0, 0, P | US)).toBe(-errno.EPERM);
    expect(set(l1, 0, 0xfd000, P | US)).toBe(-errno.EPERM);
    expect(set(l1, 0, 0, P | US, OWNER_IO)).toBe(-errno.EPERM);
    expect(manager.types.modify(l1, 0, P, 0x100, domain, 1, false)).toBe(-errno.EINVAL);
    expect(auditFrames(manager)).toEqual([]);
  });

  it("a privileged domain maps foreign frames and I/O space, and the M2P read-only", () => {
    const { memory, manager } = setup();
    const dom0 = manager.createSpace({ id: 0, privileged: true, maxPages: 16 });
    const guest = manager.createSpace({ id: 7, privileged: false, maxPages: 4 });
    const l1 = dom0.allocate();
    const foreign = guest.allocate();
    expect(dom0.pin(l1, FrameType.L1)).toBe(true);
    const set = (slot: number, mfn: number, flags: number, target: number) =>
      manager.types.modify(l1, slot, ((mfn << 12) | flags) >>> 0, 0, dom0, target, false);
    expect(set(0, foreign, PTE, 7)).toBe(0);
    expect(set(1, 0xb8, PTE, 0)).toBe(0);
    expect(set(2, 0xfee00, PTE, 0)).toBe(-errno.EPERM);
    const m2p = manager.m2p.extents()[0]!;
    expect(set(3, m2p, PTE, OWNER_XEN)).toBe(-errno.EBUSY);
    expect(set(3, m2p, P | US, OWNER_XEN)).toBe(0);
    expect(auditFrames(manager)).toEqual([]);
    // The guest dies: its frame stays until dom0 lets go of it.
    expect(manager.destroySpace(guest)).toBe(false);
    expect(manager.frames.ownerOf(foreign)).toBe(7);
    const before = manager.freeFrames;
    expect(set(0, 0, 0, 0)).toBe(0);
    expect(manager.freeFrames).toBe(before + 1);
    expect(memory.readU32(l1 * 4096)).toBe(0);
  });

  it("the hypervisor's L4 slots can't be set, are filled in at validation, and map the M2P", () => {
    const { memory, manager, domain, tables, alloc, set } = setup();
    const { l4 } = tables();
    poke(memory, l4, 256, alloc(), PTE);
    poke(memory, l4, 260, alloc(), PTE);
    expect(domain.pin(l4, FrameType.L4)).toBe(true);
    expect(entryOf(memory, l4, 260)).toBe(0n);
    for (const slot of [256, 263, 271]) expect(set(l4, slot, 0, 0)).toBe(-errno.EINVAL);
    manager.m2p.set(77, 0x1234n);
    const slot = findL1Slot(memory, l4, 0xffff_8000_0000_0000n + 77n * 8n);
    const leaf = memory.readU32(slot);
    expect(leaf & (P | RW)).toBe(P);
    expect(memory.readU64((leaf & ~0xfff) + 77 * 8)).toBe(0x1234n);
    expect(auditFrames(manager)).toEqual([]);
  });

  it("large pages and cache bits are refused above level 1", () => {
    const { domain, tables, set } = setup();
    const { l4, l2, l1 } = tables();
    domain.pin(l4, FrameType.L4);
    for (const bad of [0x80, 0x100, 0x10, 8]) expect(set(l2, 1, l1, PTE | bad)).toBe(-errno.EINVAL);
    expect(set(l2, 0, l1, PTE | 0x80)).toBe(-errno.EINVAL);
    expect(set(l1, 0, domain.allocate(), PTE | 0x198)).toBe(0);
  });

  it("linear page tables are allowed read-only, to itself and to another table, but don't chain", () => {
    const { manager, domain, tables, set } = setup();
    const a = tables();
    const b = tables();
    domain.pin(a.l4, FrameType.L4);
    domain.pin(b.l4, FrameType.L4);
    expect(set(a.l4, 5, a.l4, PTE)).toBe(-errno.EINVAL);
    expect(set(a.l4, 5, a.l4, P | US)).toBe(0);
    expect(set(a.l4, 6, b.l4, P | US)).toBe(0);
    expect(set(b.l4, 6, a.l4, P | US)).toBe(-errno.EINVAL);
    expect(auditFrames(manager)).toEqual([]);
    domain.unpin(b.l4);
    expect(manager.frames.isValidated(b.l4, FrameType.L4)).toBe(true);
    domain.unpin(a.l4);
    expect(manager.frames.typeCounts[b.l4]).toBe(0);
    expect(auditFrames(manager)).toEqual([]);
  });

  it("a table that links itself as its own child without being one is refused", () => {
    const { memory, manager, domain, alloc } = setup();
    const l3 = alloc();
    const l2 = alloc();
    poke(memory, l3, 0, l2, PTE);
    poke(memory, l2, 0, l3, PTE);
    expect(domain.pin(l3, FrameType.L3)).toBe(false);
    expect(auditFrames(manager)).toEqual([]);
  });

  it("shows the bits that Xen adds: U/S everywhere, bit 52 for kernel pages, G for user pages", () => {
    const { memory, domain, tables, alloc, set } = setup();
    const { l4, l3, l1 } = tables();
    poke(memory, l4, 0, l3, P | RW);
    const data = alloc();
    domain.pin(l4, FrameType.L4);
    expect(entryOf(memory, l4, 0) & 7n).toBe(7n);
    set(l1, 0, data, P | RW | A | D);
    set(l1, 1, data, PTE | A | D);
    expect(entryOf(memory, l1, 0)).toBe((BigInt(data) << 12n) | 0x10_0000_0000_0067n);
    expect(entryOf(memory, l1, 1)).toBe((BigInt(data) << 12n) | 0x167n);
  });

  it("keeps accessed and dirty bits when asked to", () => {
    const { memory, manager, domain, tables, alloc, set } = setup();
    const { l4, l1 } = tables();
    const data = alloc();
    domain.pin(l4, FrameType.L4);
    set(l1, 0, data, PTE | A | D);
    manager.types.modify(l1, 0, ((data << 12) | P | US) >>> 0, 0, domain, 1, true);
    expect(entryOf(memory, l1, 0) & 0x63n).toBe(0x61n);
  });

  it("invalidates the very page of a changed entry, in each place where its table is linked", () => {
    const { domain, cache, tables, alloc, set } = setup();
    const { l4, l3, l2, l1 } = tables();
    const data = alloc();
    domain.pin(l4, FrameType.L4);
    set(l4, 511, l3, PTE);
    set(l1, 7, data, PTE);
    expect(cache.invalidated).toEqual([]);
    set(l1, 7, data, P | US);
    expect(new Set(cache.invalidated)).toEqual(new Set([0x7000n, 0xffff_ff80_0000_7000n]));
    // A third place: addresses are no longer known, and the next change waits for a flush.
    set(l4, 12, l3, PTE);
    set(l2, 3, l1, PTE);
    cache.invalidated.length = 0;
    set(l1, 7, 0, 0);
    expect(cache.invalidated).toEqual([]);
    expect(domain.tlb.isDirty).toBe(true);
    domain.tlb.sync();
    expect(cache.flushes).toBe(1);
    domain.tlb.sync();
    expect(cache.flushes).toBe(1);
  });

  it("flushes nothing when an empty table is taken out, or exchanged", () => {
    const { domain, cache, tables, alloc, set } = setup();
    const { l4, l3, l2, l1 } = tables();
    const data = alloc();
    domain.pin(l4, FrameType.L4);
    set(l1, 7, data, PTE);
    set(l1, 7, 0, 0);
    expect(cache.invalidated).toEqual([0x7000n]);
    const other = alloc();
    expect(set(l2, 0, other, PTE)).toBe(0);
    expect(set(l2, 0, 0, 0)).toBe(0);
    expect(set(l3, 0, 0, 0)).toBe(0);
    expect(set(l4, 0, 0, 0)).toBe(0);
    expect([domain.tlb.isDirty, cache.flushes]).toEqual([false, 0]);
  });

  it.each([2, 1, 0])("flushes when a table that leads somewhere is taken out %s levels above the page", (above) => {
    const { domain, tables, alloc, set } = setup();
    const { l4, l3, l2, l1 } = tables();
    const slot = [511, 0, 0][above]!;
    domain.pin(l4, FrameType.L4);
    set(l1, slot, alloc(), PTE);
    set([l2, l3, l4][above]!, 0, 0, 0);
    expect(domain.tlb.isDirty).toBe(true);
  });

  it("flushes before a frame changes hands while translations may be left over", () => {
    const { memory, manager, domain, cache, tables, alloc, set } = setup();
    const { l4, l2, l1 } = tables();
    const data = alloc();
    memory.writeU64(data * 4096, 0x5ec4e7n);
    domain.pin(l4, FrameType.L4);
    set(l1, 0, data, PTE);
    expect(set(l2, 0, 0, 0)).toBe(0);
    expect(domain.tlb.isDirty).toBe(true);
    manager.frames.dropClaim(data);
    expect(cache.flushes).toBe(1);
    const thief = manager.createSpace({ id: 3, privileged: false, maxPages: 128 });
    for (let mfn = thief.allocate(); mfn >= 0; mfn = thief.allocate()) expect(memory.readU64(mfn * 4096)).toBe(0n);
    expect(manager.frames.ownerOf(data)).toBe(3);
  });

  it("an L4 that is no table any more is dropped from the CPUs", () => {
    const { domain, cache, tables } = setup();
    const { l4 } = tables();
    domain.pin(l4, FrameType.L4);
    domain.unpin(l4);
    expect(cache.dropped).toEqual([l4]);
  });

  it("destroying a domain frees every frame", () => {
    const { memory, manager, domain, tables, alloc } = setup();
    const free = manager.freeFrames;
    const { l4, l1 } = tables();
    poke(memory, l1, 0, alloc(), PTE);
    poke(memory, l1, 1, l1, P | US);
    domain.pin(l4, FrameType.L4);
    expect(manager.destroySpace(domain)).toBe(true);
    expect(manager.freeFrames).toBe(free);
    expect(manager.space(1)).toBeUndefined();
  });

  it("grant mappings take over the caller's references and give them back", () => {
    const { manager, domain, tables } = setup();
    const granter = manager.createSpace({ id: 4, privileged: false, maxPages: 4 });
    const { l4, l1 } = tables();
    domain.pin(l4, FrameType.L4);
    const frame = granter.allocate();
    const slot = l1 * 4096 + 8;
    expect(manager.frames.getPageAndType(frame, 4, FrameType.Writable)).toBe(true);
    expect(manager.types.installGrantEntry(domain, slot, (BigInt(frame) << 12n) | 7n)).toBe(0);
    expect(auditFrames(manager)).toEqual([]);
    expect(manager.types.removeGrantEntry(domain, slot, frame + 1, false)).toBe(-errno.EINVAL);
    expect(manager.types.removeGrantEntry(domain, slot, frame, true)).toBe(-errno.EINVAL);
    expect(manager.types.removeGrantEntry(domain, slot, frame, false)).toBe(0);
    manager.frames.putPageAndType(frame);
    expect(auditFrames(manager)).toEqual([]);
  });
});
