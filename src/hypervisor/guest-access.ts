// Guest memory as hypercalls reach it: through the vCPU's current page tables, with the guest's own rights, page by page.
// A handle must lie outside the hypervisor's hole, or a guest could have the hypervisor write where it can't itself.
// Nothing throws: an address that the guest could not use gives undefined or false, and the hypercall answers -EFAULT.

import type { Vcpu } from "./hypervisor.js";
import { HYPERVISOR_VIRT_END, HYPERVISOR_VIRT_START } from "./public/arch-x86/xen-x86_64.js";
import { translate } from "./pv/translate.js";

const PAGE = 4096;
/** Most bytes that one copy moves: far more than any hypercall structure; a guest can't make the host allocate gigabytes. */
const MAX_COPY = 1 << 24;

/** Machine address of a guest address, or -1. Valid up to the end of its page. */
export function guestAddress(vcpu: Vcpu, va: bigint, write: boolean): number {
  if (va >= HYPERVISOR_VIRT_START && va < HYPERVISOR_VIRT_END) return -1;
  return translate(vcpu.domain.hypervisor, vcpu, va, write);
}

/** A copy of [va, va + length), or undefined. */
export function copyFromGuest(vcpu: Vcpu, va: bigint, length: number): Uint8Array | undefined {
  if (length > MAX_COPY) return undefined;
  const target = new Uint8Array(length);
  const { memory } = vcpu.domain.memory.host;
  for (let done = 0; done < length; ) {
    const at = BigInt.asUintN(64, va + BigInt(done));
    const count = Math.min(length - done, PAGE - Number(at & 0xfffn));
    const maddr = guestAddress(vcpu, at, false);
    if (maddr < 0 || !memory.contains(maddr, count)) return undefined;
    target.set(memory.u8.subarray(maddr, maddr + count), done);
    done += count;
  }
  return target;
}

/** Writes `bytes` at `va`. On false the first pages may have been written, as with Xen's copy_to_guest. */
export function copyToGuest(vcpu: Vcpu, va: bigint, bytes: Uint8Array): boolean {
  const { memory } = vcpu.domain.memory.host;
  for (let done = 0; done < bytes.length; ) {
    const at = BigInt.asUintN(64, va + BigInt(done));
    const count = Math.min(bytes.length - done, PAGE - Number(at & 0xfffn));
    const maddr = guestAddress(vcpu, at, true);
    if (maddr < 0 || !memory.contains(maddr, count)) return false;
    memory.write(maddr, bytes.subarray(done, done + count));
    done += count;
  }
  return true;
}

export function readU64(vcpu: Vcpu, va: bigint): bigint | undefined {
  const maddr = wordAddress(vcpu, va, 8, false);
  if (maddr >= 0) return vcpu.domain.memory.host.memory.readU64(maddr);
  const bytes = copyFromGuest(vcpu, va, 8);
  return bytes && new DataView(bytes.buffer).getBigUint64(0, true);
}

export function readU32(vcpu: Vcpu, va: bigint): number | undefined {
  const maddr = wordAddress(vcpu, va, 4, false);
  if (maddr >= 0) return vcpu.domain.memory.host.memory.readU32(maddr);
  const bytes = copyFromGuest(vcpu, va, 4);
  return bytes && new DataView(bytes.buffer).getUint32(0, true);
}

export function writeU64(vcpu: Vcpu, va: bigint, value: bigint): boolean {
  const maddr = wordAddress(vcpu, va, 8, true);
  if (maddr < 0) {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, value), true);
    return copyToGuest(vcpu, va, bytes);
  }
  vcpu.domain.memory.host.memory.writeU64(maddr, value);
  return true;
}

export function writeU32(vcpu: Vcpu, va: bigint, value: number): boolean {
  const maddr = wordAddress(vcpu, va, 4, true);
  if (maddr < 0) {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, value, true);
    return copyToGuest(vcpu, va, bytes);
  }
  vcpu.domain.memory.host.memory.writeU32(maddr, value);
  return true;
}

/** Machine address when the word lies in one page, else -1. */
function wordAddress(vcpu: Vcpu, va: bigint, size: number, write: boolean): number {
  if (Number(va & 0xfffn) > PAGE - size) return -1;
  const maddr = guestAddress(vcpu, va, write);
  return maddr >= 0 && vcpu.domain.memory.host.memory.contains(maddr, size) ? maddr : -1;
}
