// Kernels of a few instructions, assembled by hand: they print on dom0's console and end in a chosen way, within milliseconds.
import { deflateSync } from "node:zlib";
import { SHUTDOWN_crash, SHUTDOWN_poweroff, SHUTDOWN_reboot } from "../../src/hypervisor/public/sched.js";
import { __HYPERVISOR_console_io, __HYPERVISOR_sched_op } from "../../src/hypervisor/public/xen.js";
import { buildBzImage, buildElf, concat } from "../hypervisor/loader/build-image.js";
import { BASE, LINUX_NOTES } from "../hypervisor/loader/kernels.js";

export type TinyEnd = "poweroff" | "reboot" | "crash" | "hang" | "work" | "block" | "ud2";

const SCHEDOP_block = 1;
const SCHEDOP_shutdown = 2;
const REASONS = { poweroff: SHUTDOWN_poweroff, reboot: SHUTDOWN_reboot, crash: SHUTDOWN_crash } as const;
const LOAD = 0x1000000n;
/** Where LINUX_NOTES' ENTRY points, from the start of the segment; code, then data. */
const ENTRY = 0x100;
const DATA = 0x200;
const WORK = 60;

const word = (value: number) => [value & 255, (value >> 8) & 255, (value >> 16) & 255, (value >>> 24) & 255];
const movEax = (value: number) => [0xb8, ...word(value)];
const movEdi = (value: number) => [0xbf, ...word(value)];
const movEsi = (value: number) => [0xbe, ...word(value)];
const SYSCALL = [0x0f, 0x05];

/** The ELF file of a 64-bit PV kernel that prints `text` (at most 3 KB) with console_io and then ends. */
export function tinyKernel(text: string, end: TinyEnd, memorySize = 0x5000): Uint8Array {
  const data = new TextEncoder().encode(text);
  const code: number[] = [];
  /** LEA of DATA + offset; `register` is the ModRM reg field (2 RDX, 6 RSI). */
  const lea = (register: number, offset: number) => {
    const next = ENTRY + code.length + 7;
    code.push(0x48, 0x8d, 0x05 | (register << 3), ...word(DATA + offset - next));
  };
  code.push(...movEax(__HYPERVISOR_console_io), ...movEdi(0), ...movEsi(data.length));
  lea(2, 4);
  code.push(...SYSCALL);
  if (end === "ud2") code.push(0x0f, 0x0b);
  else if (end === "block") code.push(...movEax(__HYPERVISOR_sched_op), ...movEdi(SCHEDOP_block), ...SYSCALL);
  else if (end === "work") {
    // INC RAX, and again: a loop that is worth compiling.
    for (let i = 0; i < WORK; i++) code.push(0x48, 0xff, 0xc0);
    code.push(0xe9, ...word(-(3 * WORK + 5)));
  } else if (end !== "hang") {
    code.push(...movEax(__HYPERVISOR_sched_op), ...movEdi(SCHEDOP_shutdown));
    lea(6, 0);
    code.push(...SYSCALL);
  }
  code.push(0xeb, 0xfe);
  const contents = new Uint8Array(0x1000);
  contents.set(code, ENTRY);
  contents.set(word(end in REASONS ? REASONS[end as keyof typeof REASONS] : 0), DATA);
  contents.set(data, DATA + 4);
  return buildElf({
    entry: LOAD,
    segments: [
      { paddr: LOAD, vaddr: BASE + LOAD, contents, memorySize },
      { type: 4, paddr: 0n, contents: concat(LINUX_NOTES) },
    ],
  });
}

/** A bzImage whose payload claims to be zlib-packed and isn't unpackable. */
export function corruptBzImage(): Uint8Array {
  const packed = Uint8Array.from(deflateSync(new Uint8Array(5000)));
  const gzip = Uint8Array.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, ...packed.reverse(), 0x88, 0x13, 0, 0]);
  return buildBzImage(gzip);
}
