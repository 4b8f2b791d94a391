// A CPU in 64-bit code without paging: linear addresses are machine addresses.

import { Cpu } from "../../src/cpu/cpu.js";
import { Engine } from "../../src/cpu/engine.js";
import { DEFAULT_FEATURES } from "../../src/cpu/features.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";

export function flatMachine(frames = 64) {
  const memory = new MachineMemory({ frames, engineBytes: 16 << 20 });
  const engine = new Engine(memory, { features: DEFAULT_FEATURES, codeBytes: 4 << 20 });
  const hooks = {
    cpuid: (_leaf: number, _subleaf: number, out: Uint32Array) => out.fill(0),
    rdtsc: () => 1n,
    random64: () => 4n,
  };
  const cpu = new Cpu(engine, { hooks, paravirtual: false });
  cpu.state.codeMode = 2;
  return { memory, engine, cpu };
}
