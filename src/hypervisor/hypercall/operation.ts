// Sub-operations of a hypercall: each names its argument struct; this file alone copies it in, picks the 32- or 64-bit layout,
// copies it back, and answers -EFAULT.

import { copyFromGuest, copyToGuest } from "../guest-access.js";
import type { Domain, Vcpu } from "../hypervisor.js";
import { errno } from "../public/errno.js";
import type { Struct, StructValue } from "../public/layout.js";
import { DOMID_SELF } from "../public/xen.js";

/** A sub-operation on the struct at guest address `va`. */
export type Operation = (vcpu: Vcpu, va: bigint) => number;

/** Sub-operations by their number. */
export type OperationTable = Readonly<Record<number, Operation>>;

export function readStruct<F>(vcpu: Vcpu, va: bigint, layout: Struct<F>): StructValue<F> | undefined {
  const { abi } = vcpu.domain;
  const bytes = copyFromGuest(vcpu, va, layout.size(abi));
  return bytes && layout.decode(bytes, abi);
}

/** Writes the fields of a struct that is in guest memory already; its padding stays. */
export function updateStruct<F>(vcpu: Vcpu, va: bigint, layout: Struct<F>, value: StructValue<F>): boolean {
  const { abi } = vcpu.domain;
  const bytes = copyFromGuest(vcpu, va, layout.size(abi));
  if (!bytes) return false;
  layout.write(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, abi, value);
  return copyToGuest(vcpu, va, bytes);
}

/** An operation that only reads its argument. */
export function input<F>(layout: Struct<F>, run: (vcpu: Vcpu, argument: StructValue<F>) => number): Operation {
  return (vcpu, va) => {
    const argument = readStruct(vcpu, va, layout);
    return argument ? run(vcpu, argument) : -errno.EFAULT;
  };
}

/** An operation whose argument goes back to the guest when it succeeds (result >= 0). */
export function inOut<F>(layout: Struct<F>, run: (vcpu: Vcpu, argument: StructValue<F>) => number): Operation {
  return (vcpu, va) => {
    const argument = readStruct(vcpu, va, layout);
    if (!argument) return -errno.EFAULT;
    const result = run(vcpu, argument);
    if (result < 0) return result;
    return updateStruct(vcpu, va, layout, argument) ? result : -errno.EFAULT;
  };
}

/** The domain that a domid argument names: the caller's own, or another one for a privileged caller; else -errno. */
export function domainFor(vcpu: Vcpu, domid: number): Domain | number {
  const { domain } = vcpu;
  if (domid === DOMID_SELF || domid === domain.id) return domain;
  const other = domain.hypervisor.findDomain(domid);
  if (!other) return -errno.ESRCH;
  return domain.privileged ? other : -errno.EPERM;
}

/** Says once per domain that a guest asked for something that doesn't exist here. */
export function reportOnce(vcpu: Vcpu, what: string): void {
  const { domain } = vcpu;
  if (domain.reported.has(what)) return;
  domain.reported.add(what);
  domain.hypervisor.log(`d${domain.id}v${vcpu.id} ${what}`);
}

export function runOperation(vcpu: Vcpu, table: OperationTable, name: string, command: number, va: bigint): number {
  const run = Object.hasOwn(table, command) ? table[command] : undefined;
  if (run) return run(vcpu, va);
  reportOnce(vcpu, `unknown ${name} sub-operation ${command}`);
  return -errno.ENOSYS;
}
