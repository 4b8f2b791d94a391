// HYPERVISOR_platform_op (platform.h): firmware, clock, sleep states and processors, for the hardware domain.

import { readU32 } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import { errno } from "../public/errno.js";
import * as P from "../public/platform.js";
import { __HYPERVISOR_platform_op } from "../public/xen.js";
import type { HypercallArgs, HypercallRow } from "./args.js";
import { inOut, input, type OperationTable, runOperation } from "./operation.js";

const S3 = 3;
const S5 = 5;

/** XENPF_firmware_info: our machine has no disk, EDD or EDID information; no shift key is held at boot. */
const firmwareInfo = inOut(P.xenpf_firmware_info, (_vcpu, argument) => {
  switch (argument.type) {
    case P.XEN_FW_DISK_INFO:
    case P.XEN_FW_DISK_MBR_SIGNATURE:
    case P.XEN_FW_VBEDDC_INFO:
      return argument.type === P.XEN_FW_VBEDDC_INFO && argument.index !== 0 ? -errno.EINVAL : -errno.ESRCH;
    case P.XEN_FW_KBD_SHIFT_FLAGS:
      if (argument.index !== 0) return -errno.ESRCH;
      argument.u = { kbd_shift_flags: 0 };
      return 0;
    case P.XEN_FW_EFI_INFO:
      return -errno.EINVAL;
    default:
      return -errno.EINVAL;
  }
});

/** The guest has prepared the machine for a sleep state and asks the hypervisor to write the PM registers. */
const enterAcpiSleep = input(P.xenpf_enter_acpi_sleep, (vcpu, { sleep_state, flags }) => {
  const { domain } = vcpu;
  const { hypervisor } = domain;
  if (flags & ~P.XENPF_ACPI_SLEEP_EXTENDED) return -errno.EINVAL;
  if (sleep_state === S3) return -errno.EOPNOTSUPP;
  if (sleep_state !== S5) return -errno.EINVAL;
  for (const line of ["Preparing system for ACPI S5 state.", "Disabling non-boot CPUs ...", "Entering ACPI S5 state."])
    hypervisor.log(line);
  hypervisor.powerOff(domain);
  return 0;
});

const operations: OperationTable = {
  [P.XENPF_settime32]: input(P.xenpf_settime32, ({ domain }, { secs, nsecs, system_time }) => {
    domain.hypervisor.setWallclock(BigInt(secs), nsecs, system_time);
    return 0;
  }),
  [P.XENPF_settime64]: input(P.xenpf_settime64, ({ domain }, { secs, nsecs, mbz, system_time }) => {
    if (mbz !== 0) return -errno.EOPNOTSUPP;
    domain.hypervisor.setWallclock(secs, nsecs, system_time);
    return 0;
  }),
  [P.XENPF_firmware_info]: firmwareInfo,
  [P.XENPF_enter_acpi_sleep]: enterAcpiSleep,
  [P.XENPF_get_cpuinfo]: inOut(P.xenpf_pcpuinfo, (_vcpu, argument) => {
    argument.max_present = 0;
    const isOurs = argument.xen_cpuid === 0;
    argument.flags = isOurs ? P.XEN_PCPU_FLAGS_ONLINE : P.XEN_PCPU_FLAGS_INVALID;
    if (isOurs) argument.apic_id = argument.acpi_id = 0;
    return 0;
  }),
  // One processor, which can't be taken away; memory types and frequencies are fixed.
  [P.XENPF_cpu_online]: input(P.xenpf_cpu_ol, (_vcpu, { cpuid }) => (cpuid === 0 ? 0 : -errno.EINVAL)),
  [P.XENPF_cpu_offline]: input(P.xenpf_cpu_ol, (_vcpu, { cpuid }) => (cpuid === 0 ? -errno.EOPNOTSUPP : -errno.EINVAL)),
  [P.XENPF_read_memtype]: () => -errno.EINVAL,
  [P.XENPF_add_memtype]: () => -errno.EINVAL,
  [P.XENPF_del_memtype]: () => -errno.EINVAL,
  [P.XENPF_platform_quirk]: () => 0,
  [P.XENPF_efi_runtime_call]: () => -errno.ENOSYS,
};

export function platformOp(vcpu: Vcpu, args: HypercallArgs): number {
  const va = args.arg(0);
  const command = readU32(vcpu, va + BigInt(P.XEN_PLATFORM_OP.cmd));
  const version = readU32(vcpu, va + BigInt(P.XEN_PLATFORM_OP.interface_version));
  if (command === undefined || version === undefined) return -errno.EFAULT;
  if (version !== P.XENPF_INTERFACE_VERSION) return -errno.EACCES;
  if (!vcpu.domain.privileged) return -errno.EPERM;
  return runOperation(vcpu, operations, "platform_op", command, va + BigInt(P.XEN_PLATFORM_OP.u));
}

export const platformRows: readonly HypercallRow[] = [
  { number: __HYPERVISOR_platform_op, name: "platform_op", pv64: platformOp, pv32: platformOp },
];
