// Linux's own symbol table inside a stripped kernel (the kernel's kernel/kallsyms.c and scripts/kallsyms.c say what the arrays mean).
// Nothing points at them from outside, so they are found by their contents: the token table holds the ten digits as tokens of one
// character; its index follows it, the markers and the names lie before it. Names are byte-pair packed: a length (ULEB128), then tokens,
// the first character being the type. Addresses are 32-bit offsets: not negative ones are absolute (per-CPU), others count from
// relative_base - 1 downwards. Layouts: up to 6.3 offsets and base come before the names, since 6.4 behind the token index.

import type { ElfImage } from "./elf.js";
import type { ElfSymbol } from "./elf-symbols.js";

const TOKENS = 256;
/** Every how many names there is a marker. */
const MARKED = 256;
const MAX_SYMBOLS = 2_000_000;
/** Of the names' beginning from the token table. */
const MAX_DISTANCE = 2 ** 25;
const DIGITS = Buffer.from([..."0123456789"].map((digit) => `${digit}\0`).join(""), "latin1");
const KERNEL_BASE = 0xffffffff80000000n;

interface Tables {
  readonly tokens: readonly string[];
  readonly tokenTable: number;
  /** Behind the token index. */
  readonly end: number;
}

const align = (at: number, to: number) => Math.ceil(at / to) * to;

/** The kernel's functions and data by address; empty for a kernel without them or with a layout not known here. Sizes are the way to the next. */
export function readKallsyms(elf: ElfImage): ElfSymbol[] {
  if (elf.class !== 64) return [];
  const { bytes } = elf;
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = buffer.indexOf(DIGITS); at >= 0; at = buffer.indexOf(DIGITS, at + 1)) {
    const tables = tokenTables(buffer, at);
    const names = tables && findNames(buffer, tables.tokenTable);
    if (!tables || !names) continue;
    const addresses = findAddresses(buffer, names.start, names.count, tables.end);
    if (addresses) return symbolsOf(readNames(buffer, names.start, names.count, tables.tokens), addresses);
  }
  return [];
}

/** The token table around the token "0" at `zero`, checked against the index of 16-bit offsets behind it. */
function tokenTables(buffer: Buffer, zero: number): Tables | undefined {
  let end = zero;
  for (let token = 0x30; token < TOKENS; token++) {
    end = buffer.indexOf(0, end) + 1;
    if (end === 0) return undefined;
  }
  const index = align(end, 8);
  if (index + 2 * TOKENS > buffer.length) return undefined;
  const offsets = Array.from({ length: TOKENS }, (_, token) => buffer.readUInt16LE(index + 2 * token));
  const tokenTable = zero - offsets[0x30]!;
  if (tokenTable < 0 || offsets[0] !== 0 || tokenTable % 4 !== 0) return undefined;
  const tokens: string[] = [];
  for (const [token, offset] of offsets.entries()) {
    if (token > 0 && buffer[tokenTable + offset - 1] !== 0) return undefined;
    tokens.push(buffer.toString("latin1", tokenTable + offset, buffer.indexOf(0, tokenTable + offset)));
  }
  return { tokens, tokenTable, end: index + 2 * TOKENS };
}

/** The names lie before `limit`: their number, 4 zero bytes, the names, then the markers, which tell the place of each 256th name. */
function findNames(buffer: Buffer, limit: number): { start: number; count: number } | undefined {
  for (let at = limit - (limit % 8) - 8; at > Math.max(0, limit - MAX_DISTANCE); at -= 8) {
    const count = buffer.readUInt32LE(at);
    if (count < MARKED || count > MAX_SYMBOLS || buffer.readUInt32LE(at + 4) !== 0) continue;
    const start = at + 8;
    const second = nameAfter(buffer, start, MARKED, limit);
    const end = second && nameAfter(buffer, second, count - MARKED, limit);
    if (!second || !end) continue;
    const markers = [align(end, 4), align(end, 8)];
    const fits = (marker: number) =>
      buffer.readUInt32LE(marker) === 0 && buffer.readUInt32LE(marker + 4) === second - start;
    if (markers.some(fits)) return { start, count };
  }
  return undefined;
}

function nameLength(buffer: Buffer, at: number): { length: number; data: number } {
  const first = buffer[at]!;
  if (!(first & 0x80)) return { length: first, data: at + 1 };
  return { length: (first & 0x7f) | (buffer[at + 1]! << 7), data: at + 2 };
}

/** Where the name `count` names further on begins; undefined when these bytes can't be names. */
function nameAfter(buffer: Buffer, start: number, count: number, limit: number): number | undefined {
  let at = start;
  for (let i = 0; i < count; i++) {
    if (at >= limit) return undefined;
    const { length, data } = nameLength(buffer, at);
    if (length === 0) return undefined;
    at = data + length;
  }
  return at;
}

/** With the type character in front. */
function readNames(buffer: Buffer, start: number, count: number, tokens: readonly string[]): string[] {
  const names: string[] = [];
  for (let at = start; names.length < count && at < buffer.length; ) {
    const { length, data } = nameLength(buffer, at);
    at = data + length;
    let name = "";
    for (let i = data; i < at; i++) name += tokens[buffer[i]!];
    names.push(name);
  }
  return names;
}

function findAddresses(buffer: Buffer, names: number, count: number, behind: number): bigint[] | undefined {
  const length = align(4 * count, 8);
  const candidates = [
    { offsets: names - 16 - length, base: names - 16 },
    { offsets: behind, base: behind + length },
  ];
  for (const { offsets, base } of candidates) {
    if (offsets < 0 || base + 8 > buffer.length) continue;
    const relativeBase = buffer.readBigUInt64LE(base);
    if (relativeBase < KERNEL_BASE || (relativeBase & 0xfffn) !== 0n) continue;
    return Array.from({ length: count }, (_, index) => {
      const offset = buffer.readInt32LE(offsets + 4 * index);
      return offset >= 0 ? BigInt(offset) : relativeBase - 1n - BigInt(offset);
    });
  }
  return undefined;
}

function symbolsOf(names: readonly string[], addresses: readonly bigint[]): ElfSymbol[] {
  const symbols = names
    .map((name, index) => ({ name: name.slice(1), address: addresses[index]! }))
    .filter(({ address }) => address >= KERNEL_BASE)
    .sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  return symbols.map(({ name, address }, index) => {
    const next = symbols[index + 1]?.address ?? address;
    return { name, address, size: next - address };
  });
}
