// HYPERVISOR_vcpu_op (vcpu.h). Arguments: command, vCPU number, guest address of the command's struct.

import { FrameType } from "../frame-table.js";
import { copyFromGuest, copyToGuest } from "../guest-access.js";
import { writeTimeArea } from "../guest-areas.js";
import type { Vcpu } from "../hypervisor.js";
import { vcpu_guest_context } from "../public/arch-x86/xen.js";
import { errno } from "../public/errno.js";
import { SHUTDOWN_poweroff } from "../public/sched.js";
import * as V from "../public/vcpu.js";
import { __HYPERVISOR_vcpu_op, VIRQ_TIMER, vcpu_info } from "../public/xen.js";
import { setGuestContext } from "../pv/guest-context.js";
import { MIN_PERIOD } from "../vcpu-timers.js";
import type { HypercallArgs, HypercallRow } from "./args.js";
import { readStruct } from "./operation.js";

const UPCALL_PENDING = vcpu_info.offset(64, "evtchn_upcall_pending");
const PAGE_SIZE = 4096;

type VcpuOperation = (caller: Vcpu, target: Vcpu, va: bigint) => number;

function registerVcpuInfo(caller: Vcpu, target: Vcpu, va: bigint): number {
  const argument = readStruct(caller, va, V.vcpu_register_vcpu_info);
  if (!argument) return -errno.EFAULT;
  const { domain } = target;
  const { memory, mm } = domain.hypervisor;
  const { abi } = domain;
  const size = vcpu_info.size(abi);
  if (argument.offset > PAGE_SIZE - size || argument.offset & 7) return -errno.EINVAL;
  if (target.infoMfn >= 0) return -errno.EINVAL;
  if (target !== caller && target.isUp) return -errno.EINVAL;
  if (argument.mfn >= BigInt(mm.frames.frames)) return -errno.EINVAL;
  const mfn = Number(argument.mfn);
  if (!mm.frames.getPageAndType(mfn, domain.id, FrameType.Writable)) return -errno.EINVAL;
  const address = mfn * PAGE_SIZE + argument.offset;
  memory.write(address, memory.bytes(target.infoAddress, size).slice());
  target.infoMfn = mfn;
  target.infoAddress = address;
  // An event may have been marked between the copy and the switch: let the guest look at everything once.
  const selector = address + vcpu_info.offset(abi, "evtchn_pending_sel");
  memory.writeU8(address + UPCALL_PENDING, 1);
  memory.fill(selector, abi / 8, 0xff);
  target.writeTime();
  return 0;
}

function setSingleshot(caller: Vcpu, target: Vcpu, va: bigint): number {
  if (caller !== target) return -errno.EINVAL;
  const argument = readStruct(caller, va, V.vcpu_set_singleshot_timer);
  if (!argument) return -errno.EFAULT;
  const at = argument.timeout_abs_ns;
  const now = target.domain.hypervisor.time.now();
  if (argument.flags & V.VCPU_SSHOTTMR_future && at < now) return -errno.ETIME;
  if (at <= now) {
    target.timers.singleshot = undefined;
    target.domain.events.raiseVirq(VIRQ_TIMER, target.id);
  } else target.timers.singleshot = at;
  return 0;
}

const operations: Readonly<Record<number, VcpuOperation>> = {
  [V.VCPUOP_initialise]: (caller, target, va) => {
    if (target.isInitialised) return -errno.EEXIST;
    const { abi } = target.domain;
    if (abi !== 64) return -errno.EOPNOTSUPP;
    const bytes = copyFromGuest(caller, va, vcpu_guest_context.size(abi));
    if (!bytes) return -errno.EFAULT;
    return setGuestContext(target, vcpu_guest_context.decode(bytes, abi));
  },
  [V.VCPUOP_up]: (_caller, target) => {
    if (!target.isInitialised) return -errno.EINVAL;
    if (!target.isUp) target.up();
    return 0;
  },
  [V.VCPUOP_down]: (_caller, target) => {
    const { domain } = target;
    // The last one doesn't go down: a domain that nothing can wake is off.
    if (domain.vcpus.every((vcpu) => vcpu === target || !vcpu.isUp))
      domain.hypervisor.shutdownDomain(domain, SHUTDOWN_poweroff);
    else if (target.isUp) target.down();
    return 0;
  },
  [V.VCPUOP_is_up]: (_caller, target) => (target.isUp ? 1 : 0),
  [V.VCPUOP_get_runstate_info]: (caller, target, va) => {
    const { abi, hypervisor } = target.domain;
    const bytes = target.runstate.encode(abi, hypervisor.time.now());
    return copyToGuest(caller, va, bytes) ? 0 : -errno.EFAULT;
  },
  [V.VCPUOP_register_runstate_memory_area]: (caller, target, va) => {
    const argument = readStruct(caller, va, V.vcpu_register_runstate_memory_area);
    if (!argument) return -errno.EFAULT;
    const { abi, hypervisor } = target.domain;
    if (!copyToGuest(caller, argument.addr, target.runstate.encode(abi, hypervisor.time.now()))) return -errno.EFAULT;
    target.runstateArea = argument.addr;
    return 0;
  },
  [V.VCPUOP_set_periodic_timer]: (caller, target, va) => {
    const argument = readStruct(caller, va, V.vcpu_set_periodic_timer);
    if (!argument) return -errno.EFAULT;
    if (argument.period_ns < MIN_PERIOD || argument.period_ns >= 1n << 62n) return -errno.EINVAL;
    target.timers.setPeriodic(argument.period_ns, target.domain.hypervisor.time.now());
    return 0;
  },
  [V.VCPUOP_stop_periodic_timer]: (_caller, target) => {
    target.timers.setPeriodic(0n, 0n);
    return 0;
  },
  [V.VCPUOP_set_singleshot_timer]: setSingleshot,
  [V.VCPUOP_stop_singleshot_timer]: (caller, target) => {
    if (caller !== target) return -errno.EINVAL;
    target.timers.singleshot = undefined;
    return 0;
  },
  [V.VCPUOP_register_vcpu_info]: registerVcpuInfo,
  [V.VCPUOP_send_nmi]: (_caller, target) => {
    target.sendNmi();
    return 0;
  },
  [V.VCPUOP_get_physid]: (caller, target, va) => {
    // APIC id in the low half, ACPI id in the high one; our vCPUs run on one processor.
    if (!target.domain.privileged) return -errno.EINVAL;
    return copyToGuest(caller, va, new Uint8Array(8)) ? 0 : -errno.EFAULT;
  },
  [V.VCPUOP_register_vcpu_time_memory_area]: (caller, target, va) => {
    const argument = readStruct(caller, va, V.vcpu_register_time_memory_area);
    if (!argument) return -errno.EFAULT;
    target.timeArea = argument.addr;
    writeTimeArea(target);
    return 0;
  },
};

export function vcpuOp(vcpu: Vcpu, args: HypercallArgs): number {
  const target = vcpu.domain.vcpus[args.argNumber(1)];
  if (!target) return -errno.ENOENT;
  const command = args.argNumber(0);
  const run = Object.hasOwn(operations, command) ? operations[command] : undefined;
  return run ? run(vcpu, target, args.arg(2)) : -errno.ENOSYS;
}

export const vcpuRows: readonly HypercallRow[] = [
  { number: __HYPERVISOR_vcpu_op, name: "vcpu_op", pv64: vcpuOp, pv32: vcpuOp, hvm: vcpuOp },
];
