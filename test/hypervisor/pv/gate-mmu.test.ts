// mmu_update with the gate in WebAssembly and without it: the guest must not see which of the two carried it out, nor may the frame
// table differ. Each case also says whether the gate itself did.

import { describe, expect, it } from "vitest";
import { Reg } from "../../../src/cpu/state-layout.js";
import { FrameType } from "../../../src/hypervisor/frame-table.js";
import { findL1Slot } from "../../../src/hypervisor/guest-tables.js";
import { updateVaMapping } from "../../../src/hypervisor/hypercall/update-va-mapping.js";
import { runVcpu } from "../../../src/hypervisor/run-vcpu.js";
import { call, FREE_PFN, makeDomain, makeHost, putWords, va } from "../hypervisor-fixture.js";
import { fillRegisters, onBoth, visibleState } from "./gate-fixture.js";

const MMU_UPDATE = 1n;
const DOMID_SELF = 0x7ff0n;
const [P, RW, US, A, D, PAT] = [1n, 2n, 4n, 0x20n, 0x40n, 0x80n];
const NX = 1n << 63n;
const KERNEL_PAGE = 1n << 52n;

const CODE = va(FREE_PFN);
const REQUEST = va(FREE_PFN + 1);
/** Not mapped; its frame is free for use. */
const HOLE = va(FREE_PFN + 6);
const MAPPED = va(FREE_PFN + 3);
const UNTOUCHED = va(FREE_PFN + 4);
const TABLE_PFN = FREE_PFN + 5;
const INFO = va(FREE_PFN + 7);
const EVENT = CODE + 0x400n;
const SYSCALL = CODE + 3n;
const UNMASK = CODE + 0x100n;

function makeSituation(gate: boolean) {
  const host = makeHost(6144, { gate });
  const other = makeDomain(host, false);
  expect(call(updateVaMapping, other.vcpu, HOLE, 0, 0)).toBe(0);
  const { domain, vcpu, p2m } = makeDomain(host, false);
  const { memory, hypervisor } = host;
  const { frames } = hypervisor.mm;
  const { state } = vcpu.cpu;
  const frameOf = (address: bigint) => p2m[Number((address - va(0)) / 4096n)]!;
  const slotOf = (address: bigint) => findL1Slot(memory, vcpu.pv.guestTable, address);
  memory.fill(frameOf(CODE) * 4096, 4096, 0x90);
  expect(call(updateVaMapping, vcpu, HOLE, 0, 0)).toBe(0);
  vcpu.pv.eventCallback.address = EVENT;
  memory.writeU8(vcpu.infoAddress + 1, 0);
  // The page of the request comes into the TLB: MOV [RAX], RAX.
  memory.write(frameOf(CODE) * 4096, Uint8Array.of(0x48, 0x89, 0x00, 0x0f, 0x05));
  // MOV BYTE [RBX], 0; SYSCALL
  memory.write(frameOf(CODE) * 4096 + 0x100, Uint8Array.of(0xc6, 0x03, 0x00, 0x0f, 0x05));
  state.setGpr(Reg.RAX, REQUEST);
  state.rip = CODE;
  runVcpu(vcpu, 1);
  fillRegisters(vcpu);
  state.rflags = 0x2d7n;
  const s = {
    vcpu,
    memory,
    frames,
    hole: slotOf(HOLE),
    mapped: slotOf(MAPPED),
    free: frameOf(HOLE),
    frameOf,
    foreign: other.p2m[FREE_PFN]!,
    foreignHole: BigInt(findL1Slot(memory, other.vcpu.pv.guestTable, HOLE)),
    pointer: BigInt(slotOf(HOLE)),
    entry: (BigInt(frameOf(HOLE)) << 12n) | P | RW | US | A | D,
    at: REQUEST,
    start: SYSCALL,
    budget: 1,
    arguments: [REQUEST, 1n, 0n, DOMID_SELF] as [bigint, bigint, bigint, bigint],
    /** Makes another frame the one that is mapped. */
    name(mfn: number, flags = P | RW | US) {
      s.entry = (BigInt(mfn) << 12n) | flags;
    },
  };
  const run = () => {
    putWords(vcpu, s.at, [s.pointer, s.entry]);
    state.setGpr(Reg.RAX, MMU_UPDATE);
    for (const [i, register] of [Reg.RDI, Reg.RSI, Reg.RDX, Reg.R10].entries()) state.setGpr(register, s.arguments[i]!);
    state.rip = s.start;
    runVcpu(vcpu, s.budget);
  };
  const before = hypervisor.gateCount;
  return {
    s,
    run,
    more: () => void runVcpu(vcpu, 1),
    gateCount: () => hypervisor.gateCount - before,
    snapshot: () => ({
      ...visibleState(host, vcpu),
      table: memory.bytes(Math.floor(s.hole / 4096) * 4096, 4096).join(),
      frames: [frames.owners, frames.types, frames.typeCounts, frames.referenceCounts, frames.flags].map((a) =>
        a.join(),
      ),
      calls: domain.hypercallCounts[Number(MMU_UPDATE)],
    }),
  };
}
type Situation = ReturnType<typeof makeSituation>["s"];

/** Does the same to both machines, makes the hypercall and goes on, and compares. Returns RAX and whether it took the gate. */
function compare(change: (s: Situation) => void = () => {}) {
  const results: bigint[] = [];
  const { fast, slow, passed } = onBoth(makeSituation, (one) => {
    change(one.s);
    one.run();
    results.push(one.s.vcpu.cpu.state.gpr(Reg.RAX));
  });
  for (const one of [fast, slow]) for (let i = 0; i < 3; i++) one.more();
  expect(fast.snapshot()).toEqual(slow.snapshot());
  return { passed, result: BigInt.asIntN(64, results[0]!) };
}

describe("mmu_update that maps a page where none was", () => {
  it.each<[string, bigint]>([
    ["for the user", P | RW | US | A | D],
    ["for the kernel", P | RW],
    ["marked as the kernel's", P | RW | US | KERNEL_PAGE],
    ["read-only", P | US],
    ["that isn't executed", P | RW | US | NX],
    ["with PAT and software bits", P | US | PAT | 0xe00n | (0x3ffn << 53n)],
  ])("%s goes through the gate", (_name, flags) => {
    expect(compare((s) => s.name(s.free, flags))).toEqual({ passed: true, result: 0n });
  });

  it("goes through the gate when the frame is mapped elsewhere", () => {
    expect(compare((s) => s.name(s.frameOf(MAPPED)))).toEqual({ passed: true, result: 0n });
  });

  it("goes through the gate when a read-only page is a table", () => {
    expect(compare((s) => s.name(Math.floor(s.hole / 4096), P | US))).toEqual({ passed: true, result: 0n });
  });

  it("takes references that keep the frame", () => {
    const { s, run, gateCount } = makeSituation(true);
    const [references, types] = [s.frames.referenceCounts[s.free]!, s.frames.typeCounts[s.free]!];
    run();
    expect(gateCount()).toBe(1);
    expect(s.frames.referenceCounts[s.free]).toBe(references + 1);
    expect(s.frames.typeCounts[s.free]).toBe(types + 1);
    expect(s.frames.getPageType(s.free, FrameType.L1)).toBe(false);
  });

  it.each<[string, bigint, (s: Situation) => void]>([
    [
      "of two requests",
      0n,
      (s) => {
        s.arguments[1] = 2n;
        putWords(s.vcpu, s.at + 16n, [s.pointer + 8n, 0n]);
      },
    ],
    ["that reports how many were done", 0n, (s) => void (s.arguments[2] = REQUEST + 0x800n)],
    ["that names the domain by number", 0n, (s) => void (s.arguments[3] = BigInt(s.vcpu.domain.id))],
    ["on behalf of a domain that isn't its own", -1n, (s) => void (s.arguments[3] = 0n)],
    ["for another's tables", -1n, (s) => void (s.arguments[3] = (1n << 16n) | DOMID_SELF)],
    ["that keeps accessed and dirty bits", 0n, (s) => void (s.pointer |= 2n)],
    ["of a machine-to-physical entry", 0n, (s) => void (s.pointer |= 1n)],
    ["of the kind that 32-bit guests use too", 0n, (s) => void (s.pointer |= 3n)],
    ["of half an entry", -22n, (s) => void (s.pointer |= 4n)],
    ["beyond machine memory", -22n, (s) => void (s.pointer = 1n << 39n)],
    ["beyond machine addresses", -22n, (s) => void (s.pointer |= 1n << 40n)],
    ["of a page that is no table", 0n, (s) => void (s.pointer = BigInt(s.frameOf(MAPPED) * 4096))],
    ["of another domain's page", -22n, (s) => void (s.pointer = BigInt(s.foreign * 4096))],
    ["of the root", 0n, (s) => void (s.pointer = BigInt(s.vcpu.pv.guestTable * 4096 + 8 * 300))],
    ["over another mapping", 0n, (s) => void (s.pointer = BigInt(s.mapped))],
    ["that isn't present", 0n, (s) => void (s.entry &= ~P)],
    ["of a frame beyond machine memory", -1n, (s) => s.name(6144, P | US)],
    ["of a frame beyond machine addresses", -22n, (s) => void (s.entry |= 1n << 44n)],
    ["of another domain's frame", -16n, (s) => s.name(s.foreign, P | US)],
    ["of another domain's table", -22n, (s) => void (s.pointer = s.foreignHole)],
    ["of a frame that nobody holds", -16n, (s) => void (s.frames.referenceCounts[s.free] = 0)],
    ["of a free frame", -16n, (s) => s.name(s.frames.allocator.allocate(0), P | US)],
    ["of a table, writable", -16n, (s) => s.name(Math.floor(s.hole / 4096))],
    [
      "of a frame that had no type yet, writable",
      0n,
      (s) => {
        s.frames.types[s.free] = FrameType.None;
      },
    ],
    [
      "while an event is due that the guest has just unmasked",
      0n,
      (s) => {
        const flags = P | RW | US;
        const entry = (BigInt(Math.floor(s.vcpu.infoAddress / 4096)) << 12n) | flags;
        expect(call(updateVaMapping, s.vcpu, INFO, entry, 0)).toBe(0);
        s.memory.writeU8(s.vcpu.infoAddress, 1);
        s.memory.writeU8(s.vcpu.infoAddress + 1, 1);
        s.vcpu.cpu.state.setGpr(Reg.RBX, INFO + BigInt((s.vcpu.infoAddress % 4096) + 1));
        s.start = UNMASK;
        s.budget = 2;
      },
    ],
    [
      "while the table holds decoded code",
      0n,
      (s) => {
        s.memory.frameFlags[Math.floor(s.hole / 4096)]! |= 1;
      },
    ],
    ["in a page that isn't in the TLB", 0n, (s) => void (s.at = s.arguments[0] = UNTOUCHED)],
    ["across two pages", 0n, (s) => void (s.at = s.arguments[0] = REQUEST + 4088n)],
    [
      "in the hypervisor's hole, though the guest can read there",
      -14n,
      (s) => {
        const { m2p } = s.vcpu.domain.hypervisor.mm;
        m2p.set(2, s.pointer);
        m2p.set(3, s.entry);
        s.arguments[0] = 0xffff_8000_0000_0010n;
        // MOV RAX, [RBX]; NOP; SYSCALL
        s.memory.write(s.frameOf(CODE) * 4096 + 0x200, Uint8Array.of(0x48, 0x8b, 0x03, 0x90, 0x0f, 0x05));
        s.vcpu.cpu.state.setGpr(Reg.RBX, 0xffff_8000_0000_0010n);
        s.vcpu.cpu.state.rip = CODE + 0x200n;
        runVcpu(s.vcpu, 1);
      },
    ],
    ["nowhere", -14n, (s) => void (s.arguments[0] = 0x1000n)],
    ["while translations are to be flushed", 0n, (s) => s.vcpu.domain.memory.tlb.markDirty()],
    ["while hypercalls are traced", 0n, (s) => void (s.vcpu.domain.hypervisor.traceHypercall = () => {})],
  ])("%s is left to TypeScript", (_name, result, change) => {
    expect(compare(change)).toEqual({ passed: false, result });
  });

  it("is refused for a table that was one", () => {
    const outcome = compare((s) => {
      s.pointer = BigInt(s.frameOf(va(TABLE_PFN)) * 4096);
      // A type without a count says what the frame was.
      expect(call(updateVaMapping, s.vcpu, va(TABLE_PFN), 0, 0)).toBe(0);
      s.frames.types[s.frameOf(va(TABLE_PFN))] = FrameType.L1;
    });
    expect(outcome).toEqual({ passed: false, result: 0n });
  });
});
