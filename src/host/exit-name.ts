// What profiles and traces call an exit: a hypercall by Xen's name, an exception by its mnemonic.

import { type Exit, ExitKind, Vector } from "../cpu/exit.js";
import { Reg } from "../cpu/state-layout.js";
import { hypercallName } from "../hypervisor/hypercall/table.js";
import type { Vcpu } from "../hypervisor/hypervisor.js";

const VECTOR_NAMES = new Map<number, string>(Object.entries(Vector).map(([name, vector]) => [vector, `#${name}`]));

/** "#PF"; "vector 33" for what has no mnemonic. */
export function vectorName(vector: number): string {
  return VECTOR_NAMES.get(vector) ?? `vector ${vector}`;
}

/** A small number for each kind of exit, the same for equal names; cheap, for use at each exit. */
export function exitKey(vcpu: Vcpu, exit: Exit): number {
  const { kind } = exit;
  if (kind === ExitKind.Exception || kind === ExitKind.SoftwareInterrupt) return (kind << 8) | exit.vector;
  if (kind === ExitKind.Syscall && vcpu.pv.kernelMode)
    return (kind << 8) | 0x80 | (vcpu.cpu.state.gprNumber(Reg.RAX) & 0x7f);
  return kind << 8;
}

export function exitName(key: number): string {
  const detail = key & 0xff;
  switch (key >> 8) {
    case ExitKind.Exception:
      return vectorName(detail);
    case ExitKind.SoftwareInterrupt:
      return `int 0x${detail.toString(16)}`;
    case ExitKind.Syscall:
      return detail & 0x80 ? `hypercall ${hypercallName(detail & 0x7f)}` : "syscall";
    case ExitKind.Sysenter:
      return "sysenter";
    case ExitKind.Io:
      return "port I/O";
    case ExitKind.Halt:
      return "halt";
    case ExitKind.Pause:
      return "pause";
    default:
      return "budget";
  }
}
