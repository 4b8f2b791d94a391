// Hypercall arguments and handlers. One HypercallArgs is reused for all calls, so a handler reads it before anything else can
// issue a hypercall, and allocates nothing for arguments that fit 32 bits.

import type { Vcpu } from "../hypervisor.js";

export class HypercallArgs {
  /** Six arguments of 64 bits. */
  readonly quads = new BigUint64Array(6);
  /** The same memory as 32-bit words, low word first. */
  readonly words = new Uint32Array(this.quads.buffer);

  arg(index: number): bigint {
    return this.quads[index]!;
  }

  /** Low 32 bits, unsigned. */
  argNumber(index: number): number {
    return this.words[2 * index]!;
  }
}

/**
 * Returns the value for RAX; -errno for failure. `undefined`: the registers were set by the handler (iret), or the call goes on
 * later (vcpu.continueHypercall).
 */
// biome-ignore lint/suspicious/noConfusingVoidType: a handler that leaves RAX alone has nothing to return
export type Hypercall = (vcpu: Vcpu, args: HypercallArgs) => bigint | number | void;

/** One hypercall: number and name of xen.h, and who may call it how. */
export interface HypercallRow {
  readonly number: number;
  readonly name: string;
  readonly pv64?: Hypercall;
  readonly pv32?: Hypercall;
  readonly hvm?: Hypercall;
}
