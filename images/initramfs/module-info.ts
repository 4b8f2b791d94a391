// Reads what a Linux kernel module says of itself: the NUL-separated key=value strings of its ELF section ".modinfo"
// (linux/include/linux/module.h). ELF64 little-endian per the System V gABI, chapter 4. Every offset is checked.
import { ImageError } from "../image-error.js";

/** The tags of one module that matter for loading it. Names are as the module writes them. */
export interface ModuleInfo {
  /** Names of modules that must be loaded first. */
  readonly depends: readonly string[];
  /** Names or aliases that should be loaded first, from `softdep=pre: …`. */
  readonly softPre: readonly string[];
  readonly aliases: readonly string[];
}

/** The tags of the module `elf`. Throws ImageError "bad-package" when it is not a 64-bit ELF file with a .modinfo section. */
export function readModuleInfo(name: string, elf: Uint8Array): ModuleInfo {
  const section = modinfoSection(elf);
  if (section === undefined) {
    throw new ImageError("bad-package", `The kernel module ${name} has no readable .modinfo section.`);
  }
  const depends: string[] = [];
  const softPre: string[] = [];
  const aliases: string[] = [];
  for (const tag of Buffer.from(section).toString("latin1").split("\0")) {
    const equals = tag.indexOf("=");
    const value = tag.slice(equals + 1);
    switch (tag.slice(0, Math.max(equals, 0))) {
      case "depends":
        depends.push(...value.split(",").filter((name) => name !== ""));
        break;
      case "alias":
        aliases.push(value);
        break;
      case "softdep":
        softPre.push(...softDependenciesBefore(value));
        break;
    }
  }
  return { depends, softPre, aliases };
}

/** `pre: a b post: c` → [a, b]. */
function softDependenciesBefore(value: string): string[] {
  const names: string[] = [];
  let before = false;
  for (const word of value.split(/\s+/)) {
    if (word.endsWith(":")) before = word === "pre:";
    else if (before && word !== "") names.push(word);
  }
  return names;
}

function modinfoSection(elf: Uint8Array): Uint8Array | undefined {
  const view = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  // e_ident: magic, ELFCLASS64, ELFDATA2LSB.
  if (elf.length < 64 || view.getUint32(0) !== 0x7f45_4c46 || elf[4] !== 2 || elf[5] !== 1) return undefined;
  const table = Number(view.getBigUint64(40, true));
  const entrySize = view.getUint16(58, true);
  const count = view.getUint16(60, true);
  const namesIndex = view.getUint16(62, true);
  if (entrySize < 64 || namesIndex >= count || table + count * entrySize > elf.length) return undefined;
  const section = (index: number): Uint8Array | undefined => {
    const at = table + index * entrySize;
    const offset = Number(view.getBigUint64(at + 24, true));
    const size = Number(view.getBigUint64(at + 32, true));
    return offset + size <= elf.length ? elf.subarray(offset, offset + size) : undefined;
  };
  const names = section(namesIndex);
  if (names === undefined) return undefined;
  for (let index = 0; index < count; index++) {
    const nameAt = view.getUint32(table + index * entrySize, true);
    const end = names.indexOf(0, nameAt);
    if (end < 0 || Buffer.from(names.subarray(nameAt, end)).toString("latin1") !== ".modinfo") continue;
    return section(index);
  }
  return undefined;
}
