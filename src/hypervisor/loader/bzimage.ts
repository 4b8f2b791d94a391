// The x86 boot protocol's file format (Linux Documentation/arch/x86/boot.rst): real-mode sectors with the setup
// header at 0x1f1, then the protected-mode part, in which payload_offset and payload_length (protocol 2.08) give
// the packed kernel. All packers but gzip have the unpacked size appended to the payload as 4 bytes; gzip's own
// trailer ends in the same number.

import { cString } from "./elf.js";
import { KernelImageError } from "./kernel-image-error.js";

export interface BzImage {
  /** Boot protocol version, 0x020f = 2.15. */
  readonly protocol: number;
  /** "6.1.0-56-amd64 (debian-kernel@…) #1 SMP …", or "" when absent. */
  readonly version: string;
  /** The packed (or, with CONFIG_KERNEL_UNCOMPRESSED, plain) ELF kernel with the 4 size bytes still at its end. */
  readonly payload: Uint8Array;
  /** Those 4 bytes: the size of the unpacked payload modulo 2^32. */
  readonly unpackedSize: number;
}

const SETUP_SECTS = 0x1f1;
const BOOT_FLAG = 0x1fe;
const HEADER = 0x202;
const VERSION = 0x206;
const KERNEL_VERSION = 0x20e;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const HEADER_END = 0x250;

/** True for a file with a Linux boot header: boot flag 0xaa55 and "HdrS". */
export function isBzImage(bytes: Uint8Array): boolean {
  return (
    bytes[BOOT_FLAG] === 0x55 &&
    bytes[BOOT_FLAG + 1] === 0xaa &&
    bytes[HEADER] === 0x48 &&
    bytes[HEADER + 1] === 0x64 &&
    bytes[HEADER + 2] === 0x72 &&
    bytes[HEADER + 3] === 0x53
  );
}

/** Finds the payload of a bzImage. Throws KernelImageError: "truncated", "corrupt", "unsupported-format". */
export function parseBzImage(bytes: Uint8Array, name: string): BzImage {
  const truncated = (what: string, need: number) =>
    new KernelImageError("truncated", name, `${what} ends at ${need}, the file has ${bytes.length} bytes`);
  if (bytes.length < HEADER_END) throw truncated("bzImage setup header", HEADER_END);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const protocol = view.getUint16(VERSION, true);
  if (protocol < 0x208) {
    const text = `${protocol >> 8}.${String(protocol & 0xff).padStart(2, "0")}`;
    throw new KernelImageError("unsupported-format", name, `boot protocol ${text} has no payload field (2.08 has)`);
  }
  // 0 means 4, for the oldest loaders.
  const protectedMode = ((bytes[SETUP_SECTS] || 4) + 1) * 512;
  const payloadStart = protectedMode + view.getUint32(PAYLOAD_OFFSET, true);
  const payloadLength = view.getUint32(PAYLOAD_LENGTH, true);
  const payloadEnd = payloadStart + payloadLength;
  if (payloadLength < 8) throw new KernelImageError("corrupt", name, `bzImage payload of ${payloadLength} bytes`);
  if (payloadEnd > bytes.length) throw truncated("bzImage payload", payloadEnd);
  const versionAt = view.getUint16(KERNEL_VERSION, true);
  return {
    protocol,
    version: versionAt === 0 ? "" : cString(bytes.subarray(0, protectedMode), versionAt + 0x200, 256),
    payload: bytes.subarray(payloadStart, payloadEnd),
    unpackedSize: view.getUint32(payloadEnd - 4, true),
  };
}
