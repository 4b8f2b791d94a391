// Emulation of the privileged instructions that Xen carries out for PV guests: the guest runs at CPL 3, so they arrive as
// #GP(0). What isn't in the table, or isn't allowed, goes to the guest as that #GP. SDM volume 2 for each instruction.

import type { Decoded } from "../../cpu/decode/decoded.js";
import { DecodeResult } from "../../cpu/decode/decoded.js";
import type { Decoder } from "../../cpu/decode/decoder.js";
import { INTERRUPT_SHADOW, RF, Seg, TF } from "../../cpu/state-layout.js";
import { controlEmulators } from "./emulate-control.js";
import { ioEmulators } from "./emulate-io.js";
import { EmulationResult, type Emulator } from "./emulation.js";
import { injectException } from "./inject.js";
import type { PvContext, PvHost } from "./pv-context.js";
import { DR6_DEFAULT } from "./pv-vcpu.js";
import { translate } from "./translate.js";

const MAX_INSTRUCTION = 15;
const DB = 1;
const DR6 = 6;
const DR6_BS = 0x4000n;

interface DecoderTables {
  readonly decoded: Decoded;
  /** By form id. */
  readonly emulators: readonly (Emulator | undefined)[];
}

const tables = new WeakMap<Decoder, DecoderTables>();
const buffer = new Uint8Array(MAX_INSTRUCTION);

function tablesOf(decoder: Decoder): DecoderTables {
  let found = tables.get(decoder);
  if (!found) {
    const all = { ...ioEmulators, ...controlEmulators };
    const emulators = decoder.forms.map((form): Emulator | undefined => all[form.semantics as keyof typeof all]);
    found = { decoded: decoder.newDecoded(), emulators };
    tables.set(decoder, found);
  }
  return found;
}

/** Linear address of the instruction at RIP. */
function linearRip(vcpu: PvContext): bigint {
  const { state } = vcpu.cpu;
  if (state.codeMode === 2) return state.rip;
  return (state.segmentBase(Seg.CS) + state.rip) & 0xffff_ffffn;
}

function decodeAtRip(host: PvHost, vcpu: PvContext, decoded: Decoded): boolean {
  const { memory, decoder } = host;
  const mode = vcpu.cpu.state.codeMode as 0 | 1 | 2;
  const va = linearRip(vcpu);
  const maddr = translate(host, vcpu, va, false);
  if (maddr < 0) return false;
  const pageEnd = (Math.floor(maddr / 4096) + 1) * 4096;
  const result = decoder.decode(memory.u8, maddr, pageEnd, mode, decoded);
  if (result !== DecodeResult.NeedMore) return result === DecodeResult.Ok;
  // The instruction continues on the next page.
  const first = pageEnd - maddr;
  const next = translate(host, vcpu, BigInt.asUintN(64, va + BigInt(first)), false);
  if (next < 0) return false;
  buffer.set(memory.u8.subarray(maddr, pageEnd));
  buffer.set(memory.u8.subarray(next, next + MAX_INSTRUCTION - first), first);
  return decoder.decode(buffer, 0, MAX_INSTRUCTION, mode, decoded) === DecodeResult.Ok;
}

/**
 * Tries to carry out the instruction at RIP.
 * @returns true when it was dealt with: done, restarted, or answered with another exception.
 */
export function emulatePrivileged(host: PvHost, vcpu: PvContext): boolean {
  const { decoded, emulators } = tablesOf(host.decoder);
  if (!decodeAtRip(host, vcpu, decoded)) return false;
  const emulate = emulators[decoded.form.id];
  if (!emulate || decoded.lock) return false;
  const result = emulate(host, vcpu, decoded);
  if (result === EmulationResult.Done) retire(host, vcpu, decoded.length);
  return result !== EmulationResult.Refused;
}

/** Moves RIP past the instruction; with TF set the guest sees the single-step trap that the processor would have raised. */
export function retire(host: PvHost, vcpu: PvContext, length: number): void {
  const { state } = vcpu.cpu;
  const next = state.rip + BigInt(length);
  state.rip = state.codeMode === 2 ? BigInt.asUintN(64, next) : next & 0xffff_ffffn;
  state.setU32(INTERRUPT_SHADOW, 0);
  const flags = state.rflags;
  if (flags & BigInt(RF)) state.rflags = flags & ~BigInt(RF);
  if (flags & BigInt(TF)) {
    vcpu.pv.dr[DR6] = (vcpu.pv.dr[DR6]! & ~DR6_DEFAULT) | DR6_DEFAULT | DR6_BS;
    injectException(host, vcpu, DB);
  }
}
