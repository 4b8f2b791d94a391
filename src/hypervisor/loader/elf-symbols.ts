// The ELF symbol table (gABI chapter 4, "Symbol Table"): for traces that name guest functions. Distribution
// kernels are stripped; development kernels and small guests aren't.

import { cString, type ElfImage } from "./elf.js";

const SHT_SYMTAB = 2;
const STT_FUNC = 2;
const STT_OBJECT = 1;
const STT_NOTYPE = 0;

export interface ElfSymbol {
  readonly name: string;
  readonly address: bigint;
  readonly size: bigint;
}

/** Defined function, object and label symbols sorted by address; empty without .symtab. */
export function readSymbols(elf: ElfImage): ElfSymbol[] {
  const table = elf.sections.find((section) => section.type === SHT_SYMTAB);
  const stringSection = table && elf.sections[table.link];
  if (table === undefined || stringSection === undefined) return [];
  const wide = elf.class === 64;
  const entrySize = wide ? 24 : 16;
  const bytes = elf.bytes;
  const strings = bytes.subarray(stringSection.fileOffset, stringSection.fileOffset + stringSection.fileSize);
  const view = new DataView(bytes.buffer, bytes.byteOffset + table.fileOffset, table.fileSize);
  const symbols: ElfSymbol[] = [];
  for (let at = 0; at + entrySize <= table.fileSize; at += entrySize) {
    const type = view.getUint8(at + (wide ? 4 : 12)) & 15;
    const sectionIndex = view.getUint16(at + (wide ? 6 : 14), true);
    if (sectionIndex === 0 || (type !== STT_FUNC && type !== STT_OBJECT && type !== STT_NOTYPE)) continue;
    const name = cString(strings, view.getUint32(at, true), 256);
    if (name === "") continue;
    symbols.push({
      name,
      address: wide ? view.getBigUint64(at + 8, true) : BigInt(view.getUint32(at + 4, true)),
      size: wide ? view.getBigUint64(at + 16, true) : BigInt(view.getUint32(at + 8, true)),
    });
  }
  return symbols.sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
}
