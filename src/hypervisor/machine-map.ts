// The machine's memory map in the terms of BIOS INT 15h, AX=E820h: what is RAM, what is reserved (memory.h: XENMEM_machine_memory_map).

import { E820_RAM, E820_RESERVED } from "./public/memory.js";

export interface E820Entry {
  /** First byte. */
  readonly address: number;
  readonly size: number;
  /** E820_RAM, E820_RESERVED, … */
  readonly type: number;
}

const EBDA = 0x9_fc00;
const VIDEO = 0xa_0000;
const BIOS = 0xf_0000;
const HIGH = 0x10_0000;

/** A PC with `bytes` of RAM: conventional memory up to the EBDA, the hole below 1 MiB, all above, the BIOS below 4 GiB. */
export function pcMemoryMap(bytes: number): E820Entry[] {
  return [
    { address: 0, size: EBDA, type: E820_RAM },
    { address: EBDA, size: VIDEO - EBDA, type: E820_RESERVED },
    { address: BIOS, size: HIGH - BIOS, type: E820_RESERVED },
    { address: HIGH, size: bytes - HIGH, type: E820_RAM },
    { address: 0xfffc_0000, size: 0x4_0000, type: E820_RESERVED },
  ];
}

/** The map that the toolstack gives to an unprivileged PV domain: RAM from 0 on; the guest makes its own holes. */
export function domainMemoryMap(pages: number): E820Entry[] {
  return [{ address: 0, size: pages * 4096, type: E820_RAM }];
}

/** Whole frames of RAM: [first, end). */
export function ramFrames(map: readonly E820Entry[], frames: number): { first: number; end: number }[] {
  return map
    .filter(({ type }) => type === E820_RAM)
    .map(({ address, size }) => ({
      first: Math.ceil(address / 4096),
      end: Math.min(frames, Math.floor((address + size) / 4096)),
    }))
    .filter(({ first, end }) => end > first);
}
