// Which I/O ports a PV domain reaches (xen: PHYSDEVOP_set_iopl, set_iobitmap). Two gates: the guest's own virtual IOPL or
// I/O bitmap says whether the instruction is allowed (else #GP); the hypervisor says whether the machine's port is the
// domain's. Ports that aren't read as all ones and ignore writes. The hardware domain gets the machine's ports except those
// that the hypervisor keeps to itself: interrupt controllers, timer channels 0 and 1, A20, IGNNE, ACPI PM timer, reset, console.

import { VMASST_TYPE_architectural_iopl } from "../public/xen.js";
import { allOnes } from "./port-space.js";
import { hasAssist, type PvContext, type PvHost } from "./pv-context.js";
import { translateIn } from "./translate.js";

const PM_TIMER = 0x608;
/** As a whole doubleword it is the PCI address register; its second byte alone is the reset control. */
const PCI_ADDRESS = 0xcf8;

/** First and last port of what the hardware domain may not touch. */
const KEPT_BY_XEN: readonly (readonly [number, number])[] = [
  [0x20, 0x21],
  [0x40, 0x41],
  [0x92, 0x92],
  [0xa0, 0xa1],
  [0xf0, 0xf0],
  [0x3f8, 0x3ff],
  [PM_TIMER, PM_TIMER + 3],
  [0xcf9, 0xcf9],
];

/** One bit a port: set where the hardware domain has access. */
const hardwareDomainPorts = new Uint8Array(0x10000 / 8).fill(0xff);
for (const [first, last] of KEPT_BY_XEN) {
  for (let port = first; port <= last; port++) hardwareDomainPorts[port >>> 3]! &= ~(1 << (port & 7));
}

function permitted(vcpu: PvContext, port: number, size: number): boolean {
  if (!vcpu.domain.privileged) return false;
  if (port === PCI_ADDRESS && size === 4) return true;
  for (let i = port; i < port + size; i++) {
    if (i > 0xffff || !(hardwareDomainPorts[i >>> 3]! & (1 << (i & 7)))) return false;
  }
  return true;
}

/** Virtual CPL against virtual IOPL: the guest kernel counts as ring 1, with the architectural-IOPL assist as ring 0. */
export function ioplAllows(vcpu: PvContext): boolean {
  const kernelRing = hasAssist(vcpu, VMASST_TYPE_architectural_iopl) ? 0 : 1;
  return (vcpu.pv.kernelMode ? kernelRing : 3) <= vcpu.pv.iopl;
}

/** Whether IN or OUT of these ports is allowed to the guest at all. */
export function ioInstructionAllowed(host: PvHost, vcpu: PvContext, port: number, size: number): boolean {
  if (ioplAllows(vcpu)) return true;
  const { pv } = vcpu;
  for (let i = port; i < port + size; i++) {
    if (i >= pv.ioBitmapPorts) return false;
    const at = translateIn(host, pv.guestTable, BigInt.asUintN(64, pv.ioBitmap + BigInt(i >>> 3)), false);
    if (at < 0 || host.memory.readU8(at) & (1 << (i & 7))) return false;
  }
  return true;
}

export function readPort(host: PvHost, vcpu: PvContext, port: number, size: number): number {
  if (!permitted(vcpu, port, size)) return allOnes(size);
  return (host.ioPorts.read(port, size) & allOnes(size)) >>> 0;
}

export function writePort(host: PvHost, vcpu: PvContext, port: number, size: number, value: number): void {
  if (permitted(vcpu, port, size)) host.ioPorts.write(port, size, value);
}
