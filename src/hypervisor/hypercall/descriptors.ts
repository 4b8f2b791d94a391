// HYPERVISOR_set_gdt and update_descriptor (arch-x86/xen.h).

import { FrameType } from "../frame-table.js";
import { copyFromGuest } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import { FIRST_RESERVED_GDT_ENTRY } from "../public/arch-x86/xen.js";
import { errno } from "../public/errno.js";
import { __HYPERVISOR_set_gdt, __HYPERVISOR_update_descriptor } from "../public/xen.js";
import { checkDescriptor } from "../pv/descriptor-check.js";
import { setGdt } from "../pv/descriptors.js";
import type { HypercallArgs, HypercallRow } from "./args.js";

const ENTRIES_PER_PAGE = 512;

export function setGdtCall(vcpu: Vcpu, args: HypercallArgs): number {
  const entries = args.argNumber(1);
  if (entries > FIRST_RESERVED_GDT_ENTRY) return -errno.EINVAL;
  const pages = Math.ceil(entries / ENTRIES_PER_PAGE);
  const bytes = copyFromGuest(vcpu, args.arg(0), pages * 8);
  if (bytes === undefined) return -errno.EFAULT;
  const view = new DataView(bytes.buffer);
  const { hypervisor } = vcpu.domain;
  const frames: number[] = [];
  for (let i = 0; i < pages; i++) {
    const frame = view.getBigUint64(i * 8, true);
    if (frame >= BigInt(hypervisor.memory.frames)) return -errno.EINVAL;
    frames.push(Number(frame));
  }
  return setGdt(hypervisor, vcpu, frames, entries) ? 0 : -errno.EINVAL;
}

/** update_descriptor(machine address, descriptor): in a descriptor page of the domain, or in one that may become writable. */
export function updateDescriptor(vcpu: Vcpu, args: HypercallArgs): number {
  const address = args.arg(0);
  const { hypervisor, id } = vcpu.domain;
  const { memory, mm } = hypervisor;
  const { frames } = mm;
  if (address & 7n || address >= BigInt(memory.frames) << 12n) return -errno.EINVAL;
  const descriptor = checkDescriptor(args.arg(1));
  if (descriptor === undefined) return -errno.EINVAL;
  const maddr = Number(address);
  const mfn = Math.floor(maddr / 4096);
  if (!frames.getPage(mfn, id)) return -errno.EINVAL;
  const isTable = frames.types[mfn] === FrameType.SegDesc && frames.typeCounts[mfn]! > 0;
  const taken = frames.getPageType(mfn, isTable ? FrameType.SegDesc : FrameType.Writable);
  if (taken) {
    memory.writeU64(maddr, descriptor);
    frames.putPageType(mfn);
  }
  frames.putPage(mfn);
  return taken ? 0 : -errno.EINVAL;
}

export const descriptorRows: readonly HypercallRow[] = [
  { number: __HYPERVISOR_set_gdt, name: "set_gdt", pv64: setGdtCall },
  { number: __HYPERVISOR_update_descriptor, name: "update_descriptor", pv64: updateDescriptor },
];
