// Instructions too rare or too intricate for generated code run as host operations: TypeScript on the vCPU's state, called
// from a handler by `e.host(name, …)`. An operation either completes, raises (before it changed anything), or jumps.

import type { MachineMemory } from "../../mmu/machine-memory.js";
import type { CpuState } from "../cpu-state.js";

export interface CpuHooks {
  /** CPUID: writes EAX EBX ECX EDX into `out`. */
  cpuid(leaf: number, subleaf: number, out: Uint32Array): void;
  /** Time-stamp counter. */
  rdtsc(): bigint;
  /** 64 random bits for RDRAND and RDSEED. */
  random64(): bigint;
  /** Descriptor that a selector names in the GDT or LDT, or undefined when it's outside the table (raises #GP). PV supplies its own tables. */
  readDescriptor?: (selector: number) => bigint | undefined;
}

/**
 * What an access of a host operation is: `stack` raises #SS where data raises #GP; `system` is an implicit supervisor access
 * to a descriptor table, with no alignment check (SDM volume 3A, 4.6.1).
 */
export type AccessKind = "data" | "stack" | "system";

export interface HostCpu {
  readonly state: CpuState;
  readonly memory: MachineMemory;
  readonly hooks: CpuHooks;
  /** Argument passed by the semantics, as u64. */
  arg(index: number): bigint;
  /** Low 32 bits of an argument, unsigned. */
  argNumber(index: number): number;
  setResult(index: number, value: bigint): void;
  /** RIP of the instruction and of the one after it. */
  readonly currentRip: bigint;
  readonly nextRip: bigint;
  /** Raises an exception at this instruction. `errorCode` -1: none. Never returns. */
  raise(vector: number, errorCode?: number): never;
  /** Linear-address access with the current rights; raise #PF, #GP, #SS or (read and write) #AC. Sizes in bytes. */
  read(linear: bigint, bytes: 1 | 2 | 4 | 8, kind?: AccessKind): bigint;
  readBytes(linear: bigint, length: number, kind?: AccessKind): Uint8Array;
  /** Checks that all of [linear, linear + length) can be written, before anything is; of at most 8 bytes, alignment too. */
  probeWrite(linear: bigint, length: number, kind?: AccessKind): void;
  /**
   * Checks the same, and returns the machine address to read and write all of it at; -1, with nothing checked, when it's not in one page,
   * or accesses are looked at one by one.
   */
  writableAt(linear: bigint, length: number): number;
  /** The same for reading alone. */
  readableAt(linear: bigint, length: number): number;
  write(linear: bigint, bytes: 1 | 2 | 4 | 8, value: bigint, kind?: AccessKind): void;
  writeBytes(linear: bigint, bytes: Uint8Array, kind?: AccessKind): void;
  /** Segment rules for `bytes` at `offset`, outside 64-bit code: raises #GP or #SS. */
  checkSegment(segment: number, offset: bigint, bytes: number, write: boolean): void;
  /** The next instruction is not to be interrupted: see Shadow in ../debug.ts. */
  setInterruptShadow(shadow: number): void;
  /** Execution continues at `rip` (in the code segment as it now is) instead of at the next instruction. */
  jump(rip: bigint): void;
  /** Forgets translations: of the current address space, or of one page everywhere. */
  flushTlb(): void;
  invalidatePage(va: bigint): void;
  /** Call after changing CR0, CR3, CR4, EFER, CPL or EFLAGS.AC, which select address spaces and access checks. */
  accessRightsChanged(): void;
}

export type HostOperation = (cpu: HostCpu) => void;
export type HostOperationTable = Readonly<Record<string, HostOperation>>;
