// An ELF64 file of sections only, as Xen's dump-core files are (TIS ELF specification 1.2): header, section headers, then contents that
// are produced piece by piece.

const HEADER = 64;
const SECTION_HEADER = 64;
const ET_CORE = 4;
const EM_X86_64 = 62;
export const SHT_PROGBITS = 1;
const SHT_STRTAB = 3;
export const SHT_NOTE = 7;

export interface ElfSection {
  readonly name: string;
  readonly type: number;
  /** Bytes. */
  readonly size: number;
  readonly entrySize?: number;
  readonly align?: number;
  /** `size` bytes in all. */
  readonly contents: () => Iterable<Uint8Array>;
}

/** The file's bytes in order, in pieces; a piece is valid until the next one is asked for. */
export function* elfCore(sections: readonly ElfSection[]): Generator<Uint8Array, void, void> {
  const names = `\0${sections.map(({ name }) => `${name}\0`).join("")}.shstrtab\0`;
  const strings = new TextEncoder().encode(names);
  const all: ElfSection[] = [
    ...sections,
    { name: ".shstrtab", type: SHT_STRTAB, size: strings.length, contents: () => [strings] },
  ];
  const offsets: number[] = [];
  let at = HEADER + SECTION_HEADER * (all.length + 1);
  for (const { size, align = 8 } of all) {
    at = Math.ceil(at / align) * align;
    offsets.push(at);
    at += size;
  }
  yield headers(all, offsets, names);
  at = HEADER + SECTION_HEADER * (all.length + 1);
  for (const [i, section] of all.entries()) {
    if (offsets[i]! > at) yield new Uint8Array(offsets[i]! - at);
    yield* section.contents();
    at = offsets[i]! + section.size;
  }
}

function headers(all: readonly ElfSection[], offsets: readonly number[], names: string): Uint8Array {
  const bytes = new Uint8Array(HEADER + SECTION_HEADER * (all.length + 1));
  const view = new DataView(bytes.buffer);
  // ELFCLASS64, little-endian, version 1, ELFOSABI_SYSV
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]);
  view.setUint16(16, ET_CORE, true);
  view.setUint16(18, EM_X86_64, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(40, BigInt(HEADER), true);
  view.setUint16(52, HEADER, true);
  view.setUint16(58, SECTION_HEADER, true);
  view.setUint16(60, all.length + 1, true);
  view.setUint16(62, all.length, true);
  for (const [i, { name, type, size, entrySize = 0, align = 8 }] of all.entries()) {
    const at = HEADER + SECTION_HEADER * (i + 1);
    view.setUint32(at, names.indexOf(`\0${name}\0`) + 1, true);
    view.setUint32(at + 4, type, true);
    view.setBigUint64(at + 24, BigInt(offsets[i]!), true);
    view.setBigUint64(at + 32, BigInt(size), true);
    view.setBigUint64(at + 48, BigInt(align), true);
    view.setBigUint64(at + 56, BigInt(entrySize), true);
  }
  return bytes;
}
