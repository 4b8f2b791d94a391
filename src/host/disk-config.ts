// Disks as library users describe them, and from there to open stores.

import type { BlockStore } from "../devices/storage/block-store.js";
import type { FileLocks } from "../devices/storage/file-locks.js";
import { openDisk } from "../devices/storage/open-disk.js";
import { StorageError } from "../devices/storage/storage-error.js";
import { parseVirtualDevice, type VirtualDevice } from "../devices/xen/blkback/virtual-device.js";
import { XenError } from "./errors.js";
import { spaceFreer } from "./free-space.js";

export type { BlockStore } from "../devices/storage/block-store.js";
export { FaultyStore } from "../devices/storage/faulty-store.js";
export { MemoryStore } from "../devices/storage/memory-store.js";

export interface DiskConfig {
  /** What the guest sees: xvda, hdc, sdb1, or a number (xen-vbd-interface(7)). */
  readonly vdev: string;
  /** Path of a file or block device; or `store`. */
  readonly target?: string;
  /** raw is the default, as in xl. */
  readonly format?: "raw" | "qcow2";
  /** "w" is the default, but "r" of a CD-ROM. */
  readonly access?: "r" | "w";
  readonly cdrom?: boolean;
  /** What the guest writes is gone when the domain ends; the target is only read. */
  readonly snapshot?: boolean;
  /**
   * False: doesn't offer discard. Else it is offered where what the guest gives up can be given back: always by qcow2; by raw files and
   * block devices on Linux with the optional package koffi, as far as their file system makes holes or they can be trimmed.
   */
  readonly discard?: boolean;
  /** Offers persistent grants, as Linux's blkback does; default false: here they cost guests more than they save. */
  readonly persistentGrants?: boolean;
  /** A disk that isn't a file. The domain closes it at its end. */
  readonly store?: BlockStore;
}

/** A disk that is ready for its guest. */
export interface OpenedDisk {
  readonly config: DiskConfig;
  readonly device: VirtualDevice;
  readonly store: BlockStore;
  readonly access: "r" | "w";
}

/** Whose disks these are: two domains don't share a file that one of them writes. */
export interface DiskOwner {
  readonly locks: FileLocks;
  /** The domain's name. */
  readonly name: string;
}

/** @throws XenError: bad-argument, bad-disk */
export async function openDiskConfig(config: DiskConfig, owner: DiskOwner): Promise<OpenedDisk> {
  const device = parseVirtualDevice(config.vdev);
  if (!device) throw new XenError("bad-argument", `disk: "${config.vdev}" is not a virtual device such as xvda`);
  const { target, format = "raw", cdrom = false, store, snapshot = false } = config;
  const access = config.access ?? (cdrom ? "r" : "w");
  if (store) return { config, device, store, access };
  if (target === undefined) throw new XenError("bad-argument", `disk ${device.name}: neither target nor store`);
  try {
    const freeSpace = config.discard === false ? undefined : await spaceFreer();
    const lock = {
      ...{ locks: owner.locks, now: () => performance.now(), holder: `${device.name} of domain ${owner.name}` },
      ...(freeSpace ? { freeSpace } : {}),
    };
    return { config, device, access, store: await openDisk({ format, target, access, snapshot, lock }) };
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    throw new XenError("bad-disk", `disk ${device.name}: ${error.message}`, { cause: error });
  }
}

/** All or none; two disks can't be the same device. */
export async function openDiskConfigs(configs: readonly DiskConfig[], owner: DiskOwner): Promise<OpenedDisk[]> {
  const opened: OpenedDisk[] = [];
  try {
    for (const config of configs) {
      const disk = await openDiskConfig(config, owner);
      opened.push(disk);
      const { number, name } = disk.device;
      if (opened.some((other) => other !== disk && other.device.number === number))
        throw new XenError("bad-argument", `disk ${name}: given twice`);
    }
    return opened;
  } catch (error) {
    await Promise.all(opened.map(({ store }) => store.close()));
    throw error;
  }
}
