// The 2-level event channel ABI (xen.h, shared_info): one pending and one mask bit a port in the shared info page, a selector
// word and an upcall flag in each vcpu_info. 64 * 64 ports for 64-bit guests, 32 * 32 for 32-bit ones.

import type { MachineMemory } from "../mmu/machine-memory.js";
import type { EventAbi, EventPort, EventVcpu } from "./event-abi.js";
import type { Abi } from "./public/layout.js";
import { shared_info, vcpu_info } from "./public/xen.js";

const UPCALL_PENDING = vcpu_info.offset(64, "evtchn_upcall_pending");

/** Sets bit `bit` of the little-endian bitmap at `maddr`; returns whether it was set. */
function testAndSet(memory: MachineMemory, maddr: number, bit: number): boolean {
  const at = maddr + ((bit >>> 5) << 2);
  const word = memory.readU32(at);
  const mask = 1 << (bit & 31);
  if (word & mask) return true;
  memory.writeU32(at, (word | mask) >>> 0);
  return false;
}

function testAndClear(memory: MachineMemory, maddr: number, bit: number): boolean {
  const at = maddr + ((bit >>> 5) << 2);
  const word = memory.readU32(at);
  const mask = 1 << (bit & 31);
  if (!(word & mask)) return false;
  memory.writeU32(at, (word & ~mask) >>> 0);
  return true;
}

function test(memory: MachineMemory, maddr: number, bit: number): boolean {
  return (memory.readU32(maddr + ((bit >>> 5) << 2)) & (1 << (bit & 31))) !== 0;
}

/** Sets evtchn_upcall_pending; wakes the vCPU when it was clear. */
export function markEventsPending(memory: MachineMemory, vcpu: EventVcpu): void {
  const at = vcpu.infoAddress + UPCALL_PENDING;
  if (memory.readU8(at) !== 0) return;
  memory.writeU8(at, 1);
  vcpu.eventsPending();
}

export class TwoLevelEvents implements EventAbi {
  readonly limit: number;
  readonly #memory: MachineMemory;
  readonly #pending: number;
  readonly #mask: number;
  readonly #selector: number;
  readonly #wordShift: number;

  /** @param sharedInfo machine address of the shared info page */
  constructor(memory: MachineMemory, sharedInfo: number, abi: Abi) {
    this.#memory = memory;
    this.#pending = sharedInfo + shared_info.offset(abi, "evtchn_pending");
    this.#mask = sharedInfo + shared_info.offset(abi, "evtchn_mask");
    this.#selector = vcpu_info.offset(abi, "evtchn_pending_sel");
    this.#wordShift = abi === 64 ? 6 : 5;
    this.limit = abi * abi;
  }

  setPending({ port }: EventPort, vcpu: EventVcpu): boolean {
    if (testAndSet(this.#memory, this.#pending, port)) return true;
    if (!test(this.#memory, this.#mask, port)) this.#select(port, vcpu);
    return false;
  }

  #select(port: number, vcpu: EventVcpu): void {
    if (!testAndSet(this.#memory, vcpu.infoAddress + this.#selector, port >>> this.#wordShift))
      markEventsPending(this.#memory, vcpu);
  }

  clearPending({ port }: EventPort): void {
    testAndClear(this.#memory, this.#pending, port);
  }

  isPending({ port }: EventPort): boolean {
    return test(this.#memory, this.#pending, port);
  }

  isMasked({ port }: EventPort): boolean {
    return test(this.#memory, this.#mask, port);
  }

  unmask({ port }: EventPort, vcpu: EventVcpu): void {
    if (testAndClear(this.#memory, this.#mask, port) && test(this.#memory, this.#pending, port))
      this.#select(port, vcpu);
  }

  isBusy(): boolean {
    return false;
  }
}
