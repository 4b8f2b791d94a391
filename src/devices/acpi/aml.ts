// A small assembler for AML, the byte code of ACPI tables (ACPI specification 6.4, chapter 20). Terms are byte arrays; functions
// compose them. Only what data and trivial methods need.

export type Aml = readonly number[];

const PREFIX = { Byte: 0x0a, Word: 0x0b, Dword: 0x0c } as const;
const OP = {
  Zero: 0x00,
  One: 0x01,
  Name: 0x08,
  Scope: 0x10,
  Buffer: 0x11,
  Package: 0x12,
  Method: 0x14,
  Return: 0xa4,
} as const;
const EXTENDED = 0x5b;
const DEVICE = 0x82;
const DUAL_NAME = 0x2e;
const MULTI_NAME = 0x2f;
const SERIALIZED = 8;

/** PkgLength: counts itself. ACPI 20.2.4. */
function packageLength(contents: number): number[] {
  if (contents + 1 < 0x40) return [contents + 1];
  for (let extra = 1; extra <= 3; extra++) {
    const total = contents + 1 + extra;
    if (total >= 1 << (4 + 8 * extra)) continue;
    const bytes = [(extra << 6) | (total & 0xf)];
    for (let i = 0; i < extra; i++) bytes.push((total >> (4 + 8 * i)) & 0xff);
    return bytes;
  }
  throw new RangeError(`AML object of ${contents} bytes`);
}

/** A name segment of up to four characters, padded with underscores. */
function segment(name: string): number[] {
  if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(name)) throw new RangeError(`AML name ${name}`);
  return [...name.padEnd(4, "_")].map((c) => c.charCodeAt(0));
}

/** "\\_SB.PCI0": an optional root or parent prefix, segments separated by dots. */
export function nameString(path: string): number[] {
  const prefix = /^(\\|\^*)/.exec(path)![0];
  const names = path.slice(prefix.length).split(".").filter(Boolean);
  const bytes = [...prefix].map((c) => c.charCodeAt(0));
  if (names.length === 0) return [...bytes, 0];
  if (names.length === 2) bytes.push(DUAL_NAME);
  else if (names.length > 2) bytes.push(MULTI_NAME, names.length);
  return [...bytes, ...names.flatMap(segment)];
}

/** The shortest integer constant; up to 2^32 - 1. */
export function integer(value: number): Aml {
  if (value === 0) return [OP.Zero];
  if (value === 1) return [OP.One];
  if (value < 0x100) return [PREFIX.Byte, value];
  const word = [value & 0xff, (value >>> 8) & 0xff];
  if (value < 0x10000) return [PREFIX.Word, ...word];
  return [PREFIX.Dword, ...word, (value >>> 16) & 0xff, value >>> 24];
}

/** A compressed EISA id such as PNP0A03 (ACPI 19.6.36), as integer constant. */
export function eisaId(id: string): Aml {
  const match = /^([A-Z]{3})([0-9A-F]{4})$/.exec(id);
  if (!match) throw new RangeError(`EISA id ${id}`);
  const [a, b, c] = [...match[1]!].map((letter) => letter.charCodeAt(0) - 0x40) as [number, number, number];
  const product = Number.parseInt(match[2]!, 16);
  const vendor = (a << 10) | (b << 5) | c;
  return [PREFIX.Dword, vendor >> 8, vendor & 0xff, product >> 8, product & 0xff];
}

export function name(path: string, value: Aml): Aml {
  return [OP.Name, ...nameString(path), ...value];
}

function block(opcode: readonly number[], contents: readonly number[]): Aml {
  return [...opcode, ...packageLength(contents.length), ...contents];
}

export function scope(path: string, ...terms: Aml[]): Aml {
  return block([OP.Scope], [...nameString(path), ...terms.flat()]);
}

export function device(path: string, ...terms: Aml[]): Aml {
  return block([EXTENDED, DEVICE], [...nameString(path), ...terms.flat()]);
}

/** @param argumentCount 0-7. */
export function method(path: string, argumentCount: number, ...terms: Aml[]): Aml {
  return block([OP.Method], [...nameString(path), argumentCount | SERIALIZED, ...terms.flat()]);
}

export function packageOf(...elements: Aml[]): Aml {
  return block([OP.Package], [elements.length, ...elements.flat()]);
}

export function buffer(bytes: readonly number[]): Aml {
  return block([OP.Buffer], [...integer(bytes.length), ...bytes]);
}
