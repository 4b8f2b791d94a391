// HYPERVISOR_mmuext_op (xen.h): pinning page tables, loading roots, TLB and cache flushes, LDT, clearing and copying frames.

import type { DomainMemory } from "../domain-memory.js";
import { subjectOf } from "../foreign-domain.js";
import { FrameType } from "../frame-table.js";
import { copyFromGuest, guestAddress, readU32, writeU32 } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import { errno } from "../public/errno.js";
import {
  __HYPERVISOR_mmuext_op,
  MMUEXT_CLEAR_PAGE,
  MMUEXT_COPY_PAGE,
  MMUEXT_FLUSH_CACHE,
  MMUEXT_FLUSH_CACHE_GLOBAL,
  MMUEXT_INVLPG_ALL,
  MMUEXT_INVLPG_LOCAL,
  MMUEXT_INVLPG_MULTI,
  MMUEXT_MARK_SUPER,
  MMUEXT_NEW_BASEPTR,
  MMUEXT_NEW_USER_BASEPTR,
  MMUEXT_PIN_L1_TABLE,
  MMUEXT_PIN_L2_TABLE,
  MMUEXT_PIN_L3_TABLE,
  MMUEXT_PIN_L4_TABLE,
  MMUEXT_SET_LDT,
  MMUEXT_TLB_FLUSH_ALL,
  MMUEXT_TLB_FLUSH_LOCAL,
  MMUEXT_TLB_FLUSH_MULTI,
  MMUEXT_UNMARK_SUPER,
  MMUEXT_UNPIN_TABLE,
  mmuext_op,
} from "../public/xen.js";
import { setKernelRoot, setUserRoot } from "../pv/base-pointer.js";
import { setLdt } from "../pv/descriptors.js";
import type { HypercallArgs, HypercallRow } from "./args.js";

const OP_SIZE = mmuext_op.size(64);
const ARG1 = mmuext_op.offset(64, "arg1");
const ARG2 = mmuext_op.offset(64, "arg2");
const PREEMPTED = 0x8000_0000;
const BATCH = 512;
/** Frame numbers beyond this are no machine memory; keeps numbers exact. */
const MAX_MFN = 1n << 40n;

export function mmuextOp(vcpu: Vcpu, args: HypercallArgs): number | undefined {
  const ops = args.arg(0);
  const countArgument = args.argNumber(1);
  const doneOut = args.arg(2);
  const foreign = args.argNumber(3);
  const subject = subjectOf(vcpu.domain.memory, foreign & 0xffff);
  if (typeof subject === "number") return subject;

  const count = (countArgument & ~PREEMPTED) >>> 0;
  const earlier = countArgument & PREEMPTED && doneOut !== 0n ? (readU32(vcpu, doneOut) ?? 0) : 0;
  const batch = Math.min(count, BATCH);
  let result = 0;
  let done = 0;
  for (; done < batch; done++) {
    result = one(vcpu, subject, BigInt.asUintN(64, ops + BigInt(done * OP_SIZE)));
    if (result !== 0) break;
  }
  if (doneOut !== 0n && !writeU32(vcpu, doneOut, earlier + done) && result === 0) result = -errno.EFAULT;
  if (result === 0 && done < count) {
    const next = BigInt.asUintN(64, ops + BigInt(done * OP_SIZE));
    const left = BigInt((count - done) | PREEMPTED) & 0xffff_ffffn;
    vcpu.continueHypercall(__HYPERVISOR_mmuext_op, next, left, doneOut, BigInt(foreign));
    return undefined;
  }
  return result;
}

/** The operation at a guest address. Nearly always it lies in one page, and nothing needs to be copied. */
function one(vcpu: Vcpu, subject: DomainMemory, va: bigint): number {
  if (Number(va & 0xfffn) <= 4096 - OP_SIZE) {
    const at = guestAddress(vcpu, va, false);
    const { memory } = vcpu.domain.memory.host;
    if (at < 0 || !memory.contains(at, OP_SIZE)) return -errno.EFAULT;
    return apply(vcpu, subject, memory.readU32(at), memory.readU64(at + ARG1), memory.readU64(at + ARG2));
  }
  const bytes = copyFromGuest(vcpu, va, OP_SIZE);
  if (bytes === undefined) return -errno.EFAULT;
  const { cmd, arg1, arg2 } = mmuext_op.decode(bytes, 64);
  return apply(vcpu, subject, cmd, arg1, arg2);
}

function apply(vcpu: Vcpu, subject: DomainMemory, cmd: number, arg1: bigint, arg2: bigint): number {
  const own = vcpu.domain.memory;
  const { frames, memory } = own.host;
  const mfn = arg1 < MAX_MFN ? Number(arg1) : Number(MAX_MFN);
  switch (cmd) {
    case MMUEXT_PIN_L1_TABLE:
    case MMUEXT_PIN_L2_TABLE:
    case MMUEXT_PIN_L3_TABLE:
    case MMUEXT_PIN_L4_TABLE:
      return subject.pin(mfn, (FrameType.L1 + cmd - MMUEXT_PIN_L1_TABLE) as FrameType) ? 0 : -errno.EINVAL;
    case MMUEXT_UNPIN_TABLE:
      return frames.ownerOf(mfn) === subject.id && subject.unpin(mfn) ? 0 : -errno.EINVAL;
    case MMUEXT_CLEAR_PAGE:
      if (!frames.getPageAndType(mfn, subject.id, FrameType.Writable)) return -errno.EINVAL;
      memory.fill(mfn * 4096, 4096);
      frames.putPageAndType(mfn);
      return 0;
    case MMUEXT_COPY_PAGE: {
      const source = arg2 < MAX_MFN ? Number(arg2) : Number(MAX_MFN);
      if (!frames.getPage(source, subject.id)) return -errno.EINVAL;
      const writable = frames.getPageAndType(mfn, subject.id, FrameType.Writable);
      if (writable) {
        memory.write(mfn * 4096, memory.bytes(source * 4096, 4096));
        frames.putPageAndType(mfn);
      }
      frames.putPage(source);
      return writable ? 0 : -errno.EINVAL;
    }
    case MMUEXT_MARK_SUPER:
    case MMUEXT_UNMARK_SUPER:
      return -errno.EOPNOTSUPP;
  }

  // The rest is about the caller's own CPUs.
  if (subject !== own) return -errno.EPERM;
  switch (cmd) {
    case MMUEXT_NEW_BASEPTR:
      return setKernelRoot(vcpu, mfn) ? 0 : -errno.EINVAL;
    case MMUEXT_NEW_USER_BASEPTR:
      return setUserRoot(vcpu, mfn) ? 0 : -errno.EINVAL;
    case MMUEXT_TLB_FLUSH_LOCAL:
    case MMUEXT_TLB_FLUSH_ALL:
      own.tlb.sync();
      return 0;
    case MMUEXT_TLB_FLUSH_MULTI:
    case MMUEXT_INVLPG_MULTI: {
      // Flushing more vCPUs than the mask names is allowed; the mask must be readable all the same.
      if (readU32(vcpu, BigInt.asUintN(64, arg2)) === undefined) return -errno.EFAULT;
      own.tlb.sync();
      if (cmd === MMUEXT_INVLPG_MULTI) own.tlb.invalidateAddress(arg1);
      return 0;
    }
    case MMUEXT_INVLPG_LOCAL:
    case MMUEXT_INVLPG_ALL:
      own.tlb.sync();
      own.tlb.invalidateAddress(arg1);
      return 0;
    case MMUEXT_FLUSH_CACHE:
    case MMUEXT_FLUSH_CACHE_GLOBAL:
      // No cache to write back; allowed to domains that drive hardware.
      return own.privileged ? 0 : -errno.EACCES;
    case MMUEXT_SET_LDT:
      return setLdt(vcpu.domain.hypervisor, vcpu, arg1, Number(arg2 & 0xffff_ffffn)) ? 0 : -errno.EINVAL;
    default:
      return -errno.ENOSYS;
  }
}

export const mmuextRows: readonly HypercallRow[] = [
  { number: __HYPERVISOR_mmuext_op, name: "mmuext_op", pv64: mmuextOp },
];
