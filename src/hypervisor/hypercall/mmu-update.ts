// HYPERVISOR_mmu_update (xen.h): checked writes of page table entries named by machine address, and updates of the M2P. The most
// frequent hypercall of a PV kernel: requests are read as 32-bit words, one translation for each page of them.

import type { DomainMemory } from "../domain-memory.js";
import { frameOwnerFor, subjectOf } from "../foreign-domain.js";
import { FrameType } from "../frame-table.js";
import { copyFromGuest, guestAddress, readU32, writeU32 } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import { pteFrame } from "../pte.js";
import { errno } from "../public/errno.js";
import {
  __HYPERVISOR_mmu_update,
  MMU_MACHPHYS_UPDATE,
  MMU_NORMAL_PT_UPDATE,
  MMU_PT_UPDATE_NO_TRANSLATE,
  MMU_PT_UPDATE_PRESERVE_AD,
} from "../public/xen.js";
import type { HypercallArgs, HypercallRow } from "./args.js";

const REQUEST_SIZE = 16;
/** Set in `count` when a call goes on after a pause: `done_out` then already counts what was done. */
const MMU_UPDATE_PREEMPTED = 0x8000_0000;
/** Requests done before the vCPU may be descheduled. */
const BATCH = 4096;

export function mmuUpdate(vcpu: Vcpu, args: HypercallArgs): number | undefined {
  const requests = args.arg(0);
  const countArgument = args.argNumber(1);
  const doneOut = args.arg(2);
  const foreign = args.argNumber(3);
  const caller = vcpu.domain.memory;

  const target = frameOwnerFor(caller, foreign & 0xffff);
  if (target < 0) return target;
  const tables = foreign >>> 16 === 0 ? caller : subjectOf(caller, (foreign >>> 16) - 1);
  if (typeof tables === "number") return tables;

  const count = (countArgument & ~MMU_UPDATE_PREEMPTED) >>> 0;
  const earlier = countArgument & MMU_UPDATE_PREEMPTED && doneOut !== 0n ? (readU32(vcpu, doneOut) ?? 0) : 0;

  const batch = Math.min(count, BATCH);
  let result = 0;
  let done = 0;
  let base = -1;
  for (; done < batch; done++) {
    const va = BigInt.asUintN(64, requests + BigInt(done * REQUEST_SIZE));
    const offset = Number(va & 0xfffn);
    if (base < 0 || offset < REQUEST_SIZE) base = guestAddress(vcpu, va, false) - offset;
    if (offset > 4096 - REQUEST_SIZE || base < 0) {
      const bytes = copyFromGuest(vcpu, va, REQUEST_SIZE);
      if (bytes === undefined) {
        result = -errno.EFAULT;
        break;
      }
      const view = new DataView(bytes.buffer);
      const word = (i: number) => view.getUint32(i * 4, true);
      result = applyUpdate(caller, tables, target, word(0), word(1), word(2), word(3));
      base = -1;
    } else {
      const { memory } = caller.host;
      const at = base + offset;
      if (at & 3) {
        const word = (i: number) => memory.readU32(at + i * 4);
        result = applyUpdate(caller, tables, target, word(0), word(1), word(2), word(3));
      } else {
        const i = at >>> 2;
        const { u32 } = memory;
        result = applyUpdate(caller, tables, target, u32[i]!, u32[i + 1]!, u32[i + 2]!, u32[i + 3]!);
      }
    }
    if (result !== 0) break;
  }

  if (doneOut !== 0n && !writeU32(vcpu, doneOut, earlier + done) && result === 0) result = -errno.EFAULT;
  if (result === 0 && done < count) {
    const next = BigInt.asUintN(64, requests + BigInt(done * REQUEST_SIZE));
    const left = BigInt((count - done) | MMU_UPDATE_PREEMPTED) & 0xffff_ffffn;
    vcpu.continueHypercall(__HYPERVISOR_mmu_update, next, left, doneOut, BigInt(foreign));
    return undefined;
  }
  return result;
}

/** One request. @param low,high its `ptr`; @param valueLow,valueHigh its `val`. @returns 0 or -errno. */
function applyUpdate(
  caller: DomainMemory,
  tables: DomainMemory,
  target: number,
  low: number,
  high: number,
  valueLow: number,
  valueHigh: number,
): number {
  const { frames, types, m2p, memory } = caller.host;
  if (high & 0xffff_ff00) return -errno.EINVAL;
  const mfn = pteFrame(low, high);
  switch (low & 3) {
    case MMU_NORMAL_PT_UPDATE:
    case MMU_PT_UPDATE_NO_TRANSLATE:
    case MMU_PT_UPDATE_PRESERVE_AD: {
      if (low & 4 || !frames.getPage(mfn, tables.id)) return -errno.EINVAL;
      const type = frames.types[mfn]!;
      let result: number;
      if (frames.typeCounts[mfn]! > 0 && type >= FrameType.L1 && type <= FrameType.L4) {
        const preserve = (low & 3) === MMU_PT_UPDATE_PRESERVE_AD;
        result = types.modify(mfn, (low & 0xfff) >>> 3, valueLow, valueHigh, tables, target, preserve);
      } else if (frames.getPageType(mfn, FrameType.Writable)) {
        const at = mfn * 4096 + (low & 0xff8);
        memory.writeU32(at, valueLow);
        memory.writeU32(at + 4, valueHigh);
        frames.putPageType(mfn);
        result = 0;
      } else result = -errno.EINVAL;
      frames.putPage(mfn);
      return result;
    }
    case MMU_MACHPHYS_UPDATE:
      if (!frames.getPage(mfn, target)) return -errno.EINVAL;
      m2p.set(mfn, (BigInt(valueHigh) << 32n) | BigInt(valueLow));
      frames.putPage(mfn);
      return 0;
    default:
      return -errno.ENOSYS;
  }
}

export const mmuUpdateRows: readonly HypercallRow[] = [
  { number: __HYPERVISOR_mmu_update, name: "mmu_update", pv64: mmuUpdate },
];
