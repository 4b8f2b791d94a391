import { expect, it } from "vitest";
import { MemoryManager, OWNER_PRIVATE } from "../../src/hypervisor/memory-manager.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";

it("no domain gets machine frame 0, which as a user root means none", () => {
  const memory = new MachineMemory({ frames: 1024, engineBytes: 65536 });
  const manager = new MemoryManager({ memory });
  const free = manager.freeFrames;
  const domain = manager.createSpace({ id: 1, privileged: true, maxPages: 1024 });
  const taken: number[] = [];
  for (let mfn = domain.allocate(); mfn >= 0; mfn = domain.allocate()) taken.push(mfn);
  expect(taken).toHaveLength(free);
  expect(Math.min(...taken)).toBe(1);
  expect(manager.frames.ownerOf(0)).toBe(OWNER_PRIVATE);
});
