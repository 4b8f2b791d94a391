import { describe, expect, it } from "vitest";
import { parseElf } from "../../../src/hypervisor/loader/elf.js";
import { readSymbols } from "../../../src/hypervisor/loader/elf-symbols.js";
import { buildElf, concat, number, text } from "./build-image.js";

/** An Elf64_Sym or Elf32_Sym. */
function symbol(wide: boolean, name: number, info: number, section: number, value: number, size: number): Uint8Array {
  const bytes = new Uint8Array(wide ? 24 : 16);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, name, true);
  bytes[wide ? 4 : 12] = info;
  view.setUint16(wide ? 6 : 14, section, true);
  bytes.set(number(value, wide ? 8 : 4), wide ? 8 : 4);
  bytes.set(number(size, wide ? 8 : 4), wide ? 16 : 8);
  return bytes;
}

describe.each([32, 64] as const)("ELF%i", (elfClass) => {
  const wide = elfClass === 64;
  const elf = buildElf({
    class: elfClass,
    segments: [{ paddr: 0x1000n, vaddr: 0x2000n, contents: Uint8Array.of(1, 2, 3), memorySize: 10 }],
    sections: [
      { name: ".strtab", type: 3, contents: concat([text(""), text("late"), text("early")]) },
      {
        name: ".symtab",
        type: 2,
        link: 1,
        contents: concat([
          symbol(wide, 0, 0, 0, 0, 0),
          symbol(wide, 1, 0x12, 1, 0x2008, 4),
          symbol(wide, 6, 0x12, 1, 0x2000, 8),
          symbol(wide, 1, 0x12, 0, 0x9999, 4),
        ]),
      },
    ],
  });

  it("has segments and named sections", () => {
    const image = parseElf(elf, "k");
    expect(image).toMatchObject({ class: elfClass, machine: wide ? 62 : 3, type: 2 });
    expect(image.segments[0]).toMatchObject({ virtualAddress: 0x2000n, physicalAddress: 0x1000n, memorySize: 10 });
    expect(image.sections.map(({ name }) => name)).toEqual(["", ".strtab", ".symtab", ".shstrtab"]);
  });

  it("has its defined symbols sorted by address", () => {
    expect(readSymbols(parseElf(elf, "k"))).toEqual([
      { name: "early", address: 0x2000n, size: 8n },
      { name: "late", address: 0x2008n, size: 4n },
    ]);
  });

  it("refuses a file smaller in memory than in the file", () => {
    const bad = buildElf({ class: elfClass, segments: [{ contents: new Uint8Array(8), memorySize: 4 }] });
    expect(() => parseElf(bad, "k")).toThrow("k: corrupt: program header 0: p_memsz is less than p_filesz");
  });

  it("refuses a segment that wraps around the address space", () => {
    const paddr = wide ? 0xfffffffffffffff0n : 0xfffffff0n;
    const bad = buildElf({ class: elfClass, segments: [{ paddr, contents: new Uint8Array(32) }] });
    expect(() => parseElf(bad, "k")).toThrow(/k: bad memory layout: program header 0: 32 bytes don't fit/);
  });
});
