// The header of a qcow2 image, versions 2 and 3 (the format's specification: docs/interop/qcow2). All numbers are big endian.
// Everything that sizes memory is bounded here; offsets are checked against the file's length.

import { StorageError } from "../storage-error.js";

export const QCOW2_MAGIC = 0x514649fb;
export const HEADER_BYTES_V2 = 72;
export const HEADER_BYTES_V3 = 104;
/** Byte offsets of the fields that change while an image is in use. */
export const HEADER_FIELD = { refcountTableOffset: 48, refcountTableClusters: 56, autoclear: 88 } as const;

/** Bits of incompatible_features. */
const INCOMPATIBLE = { dirty: 1, corrupt: 2, externalData: 4, compressionType: 8, extendedL2: 16 } as const;

/** Header extensions. */
export const EXTENSION = { end: 0, backingFormat: 0xe2792aca } as const;

const MAX_L1_BYTES = 32 * 1024 * 1024;
const MAX_REFCOUNT_TABLE_BYTES = 8 * 1024 * 1024;
const MAX_BACKING_NAME = 1023;

export interface Qcow2Header {
  readonly version: 2 | 3;
  readonly clusterBits: number;
  /** Bytes of the disk. */
  readonly size: number;
  readonly l1Offset: number;
  readonly l1Entries: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  /** A reference count has 2^refcountOrder bits. */
  readonly refcountOrder: number;
  readonly snapshots: number;
  readonly compression: "deflate" | "zstd";
  /** The reference counts may be wrong; or the image was found corrupt before. Such images can only be read. */
  readonly isDirty: boolean;
  readonly isMarkedCorrupt: boolean;
  readonly hasAutoclearFeatures: boolean;
  readonly backing: { readonly name: string; readonly format: string | undefined } | undefined;
}

export function isQcow2(start: Uint8Array): boolean {
  return start.length >= 4 && new DataView(start.buffer, start.byteOffset).getUint32(0) === QCOW2_MAGIC;
}

/**
 * @param start the first bytes of the file: its first cluster, or at least 64 KiB, or all
 * @throws StorageError corrupt or unsupported, naming `path`
 */
export function parseHeader(path: string, start: Uint8Array, fileLength: number): Qcow2Header {
  const corrupt = (what: string) => new StorageError("corrupt", `${path}: damaged qcow2 image: ${what}`);
  const unsupported = (what: string) => new StorageError("unsupported", `${path}: qcow2: ${what} not supported`);
  if (!isQcow2(start)) throw new StorageError("corrupt", `${path}: not a qcow2 image`);
  if (start.length < HEADER_BYTES_V2) throw corrupt("the header is cut off");
  const view = new DataView(start.buffer, start.byteOffset, start.byteLength);
  const u64 = (at: number) => {
    const value = view.getUint32(at) * 2 ** 32 + view.getUint32(at + 4);
    if (!Number.isSafeInteger(value)) throw corrupt(`header field at ${at} is beyond all bounds`);
    return value;
  };
  const version = view.getUint32(4);
  if (version !== 2 && version !== 3) throw unsupported(`version ${version} is`);
  const clusterBits = view.getUint32(20);
  if (clusterBits < 9 || clusterBits > 21) throw corrupt(`clusters of 2^${clusterBits} bytes`);
  if (view.getUint32(32) !== 0) throw unsupported("encryption is");
  let headerLength = HEADER_BYTES_V2;
  let incompatible = 0;
  let refcountOrder = 4;
  let compression: Qcow2Header["compression"] = "deflate";
  let hasAutoclearFeatures = false;
  if (version === 3) {
    if (start.length < HEADER_BYTES_V3) throw corrupt("the header is cut off");
    incompatible = view.getUint32(76);
    const known = Object.values(INCOMPATIBLE).reduce((all, bit) => all | bit, 0);
    if (view.getUint32(72) !== 0 || incompatible & ~known) throw unsupported("a feature of a later version is");
    if (incompatible & INCOMPATIBLE.externalData) throw unsupported("an external data file is");
    if (incompatible & INCOMPATIBLE.extendedL2) throw unsupported("extended L2 entries (subclusters) are");
    hasAutoclearFeatures = view.getUint32(88) !== 0 || view.getUint32(92) !== 0;
    refcountOrder = view.getUint32(96);
    headerLength = view.getUint32(100);
    if (refcountOrder > 6) throw corrupt(`reference counts of 2^${refcountOrder} bits`);
    if (headerLength < HEADER_BYTES_V3 || headerLength > start.length || headerLength % 8 !== 0)
      throw corrupt(`a header of ${headerLength} bytes`);
    if (incompatible & INCOMPATIBLE.compressionType) {
      const type = headerLength > HEADER_BYTES_V3 ? view.getUint8(104) : 0;
      if (type > 1) throw unsupported(`compression type ${type} is`);
      if (type === 1) compression = "zstd";
    }
  }
  const clusterSize = 2 ** clusterBits;
  const size = u64(24);
  const l1Entries = view.getUint32(36);
  const bytesPerL1Entry = clusterSize * (clusterSize / 8);
  if (l1Entries * 8 > MAX_L1_BYTES) throw corrupt(`an L1 table of ${l1Entries} entries`);
  if (l1Entries < Math.ceil(size / bytesPerL1Entry))
    throw corrupt(`the L1 table (${l1Entries}) is too small for the disk`);
  const l1Offset = l1Entries === 0 ? 0 : u64(40);
  const checkTable = (name: string, offset: number, bytes: number) => {
    if (offset % clusterSize !== 0 || offset === 0 || offset + bytes > fileLength)
      throw corrupt(`the ${name} table isn't inside the file`);
  };
  if (l1Entries > 0) checkTable("L1", l1Offset, l1Entries * 8);
  const refcountTableOffset = u64(HEADER_FIELD.refcountTableOffset);
  const refcountTableClusters = view.getUint32(HEADER_FIELD.refcountTableClusters);
  if (refcountTableClusters === 0 || refcountTableClusters * clusterSize > MAX_REFCOUNT_TABLE_BYTES)
    throw corrupt(`a reference count table of ${refcountTableClusters} clusters`);
  checkTable("reference count", refcountTableOffset, refcountTableClusters * clusterSize);
  return {
    version,
    clusterBits,
    size: size - (size % 512),
    l1Offset,
    l1Entries,
    refcountTableOffset,
    refcountTableClusters,
    refcountOrder,
    snapshots: view.getUint32(60),
    compression,
    isDirty: (incompatible & INCOMPATIBLE.dirty) !== 0,
    isMarkedCorrupt: (incompatible & INCOMPATIBLE.corrupt) !== 0,
    hasAutoclearFeatures,
    backing: parseBacking(start, view, u64(8), headerLength, corrupt),
  };
}

function parseBacking(
  start: Uint8Array,
  view: DataView,
  offset: number,
  headerLength: number,
  corrupt: (what: string) => StorageError,
): Qcow2Header["backing"] {
  if (offset === 0) return undefined;
  const length = view.getUint32(16);
  if (length === 0 || length > MAX_BACKING_NAME || offset + length > start.length)
    throw corrupt("the name of the backing file is out of place");
  const text = (at: number, count: number) => new TextDecoder().decode(start.subarray(at, at + count));
  let format: string | undefined;
  for (let at = headerLength; at + 8 <= offset; ) {
    const type = view.getUint32(at);
    const bytes = view.getUint32(at + 4);
    if (type === EXTENSION.end || at + 8 + bytes > offset) break;
    if (type === EXTENSION.backingFormat) format = text(at + 8, bytes);
    at += 8 + Math.ceil(bytes / 8) * 8;
  }
  return { name: text(offset, length), format };
}
