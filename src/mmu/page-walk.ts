// The page walk of SDM volume 3A chapter 4 (2-level, PAE, 4-level; 4K, 2M, 4M, 1G pages), over machine memory. No state, no
// TLB: it reads tables, checks rights, sets accessed and dirty bits, and reports into a reused result object.

import { DOUBLE_ZERO } from "./double.js";
import { type MachineMemory, PAGE_SIZE } from "./machine-memory.js";

/** Page-fault error code bits, SDM 3A 4.7. */
export const PageFault = { P: 1, W: 2, U: 4, RSVD: 8, I: 16 } as const;

export const PagingMode = { None: 0, TwoLevel: 2, Pae: 3, FourLevel: 4 } as const;
export type PagingMode = (typeof PagingMode)[keyof typeof PagingMode];

export interface PagingContext {
  mode: PagingMode;
  /** Machine address of the root table. */
  root: number;
  /** CR0.WP, CR4.SMEP, CR4.SMAP (already combined with EFLAGS.AC), EFER.NXE, CR4.PSE. */
  writeProtect: boolean;
  smep: boolean;
  smap: boolean;
  nxe: boolean;
  pse: boolean;
  /** Xen PV: guest kernel and user both run at CPL 3 in separate roots, so the U/S bit doesn't decide. */
  ignoreUser: boolean;
}

export interface WalkResult {
  /** Machine address of the byte asked for; meaningful when `fault` is -1. */
  maddr: number;
  /** -1, or the page-fault error code. */
  fault: number;
  /** Whether the whole path allows writes and the leaf's dirty bit is set: later writes need no walk. */
  writableNow: boolean;
  executable: boolean;
  user: boolean;
  /** Machine address of the leaf entry, and its page size in bytes. */
  leaf: number;
  pageSize: number;
}

export function newWalkResult(): WalkResult {
  return {
    maddr: DOUBLE_ZERO,
    fault: -1,
    writableNow: false,
    executable: false,
    user: false,
    leaf: DOUBLE_ZERO,
    pageSize: 0,
  };
}

export const ACCESS_READ = 0;
export const ACCESS_WRITE = 1;
export const ACCESS_EXECUTE = 2;

const P = 1;
const RW = 2;
const US = 4;
const A = 0x20;
const D = 0x40;
const PS = 0x80;
/** Bits 40-51 of an entry, in its high word: beyond our physical address width. */
const RESERVED_HIGH = 0x000fff00;
const RESERVED_HIGH_PAE = 0x7fffff00;
const NX_HIGH = 0x80000000;
/** Address bits below a large page's alignment that must be zero (bit 12 is PAT), by level, and in a 4 MB entry. */
const reservedLarge: readonly number[] = [0, 0, 0x001fe000, 0x3fffe000];
const RESERVED_4M = 0x00200000;

/**
 * Translates the virtual address (low and high 32-bit halves, unsigned) for one access. `user`: CPL 3.
 * Sets accessed bits on the path and, for a write, the dirty bit. The address must be canonical.
 */
export function walkPage(
  memory: MachineMemory,
  context: PagingContext,
  vaLow: number,
  vaHigh: number,
  access: number,
  user: boolean,
  out: WalkResult,
): WalkResult {
  const { mode } = context;
  out.fault = -1;
  if (mode === 0) {
    out.maddr = vaLow >>> 0;
    out.writableNow = out.executable = out.user = true;
    out.leaf = 0;
    out.pageSize = PAGE_SIZE;
    if (out.maddr >= memory.frames * PAGE_SIZE) out.fault = PageFault.RSVD;
    return out;
  }
  const { u32 } = memory;
  const wide = mode !== PagingMode.TwoLevel;
  let table = context.root;
  let writable = true;
  let userPage = true;
  let noExecute = false;
  const code = (present: number) =>
    present |
    (access === ACCESS_WRITE ? PageFault.W : 0) |
    (user ? PageFault.U : 0) |
    (access === ACCESS_EXECUTE && ((context.nxe && wide) || context.smep) ? PageFault.I : 0);
  if (table >= memory.frames * PAGE_SIZE) {
    out.fault = code(PageFault.P) | PageFault.RSVD;
    return out;
  }
  for (let level: number = mode; ; level--) {
    let index: number;
    if (!wide) index = level === 2 ? vaLow >>> 22 : (vaLow >>> 12) & 0x3ff;
    else if (level === 4) index = (vaHigh >>> 7) & 0x1ff;
    else if (level === 3) index = mode === PagingMode.Pae ? vaLow >>> 30 : ((vaHigh << 2) | (vaLow >>> 30)) & 0x1ff;
    else if (level === 2) index = (vaLow >>> 21) & 0x1ff;
    else index = (vaLow >>> 12) & 0x1ff;
    const address = table + index * (wide ? 8 : 4);
    const low = u32[address >>> 2]!;
    const high = wide ? u32[(address >>> 2) + 1]! : 0;
    if (!(low & P)) {
      out.fault = code(0);
      return out;
    }
    // PAE tables, unlike those of 4-level paging, have no bits that software may use above the address.
    const reserved = mode === PagingMode.Pae ? RESERVED_HIGH_PAE : RESERVED_HIGH;
    if (high & reserved || (high & NX_HIGH && !context.nxe)) {
      out.fault = code(PageFault.P) | PageFault.RSVD;
      return out;
    }
    const frame = (high & 0xff) * 0x100000000 + ((low & 0xfffff000) >>> 0);
    const paePointer = mode === PagingMode.Pae && level === 3;
    if (!paePointer) {
      if (!(low & RW)) writable = false;
      if (!(low & US)) userPage = false;
      if (high & NX_HIGH) noExecute = true;
    }
    const large = level > 1 && (low & PS) !== 0 && (wide ? !paePointer && level <= 3 : context.pse);
    if ((low & PS && level === 4) || (large && low & (wide ? reservedLarge[level]! : RESERVED_4M))) {
      out.fault = code(PageFault.P) | PageFault.RSVD;
      return out;
    }
    if (level > 1 && !large) {
      if (frame >= memory.frames * PAGE_SIZE) {
        out.fault = code(PageFault.P) | PageFault.RSVD;
        return out;
      }
      if (!(low & A) && !paePointer) memory.writeU32(address, low | A);
      table = frame;
      continue;
    }
    if (context.ignoreUser) userPage = true;
    const supervisorWrite = !user && !context.writeProtect;
    let denied = user && !userPage;
    if (access === ACCESS_WRITE && !writable && !supervisorWrite) denied = true;
    if (access === ACCESS_EXECUTE && noExecute) denied = true;
    if (!user && userPage && !context.ignoreUser) {
      if (access === ACCESS_EXECUTE ? context.smep : context.smap) denied = true;
    }
    if (denied) {
      out.fault = code(PageFault.P);
      return out;
    }
    const size = level === 1 ? 0x1000 : level === 3 ? 0x40000000 : wide ? 0x200000 : 0x400000;
    const inPage = (vaLow & (size - 1)) >>> 0;
    // PSE-36 keeps address bits 32-39 of a 4 MB page in bits 13-20.
    const above = large && !wide ? ((low >>> 13) & 0xff) * 0x100000000 : 0;
    const maddr = frame - (frame % size) + above + inPage;
    if (maddr >= memory.frames * PAGE_SIZE) {
      out.fault = code(PageFault.P) | PageFault.RSVD;
      return out;
    }
    const set = A | (access === ACCESS_WRITE ? D : 0);
    if ((low & set) !== set) memory.writeU32(address, low | set);
    out.maddr = maddr;
    out.writableNow = (writable || supervisorWrite) && ((low | set) & D) !== 0;
    out.executable = !noExecute;
    out.user = userPage;
    out.leaf = address;
    out.pageSize = size;
    return out;
  }
}
