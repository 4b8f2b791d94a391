// A bare CPU (no hypervisor) in the mode a test wants, with flat segments, a GDT, and code given as hexadecimal bytes.

import { Cpu } from "../../../src/cpu/cpu.js";
import { Engine } from "../../../src/cpu/engine.js";
import { type Exit, ExitKind } from "../../../src/cpu/exit.js";
import { DEFAULT_FEATURES } from "../../../src/cpu/features.js";
import * as S from "../../../src/cpu/state-layout.js";
import { MachineMemory } from "../../../src/mmu/machine-memory.js";

export type Mode = "real" | "protected16" | "protected32" | "compat" | "long";

export const CODE = 0x8000;
export const STACK = 0xa000;
export const GDT = 0x7000;
/** Selectors of the GDT, by index * 8. */
export const Sel = {
  code32: 0x08,
  code64: 0x10,
  data: 0x18,
  userCode32: 0x20,
  userData: 0x28,
  userCode64: 0x30,
  code16: 0x38,
  /** Two entries. */
  tss: 0x40,
  notPresent: 0x50,
  conforming: 0x58,
  ldt: 0x60,
} as const;

const descriptors: readonly bigint[] = [
  0n,
  0x00cf9a000000ffffn,
  0x00af9a000000ffffn,
  0x00cf92000000ffffn,
  0x00cffa000000ffffn,
  0x00cff2000000ffffn,
  0x00affa000000ffffn,
  0x000f9a000000ffffn,
  0x0000890060000067n,
  0n,
  0x00cf12000000ffffn,
  0x00cf9e000000ffffn,
  0x0000820061000017n,
  0n,
];

export interface BareMachine {
  readonly memory: MachineMemory;
  readonly cpu: Cpu;
  readonly state: Cpu["state"];
  /** Writes code at CODE (or `at`) and runs from there until an exit or `budget` instructions. */
  run(code: string, budget?: number, at?: number): Exit;
  /** The same from where RIP is, without new code. */
  go(budget?: number): Exit;
  descriptor(selector: number): bigint;
  setDescriptor(selector: number, value: bigint): void;
}

export function bareMachine(mode: Mode, cpl = 0): BareMachine {
  const memory = new MachineMemory({ frames: 64, engineBytes: 12 << 20 });
  const engine = new Engine(memory, { features: DEFAULT_FEATURES, codeBytes: 4 << 20 });
  const hooks = {
    cpuid: (leaf: number, subleaf: number, out: Uint32Array) => out.set([leaf, subleaf, 3, 4]),
    rdtsc: () => 0x1_0000_0002n,
    random64: () => 7n,
  };
  const cpu = new Cpu(engine, { hooks, paravirtual: false });
  const { state } = cpu;
  const long = mode === "long" || mode === "compat";
  descriptors.forEach((d, i) => {
    memory.writeU64(GDT + 8 * i, d);
  });
  state.setU64(S.GDTR_BASE, BigInt(GDT));
  state.setU32(S.GDTR_LIMIT, descriptors.length * 8 - 1);
  state.setU64(S.CR0, mode === "real" ? 0x10n : long ? 0x80010011n : 0x11n);
  state.setU64(S.CR4, long ? 0x620n : 0x600n);
  state.setU64(S.EFER, long ? 0xd01n : 0x1n);
  if (long) {
    // Identity for 256 KB; page 0x20000 read-only, 0x21000 supervisor, 0x22000 absent.
    state.setU64(S.CR3, 0x1000n);
    memory.writeU64(0x1000, 0x2027n);
    memory.writeU64(0x2000, 0x3027n);
    memory.writeU64(0x3000, 0x4027n);
    for (let i = 0; i < 64; i++) {
      const rights = i === 0x20 ? 0x65n : i === 0x21 ? 0x63n : i === 0x22 ? 0n : 0x67n;
      memory.writeU64(0x4000 + 8 * i, (BigInt(i) << 12n) | rights);
    }
  }
  const wide = mode === "protected32" || mode === "compat";
  const codeAttributes = mode === "long" ? 0xa09b : wide ? 0xc09b : 0x9b;
  const limit = mode === "real" ? 0xffff : 0xffffffff;
  const selectors =
    mode === "real"
      ? [0, 0]
      : cpl === 3
        ? [mode === "long" ? Sel.userCode64 : Sel.userCode32, Sel.userData]
        : [mode === "long" ? Sel.code64 : wide ? Sel.code32 : Sel.code16, Sel.data];
  for (let i = 0; i < 6; i++) {
    const code = i === S.Seg.CS;
    const attributes = (code ? codeAttributes : mode === "real" ? 0x93 : 0xc093) | (cpl << 5);
    state.setSegment(i, { selector: selectors[code ? 0 : 1]! | cpl, base: 0n, limit, attributes });
  }
  state.setU32(S.STACK_MASK, mode === "real" ? 0xffff : 0xffffffff);
  state.codeMode = mode === "long" ? 2 : wide ? 1 : 0;
  state.cpl = cpl;
  state.setGpr(S.Reg.RSP, BigInt(STACK));
  cpu.accessRightsChanged();
  return {
    memory,
    cpu,
    state,
    run(code, budget = 100, at = CODE) {
      memory.write(
        at,
        Uint8Array.from(code.match(/[0-9a-f]{2}/gi) ?? [], (b) => Number.parseInt(b, 16)),
      );
      state.rip = BigInt(at);
      return cpu.run(budget);
    },
    go: (budget = 100) => cpu.run(budget),
    descriptor: (selector) => memory.readU64(GDT + (selector & ~7)),
    setDescriptor: (selector, value) => memory.writeU64(GDT + (selector & ~7), value),
  };
}

/** What an exception exit should be. */
export function fault(vector: number, errorCode?: number) {
  return errorCode === undefined
    ? { kind: ExitKind.Exception, vector, hasErrorCode: false }
    : { kind: ExitKind.Exception, vector, hasErrorCode: true, errorCode };
}

export const halted = { kind: ExitKind.Halt };
