// A 32-bit Linux in v86, its serial line on stdout. Arguments: kernel, initramfs, BIOS, video BIOS, command line, memory in MiB.

import { readFileSync, writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { V86 } from "v86";

const [kernel, ramdisk, bios, vgaBios, cmdline, memory] = process.argv.slice(2);
const file = (path) => {
  const bytes = readFileSync(path);
  return { buffer: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) };
};
const emulator = new V86({
  wasm_path: fileURLToPath(new URL("v86.wasm", import.meta.resolve("v86"))),
  memory_size: Number(memory) * 2 ** 20,
  vga_memory_size: 2 ** 21,
  bios: file(bios),
  vga_bios: file(vgaBios),
  bzimage: file(kernel),
  initrd: file(ramdisk),
  cmdline,
  autostart: true,
  disable_speaker: true,
});
let line = [];
emulator.add_listener("serial0-output-byte", (byte) => {
  line.push(byte);
  if (byte !== 10) return;
  writeSync(1, Uint8Array.from(line));
  line = [];
});
