// HYPERVISOR_physdev_op (physdev.h): interrupts, I/O privilege and PCI devices of the hardware domain.

import { FrameType } from "../frame-table.js";
import { readU32 } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import { errno } from "../public/errno.js";
import * as P from "../public/physdev.js";
import { __HYPERVISOR_physdev_op, __HYPERVISOR_physdev_op_compat } from "../public/xen.js";
import type { HypercallArgs, HypercallRow } from "./args.js";
import { domainFor, inOut, input, type Operation, type OperationTable, runOperation } from "./operation.js";

const IO_APIC_BASE = 0xfec00000n;
/** Version register of an 82093AA-compatible I/O APIC with 24 entries, version 0x20. */
const IO_APIC_ID = 0;
const IO_APIC_VERSION = 1;
const IO_APIC_FIRST_ENTRY = 0x10;
const ENTRY_MASKED = 0x10000;
const MAX_IO_PORTS = 65536;

/** Only the hardware domain may. */
function privileged(operation: Operation): Operation {
  return (vcpu, va) => (vcpu.domain.privileged ? operation(vcpu, va) : -errno.EPERM);
}

function lines(vcpu: Vcpu): number {
  return vcpu.domain.hypervisor.interrupts.lines;
}

/** The I/O APIC as the hardware domain may see it: its entries are the hypervisor's, and look masked. */
function ioApicRegister(register: number, lineCount: number): number {
  if (register === IO_APIC_ID) return 0;
  if (register === IO_APIC_VERSION) return ((lineCount - 1) << 16) | 0x20;
  if (register < IO_APIC_FIRST_ENTRY) return 0;
  return register & 1 ? 0 : ENTRY_MASKED;
}

function eoi(vcpu: Vcpu, irq: number): number {
  if (irq >= lines(vcpu)) return -errno.EINVAL;
  const { domain } = vcpu;
  const port = domain.events.pirqPort(irq);
  if (domain.pirqAutoUnmask && port > 0) domain.events.unmask(port);
  domain.hypervisor.interrupts.endOfInterrupt(irq);
  return 0;
}

/** Shares a page of the guest in which bits say which PIRQs need an EOI: all of them do. */
function eoiPage(autoUnmask: boolean): Operation {
  return inOut(P.physdev_pirq_eoi_gmfn, (vcpu, { gmfn }) => {
    const { domain } = vcpu;
    const { mm, memory } = domain.hypervisor;
    if (domain.pirqEoiMfn >= 0) return -errno.EBUSY;
    if (gmfn >= BigInt(mm.frames.frames)) return -errno.EINVAL;
    const mfn = Number(gmfn);
    if (!mm.frames.getPageAndType(mfn, domain.id, FrameType.Writable)) return -errno.EINVAL;
    domain.pirqEoiMfn = mfn;
    domain.pirqAutoUnmask = autoUnmask;
    memory.fill(mfn * 4096, Math.ceil(lines(vcpu) / 8), 0xff);
    return 0;
  });
}

const accepted: Operation = privileged(() => 0);

const operations: OperationTable = {
  [P.PHYSDEVOP_eoi]: input(P.physdev_eoi, (vcpu, { irq }) => eoi(vcpu, irq)),
  [P.PHYSDEVOP_pirq_eoi_gmfn_v1]: eoiPage(true),
  [P.PHYSDEVOP_pirq_eoi_gmfn_v2]: eoiPage(false),
  [P.PHYSDEVOP_IRQ_UNMASK_NOTIFY]: () => 0,
  [P.PHYSDEVOP_irq_status_query]: inOut(P.physdev_irq_status_query, (vcpu, argument) => {
    if (argument.irq >= lines(vcpu)) return -errno.EINVAL;
    argument.flags = P.XENIRQSTAT_needs_eoi;
    return 0;
  }),
  [P.PHYSDEVOP_set_iopl]: input(P.physdev_set_iopl, (vcpu, { iopl }) => {
    if (iopl > 3) return -errno.EINVAL;
    vcpu.pv.iopl = iopl;
    return 0;
  }),
  [P.PHYSDEVOP_set_iobitmap]: input(P.physdev_set_iobitmap, (vcpu, { bitmap, nr_ports }) => {
    if (nr_ports > MAX_IO_PORTS) return -errno.EINVAL;
    vcpu.pv.ioBitmap = bitmap;
    vcpu.pv.ioBitmapPorts = nr_ports;
    return 0;
  }),
  [P.PHYSDEVOP_apic_read]: privileged(
    inOut(P.physdev_apic, (vcpu, argument) => {
      if (argument.apic_physbase !== IO_APIC_BASE) return -errno.EINVAL;
      argument.value = ioApicRegister(argument.reg, lines(vcpu));
      return 0;
    }),
  ),
  // Accepted and without effect: the hypervisor programs the interrupt lines itself.
  [P.PHYSDEVOP_apic_write]: privileged(
    input(P.physdev_apic, (_vcpu, { apic_physbase }) => (apic_physbase === IO_APIC_BASE ? 0 : -errno.EINVAL)),
  ),
  [P.PHYSDEVOP_alloc_irq_vector]: privileged(
    inOut(P.physdev_irq, (vcpu, argument) => {
      if (argument.irq >= lines(vcpu)) return -errno.EINVAL;
      argument.vector = argument.irq; // vectors are the hypervisor's: the guest gets a number to hold
      return 0;
    }),
  ),
  [P.PHYSDEVOP_free_irq_vector]: accepted,
  [P.PHYSDEVOP_map_pirq]: inOut(P.physdev_map_pirq, (vcpu, argument) => {
    const domain = domainFor(vcpu, argument.domid);
    if (typeof domain === "number") return domain;
    if (!vcpu.domain.privileged) return -errno.EPERM;
    if (argument.type !== P.MAP_PIRQ_TYPE_GSI) return -errno.EINVAL; // no device of the machine has MSI
    if (argument.index < 0 || argument.index >= lines(vcpu)) return -errno.EINVAL;
    if (argument.pirq >= 0 && argument.pirq !== argument.index) return -errno.EINVAL;
    argument.pirq = argument.index;
    return 0;
  }),
  [P.PHYSDEVOP_unmap_pirq]: input(P.physdev_unmap_pirq, (vcpu, { domid, pirq }) => {
    const domain = domainFor(vcpu, domid);
    if (typeof domain === "number") return domain;
    if (!vcpu.domain.privileged) return -errno.EPERM;
    return pirq >= 0 && pirq < lines(vcpu) ? 0 : -errno.EINVAL;
  }),
  [P.PHYSDEVOP_setup_gsi]: privileged(
    input(P.physdev_setup_gsi, (vcpu, { gsi }) => (gsi >= 0 && gsi < lines(vcpu) ? 0 : -errno.EINVAL)),
  ),
  [P.PHYSDEVOP_manage_pci_add]: accepted,
  [P.PHYSDEVOP_manage_pci_add_ext]: accepted,
  [P.PHYSDEVOP_manage_pci_remove]: accepted,
  [P.PHYSDEVOP_pci_device_add]: accepted,
  [P.PHYSDEVOP_pci_device_remove]: accepted,
  [P.PHYSDEVOP_pci_mmcfg_reserved]: accepted,
  [P.PHYSDEVOP_restore_msi]: accepted,
  [P.PHYSDEVOP_restore_msi_ext]: accepted,
  [P.PHYSDEVOP_prepare_msix]: accepted,
  [P.PHYSDEVOP_release_msix]: accepted,
  [P.PHYSDEVOP_dbgp_op]: privileged(() => -errno.ENODEV),
};

export function physdevOp(vcpu: Vcpu, args: HypercallArgs): number {
  return runOperation(vcpu, operations, "physdev_op", args.argNumber(0), args.arg(1));
}

/** The struct physdev_op: cmd, then the arguments. */
export function physdevOpCompat(vcpu: Vcpu, args: HypercallArgs): number {
  const va = args.arg(0);
  const command = readU32(vcpu, va);
  if (command === undefined) return -errno.EFAULT;
  const argument = BigInt.asUintN(64, va + BigInt(P.PHYSDEV_OP_ARGUMENT[vcpu.domain.abi]));
  return runOperation(vcpu, operations, "physdev_op", command, argument);
}

export const physdevRows: readonly HypercallRow[] = [
  { number: __HYPERVISOR_physdev_op, name: "physdev_op", pv64: physdevOp, pv32: physdevOp, hvm: physdevOp },
  {
    number: __HYPERVISOR_physdev_op_compat,
    name: "physdev_op_compat",
    pv64: physdevOpCompat,
    pv32: physdevOpCompat,
  },
];
