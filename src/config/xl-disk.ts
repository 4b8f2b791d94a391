// From a disk as xl's files name it to a disk of ours; what can't be had is said in a sentence.

import { isAbsolute, resolve } from "node:path";
import { parseVirtualDevice } from "../devices/xen/blkback/virtual-device.js";
import type { DiskConfig } from "../host/disk-config.js";
import { type DiskSpec, DiskSpecError } from "./disk-spec.js";
import { shorten } from "./xl-lexer.js";

export interface DiskOptions {
  /** Where relative targets are; default: the working directory. */
  readonly directory?: string;
  /** What the guest writes is gone when it ends. */
  readonly snapshot?: boolean;
}

/** @returns undefined for an empty CD-ROM drive. @throws DiskSpecError */
export function diskConfigOf(spec: DiskSpec, options: DiskOptions = {}): DiskConfig | undefined {
  const { target, format, vdev, access, cdrom, discard } = spec;
  if (!parseVirtualDevice(vdev)) throw new DiskSpecError(`${shorten(vdev)} isn't a virtual device such as xvda`);
  if (format !== "raw" && format !== "qcow2")
    throw new DiskSpecError(`disk format ${format} isn't supported (raw and qcow2 are; qemu-img converts)`);
  if (spec.script !== undefined) throw new DiskSpecError(`script ${spec.script}: block scripts aren't run`);
  if (spec.backend !== undefined && spec.backend !== "0" && spec.backend !== "Domain-0")
    throw new DiskSpecError(`backend ${spec.backend}: there are no driver domains; the host is the backend`);
  if (spec.specification === "virtio" || spec.backendtype === "standalone")
    throw new DiskSpecError("virtio disks aren't supported; Xen's own are");
  if (spec.backendtype === "phy" && format !== "raw")
    throw new DiskSpecError(`backendtype phy is for raw disks, not ${format}`);
  if (target === undefined) return undefined;
  // A name without a slash in front is a device to phy:, a file to all others.
  const base = spec.isPhysical ? "/dev" : (options.directory ?? ".");
  return {
    vdev,
    format,
    access,
    target: isAbsolute(target) ? target : resolve(base, target),
    ...(cdrom ? { cdrom } : {}),
    ...(discard === undefined ? {} : { discard }),
    ...(options.snapshot && access === "w" ? { snapshot: true } : {}),
  };
}
