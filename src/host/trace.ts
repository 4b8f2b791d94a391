// Traces as text: a line for each hypercall with its result, each exception, or each instruction of all domains of a host.

import { DecodeResult } from "../cpu/decode/decoded.js";
import { formatDecoded } from "../cpu/decode/format.js";
import { Vector } from "../cpu/exit.js";
import { Seg } from "../cpu/state-layout.js";
import { guestAddress } from "../hypervisor/guest-access.js";
import { hypercallName } from "../hypervisor/hypercall/table.js";
import type { Hypervisor, TracedArgs, Vcpu } from "../hypervisor/hypervisor.js";
import { vectorName } from "./exit-name.js";

export type TraceKind = "hypercalls" | "exceptions" | "instructions";
export const TRACE_KINDS: readonly TraceKind[] = ["hypercalls", "exceptions", "instructions"];

export interface TraceOptions {
  /** "instructions" makes guests run some hundred times slower. */
  readonly kinds: readonly TraceKind[];
  /** Gets each line, without its end. */
  readonly write: (line: string) => void;
}

/** Arguments of each hypercall by number (xen.h, and the calls' own headers); two for those not listed. */
const ARITY: Readonly<Record<number, number>> = {
  ...{ 0: 1, 1: 4, 2: 2, 3: 2, 4: 3, 5: 1, 6: 2, 7: 1, 8: 2, 9: 1, 10: 2, 12: 2, 13: 2, 14: 3, 15: 1, 16: 1, 17: 2 },
  ...{ 18: 3, 19: 1, 20: 3, 21: 2, 22: 4, 23: 0, 24: 3, 25: 2, 26: 4, 27: 1, 28: 2, 29: 2, 31: 2, 32: 2, 33: 2, 34: 2 },
  ...{ 35: 1, 36: 1, 37: 2, 38: 1, 40: 2, 41: 3 },
};
const MULTICALL = 13;
const MAX_INSTRUCTION = 15;

const hex = (value: bigint | number) => value.toString(16);
const where = (vcpu: Vcpu) => `d${vcpu.domain.id}v${vcpu.id}`;
const address = ({ cpu: { state } }: Vcpu) =>
  `${hex(state.segmentSelector(Seg.CS))}:${hex(state.rip).padStart(16, "0")}`;

/** Starts tracing; what was traced before on this hypervisor is replaced. */
export function attachTrace(hypervisor: Hypervisor, { kinds, write }: TraceOptions): void {
  if (kinds.includes("hypercalls")) traceHypercalls(hypervisor, write);
  if (kinds.includes("exceptions"))
    hypervisor.traceException = (vcpu, vector, errorCode) => {
      const cr2 = vector === Vector.PF ? ` address ${hex(vcpu.cpu.state.cr2)}` : "";
      write(`${where(vcpu)} ${address(vcpu)} ${vectorName(vector)} error ${hex(errorCode)}${cr2}`);
    };
  if (kinds.includes("instructions")) traceInstructions(hypervisor, write);
}

/** A call's line appears with its result; a multicall's before its entries, which are indented. */
function traceHypercalls(hypervisor: Hypervisor, write: (line: string) => void): void {
  const open: string[] = [];
  hypervisor.traceHypercall = (vcpu, number, args) => {
    const call = `${where(vcpu)} ${"  ".repeat(open.length)}${number} ${hypercallName(number)}(${describeArgs(number, args)})`;
    if (number === MULTICALL) write(call);
    open.push(call);
  };
  hypervisor.traceHypercallResult = (_vcpu, number, result) => {
    const call = open.pop();
    const text = result === undefined ? "-" : BigInt(result) < 0n ? String(result) : `0x${hex(result)}`;
    if (number === MULTICALL) write(`${call?.slice(0, call.indexOf("("))} = ${text}`);
    else write(`${call} = ${text}`);
  };
}

function describeArgs(number: number, args: TracedArgs): string {
  return Array.from({ length: ARITY[number] ?? 2 }, (_, index) => `0x${hex(args.arg(index))}`).join(", ");
}

function traceInstructions(hypervisor: Hypervisor, write: (line: string) => void): void {
  const { decoder, memory } = hypervisor;
  const decoded = decoder.newDecoded();
  const bytes = new Uint8Array(MAX_INSTRUCTION);
  hypervisor.traceInstruction = (vcpu) => {
    const { state } = vcpu.cpu;
    const linear = state.codeMode === 2 ? state.rip : (state.rip + state.segmentBase(Seg.CS)) & 0xffffffffn;
    let length = 0;
    for (; length < MAX_INSTRUCTION; length++) {
      const maddr = guestAddress(vcpu, BigInt.asUintN(64, linear + BigInt(length)), false);
      if (maddr < 0) break;
      bytes[length] = memory.readU8(maddr);
    }
    const result = decoder.decode(bytes, 0, length, state.codeMode as 0 | 1 | 2, decoded);
    const text = result === DecodeResult.Ok ? formatDecoded(decoded) : length === 0 ? "(not mapped)" : "(invalid)";
    const code = Buffer.from(bytes.subarray(0, result === DecodeResult.Ok ? decoded.length : length)).toString("hex");
    write(`${where(vcpu)} ${address(vcpu)}  ${code.padEnd(20)} ${text}`);
  };
}
