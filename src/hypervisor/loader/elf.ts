// ELF32 and ELF64, little-endian (System V gABI, chapters 4 and 5): file header, program headers, sections.
// Every offset is checked against the file here, so the rest may index freely: for each segment and each
// section with contents, fileOffset + fileSize <= bytes.length.

import { KernelImageError } from "./kernel-image-error.js";

export const EM_386 = 3;
export const EM_X86_64 = 62;
export const PT_LOAD = 1;
export const PT_NOTE = 4;
export const SHT_NOTE = 7;
const SHT_NOBITS = 8;
/** No guest address space here is larger: a segment's size stays a safe number. */
const MAX_SEGMENT_SIZE = 2n ** 40n;

export interface ElfSegment {
  /** PT_ number. */
  readonly type: number;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly executable: boolean;
  readonly fileOffset: number;
  readonly fileSize: number;
  /** At least fileSize; the rest is zero. */
  readonly memorySize: number;
  readonly physicalAddress: bigint;
  readonly virtualAddress: bigint;
  readonly align: bigint;
}

export interface ElfSection {
  readonly name: string;
  /** SHT_ number. */
  readonly type: number;
  readonly flags: bigint;
  readonly address: bigint;
  readonly fileOffset: number;
  /** Bytes in the file; 0 for SHT_NOBITS. */
  readonly fileSize: number;
  readonly size: bigint;
  /** Index of the linked section (string table of a symbol table). */
  readonly link: number;
  readonly align: bigint;
  readonly entrySize: bigint;
}

export interface ElfImage {
  readonly bytes: Uint8Array;
  readonly class: 32 | 64;
  /** EM_ number. */
  readonly machine: number;
  /** ET_ number. */
  readonly type: number;
  readonly entry: bigint;
  readonly segments: readonly ElfSegment[];
  readonly sections: readonly ElfSection[];
}

/** True if `bytes` begins with the ELF magic. */
export function isElf(bytes: Uint8Array): boolean {
  return bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46;
}

/** Parses an ELF file. Throws KernelImageError; `name` is for its message. */
export function parseElf(bytes: Uint8Array, name: string): ElfImage {
  if (!isElf(bytes)) throw new KernelImageError("not-a-kernel", name, "no ELF magic");
  const file = new ElfFile(bytes, name);
  file.need(0, 52, "ELF header");
  const view = file.view;
  const elfClass = bytes[4];
  if (elfClass !== 1 && elfClass !== 2) throw file.error("corrupt", `ELF class ${elfClass}`);
  if (bytes[5] !== 1) throw file.error("unsupported-format", "big-endian ELF");
  const wide = elfClass === 2;
  file.need(0, wide ? 64 : 52, "ELF header");

  const phOffset = file.offset(wide ? view.getBigUint64(32, true) : view.getUint32(28, true), "e_phoff");
  const shOffset = file.offset(wide ? view.getBigUint64(40, true) : view.getUint32(32, true), "e_shoff");
  const counts = wide ? 54 : 42;
  const phEntrySize = view.getUint16(counts, true);
  const phCount = view.getUint16(counts + 2, true);
  const shEntrySize = view.getUint16(counts + 4, true);
  const shCount = view.getUint16(counts + 6, true);
  const shNames = view.getUint16(counts + 8, true);
  // e_phnum 0xffff and e_shnum 0 with sections are the escapes for larger counts: no kernel needs them.
  if (phCount === 0xffff) throw file.error("unsupported-format", "extended program header count");
  if (phCount > 0 && phEntrySize !== (wide ? 56 : 32)) throw file.error("corrupt", `e_phentsize ${phEntrySize}`);
  if (shCount > 0 && shEntrySize !== (wide ? 64 : 40)) throw file.error("corrupt", `e_shentsize ${shEntrySize}`);
  file.need(phOffset, phCount * phEntrySize, "program headers");
  if (shCount > 0) file.need(shOffset, shCount * shEntrySize, "section headers");

  const segments: ElfSegment[] = [];
  for (let i = 0; i < phCount; i++) segments.push(readSegment(file, wide, phOffset + i * phEntrySize, i));
  return {
    bytes,
    class: wide ? 64 : 32,
    machine: view.getUint16(18, true),
    type: view.getUint16(16, true),
    entry: wide ? view.getBigUint64(24, true) : BigInt(view.getUint32(24, true)),
    segments,
    sections: readSections(file, wide, shOffset, shCount, shNames),
  };
}

class ElfFile {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly name: string;

  constructor(bytes: Uint8Array, name: string) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.name = name;
  }

  error(code: "corrupt" | "unsupported-format" | "truncated" | "bad-layout", detail: string): KernelImageError {
    return new KernelImageError(code, this.name, detail);
  }

  need(offset: number, size: number, field: string): void {
    if (offset + size > this.bytes.length) {
      throw this.error("truncated", `${field} at ${offset} needs ${size} bytes, the file has ${this.bytes.length}`);
    }
  }

  /** A file offset or size as a number; one that no file can have is an error. */
  offset(value: number | bigint, field: string): number {
    if (value > Number.MAX_SAFE_INTEGER) throw this.error("corrupt", `${field} is 0x${value.toString(16)}`);
    return Number(value);
  }
}

function readSegment(file: ElfFile, wide: boolean, at: number, index: number): ElfSegment {
  const view = file.view;
  const u = (wideOffset: number, narrowOffset: number): bigint =>
    wide ? view.getBigUint64(at + wideOffset, true) : BigInt(view.getUint32(at + narrowOffset, true));
  const type = view.getUint32(at, true);
  const flags = view.getUint32(at + (wide ? 4 : 24), true);
  const field = `program header ${index}`;
  const fileOffset = file.offset(u(8, 4), `${field} p_offset`);
  const fileSize = file.offset(u(32, 16), `${field} p_filesz`);
  const memorySize = u(40, 20);
  const physicalAddress = u(24, 12);
  const virtualAddress = u(16, 8);
  if (type === PT_LOAD || type === PT_NOTE) file.need(fileOffset, fileSize, `${field} contents`);
  if (type === PT_LOAD) {
    if (memorySize < fileSize) throw file.error("corrupt", `${field}: p_memsz is less than p_filesz`);
    const top = 1n << (wide ? 64n : 32n);
    if (memorySize > MAX_SEGMENT_SIZE || physicalAddress + memorySize > top || virtualAddress + memorySize > top) {
      throw file.error("bad-layout", `${field}: ${memorySize} bytes don't fit in the address space`);
    }
  }
  return {
    type,
    readable: (flags & 4) !== 0,
    writable: (flags & 2) !== 0,
    executable: (flags & 1) !== 0,
    fileOffset,
    fileSize,
    memorySize: Number(memorySize),
    physicalAddress,
    virtualAddress,
    align: u(48, 28),
  };
}

function readSections(file: ElfFile, wide: boolean, table: number, count: number, namesIndex: number): ElfSection[] {
  const view = file.view;
  const raw: { nameOffset: number; section: ElfSection }[] = [];
  for (let i = 0; i < count; i++) {
    const at = table + i * (wide ? 64 : 40);
    const u = (wideOffset: number, narrowOffset: number): bigint =>
      wide ? view.getBigUint64(at + wideOffset, true) : BigInt(view.getUint32(at + narrowOffset, true));
    const type = view.getUint32(at + 4, true);
    const size = u(32, 20);
    // Type 0 is the unused entry; SHT_NOBITS occupies no file space.
    const hasContents = type !== 0 && type !== SHT_NOBITS;
    const fileOffset = hasContents ? file.offset(u(24, 16), `section ${i} sh_offset`) : 0;
    const fileSize = hasContents ? file.offset(size, `section ${i} sh_size`) : 0;
    file.need(fileOffset, fileSize, `section ${i} contents`);
    const section = {
      name: "",
      type,
      flags: u(8, 8),
      address: u(16, 12),
      fileOffset,
      fileSize,
      size,
      link: view.getUint32(at + (wide ? 40 : 24), true),
      align: u(48, 32),
      entrySize: u(56, 36),
    };
    raw.push({ nameOffset: view.getUint32(at, true), section });
  }
  const names = raw[namesIndex]?.section;
  if (names === undefined) return raw.map(({ section }) => section);
  const strings = file.bytes.subarray(names.fileOffset, names.fileOffset + names.fileSize);
  return raw.map(({ nameOffset, section }) => ({ ...section, name: cString(strings, nameOffset) }));
}

/** The NUL-terminated Latin-1 string at `offset`, at most `limit` characters; the array's end ends it too. */
export function cString(bytes: Uint8Array, offset = 0, limit = 4096): string {
  let text = "";
  for (let i = offset; i < bytes.length && bytes[i] !== 0 && text.length < limit; i++) {
    text += String.fromCharCode(bytes[i]!);
  }
  return text;
}
