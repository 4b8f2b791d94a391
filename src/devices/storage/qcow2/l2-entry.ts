// Entries of L1 and L2 tables (qcow2 specification, "Cluster mapping"), big endian, taken apart into numbers.

/** L1 and L2: exactly one reference to the cluster, so it may be written in place. Bit 63, of the upper word bit 31. */
const COPIED = 0x80000000;
const COMPRESSED = 0x40000000;
const OFFSET_HIGH = 0x00ffffff;
const OFFSET_LOW = 0xfffffe00;
/** L2, version 3: reads as zeros, whether or not a cluster is allocated. */
const ZERO = 1;

/** What is behind a guest cluster. */
export type Mapping =
  | { readonly kind: "none" }
  /** `offset` 0: no cluster is kept for it. */
  | { readonly kind: "zero"; readonly offset: number; readonly isCopied: boolean }
  | { readonly kind: "data"; readonly offset: number; readonly isCopied: boolean }
  /** `offset` in bytes, not aligned; `length` up to the end of a 512-byte sector. */
  | { readonly kind: "compressed"; readonly offset: number; readonly length: number };

const NONE: Mapping = { kind: "none" };

/** Offset of an L1 entry's table, 0: none. */
export function readL1(view: DataView, index: number): { offset: number; isCopied: boolean } {
  const high = view.getUint32(index * 8);
  const low = view.getUint32(index * 8 + 4);
  return { offset: (high & OFFSET_HIGH) * 2 ** 32 + ((low & OFFSET_LOW) >>> 0), isCopied: (high & COPIED) !== 0 };
}

export function readL2(view: DataView, index: number, clusterBits: number): Mapping {
  const high = view.getUint32(index * 8);
  const low = view.getUint32(index * 8 + 4);
  if (high & COMPRESSED) return readCompressed(high, low, clusterBits);
  const offset = (high & OFFSET_HIGH) * 2 ** 32 + ((low & OFFSET_LOW) >>> 0);
  const isCopied = (high & COPIED) !== 0;
  if (low & ZERO) return { kind: "zero", offset, isCopied };
  return offset === 0 ? NONE : { kind: "data", offset, isCopied };
}

/** Bits 0 to x-1: the offset; x to 61: sectors after the first, where x = 62 - (clusterBits - 8). */
function readCompressed(high: number, low: number, clusterBits: number): Mapping {
  const offsetBits = 62 - (clusterBits - 8) - 32;
  const offset = (high & (2 ** offsetBits - 1)) * 2 ** 32 + low;
  const sectors = ((high & 0x3fffffff) >>> offsetBits) + 1;
  return { kind: "compressed", offset, length: sectors * 512 - (offset % 512) };
}

/** An entry that names a cluster of its own. */
export function writeEntry(view: DataView, index: number, offset: number): void {
  view.setUint32(index * 8, (Math.floor(offset / 2 ** 32) | COPIED) >>> 0);
  view.setUint32(index * 8 + 4, offset >>> 0);
}

/** No cluster: reads as zeros, or what the backing file has. */
export function clearL2(view: DataView, index: number, readsZero: boolean): void {
  view.setUint32(index * 8, 0);
  view.setUint32(index * 8 + 4, readsZero ? ZERO : 0);
}
