import { describe, expect, it } from "vitest";
import { auditFrames } from "../../../src/hypervisor/audit.js";
import { FrameType } from "../../../src/hypervisor/frame-table.js";
import { copyFromGuest, copyToGuest, readU32, readU64 } from "../../../src/hypervisor/guest-access.js";
import { findL1Slot } from "../../../src/hypervisor/guest-tables.js";
import { memoryOp } from "../../../src/hypervisor/hypercall/memory.js";
import { mmuUpdate } from "../../../src/hypervisor/hypercall/mmu-update.js";
import { mmuextOp } from "../../../src/hypervisor/hypercall/mmuext.js";
import { updateVaMapping } from "../../../src/hypervisor/hypercall/update-va-mapping.js";
import { errno } from "../../../src/hypervisor/public/errno.js";
import * as M from "../../../src/hypervisor/public/memory.js";
import * as X from "../../../src/hypervisor/public/xen.js";
import { emulatePageTableWrite } from "../../../src/hypervisor/pv/ptwr.js";
import { BASE, call, FREE_PFN, makeDomain, makeHost, otherReferences, putWords, va } from "../hypervisor-fixture.js";

const host = makeHost();
const { hypervisor, memory } = host;
const dom0 = makeDomain(host, true);
const guest = makeDomain(host, false);
const { frames, m2p } = hypervisor.mm;
const ARGS = va(FREE_PFN);
const LIST = va(FREE_PFN + 1);

const audit = () => auditFrames(hypervisor.mm, otherReferences([dom0.domain, guest.domain]));
const maddr = (mfn: number, slot = 0) => BigInt(mfn) * 4096n + BigInt(slot * 8);
const mfnOf = (pfn: number) => guest.p2m[pfn]!;
const pte = (mfn: number, flags: number) => (BigInt(mfn) << 12n) | BigInt(flags);

function update(requests: readonly (readonly [bigint, bigint])[], foreign: number = X.DOMID_SELF) {
  putWords(guest.vcpu, LIST, requests.flat());
  const result = call(mmuUpdate, guest.vcpu, LIST, requests.length, ARGS, foreign);
  return { result, done: readU32(guest.vcpu, ARGS) };
}

function extended(cmd: number, arg1: bigint | number = 0n, arg2: bigint | number = 0n, vcpu = guest.vcpu) {
  putWords(vcpu, LIST, [cmd, arg1, arg2]);
  return call(mmuextOp, vcpu, LIST, 1, 0n, X.DOMID_SELF);
}

function reservation(operation: number, list: readonly (bigint | number)[], order = 0, domid: number = X.DOMID_SELF) {
  putWords(guest.vcpu, LIST, list);
  putWords(guest.vcpu, ARGS, [LIST, list.length, BigInt(order), domid]);
  return call(memoryOp, guest.vcpu, operation, ARGS);
}

describe("page table hypercalls of a built domain", () => {
  it("starts with tables that count right", () => {
    expect(audit()).toEqual([]);
    expect(frames.isValidated(guest.vcpu.pv.guestTable, FrameType.L4)).toBe(true);
    expect(memory.readU64(guest.p2m[Number(guest.built.layout.startInfo - BASE) / 4096]! * 4096 + 32)).toBe(2048n);
  });

  it("update_va_mapping makes a page read-only, a table of it, and back", () => {
    const pfn = FREE_PFN + 8;
    expect(call(updateVaMapping, guest.vcpu, va(pfn), pte(mfnOf(pfn), 0x65), X.UVMF_INVLPG)).toBe(0);
    expect(copyToGuest(guest.vcpu, va(pfn), new Uint8Array(8))).toBe(false);
    expect(extended(X.MMUEXT_PIN_L1_TABLE, mfnOf(pfn))).toBe(0);
    expect(extended(X.MMUEXT_PIN_L1_TABLE, mfnOf(pfn))).toBe(-errno.EINVAL);
    expect(call(updateVaMapping, guest.vcpu, va(pfn), pte(mfnOf(pfn), 0x67), 0)).toBeLessThan(0);
    expect(update([[maddr(mfnOf(pfn), 5), pte(mfnOf(pfn), 0x25)]])).toEqual({ result: 0, done: 1 });
    expect(readU64(guest.vcpu, va(pfn) + 40n)).toBe((BigInt(mfnOf(pfn)) << 12n) | 0x125n);
    expect(audit()).toEqual([]);
    expect(extended(X.MMUEXT_UNPIN_TABLE, mfnOf(pfn))).toBe(0);
    expect(extended(X.MMUEXT_UNPIN_TABLE, mfnOf(pfn))).toBe(-errno.EINVAL);
    expect(call(updateVaMapping, guest.vcpu, va(pfn), pte(mfnOf(pfn), 0x67), 0)).toBe(0);
    expect(audit()).toEqual([]);
  });

  it("mmu_update stops at the first bad request and says how many were done", () => {
    const slot = BigInt(findL1Slot(memory, guest.vcpu.pv.guestTable, va(FREE_PFN + 9)));
    const good: [bigint, bigint] = [slot, pte(mfnOf(FREE_PFN + 9), 0x67)];
    const foreign: [bigint, bigint] = [slot, pte(dom0.p2m[5]!, 0x67)];
    expect(update([good, good, foreign, good])).toEqual({ result: -errno.EBUSY, done: 2 });
    expect(update([good], 0).result).toBe(-errno.EPERM);
    expect(update([[maddr(dom0.p2m[3]!), 0n]])).toEqual({ result: -errno.EINVAL, done: 0 });
    expect(update([[slot | 4n, 0n]]).result).toBe(-errno.EINVAL);
    expect(call(mmuUpdate, guest.vcpu, 0xffff_8000_0000_0000n, 1, 0n, X.DOMID_SELF)).toBe(-errno.EFAULT);
  });

  it("mmu_update of the M2P takes own frames only", () => {
    const frame = mfnOf(FREE_PFN + 10);
    expect(update([[maddr(frame) | 1n, 0x777n]])).toEqual({ result: 0, done: 1 });
    expect(m2p.get(frame)).toBe(0x777n);
    expect(readU64(guest.vcpu, BASE)).toBeDefined();
    expect(update([[maddr(dom0.p2m[1]!) | 1n, 0x777n]]).result).toBe(-errno.EINVAL);
    update([[maddr(frame) | 1n, BigInt(FREE_PFN + 10)]]);
  });

  it("loads and refuses root tables", () => {
    const { guestTable } = guest.vcpu.pv;
    expect(extended(X.MMUEXT_NEW_BASEPTR, mfnOf(FREE_PFN + 11))).toBe(-errno.EINVAL);
    expect(extended(X.MMUEXT_NEW_BASEPTR, dom0.vcpu.pv.guestTable)).toBe(-errno.EINVAL);
    expect(extended(X.MMUEXT_NEW_USER_BASEPTR, guestTable)).toBe(0);
    expect(extended(X.MMUEXT_NEW_USER_BASEPTR, 0)).toBe(0);
    expect(extended(X.MMUEXT_NEW_BASEPTR, guestTable)).toBe(0);
    expect(guest.vcpu.pv.guestTable).toBe(guestTable);
    expect(audit()).toEqual([]);
  });

  it("clears and copies frames", () => {
    const [a, b] = [FREE_PFN + 12, FREE_PFN + 13];
    putWords(guest.vcpu, va(a), [1, 2, 3]);
    expect(extended(X.MMUEXT_COPY_PAGE, mfnOf(b), mfnOf(a))).toBe(0);
    expect(readU64(guest.vcpu, va(b) + 16n)).toBe(3n);
    expect(extended(X.MMUEXT_CLEAR_PAGE, mfnOf(a))).toBe(0);
    expect(readU64(guest.vcpu, va(a))).toBe(0n);
    expect(extended(X.MMUEXT_CLEAR_PAGE, guest.vcpu.pv.guestTable)).toBe(-errno.EINVAL);
    expect(extended(X.MMUEXT_COPY_PAGE, mfnOf(b), dom0.p2m[0]!)).toBe(-errno.EINVAL);
  });

  it("answers the other operations as Xen does", () => {
    for (const cmd of [X.MMUEXT_TLB_FLUSH_LOCAL, X.MMUEXT_TLB_FLUSH_ALL, X.MMUEXT_INVLPG_LOCAL, X.MMUEXT_INVLPG_ALL])
      expect(extended(cmd, va(5))).toBe(0);
    expect(extended(X.MMUEXT_TLB_FLUSH_MULTI, 0, ARGS)).toBe(0);
    expect(extended(X.MMUEXT_TLB_FLUSH_MULTI, 0, 0xdead_0000n)).toBe(-errno.EFAULT);
    expect(extended(X.MMUEXT_FLUSH_CACHE)).toBe(-errno.EACCES);
    expect(extended(X.MMUEXT_FLUSH_CACHE, 0, 0, dom0.vcpu)).toBe(0);
    expect(extended(X.MMUEXT_SET_LDT, 0x123n, 4)).toBe(-errno.EINVAL);
    expect(extended(X.MMUEXT_MARK_SUPER)).toBe(-errno.EOPNOTSUPP);
    expect(extended(14)).toBe(-errno.ENOSYS);
  });

  it("carries out writes to a read-only level-1 table", () => {
    const code = FREE_PFN + 14;
    const { vcpu } = guest;
    const target = FREE_PFN + 15;
    const slot = findL1Slot(memory, vcpu.pv.guestTable, va(target));
    const table = Math.floor(slot / 4096);
    const tableVa = va(guest.p2m.indexOf(table)) + BigInt(slot % 4096);
    const run = (bytes: readonly number[], registers: Readonly<Record<number, bigint>>) => {
      copyToGuest(vcpu, va(code), Uint8Array.from(bytes));
      for (const [register, value] of Object.entries(registers)) vcpu.cpu.state.setGpr(Number(register), value);
      vcpu.cpu.state.rip = va(code);
      return emulatePageTableWrite(vcpu, tableVa);
    };
    const entry = () => memory.readU64(slot) & 0xfff_ffff_ffffn;
    // mov %rax, (%rbx): read-only; xchg; lock btr $1 is a byte AND in Linux: lock and $0xfd.
    expect(run([0x48, 0x89, 0x03], { 0: pte(mfnOf(target), 0x61), 3: tableVa })).toBe(true);
    expect(vcpu.cpu.state.rip).toBe(va(code) + 3n);
    expect(entry() & 0x63n).toBe(0x61n);
    expect(run([0x48, 0x87, 0x03], { 0: pte(mfnOf(target), 0x63) })).toBe(true);
    expect(vcpu.cpu.state.gpr(0) & 0x63n).toBe(0x61n);
    expect(frames.types[mfnOf(target)]).toBe(FrameType.Writable);
    expect(run([0xf0, 0x80, 0x23, 0xfd], {})).toBe(true);
    expect(entry() & 0x63n).toBe(0x61n);
    expect(frames.typeCounts[mfnOf(target)]).toBe(0);
    expect(audit()).toEqual([]);
    // Refused: a foreign frame, a table made writable, an instruction that isn't one.
    expect(run([0x48, 0x89, 0x03], { 0: pte(dom0.p2m[0]!, 0x63) })).toBe(false);
    expect(run([0x48, 0x89, 0x03], { 0: pte(table, 0x63) })).toBe(false);
    expect(run([0x0f, 0x0b], {})).toBe(false);
    expect(emulatePageTableWrite(vcpu, va(target))).toBe(false);
    expect(run([0x48, 0x89, 0x03], { 0: pte(mfnOf(target), 0x63) })).toBe(true);
    expect(audit()).toEqual([]);
  });
});

describe("memory_op", () => {
  it("gives frames back and takes new ones", () => {
    const pfn = FREE_PFN + 16;
    const before = guest.domain.memory.totalPages;
    const mfn = mfnOf(pfn);
    call(updateVaMapping, guest.vcpu, va(pfn), 0n, X.UVMF_INVLPG);
    expect(reservation(M.XENMEM_decrease_reservation, [mfn])).toBe(1);
    expect(guest.domain.memory.totalPages).toBe(before - 1);
    expect(reservation(M.XENMEM_decrease_reservation, [mfn])).toBe(0);
    expect(reservation(M.XENMEM_decrease_reservation, [dom0.p2m[7]!])).toBe(0);
    expect(reservation(M.XENMEM_populate_physmap, [pfn])).toBe(1);
    const fresh = Number(readU64(guest.vcpu, LIST));
    expect(m2p.get(fresh)).toBe(BigInt(pfn));
    guest.p2m[pfn] = fresh;
    expect(call(updateVaMapping, guest.vcpu, va(pfn), pte(fresh, 0x67), 0)).toBe(0);
    expect(readU64(guest.vcpu, va(pfn))).toBe(0n);
    expect(reservation(M.XENMEM_increase_reservation, [0, 0])).toBe(2);
    expect(reservation(M.XENMEM_increase_reservation, [0], 20)).toBe(0);
    expect(reservation(M.XENMEM_increase_reservation, [0], 0, 0)).toBe(-errno.EPERM);
    expect(audit()).toEqual([]);
  });

  it("stops at the domain's allowance", () => {
    const { memory: space } = guest.domain;
    const left = space.maxPages - space.totalPages;
    expect(reservation(M.XENMEM_increase_reservation, new Array<number>(left + 3).fill(0))).toBe(left);
    for (let mfn = 0; mfn < frames.frames; mfn++)
      if (space.owns(mfn) && !guest.p2m.includes(mfn)) frames.dropClaim(mfn);
    expect(audit()).toEqual([]);
  });

  it("exchanges scattered frames for a contiguous block", () => {
    const pfns = Array.from({ length: 8 }, (_, i) => FREE_PFN + 32 + i * 2);
    const old = pfns.map(mfnOf);
    for (const pfn of pfns) call(updateVaMapping, guest.vcpu, va(pfn), 0n, 0);
    putWords(guest.vcpu, LIST, [...old, FREE_PFN + 32]);
    const out = LIST + 64n;
    putWords(guest.vcpu, ARGS, [LIST, 8, 0, X.DOMID_SELF, out, 1, 3n, X.DOMID_SELF, 0]);
    expect(call(memoryOp, guest.vcpu, M.XENMEM_exchange, ARGS)).toBe(0);
    expect(readU64(guest.vcpu, ARGS + 64n)).toBe(8n);
    const first = Number(readU64(guest.vcpu, out));
    expect(first % 8).toBe(0);
    for (let i = 0; i < 8; i++) {
      expect(m2p.get(first + i)).toBe(BigInt(FREE_PFN + 32 + i));
      expect(guest.domain.memory.owns(first + i)).toBe(true);
      guest.p2m[pfns[i]!] = first + i;
    }
    expect(audit()).toEqual([]);
  });

  it("refuses to exchange frames that are in use", () => {
    const mapped = mfnOf(FREE_PFN + 3);
    putWords(guest.vcpu, LIST, [mapped, FREE_PFN + 3]);
    putWords(guest.vcpu, ARGS, [LIST, 1, 0, X.DOMID_SELF, LIST + 8n, 1, 0, X.DOMID_SELF, 0]);
    expect(call(memoryOp, guest.vcpu, M.XENMEM_exchange, ARGS)).toBe(-errno.EINVAL);
    expect(readU64(guest.vcpu, ARGS + 64n)).toBe(0n);
    expect(audit()).toEqual([]);
  });

  it("refuses to exchange a frame that was given back while a mapping held it", () => {
    const pfn = FREE_PFN + 70;
    const given = mfnOf(pfn);
    call(updateVaMapping, guest.vcpu, va(pfn), pte(given, 0x61), 0);
    putWords(guest.vcpu, LIST, [given, pfn]);
    putWords(guest.vcpu, ARGS, [LIST, 1, 0, X.DOMID_SELF]);
    expect(call(memoryOp, guest.vcpu, M.XENMEM_decrease_reservation, ARGS)).toBe(1);
    const before = guest.domain.memory.totalPages;
    putWords(guest.vcpu, ARGS, [LIST, 1, 0, X.DOMID_SELF, LIST + 8n, 1, 0, X.DOMID_SELF, 0]);
    expect(call(memoryOp, guest.vcpu, M.XENMEM_exchange, ARGS)).toBe(-errno.EINVAL);
    expect(guest.domain.memory.totalPages).toBe(before);
    call(updateVaMapping, guest.vcpu, va(pfn), 0n, 0);
    expect(guest.domain.memory.owns(given)).toBe(false);
    expect(audit()).toEqual([]);
  });

  it("describes the M2P and the memory maps", () => {
    expect(call(memoryOp, guest.vcpu, M.XENMEM_machphys_mapping, ARGS)).toBe(0);
    expect(readU64(guest.vcpu, ARGS)).toBe(0xffff_8000_0000_0000n);
    expect(readU64(guest.vcpu, ARGS + 16n)).toBe((1n << 35n) - 1n);
    const map = (vcpu: typeof guest.vcpu, operation: number, room: number) => {
      putWords(vcpu, ARGS, [room, LIST]);
      const result = call(memoryOp, vcpu, operation, ARGS);
      return { result, count: readU32(vcpu, ARGS), entries: copyFromGuest(vcpu, LIST, 40)! };
    };
    expect(map(guest.vcpu, M.XENMEM_machine_memory_map, 10).result).toBe(-errno.EPERM);
    const own = map(guest.vcpu, M.XENMEM_memory_map, 10);
    expect(own).toMatchObject({ result: 0, count: 1 });
    expect(new DataView(own.entries.buffer).getBigUint64(8, true)).toBe(BigInt(guest.domain.memory.maxPages) * 4096n);
    const machine = map(dom0.vcpu, M.XENMEM_machine_memory_map, 128);
    expect(machine).toMatchObject({ result: 0, count: 7 });
    expect(new DataView(machine.entries.buffer).getBigUint64(8, true)).toBe(0x9fc00n);
    expect(map(dom0.vcpu, M.XENMEM_machine_memory_map, 2).count).toBe(2);
    expect(map(dom0.vcpu, M.XENMEM_memory_map, 2).result).toBe(-errno.ENOSYS);
    putWords(guest.vcpu, ARGS, [X.DOMID_SELF]);
    expect(call(memoryOp, guest.vcpu, M.XENMEM_maximum_reservation, ARGS)).toBe(2048 + 64);
    expect(call(memoryOp, guest.vcpu, M.XENMEM_current_reservation, 0x1000n)).toBe(-errno.EFAULT);
    expect(call(memoryOp, guest.vcpu, 63, ARGS)).toBe(-errno.ENOSYS);
  });
});
