// The areas that a vCPU registers by virtual address (vcpu.h: runstate and time): the hypervisor writes them when the vCPU
// starts or stops running, through the guest kernel's page tables, whatever mode the guest is in. An area that isn't mapped any
// more is skipped.

import type { Vcpu } from "./hypervisor.js";
import { HYPERVISOR_VIRT_END, HYPERVISOR_VIRT_START } from "./public/arch-x86/xen-x86_64.js";
import { vcpu_runstate_info } from "./public/vcpu.js";
import { translateIn } from "./pv/translate.js";

const PAGE_SIZE = 4096;
const VERSION_SIZE = 4;

function writeArea(vcpu: Vcpu, va: bigint, bytes: Uint8Array): boolean {
  const { hypervisor } = vcpu.domain;
  for (let done = 0; done < bytes.length; ) {
    const at = BigInt.asUintN(64, va + BigInt(done));
    if (at >= HYPERVISOR_VIRT_START && at < HYPERVISOR_VIRT_END) return false;
    const maddr = translateIn(hypervisor, vcpu.pv.guestTable, at, true);
    const count = Math.min(bytes.length - done, PAGE_SIZE - Number(at & 0xfffn));
    if (maddr < 0 || !hypervisor.memory.contains(maddr, count)) return false;
    hypervisor.memory.write(maddr, bytes.subarray(done, done + count));
    done += count;
  }
  return true;
}

const runstateBytes = new Uint8Array(vcpu_runstate_info.size(64));
const runstateView = new DataView(runstateBytes.buffer);

/**
 * Writes the vCPU's runstate to the area it registered. The mark that it is changing, which a guest may ask for
 * (VMASST_TYPE_runstate_update_flag), would be set and gone while no vCPU runs: nobody could see it.
 */
export function writeRunstateArea(vcpu: Vcpu): void {
  const va = vcpu.runstateArea;
  if (va === 0n) return;
  const { abi, hypervisor } = vcpu.domain;
  vcpu.runstate.encodeInto(runstateView, abi, hypervisor.time.now());
  writeArea(vcpu, va, runstateBytes.subarray(0, vcpu_runstate_info.size(abi)));
}

/** Writes the time to the area that the vCPU registered. */
export function writeTimeArea(vcpu: Vcpu): void {
  const va = vcpu.timeArea;
  if (va === 0n) return;
  const { time } = vcpu.domain.hypervisor;
  // Odd while the fields change.
  const version = vcpu.timeVersion;
  vcpu.timeVersion = (version + 2) >>> 0;
  if (!writeArea(vcpu, va, time.encodeVcpuTime((version + 1) >>> 0).subarray(0, VERSION_SIZE))) return;
  const done = time.encodeVcpuTime(vcpu.timeVersion);
  writeArea(vcpu, va + BigInt(VERSION_SIZE), done.subarray(VERSION_SIZE));
  writeArea(vcpu, va, done.subarray(0, VERSION_SIZE));
}
