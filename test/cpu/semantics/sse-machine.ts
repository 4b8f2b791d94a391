// One CPU in 64-bit mode for tests of MMX and SSE instructions: code at CODE, data at DATA (16-byte aligned).

import { Cpu } from "../../../src/cpu/cpu.js";
import { Engine } from "../../../src/cpu/engine.js";
import { type Exit, ExitKind } from "../../../src/cpu/exit.js";
import { DEFAULT_FEATURES } from "../../../src/cpu/features.js";
import * as S from "../../../src/cpu/state-layout.js";
import { MachineMemory } from "../../../src/mmu/machine-memory.js";

export const CODE = 0x1000;
export const DATA = 0x5000;
/** OSFXSR, OSXMMEXCPT. */
export const CR4 = 0x600n;

const HLT = 0xf4;

export class SseMachine {
  readonly memory = new MachineMemory({ frames: 16, engineBytes: 8 << 20 });
  readonly cpu: Cpu;
  readonly #places = new Map<string, number>();

  constructor() {
    const engine = new Engine(this.memory, { features: DEFAULT_FEATURES, codeBytes: 2 << 20 });
    const hooks = { cpuid: () => {}, rdtsc: () => 0n, random64: () => 0n };
    this.cpu = new Cpu(engine, { hooks, paravirtual: false });
    this.cpu.state.codeMode = 2;
    this.setControl(0n, CR4);
  }

  setControl(cr0: bigint, cr4: bigint): void {
    this.cpu.state.setU64(S.CR0, cr0);
    this.cpu.state.setU64(S.CR4, cr4);
    this.cpu.accessRightsChanged();
  }

  /** Runs the bytes (hex, blanks ignored) to the HLT after them, or to an exception. The same text is written once. */
  run(hex: string): Exit {
    let at = this.#places.get(hex);
    if (at === undefined) {
      at = CODE + 16 * this.#places.size;
      if (at >= DATA - 16) throw new Error("no room for code");
      this.#places.set(hex, at);
      const bytes = (hex.replace(/\s/g, "").match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16));
      this.memory.write(at, Uint8Array.from([...bytes, HLT]));
    }
    this.cpu.state.rip = BigInt(at);
    return this.cpu.run(100);
  }

  /** The same, for code that must complete. */
  complete(hex: string): void {
    const exit = this.run(hex);
    if (exit.kind !== ExitKind.Halt) throw new Error(`${hex}: exit ${exit.kind}, vector ${exit.vector}`);
  }

  get mxcsr(): number {
    return this.cpu.state.u32(S.MXCSR);
  }
  set mxcsr(value: number) {
    this.cpu.state.setU32(S.MXCSR, value);
  }

  /** 128-bit values as 32 hexadecimal digits, most significant first. */
  xmm(index: number): string {
    const at = S.XMM + 16 * index;
    const { state } = this.cpu;
    return hex64(state.u64(at + 8)) + hex64(state.u64(at));
  }
  setXmm(index: number, digits: string): void {
    const value = BigInt(`0x${digits}`);
    this.cpu.state.setU64(S.XMM + 16 * index, BigInt.asUintN(64, value));
    this.cpu.state.setU64(S.XMM + 16 * index + 8, value >> 64n);
  }
  mm(index: number): string {
    return hex64(this.cpu.state.u64(S.FPR + 16 * index));
  }
  setMm(index: number, digits: string): void {
    this.cpu.state.setU64(S.FPR + 16 * index, BigInt(`0x${digits}`));
  }
  setData(digits: string, at = DATA): void {
    const value = BigInt(`0x${digits}`);
    this.memory.writeU64(at, BigInt.asUintN(64, value));
    this.memory.writeU64(at + 8, value >> 64n);
  }
  data(at = DATA): string {
    return hex64(this.memory.readU64(at + 8)) + hex64(this.memory.readU64(at));
  }
}

function hex64(value: bigint): string {
  return value.toString(16).padStart(16, "0");
}

/** Two doubles, or a double and zero, as setXmm takes them. */
export function doubles(low: number, high = 0): string {
  const words = new BigUint64Array(new Float64Array([low, high]).buffer);
  return hex64(words[1]!) + hex64(words[0]!);
}

export function singles(...lanes: number[]): string {
  const words = new Uint32Array(new Float32Array([0, 1, 2, 3].map((i) => lanes[i] ?? 0)).buffer);
  return [3, 2, 1, 0].map((i) => words[i]!.toString(16).padStart(8, "0")).join("");
}
