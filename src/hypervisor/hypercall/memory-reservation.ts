// memory_op: the sub-operations that give frames to a domain and take them back (memory.h: increase_reservation,
// decrease_reservation, populate_physmap, exchange). A PV domain keeps its own P2M; here only the M2P follows.

import type { DomainMemory } from "../domain-memory.js";
import { subjectOf } from "../foreign-domain.js";
import { copyFromGuest, copyToGuest, readU64, writeU64 } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import { INVALID_M2P_ENTRY } from "../m2p.js";
import { errno } from "../public/errno.js";
import {
  XENMEM_decrease_reservation,
  XENMEM_exchange,
  XENMEM_increase_reservation,
  XENMEM_populate_physmap,
  XENMEMF_get_address_bits,
  xen_memory_exchange,
  xen_memory_reservation,
} from "../public/memory.js";
import { __HYPERVISOR_memory_op } from "../public/xen.js";

/** Largest extents (in frames, as a power of two) that a domain without devices and one with may ask for. */
const MAX_ORDER_DOMU = 9;
const MAX_ORDER_DOM0 = 12;
/** Frames handled before the vCPU may be descheduled. */
const BATCH_FRAMES = 8192;

type Reservation = ReturnType<typeof xen_memory_reservation.decode>;

function readReservation(vcpu: Vcpu, arg: bigint): Reservation | undefined {
  const bytes = copyFromGuest(vcpu, arg, xen_memory_reservation.size(64));
  return bytes && xen_memory_reservation.decode(bytes, 64);
}

function maxOrder(vcpu: Vcpu): number {
  return vcpu.domain.privileged ? MAX_ORDER_DOM0 : MAX_ORDER_DOMU;
}

/** First frame number beyond what `address_bits` can name, or undefined: no limit. */
function frameLimit(flags: number): number | undefined {
  const bits = XENMEMF_get_address_bits(flags);
  return bits === 0 || bits >= 44 ? undefined : 2 ** Math.max(bits - 12, 0);
}

const item = (list: bigint, index: number): bigint => BigInt.asUintN(64, list + BigInt(index) * 8n);

/**
 * The three reservation operations. `start`: extents done in earlier parts of the same call.
 * @returns how many extents are done in all; `again` when the call has to go on.
 */
export function changeReservation(
  vcpu: Vcpu,
  operation: number,
  arg: bigint,
  start: number,
): { result: number; again: boolean } {
  const answer = (result: number) => ({ result, again: false });
  const request = readReservation(vcpu, arg);
  if (request === undefined) return answer(-errno.EFAULT);
  if (request.nr_extents > 0xffff_ffffn >> 6n) return answer(start);
  const subject = subjectOf(vcpu.domain.memory, request.domid);
  if (typeof subject === "number") return answer(start > 0 ? start : subject);
  if (request.extent_order > maxOrder(vcpu)) return answer(start);
  const extents = Number(request.nr_extents);
  const end = Math.min(extents, start + Math.max(1, BATCH_FRAMES >> request.extent_order));
  const one =
    operation === XENMEM_decrease_reservation
      ? takeBack
      : operation === XENMEM_populate_physmap
        ? populate
        : operation === XENMEM_increase_reservation
          ? increase
          : undefined;
  if (one === undefined) return answer(-errno.ENOSYS);
  for (let i = start; i < end; i++) if (!one(vcpu, subject, request, i)) return answer(i);
  return { result: end, again: end < extents };
}

function increase(vcpu: Vcpu, subject: DomainMemory, request: Reservation, index: number): boolean {
  const mfn = subject.allocate(request.extent_order, frameLimit(request.mem_flags));
  if (mfn < 0) return false;
  return request.extent_start === 0n || writeU64(vcpu, item(request.extent_start, index), BigInt(mfn));
}

function populate(vcpu: Vcpu, subject: DomainMemory, request: Reservation, index: number): boolean {
  const pfn = readU64(vcpu, item(request.extent_start, index));
  if (pfn === undefined) return false;
  const mfn = subject.allocate(request.extent_order, frameLimit(request.mem_flags));
  if (mfn < 0) return false;
  for (let i = 0; i < 1 << request.extent_order; i++) subject.host.m2p.set(mfn + i, pfn + BigInt(i));
  return writeU64(vcpu, item(request.extent_start, index), BigInt(mfn));
}

function takeBack(vcpu: Vcpu, subject: DomainMemory, request: Reservation, index: number): boolean {
  const first = readU64(vcpu, item(request.extent_start, index));
  if (first === undefined || first >= BigInt(subject.host.memory.frames)) return false;
  for (let i = 0; i < 1 << request.extent_order; i++) {
    const mfn = Number(first) + i;
    if (!subject.owns(mfn) || !subject.host.frames.dropClaim(mfn)) return false;
  }
  return true;
}

/**
 * XENMEM_exchange: the frames of the input extents are given back, new ones of the output extents' size come instead. All or
 * nothing by the larger extent ("chunk"), as the header asks. `nr_exchanged` says where a long call goes on.
 */
export function exchange(vcpu: Vcpu, arg: bigint): number | undefined {
  const bytes = copyFromGuest(vcpu, arg, xen_memory_exchange.size(64));
  if (bytes === undefined) return -errno.EFAULT;
  const request = xen_memory_exchange.decode(bytes, 64);
  const { in: input, out: output } = request;
  const subject = subjectOf(vcpu.domain.memory, input.domid);
  if (typeof subject === "number") return subject;
  const limit = maxOrder(vcpu);
  if (input.extent_order > limit || output.extent_order > limit) return -errno.EPERM;
  if (
    input.domid !== output.domid ||
    input.nr_extents > 0xffff_ffffn >> BigInt(input.extent_order) ||
    input.nr_extents << BigInt(input.extent_order) !== output.nr_extents << BigInt(output.extent_order) ||
    request.nr_exchanged > input.nr_extents
  )
    return -errno.EINVAL;

  const order = Math.max(input.extent_order, output.extent_order);
  const inputs = 1 << (order - input.extent_order);
  const outputs = 1 << (order - output.extent_order);
  if (input.nr_extents % BigInt(inputs) !== 0n || request.nr_exchanged % BigInt(inputs) !== 0n) return -errno.EINVAL;
  const chunks = Number(input.nr_extents) / inputs;
  let chunk = Number(request.nr_exchanged) / inputs;
  let result = 0;
  for (; chunk < chunks && result === 0; chunk++)
    result = exchangeChunk(vcpu, subject, request, chunk, inputs, outputs);
  if (result !== 0) chunk--;
  const exchanged = chunk * inputs;
  const nrExchanged = xen_memory_exchange.offset(64, "nr_exchanged");
  if (!writeU64(vcpu, arg + BigInt(nrExchanged), BigInt(exchanged))) return -errno.EFAULT;
  if (result === 0 && chunk < chunks) {
    vcpu.continueHypercall(__HYPERVISOR_memory_op, XENMEM_exchange, arg);
    return undefined;
  }
  return result;
}

function exchangeChunk(
  vcpu: Vcpu,
  subject: DomainMemory,
  request: ReturnType<typeof xen_memory_exchange.decode>,
  chunk: number,
  inputs: number,
  outputs: number,
): number {
  const { frames, m2p, memory } = subject.host;
  const { in: input, out: output } = request;
  const old: number[] = [];
  for (let i = 0; i < inputs; i++) {
    const first = readU64(vcpu, item(input.extent_start, chunk * inputs + i));
    if (first === undefined) return -errno.EFAULT;
    if (first >= BigInt(memory.frames)) return -errno.EINVAL;
    for (let page = 0; page < 1 << input.extent_order; page++) {
      const mfn = Number(first) + page;
      if (!subject.holdsAlone(mfn)) return -errno.EINVAL;
      old.push(mfn);
    }
  }
  if (new Set(old).size !== old.length) return -errno.EINVAL;
  const names: bigint[] = [];
  for (let i = 0; i < outputs; i++) {
    const pfn = readU64(vcpu, item(output.extent_start, chunk * outputs + i));
    if (pfn === undefined) return -errno.EFAULT;
    names.push(pfn);
  }

  // New frames first, so that a failure leaves the domain as it was; they don't count against its allowance meanwhile.
  const limit = frameLimit(output.mem_flags);
  const fresh: number[] = [];
  for (let i = 0; i < outputs; i++) {
    const mfn = frames.allocate(subject.id, output.extent_order, limit);
    if (mfn >= 0) {
      subject.totalPages += 1 << output.extent_order;
      fresh.push(mfn);
      continue;
    }
    for (const first of fresh) for (let p = 0; p < 1 << output.extent_order; p++) frames.dropClaim(first + p);
    return -errno.ENOMEM;
  }
  for (const mfn of old) {
    m2p.set(mfn, INVALID_M2P_ENTRY);
    frames.dropClaim(mfn);
  }
  for (const [i, mfn] of fresh.entries()) {
    for (let page = 0; page < 1 << output.extent_order; page++) m2p.set(mfn + page, names[i]! + BigInt(page));
    const out = new Uint8Array(8);
    new DataView(out.buffer).setBigUint64(0, BigInt(mfn), true);
    if (!copyToGuest(vcpu, item(output.extent_start, chunk * outputs + i), out)) return -errno.EFAULT;
  }
  return 0;
}
