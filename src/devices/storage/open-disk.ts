// From what a disk specification says (format, target, access) to a block store. Every error names the file.

import { randomUUID } from "node:crypto";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { BlockStore } from "./block-store.js";
import { type FileLock, HostFile } from "./host-file.js";
import { OverlayStore } from "./overlay-store.js";
import { isQcow2 } from "./qcow2/header.js";
import { Qcow2Store } from "./qcow2/qcow2-store.js";
import { RawStore } from "./raw-store.js";
import { StorageError } from "./storage-error.js";

export type DiskFormat = "raw" | "qcow2";

export interface DiskTarget {
  /** As xl-disk-configuration names them; "raw" is the default there. */
  readonly format: string;
  /** Path of a file or block device. */
  readonly target: string;
  /** "r": read-only, "w": read and write. */
  readonly access: "r" | "w";
  /** Writes go to a temporary file that ends with the store; the target is only read. */
  readonly snapshot?: boolean;
  /** Where that temporary file is made; default: the system's directory for these. */
  readonly temporaryDirectory?: string;
  /** Of the target and its backing files. */
  readonly lock?: FileLock;
}

/** Longest chain of backing files; one that is longer is taken for a loop. */
const MAX_CHAIN = 32;

/** @throws StorageError */
export async function openDisk(disk: DiskTarget): Promise<BlockStore> {
  const { format, target, access, lock } = disk;
  if (format !== "raw" && format !== "qcow2")
    throw new StorageError("unsupported", `${target}: disk format "${format}" is not supported (raw and qcow2 are)`);
  if (!disk.snapshot || access === "r")
    return openImage({ format, path: target, isWritable: access === "w", depth: 0, lock });
  const base = await openImage({ format, path: target, isWritable: false, depth: 0, lock });
  try {
    const path = join(disk.temporaryDirectory ?? tmpdir(), `xen-ts-${randomUUID()}`);
    return new OverlayStore(base, new RawStore(await HostFile.temporary(path, base.size)));
  } catch (error) {
    await base.close();
    throw error;
  }
}

interface Image {
  readonly format: DiskFormat;
  readonly path: string;
  readonly isWritable: boolean;
  /** Images in front of this one. */
  readonly depth: number;
  readonly lock: FileLock | undefined;
}

async function openImage({ format, path, isWritable, depth, lock }: Image): Promise<BlockStore> {
  if (format === "raw") return RawStore.open(path, isWritable, lock);
  if (depth > MAX_CHAIN)
    throw new StorageError("corrupt", `${path}: the chain of backing files is a loop, or too long`);
  const file = await HostFile.open(path, isWritable, lock);
  return Qcow2Store.open(file, async (name, backingFormat) => {
    const backingPath = resolveBacking(path, name);
    try {
      const backing = await formatOf(backingPath, backingFormat);
      return await openImage({ format: backing, path: backingPath, isWritable: false, depth: depth + 1, lock });
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      throw new StorageError(error.code, `${path}: backing file: ${error.message}`, { cause: error });
    }
  });
}

/** Names are relative to the image that has them. */
function resolveBacking(path: string, name: string): string {
  const plain = name.startsWith("file:") ? name.slice(5) : name;
  if (/^[a-z][a-z0-9+.-]+:/.test(plain))
    throw new StorageError("unsupported", `${path}: backing file "${name}" is not a plain file`);
  return resolve(dirname(path), plain);
}

/** Images of old don't say the format of their backing file. */
async function formatOf(path: string, named: string | undefined): Promise<DiskFormat> {
  if (named === "raw" || named === "qcow2") return named;
  if (named !== undefined && named !== "file" && named !== "host_device")
    throw new StorageError("unsupported", `${path}: disk format "${named}" is not supported (raw and qcow2 are)`);
  if (named !== undefined) return "raw";
  const file = await HostFile.open(path, false);
  try {
    const start = new Uint8Array(4);
    return (await file.read(0, start)) === 4 && isQcow2(start) ? "qcow2" : "raw";
  } finally {
    await file.close();
  }
}
