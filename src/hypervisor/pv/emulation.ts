// The vocabulary of the privileged-instruction emulators.

import type { Decoded } from "../../cpu/decode/decoded.js";
import type { PvContext, PvHost } from "./pv-context.js";

export const EmulationResult = {
  /** Carried out: RIP moves on. */
  Done: 0,
  /** Not allowed or not known: the guest gets the #GP. */
  Refused: 1,
  /** Another exception was injected, or the instruction restarts: RIP is right already. */
  Handled: 2,
} as const;
export type EmulationResult = (typeof EmulationResult)[keyof typeof EmulationResult];

export type Emulator = (host: PvHost, vcpu: PvContext, decoded: Decoded) => EmulationResult;

/** Keys are the semantics names of isa/. */
export type EmulatorTable = Readonly<Record<string, Emulator>>;

/** Lets only the guest kernel do it. */
export function kernelOnly(emulate: Emulator): Emulator {
  return (host, vcpu, decoded) => (vcpu.pv.kernelMode ? emulate(host, vcpu, decoded) : EmulationResult.Refused);
}
