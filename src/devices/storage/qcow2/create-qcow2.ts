// Makes an empty qcow2 image: header, reference count table and blocks, L1 table. Everything else comes with the writes.

import { writeFile } from "node:fs/promises";
import { StorageError, storageError } from "../storage-error.js";
import { EXTENSION, HEADER_BYTES_V2, HEADER_BYTES_V3, QCOW2_MAGIC } from "./header.js";

export interface CreateQcow2Options {
  /** Bytes; rounded up to whole sectors. */
  readonly size: number;
  readonly version?: 2 | 3;
  /** 9 to 21; default 16: 64 KiB. */
  readonly clusterBits?: number;
  /** Version 3: counts of 2^refcountOrder bits; default 4. */
  readonly refcountOrder?: number;
  /** Name as it is written into the image: relative to the image's directory, or absolute. */
  readonly backing?: { readonly name: string; readonly format: "raw" | "qcow2" };
}

/** @throws StorageError; the file must not exist yet */
export async function createQcow2(path: string, options: CreateQcow2Options): Promise<void> {
  const { version = 3, clusterBits = 16, refcountOrder = 4, backing } = options;
  const size = Math.ceil(options.size / 512) * 512;
  const cluster = 2 ** clusterBits;
  const l1Entries = Math.max(1, Math.ceil(size / (cluster * (cluster / 8))));
  const l1Clusters = Math.ceil((l1Entries * 8) / cluster);
  const perBlock = (cluster * 8) / 2 ** refcountOrder;
  if (l1Entries * 8 > 32 * 1024 * 1024)
    throw new StorageError("unsupported", `${path}: ${size} bytes are too many for clusters of ${cluster}`);
  // The blocks count themselves too.
  let blocks = 1;
  let tableClusters = 1;
  const total = () => 1 + tableClusters + blocks + l1Clusters;
  while (blocks * perBlock < total() || (tableClusters * cluster) / 8 < blocks) {
    blocks = Math.ceil(total() / perBlock);
    tableClusters = Math.ceil((blocks * 8) / cluster);
  }
  const image = new Uint8Array(total() * cluster);
  const view = new DataView(image.buffer);
  const tableOffset = cluster;
  const blockOffset = tableOffset + tableClusters * cluster;
  const l1Offset = blockOffset + blocks * cluster;
  view.setUint32(0, QCOW2_MAGIC);
  view.setUint32(4, version);
  view.setUint32(20, clusterBits);
  view.setBigUint64(24, BigInt(size));
  view.setUint32(36, l1Entries);
  view.setBigUint64(40, BigInt(l1Offset));
  view.setBigUint64(48, BigInt(tableOffset));
  view.setUint32(56, tableClusters);
  let at = HEADER_BYTES_V2;
  if (version === 3) {
    view.setUint32(96, refcountOrder);
    view.setUint32(100, HEADER_BYTES_V3);
    at = HEADER_BYTES_V3;
  }
  if (backing) {
    const format = new TextEncoder().encode(backing.format);
    const name = new TextEncoder().encode(backing.name);
    view.setUint32(at, EXTENSION.backingFormat);
    view.setUint32(at + 4, format.length);
    image.set(format, at + 8);
    // An end marker of zeros follows, then the name.
    at += 8 + Math.ceil(format.length / 8) * 8 + 8;
    if (at + name.length > cluster || name.length > 1023)
      throw new StorageError("unsupported", `${path}: the backing file's name is too long`);
    image.set(name, at);
    view.setBigUint64(8, BigInt(at));
    view.setUint32(16, name.length);
  }
  for (let i = 0; i < blocks; i++) view.setBigUint64(tableOffset + i * 8, BigInt(blockOffset + i * cluster));
  for (let i = 0; i < total(); i++) setCount(view, blockOffset, i, refcountOrder);
  try {
    await writeFile(path, image, { flag: "wx" });
  } catch (error) {
    throw storageError(path, error);
  }
}

/** The blocks lie one after the other, so they are one array of counts. */
function setCount(view: DataView, base: number, index: number, order: number): void {
  if (order >= 3) view.setUint8(base + (index + 1) * 2 ** (order - 3) - 1, 1);
  else {
    const bit = index << order;
    view.setUint8(base + (bit >>> 3), view.getUint8(base + (bit >>> 3)) | (1 << (bit & 7)));
  }
}
