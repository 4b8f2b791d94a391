// Where a PV kernel goes in its address space: the relation between ELF p_paddr, pseudo-physical and
// virtual addresses that VIRT_BASE and PADDR_OFFSET define (elfnote.h):
//   pseudo-physical = p_paddr - PADDR_OFFSET;   virtual = VIRT_BASE + pseudo-physical.

import { type ElfImage, type ElfSegment, PT_LOAD } from "./elf.js";
import { KernelImageError } from "./kernel-image-error.js";
import type { XenNotes } from "./xen-notes-types.js";

export interface KernelLayout {
  /** Virtual address of pseudo-physical address 0. */
  readonly virtBase: bigint;
  readonly paddrOffset: bigint;
  /** First byte of the image and the byte after its last, .bss included. */
  readonly virtualStart: bigint;
  readonly virtualEnd: bigint;
  /** Virtual address of the first instruction. */
  readonly entry: bigint;
}

/** The segments that are loaded: PT_LOAD with a size. */
export function loadSegments(elf: ElfImage): ElfSegment[] {
  return elf.segments.filter(({ type, memorySize }) => type === PT_LOAD && memorySize > 0);
}

/** Lowest p_paddr and highest p_paddr + p_memsz of the loaded segments. */
export function physicalExtent(elf: ElfImage, image: string): { start: bigint; end: bigint } {
  const segments = loadSegments(elf);
  const first = segments[0];
  if (first === undefined) throw new KernelImageError("corrupt", image, "no loadable segment");
  let start = first.physicalAddress;
  let end = start;
  for (const { physicalAddress, memorySize } of segments) {
    if (physicalAddress < start) start = physicalAddress;
    if (physicalAddress + BigInt(memorySize) > end) end = physicalAddress + BigInt(memorySize);
  }
  return { start, end };
}

/** Computes and checks the PV layout; "bad-notes" or "bad-layout" when the numbers contradict one another. */
export function computeLayout(elf: ElfImage, notes: XenNotes, image: string): KernelLayout {
  const bad = (detail: string) => new KernelImageError("bad-layout", image, detail);
  if (notes.paddrOffset !== undefined && notes.virtBase === undefined) {
    throw new KernelImageError("bad-notes", image, "PADDR_OFFSET without VIRT_BASE");
  }
  const virtBase = notes.virtBase ?? 0n;
  const paddrOffset = notes.paddrOffset ?? (notes.source === "__xen_guest" ? virtBase : 0n);
  const physical = physicalExtent(elf, image);
  if (physical.start < paddrOffset) {
    throw bad(`segment at physical ${hex(physical.start)} lies below PADDR_OFFSET ${hex(paddrOffset)}`);
  }
  const virtualStart = virtBase + physical.start - paddrOffset;
  const virtualEnd = virtBase + physical.end - paddrOffset;
  const top = 1n << BigInt(elf.class);
  if (virtualEnd > top)
    throw bad(`the kernel would end at ${hex(virtualEnd)}, above the ${elf.class}-bit address space`);
  const range = `${hex(virtualStart)}-${hex(virtualEnd)}`;
  const entry = notes.entry ?? elf.entry;
  if (entry < virtualStart || entry >= virtualEnd) throw bad(`entry ${hex(entry)} lies outside the kernel ${range}`);
  if (elf.class === 64 && !(isCanonical(virtualStart) && isCanonical(virtualEnd - 1n))) {
    throw bad(`the kernel's addresses ${range} aren't canonical`);
  }
  const page = notes.hypercallPage;
  if (page !== undefined) {
    if (page % 4096n !== 0n) throw bad(`HYPERCALL_PAGE ${hex(page)} isn't page aligned`);
    if (page < virtualStart || page + 4096n > pageUp(virtualEnd)) {
      throw bad(`HYPERCALL_PAGE ${hex(page)} lies outside the kernel ${range}`);
    }
  }
  const p2m = notes.initP2m;
  if (p2m !== undefined && p2m >= virtualStart && p2m < virtualEnd) {
    throw bad(`INIT_P2M ${hex(p2m)} lies inside the kernel ${range}`);
  }
  return { virtBase, paddrOffset, virtualStart, virtualEnd, entry };
}

function pageUp(address: bigint): bigint {
  return (address + 4095n) & ~4095n;
}

function isCanonical(address: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;
}

export function hex(value: bigint): string {
  return `0x${value.toString(16)}`;
}
