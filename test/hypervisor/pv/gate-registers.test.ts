// stack_switch and set_segment_base with the gate in WebAssembly and without it: the guest must not see which of the two carried
// them out. Each case also says whether the gate itself did.

import { describe, expect, it } from "vitest";
import { KERNEL_GS_BASE, Reg } from "../../../src/cpu/state-layout.js";
import { runVcpu } from "../../../src/hypervisor/run-vcpu.js";
import { FREE_PFN, makeDomain, makeHost, va } from "../hypervisor-fixture.js";
import { fillRegisters, onBoth, visibleState } from "./gate-fixture.js";

const STACK_SWITCH = 3;
const SET_SEGMENT_BASE = 25;
const CODE = va(FREE_PFN);
const EVENT = CODE + 0x400n;
const BASE = 0x7f12_3456_7000n;
const KERNEL_BASE = 0xffff_8880_1234_5000n;

function makeSituation(gate: boolean) {
  const host = makeHost(6144, { gate });
  const { domain, vcpu, p2m } = makeDomain(host, false);
  const { memory } = host;
  const { state } = vcpu.cpu;
  const code = p2m[FREE_PFN]! * 4096;
  memory.fill(code, 4096, 0x90);
  memory.write(code, Uint8Array.of(0x0f, 0x05));
  vcpu.pv.eventCallback.address = EVENT;
  vcpu.pv.kernelSs = 0xe02b;
  memory.writeU8(vcpu.infoAddress + 1, 0);
  fillRegisters(vcpu);
  state.rflags = 0x2d7n;
  return {
    host,
    vcpu,
    code,
    run(number: number, first: bigint, second: bigint) {
      state.setGpr(Reg.RAX, BigInt(number));
      state.setGpr(Reg.RDI, first);
      state.setGpr(Reg.RSI, second);
      state.rip = CODE;
      runVcpu(vcpu, 1);
    },
    gateCount: () => host.hypervisor.gateCount,
    snapshot: () => ({
      ...visibleState(host, vcpu),
      stack: [vcpu.pv.kernelSs, vcpu.pv.kernelSp],
      calls: [STACK_SWITCH, SET_SEGMENT_BASE].map((number) => domain.hypercallCounts[number]),
    }),
  };
}
type Situation = ReturnType<typeof makeSituation>;

/** Does the same on both machines. Returns RAX, whether it took the gate, and the machine with the gate. */
function compare(number: number, first: bigint, second: bigint, change: (s: Situation) => void = () => {}) {
  const { fast, passed } = onBoth(makeSituation, (each) => {
    change(each);
    each.run(number, first, second);
  });
  return { passed, result: BigInt.asIntN(64, fast.vcpu.cpu.state.gpr(Reg.RAX)), fast };
}

describe("stack_switch", () => {
  it.each([0xe02bn, 0xe028n, 0xdead_0001_e02bn])("to selector %s goes through the gate", (selector) => {
    const { passed, result, fast } = compare(STACK_SWITCH, selector, KERNEL_BASE);
    expect({ passed, result }).toEqual({ passed: true, result: 0n });
    expect(fast.vcpu.pv.kernelSp).toBe(KERNEL_BASE);
  });

  it("to another segment is left to TypeScript", () => {
    const { passed, result } = compare(STACK_SWITCH, 0x18n, KERNEL_BASE);
    expect({ passed, result }).toEqual({ passed: false, result: 0n });
  });
});

describe("set_segment_base", () => {
  it.each([
    ["FS", 0n, BASE],
    ["FS", 0n, KERNEL_BASE],
    ["the user's GS", 1n, BASE],
    ["the user's GS", 0xffff_ffff_0000_0001n, 0n],
  ])("of %s goes through the gate", (_name, which, base) => {
    const { passed, result, fast } = compare(SET_SEGMENT_BASE, which, base);
    expect({ passed, result }).toEqual({ passed: true, result: 0n });
    const { state } = fast.vcpu.cpu;
    expect(BigInt.asUintN(1, which) ? state.u64(KERNEL_GS_BASE) : state.segmentBase(4)).toBe(base);
  });

  it.each([
    ["the kernel's GS", 2n, KERNEL_BASE, 0n],
    ["GS by a selector", 3n, 0n, 0n],
    ["nothing", 4n, BASE, -22n],
    ["FS, not canonical", 0n, 0x8000_0000_0000n, -22n],
    ["the user's GS, not canonical", 1n, 0xffff_7fff_ffff_ffffn, -22n],
  ])("of %s is left to TypeScript", (_name, which, base, result) => {
    const outcome = compare(SET_SEGMENT_BASE, which, base);
    expect({ passed: outcome.passed, result: outcome.result }).toEqual({ passed: false, result });
  });
});

describe.each([
  [STACK_SWITCH, 0xe02bn],
  [SET_SEGMENT_BASE, 0n],
])("hypercall %i", (number, first) => {
  it("is left to TypeScript while calls are traced", () => {
    const outcome = compare(number, first, BASE, ({ host }) => {
      host.hypervisor.traceHypercall = () => {};
    });
    expect(outcome.passed).toBe(false);
  });
});

describe("RDMSR of the user's GS base", () => {
  const MSR_FS_BASE = 0xc000_0100n;
  const MSR_KERNEL_GS_BASE = 0xc000_0102n;

  function readMsr(index: bigint, prepare: (s: Situation) => void = () => {}) {
    const s = makeSituation(true);
    const { state } = s.vcpu.cpu;
    let exceptions = 0;
    s.host.hypervisor.traceException = () => void exceptions++;
    s.host.memory.write(Number(s.code), Uint8Array.of(0x0f, 0x32));
    state.setU64(KERNEL_GS_BASE, KERNEL_BASE);
    state.setSegmentBase(4, BASE);
    state.setGpr(Reg.RCX, index);
    state.rip = CODE;
    prepare(s);
    runVcpu(s.vcpu, 1);
    return { exceptions, rip: state.rip, value: [state.gpr(Reg.RDX), state.gpr(Reg.RAX)] };
  }

  it("needs no exit in the kernel", () => {
    const value = [KERNEL_BASE >> 32n, KERNEL_BASE & 0xffff_ffffn];
    expect(readMsr(MSR_KERNEL_GS_BASE | (7n << 32n))).toEqual({ exceptions: 0, rip: CODE + 2n, value });
  });

  it("leaves other registers to TypeScript", () => {
    const value = [BASE >> 32n, BASE & 0xffff_ffffn];
    expect(readMsr(MSR_FS_BASE)).toEqual({ exceptions: 1, rip: CODE + 2n, value });
  });

  it("is refused to the user", () => {
    const { exceptions, value } = readMsr(MSR_KERNEL_GS_BASE, ({ vcpu }) => {
      vcpu.pv.kernelMode = false;
      vcpu.pv.guestUserTable = vcpu.pv.guestTable;
    });
    expect(exceptions).toBe(1);
    expect(value[1]).toBe(0x0123_4567_89ab_cd00n);
  });
});
