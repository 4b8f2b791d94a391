// ELF notes (gABI chapter 5, "Note Section"): a sequence of name size, descriptor size, type, name, descriptor,
// where name and descriptor are padded to 4 bytes (8 when the segment is aligned to 8).

import { cString, type ElfImage, PT_NOTE, SHT_NOTE } from "./elf.js";
import { KernelImageError } from "./kernel-image-error.js";

export interface ElfNote {
  readonly name: string;
  readonly type: number;
  readonly descriptor: Uint8Array;
  /** Offset of the note in the file. */
  readonly fileOffset: number;
}

/** All notes of the PT_NOTE segments. */
export function segmentNotes(elf: ElfImage, image: string): ElfNote[] {
  return elf.segments
    .filter(({ type }) => type === PT_NOTE)
    .flatMap((part) => readNotes(elf, part.fileOffset, part.fileSize, part.align, image));
}

/** All notes of the SHT_NOTE sections: for images whose notes no segment covers. */
export function sectionNotes(elf: ElfImage, image: string): ElfNote[] {
  return elf.sections
    .filter(({ type }) => type === SHT_NOTE)
    .flatMap((part) => readNotes(elf, part.fileOffset, part.fileSize, part.align, image));
}

function readNotes(elf: ElfImage, start: number, size: number, align: bigint, image: string): ElfNote[] {
  const view = new DataView(elf.bytes.buffer, elf.bytes.byteOffset, elf.bytes.byteLength);
  const padding = align === 8n ? 7 : 3;
  const end = start + size;
  const notes: ElfNote[] = [];
  let at = start;
  while (at + 12 <= end) {
    const nameSize = view.getUint32(at, true);
    const descriptorSize = view.getUint32(at + 4, true);
    const nameEnd = at + 12 + nameSize;
    const descriptorAt = start + pad(nameEnd - start, padding);
    if (nameEnd > end || descriptorAt + descriptorSize > end) {
      // As GRUB's 32-bit image ends: the last note is cut.
      if (elf.class === 32) break;
      throw new KernelImageError(
        "bad-notes",
        image,
        `note at ${at}: name of ${nameSize} and descriptor of ${descriptorSize} bytes pass the segment's end at ${end}`,
      );
    }
    notes.push({
      name: cString(elf.bytes.subarray(at + 12, nameEnd), 0, 64),
      type: view.getUint32(at + 8, true),
      descriptor: elf.bytes.subarray(descriptorAt, descriptorAt + descriptorSize),
      fileOffset: at,
    });
    at = start + pad(descriptorAt + descriptorSize - start, padding);
  }
  return notes;
}

function pad(value: number, mask: number): number {
  // Not bitwise on the value: notes may lie above 2 GiB in a hostile file.
  return Math.ceil(value / (mask + 1)) * (mask + 1);
}
