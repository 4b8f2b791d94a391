// A host that creates and destroys domains again and again doesn't run out of engine memory.

import { expect, test } from "vitest";
import { Cpu } from "../../src/cpu/cpu.js";
import { Engine } from "../../src/cpu/engine.js";
import { DEFAULT_FEATURES } from "../../src/cpu/features.js";
import { Reg } from "../../src/cpu/state-layout.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";

test("the memory of released vCPUs serves new ones, which start afresh", () => {
  const memory = new MachineMemory({ frames: 16, engineBytes: 8 << 20 });
  const engine = new Engine(memory, { features: DEFAULT_FEATURES, codeBytes: 2 << 20 });
  const hooks = { cpuid: () => {}, rdtsc: () => 0n, random64: () => 0n };
  for (let i = 0; i < 100; i++) {
    const cpu = new Cpu(engine, { hooks, paravirtual: false });
    expect(cpu.state.gpr(Reg.RAX)).toBe(0n);
    cpu.state.setGpr(Reg.RAX, 1n);
    engine.release(cpu);
  }
  expect(engine.cpus).toHaveLength(0);
});
