// One 64-bit PV vCPU with real page tables in machine memory and no engine, for tests of PV entry and exit. Identity-mapped
// pages from BASE: kernel root maps all, user root only the user pages. Frames: 1-4 tables of the kernel, 5-8 of the user,
// 9 vcpu_info, 10 GDT page, from 16 on the mapped pages.

import { CpuState } from "../../../src/cpu/cpu-state.js";
import { Decoder } from "../../../src/cpu/decode/decoder.js";
import { DEFAULT_FEATURES } from "../../../src/cpu/features.js";
import { STATE_SIZE } from "../../../src/cpu/state-layout.js";
import { cpuFeatureWords } from "../../../src/hypervisor/pv/cpuid-features.js";
import { CpuidPolicy } from "../../../src/hypervisor/pv/cpuid-policy.js";
import { resetPvCpu } from "../../../src/hypervisor/pv/initial-state.js";
import type { IoPorts } from "../../../src/hypervisor/pv/port-space.js";
import type { PvContext, PvHost } from "../../../src/hypervisor/pv/pv-context.js";
import { PvVcpu } from "../../../src/hypervisor/pv/pv-vcpu.js";
import { MachineMemory } from "../../../src/mmu/machine-memory.js";

export const BASE = 0xffff_8880_0000_0000n;
export const INFO = 9 * 4096;
const FIRST_PAGE = 16;
const PAGES = 16;
const P_RW_US = 7n;

const features = new Set([...DEFAULT_FEATURES]);
const decoder = new Decoder({ features });

/** Virtual address of page `n` of the mapped ones. Page 15 is read-only, page 14 isn't mapped. */
export function page(n: number): bigint {
  return BASE + BigInt(n * 4096);
}

export function machineAddress(va: bigint): number {
  return FIRST_PAGE * 4096 + Number(va - BASE);
}

export function makePv(options: { privileged?: boolean; ports?: IoPorts } = {}) {
  const memory = new MachineMemory({ frames: 64, engineBytes: 65536 });
  buildTables(memory, 1, PAGES);
  buildTables(memory, 5, PAGES);
  const log: string[] = [];
  const crashes: string[] = [];
  const roots: number[] = [];
  const pv = new PvVcpu();
  pv.guestTable = 1;
  pv.guestUserTable = 5;
  const state = new CpuState(memory, memory.allocateEngine(STATE_SIZE));
  const vcpu = {
    id: 0,
    pv,
    cpu: { state, setAddressSpace: (root: number) => void roots.push(root), accessRightsChanged: () => {} },
    domain: { id: 0, privileged: options.privileged ?? true, assists: 0 },
    infoAddress: INFO,
  } satisfies PvContext;
  const written: bigint[] = [];
  const descriptorPages = new Map<number, number>();
  const host: PvHost = {
    memory,
    decoder,
    cpuid: new CpuidPolicy({
      features: cpuFeatureWords(features),
      tscKhz: 2_600_000,
      xenVersion: { major: 4, minor: 17 },
      machineAddressWidth: 40,
    }),
    ioPorts: options.ports ?? { read: (_port, size) => (size === 4 ? 0xffff_ffff : (1 << (8 * size)) - 1), write() {} },
    log: (line) => void log.push(line),
    debugLog: (line) => void log.push(line),
    crashDomain: (_vcpu, reason) => void crashes.push(reason),
    emulatePageTableWrite: (_vcpu, address) => {
      written.push(address);
      return true;
    },
    newBasePointer: (context, mfn) => {
      if (mfn !== 1 && mfn !== 5) return false;
      context.pv.guestTable = mfn;
      return true;
    },
    getDescriptorPage: (_vcpu, mfn) => {
      if (mfn !== 10) return false;
      descriptorPages.set(mfn, (descriptorPages.get(mfn) ?? 0) + 1);
      return true;
    },
    putDescriptorPage: (mfn) => void descriptorPages.set(mfn, descriptorPages.get(mfn)! - 1),
    readTsc: () => 0x1_2345_6789n,
  };
  resetPvCpu(vcpu);
  state.setGpr(4, page(8));
  return { host, vcpu, pv, state, memory, log, crashes, roots, written, descriptorPages };
}

export type Pv = ReturnType<typeof makePv>;

function buildTables(memory: MachineMemory, root: number, pages: number): void {
  const index = (shift: bigint) => Number((BASE >> shift) & 0x1ffn) * 8;
  memory.writeU64(root * 4096 + index(39n), (BigInt(root + 1) << 12n) | P_RW_US);
  memory.writeU64((root + 1) * 4096 + index(30n), (BigInt(root + 2) << 12n) | P_RW_US);
  memory.writeU64((root + 2) * 4096 + index(21n), (BigInt(root + 3) << 12n) | P_RW_US);
  for (let i = 0; i < pages; i++) {
    const flags = i === 14 ? 0n : i === 15 ? 5n : P_RW_US;
    memory.writeU64((root + 3) * 4096 + i * 8, (BigInt(FIRST_PAGE + i) << 12n) | flags);
  }
}

/** Words of guest memory. */
export function stackWords(pv: Pv, va: bigint, count: number): bigint[] {
  return Array.from({ length: count }, (_, i) => pv.memory.readU64(machineAddress(va) + i * 8));
}

/** Puts code at page 0 and RIP on it. */
export function code(pv: Pv, ...bytes: number[]): void {
  pv.memory.write(machineAddress(page(0)), Uint8Array.from(bytes));
  pv.state.rip = page(0);
}

export function upcallMask(pv: Pv): number {
  return pv.memory.readU8(INFO + 1);
}
