// Code of a page that is decoded already but not in the code TLB: found by the page walk in WebAssembly (core-walk.ts), with the rights
// and faults of the walk in TypeScript, which `MemoryAccess.fetch` is.

import { beforeEach, describe, expect, it, vi } from "vitest";
import { ExitKind, Vector } from "../../src/cpu/exit.js";
import { Reg } from "../../src/cpu/state-layout.js";
import { findL1Slot } from "../../src/hypervisor/guest-tables.js";
import { updateVaMapping } from "../../src/hypervisor/hypercall/update-va-mapping.js";
import type { Vcpu } from "../../src/hypervisor/hypervisor.js";
import type { MachineMemory } from "../../src/mmu/machine-memory.js";
import { call, FREE_PFN, makeDomain, makeHost, va } from "./hypervisor-fixture.js";

const P_RW_US_A = 0x27n;
const A = 0x20;
const NX = 1n << 63n;
const [HERE, THERE, OTHER] = [va(FREE_PFN), va(FREE_PFN + 1), va(FREE_PFN + 2)];

/** JMP between two addresses. */
function jump(from: bigint, to: bigint): Uint8Array {
  const bytes = new Uint8Array(5);
  bytes[0] = 0xe9;
  new DataView(bytes.buffer).setInt32(1, Number(to - from - 5n), true);
  return bytes;
}

let memory: MachineMemory;
let vcpu: Vcpu;
let frameOf: (address: bigint) => number;
let fetches: ReturnType<typeof vi.spyOn>;

/** Runs from HERE, and says with what EAX and how many fetches of TypeScript. */
function run(budget: number): { rax: bigint; fetches: number; kind: number; vector: number } {
  const { cpu } = vcpu;
  cpu.state.rip = HERE;
  cpu.state.setGpr(Reg.RAX, 0n);
  fetches.mockClear();
  const { kind, vector } = cpu.run(budget);
  return { rax: cpu.state.gpr(Reg.RAX), fetches: fetches.mock.calls.length, kind, vector };
}

function remap(address: bigint, mfn: number, flags = P_RW_US_A): void {
  expect(call(updateVaMapping, vcpu, address, (BigInt(mfn) << 12n) | flags, 0)).toBe(0);
}

beforeEach(() => {
  const host = makeHost(3072);
  const made = makeDomain(host, false);
  memory = host.memory;
  vcpu = made.vcpu;
  frameOf = (address) => made.p2m[Number((address - va(0)) / 4096n)]!;
  // A round: JMP there; INC EAX, JMP back.
  memory.write(frameOf(HERE) * 4096, jump(HERE, THERE));
  for (const page of [THERE, OTHER]) memory.write(frameOf(page) * 4096, Uint8Array.of(0xff, 0xc0));
  memory.write(frameOf(THERE) * 4096 + 2, jump(THERE + 2n, HERE));
  // The other page's code counts twice.
  memory.write(frameOf(OTHER) * 4096 + 2, Uint8Array.of(0xff, 0xc0));
  memory.write(frameOf(OTHER) * 4096 + 4, jump(THERE + 4n, HERE));
  for (const page of [HERE, THERE, OTHER]) remap(page, frameOf(page));
  fetches = vi.spyOn(vcpu.cpu.access, "fetch");
});

describe("code that isn't in the code TLB", () => {
  it("is found without TypeScript once it is decoded", () => {
    expect(run(30)).toMatchObject({ rax: 10n, kind: ExitKind.Budget });
    expect(fetches).toHaveBeenCalled();
    vcpu.cpu.flushTlbAll();
    expect(run(30)).toMatchObject({ rax: 10n, kind: ExitKind.Budget, fetches: 0 });
  });

  it("is that of the frame that is mapped now", () => {
    run(30);
    remap(THERE, frameOf(OTHER));
    expect(run(40)).toMatchObject({ rax: 20n, kind: ExitKind.Budget });
    remap(THERE, frameOf(THERE));
    expect(run(30)).toMatchObject({ rax: 10n, kind: ExitKind.Budget, fetches: 0 });
  });

  it("may not be executed where an entry says so", () => {
    run(30);
    remap(THERE, frameOf(THERE), P_RW_US_A | NX);
    expect(run(30)).toMatchObject({ rax: 0n, kind: ExitKind.Exception, vector: Vector.PF });
  });

  it("may not be executed where a table's entry says so", () => {
    run(30);
    // The level-2 entry, behind the hypervisor's back.
    const l1 = Math.floor(findL1Slot(memory, vcpu.pv.guestTable, THERE) / 4096);
    const refers = (at: number) => memory.readU32(at) >>> 12 === l1 && (memory.readU32(at) & 1) !== 0;
    let found = 0;
    for (let at = 0; at < memory.frames * 4096; at += 8) {
      if (!refers(at)) continue;
      memory.writeU32(at + 4, 0x8000_0000);
      found++;
    }
    expect(found).toBeGreaterThan(0);
    vcpu.cpu.flushTlbAll();
    expect(run(30)).toMatchObject({ rax: 0n, kind: ExitKind.Exception, vector: Vector.PF });
  });

  it("faults when it isn't there any more", () => {
    run(30);
    remap(THERE, frameOf(THERE), 0n);
    expect(run(30)).toMatchObject({ rax: 0n, kind: ExitKind.Exception, vector: Vector.PF });
  });

  it("is marked as accessed", () => {
    run(30);
    const slot = findL1Slot(memory, vcpu.pv.guestTable, THERE);
    memory.writeU32(slot, memory.readU32(slot) & ~A);
    vcpu.cpu.flushTlbAll();
    expect(run(30)).toMatchObject({ rax: 10n, kind: ExitKind.Budget });
    expect(memory.readU32(slot) & A).toBe(A);
  });

  it("is decoded anew when all decoded code was dropped", () => {
    run(30);
    vcpu.cpu.engine.dropCode();
    expect(run(30)).toMatchObject({ rax: 10n, kind: ExitKind.Budget });
    expect(fetches).toHaveBeenCalled();
  });

  it("is found as the second page of an instruction that crosses", () => {
    // INC EAX as the last byte of one page and the first of the next.
    const last = HERE + 4095n;
    memory.write(frameOf(HERE) * 4096, jump(HERE, last));
    memory.write(frameOf(HERE) * 4096 + 4095, Uint8Array.of(0xff));
    memory.write(frameOf(THERE) * 4096, Uint8Array.of(0xc0));
    memory.write(frameOf(THERE) * 4096 + 1, jump(THERE + 1n, HERE));
    expect(run(30)).toMatchObject({ rax: 10n });
    vcpu.cpu.flushTlbAll();
    expect(run(30)).toMatchObject({ rax: 10n, fetches: 0 });
  });
});

describe("a page that was written to before it was code", () => {
  // 300 pages on: in another part of the TLB.
  const ALIAS = va(FREE_PFN + 301);

  /** MOV byte [to], value. */
  function store(from: bigint, to: bigint, value: number): Uint8Array {
    const bytes = Uint8Array.of(0xc6, 0x05, 0, 0, 0, 0, value);
    new DataView(bytes.buffer).setInt32(2, Number(to - from - 7n), true);
    return bytes;
  }

  it.each([
    ["at the same address", [THERE, THERE]],
    ["at another address", [ALIAS, ALIAS]],
    ["at both", [THERE, ALIAS]],
    ["at both, the other way round", [ALIAS, THERE]],
  ])("is decoded anew when it is written to again: %s", (_name, [first, second]) => {
    remap(ALIAS, frameOf(THERE));
    const INC = 0xc0;
    const DEC = 0xc8;
    const here = frameOf(HERE) * 4096;
    memory.write(here, store(HERE, first! + 1n, INC));
    // The other address's entry is there before the page holds code.
    memory.write(here + 7, store(HERE + 7n, second! + 64n, 0));
    memory.write(here + 14, jump(HERE + 14n, THERE));
    memory.write(here + 19, store(HERE + 19n, second! + 1n, DEC));
    memory.write(here + 26, jump(HERE + 26n, THERE));
    memory.write(frameOf(THERE) * 4096 + 2, jump(THERE + 2n, HERE + 19n));
    const misses = vi.spyOn(vcpu.cpu.access, "miss");
    expect(run(5)).toMatchObject({ rax: 1n, kind: ExitKind.Budget });
    // All of that was the walk's in WebAssembly.
    expect(misses).not.toHaveBeenCalled();
    expect(memory.frameWriters[frameOf(THERE)]).toBe(0);
    expect(run(9)).toMatchObject({ rax: 0n, kind: ExitKind.Budget });
    expect(misses).toHaveBeenCalled();
  });
});
