// A small machine with domains, for tests of the memory engines: no CPU, no hypercalls.

import { MemoryManager } from "../../src/hypervisor/memory-manager.js";
import { E820_RAM } from "../../src/hypervisor/public/memory.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";

export const P = 1;
export const RW = 2;
export const US = 4;
export const A = 0x20;
export const D = 0x40;

export function smallMachine(frames = 128) {
  const memory = new MachineMemory({ frames, engineBytes: 65536 });
  const machineMap = [{ address: 4096, size: (frames - 1) * 4096, type: E820_RAM }];
  const manager = new MemoryManager({ memory, machineMap });
  return { memory, manager };
}

/** Writes an entry as plain data. */
export function poke(memory: MachineMemory, table: number, slot: number, mfn: number, flags: number): void {
  memory.writeU32(table * 4096 + slot * 8, ((mfn << 12) | flags) >>> 0);
  memory.writeU32(table * 4096 + slot * 8 + 4, 0);
}

export function entryOf(memory: MachineMemory, table: number, slot: number): bigint {
  return memory.readU64(table * 4096 + slot * 8);
}

/** Records what a CPU would be told. */
export class RecordingCache {
  readonly invalidated: bigint[] = [];
  readonly dropped: number[] = [];
  flushes = 0;
  flushTlbAll(): void {
    this.flushes++;
  }
  invalidatePage(va: bigint): void {
    this.invalidated.push(va);
  }
  dropAddressSpace(rootMfn: number): void {
    this.dropped.push(rootMfn);
  }
}
