// The header of an xz block: sizes and the filter chain (.xz file format 1.1.0, section 3.1 and 5).

import { ByteReader } from "../byte-reader.js";
import { crc32 } from "../checksums.js";

/** A filter that comes before LZMA2 in the chain; undone after it, last one first. */
export type XzFilter =
  | { readonly kind: "x86"; readonly startOffset: number }
  | { readonly kind: "delta"; readonly distance: number };

export interface XzBlockHeader {
  /** Bytes of packed data, if the header says so. */
  readonly packedSize: number | undefined;
  readonly unpackedSize: number | undefined;
  /** In packing order, without the LZMA2 that ends the chain. */
  readonly filters: readonly XzFilter[];
  readonly dictSize: number;
}

const FILTER_DELTA = 0x03;
const FILTER_X86 = 0x04;
const FILTER_LZMA2 = 0x21;
const FILTER_NAMES: Readonly<Record<number, string>> = {
  5: "PowerPC",
  6: "IA-64",
  7: "ARM",
  8: "ARM Thumb",
  9: "SPARC",
  10: "ARM64",
  11: "RISC-V",
};

/** A variable-length integer of up to 9 bytes (section 1.2). Values above 2^53 - 1 are refused as corrupt. */
export function readVli(reader: ByteReader, field: string): number {
  let value = 0;
  for (let i = 0; i < 9; i++) {
    const byte = reader.u8(field);
    if (byte === 0 && i > 0) throw reader.corrupt(`${field}: needlessly long integer`, reader.offset - 1);
    value += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) {
      if (value > Number.MAX_SAFE_INTEGER) throw reader.corrupt(`${field} is absurdly large`);
      return value;
    }
  }
  throw reader.corrupt(`${field}: integer longer than 9 bytes`);
}

/** Reads the block header at `reader`, whose first byte (the size) isn't 0. */
export function readBlockHeader(reader: ByteReader): XzBlockHeader {
  const start = reader.offset;
  const size = (reader.u8("block header size") + 1) * 4;
  reader.offset = start;
  const raw = reader.take(size, "block header");
  const end = reader.offset;
  const header = new ByteReader(reader.bytes.subarray(0, end - 4), reader.format, start + 1);
  const stored = new ByteReader(reader.bytes, reader.format, end - 4).u32le("block header CRC32");
  if (crc32(raw, 0, size - 4) !== stored) throw reader.corrupt("block header CRC32 differs", start);

  const flags = header.u8("block flags");
  if (flags & 0x3c) throw header.unsupported(`reserved block flags 0x${flags.toString(16)}`, start + 1);
  const packedSize = flags & 0x40 ? readVli(header, "block packed size") : undefined;
  const unpackedSize = flags & 0x80 ? readVli(header, "block unpacked size") : undefined;
  const filterCount = (flags & 3) + 1;
  const filters: XzFilter[] = [];
  let dictSize: number | undefined;
  for (let i = 0; i < filterCount; i++) {
    const at = header.offset;
    const id = readVli(header, "filter id");
    const properties = header.take(readVli(header, "filter properties size"), "filter properties");
    if (id === FILTER_LZMA2) {
      if (i !== filterCount - 1) throw header.corrupt("LZMA2 isn't the last filter", at);
      dictSize = lzma2DictSize(header, properties, at);
    } else {
      if (i === filterCount - 1) throw header.unsupported(`last filter 0x${id.toString(16)} isn't LZMA2`, at);
      filters.push(readFilter(header, id, properties, at));
    }
  }
  for (; header.offset < end - 4; header.offset++) {
    if (reader.bytes[header.offset] !== 0) throw header.unsupported("block header padding isn't zero");
  }
  return { packedSize, unpackedSize, filters, dictSize: dictSize! };
}

function readFilter(header: ByteReader, id: number, properties: Uint8Array, at: number): XzFilter {
  if (id === FILTER_DELTA) {
    if (properties.length !== 1) throw header.corrupt("delta filter needs 1 byte of properties", at);
    return { kind: "delta", distance: properties[0]! + 1 };
  }
  if (id === FILTER_X86) {
    if (properties.length === 0) return { kind: "x86", startOffset: 0 };
    if (properties.length !== 4) throw header.corrupt("x86 filter needs 0 or 4 bytes of properties", at);
    return { kind: "x86", startOffset: new ByteReader(properties, header.format).u32le("x86 start offset") };
  }
  throw header.unsupported(`filter ${FILTER_NAMES[id] ?? `0x${id.toString(16)}`}`, at);
}

/** Dictionary size code (5.3.1): 2 or 3 shifted left; 40 is 4 GiB - 1. */
function lzma2DictSize(header: ByteReader, properties: Uint8Array, at: number): number {
  const code = properties[0];
  if (properties.length !== 1 || code === undefined) throw header.corrupt("LZMA2 needs 1 byte of properties", at);
  if (code > 40) throw header.unsupported(`LZMA2 dictionary size code ${code}`, at);
  return code === 40 ? 0xffffffff : (2 | (code & 1)) * 2 ** ((code >> 1) + 11);
}
