// A bare CPU in 64-bit (or 32-bit) mode without paging that runs a few bytes of code at 0x1000 up to HLT.

import { Cpu } from "../../../src/cpu/cpu.js";
import { Engine } from "../../../src/cpu/engine.js";
import type { Exit } from "../../../src/cpu/exit.js";
import { DEFAULT_FEATURES } from "../../../src/cpu/features.js";
import * as S from "../../../src/cpu/state-layout.js";
import { MachineMemory } from "../../../src/mmu/machine-memory.js";

export const CODE = 0x1000;

export class Machine {
  readonly memory = new MachineMemory({ frames: 64, engineBytes: 16 << 20 });
  readonly cpu: Cpu;

  constructor() {
    const engine = new Engine(this.memory, { features: DEFAULT_FEATURES, codeBytes: 4 << 20 });
    const hooks = {
      cpuid: (_l: number, _s: number, out: Uint32Array) => out.fill(0),
      rdtsc: () => 1n,
      random64: () => 4n,
    };
    this.cpu = new Cpu(engine, { hooks, paravirtual: false });
    this.cpu.state.codeMode = 2;
    this.cpu.state.setU64(S.CR4, 0x40600n);
    this.cpu.state.setU64(S.XCR0, 3n);
  }

  get state() {
    return this.cpu.state;
  }
  setCr0(value: bigint): void {
    this.state.setU64(S.CR0, value);
    this.cpu.accessRightsChanged();
  }
  /** Runs hex bytes, then HLT. */
  run(hex: string): Exit {
    const bytes = hex.match(/[0-9a-f]{2}/g)!.map((b) => Number.parseInt(b, 16));
    this.memory.write(CODE, Uint8Array.from([...bytes, 0xf4]));
    this.state.rip = BigInt(CODE);
    return this.cpu.run(10_000);
  }
  write(at: number, hex: string): void {
    this.memory.write(at, Uint8Array.from(hex.match(/[0-9a-f]{2}/g)!.map((b) => Number.parseInt(b, 16))));
  }
  bytes(at: number, length: number): Uint8Array {
    return this.memory.u8.slice(at, at + length);
  }
  u16(at: number): number {
    return this.memory.u8[at]! | (this.memory.u8[at + 1]! << 8);
  }
  u32(at: number): number {
    return this.memory.readU32(at);
  }
}
