// From a hypercall number to its handler. Multicall is here because its entries go through the same dispatch.
// Register conventions (arch-x86/xen-x86_64.h, xen-x86_32.h): number and result in RAX; arguments in RDI RSI RDX R10 R8 R9, or
// EBX ECX EDX ESI EDI EBP.

import { GPR, Reg } from "../../cpu/state-layout.js";
import { guestAddress } from "../guest-access.js";
import type { Vcpu } from "../hypervisor.js";
import { errno } from "../public/errno.js";
import { __HYPERVISOR_multicall, multicall_entry } from "../public/xen.js";
import { type Hypercall, HypercallArgs } from "./args.js";
import { reportOnce } from "./operation.js";
import { type GuestKind, hypercallTable } from "./table.js";

const ARGUMENTS_64 = [Reg.RDI, Reg.RSI, Reg.RDX, Reg.R10, Reg.R8, Reg.R9];
const ARGUMENTS_32 = [Reg.RBX, Reg.RCX, Reg.RDX, Reg.RSI, Reg.RDI, Reg.RBP];
const ENTRY_64 = multicall_entry.size(64);
const RESULT_64 = multicall_entry.offset(64, "result");
const ARGS_64 = multicall_entry.offset(64, "args");
const ARGUMENTS = 6;
/** `syscall`, `int 0x82` and `vmcall`-stub lengths: RIP moves back by this to restart. */
const HYPERCALL_64_LENGTH = 2n;

/** Entries that one multicall works on before it gives way. */
const MULTICALL_BATCH = 1024;
const EntryOutcome = { Done: 0, Continues: 1, LeftGuestState: 2 } as const;

const direct = new HypercallArgs();
const entryArgs = new HypercallArgs();
let isInMulticall = false;

function kindOf(vcpu: Vcpu): GuestKind {
  return vcpu.domain.abi === 64 ? "pv64" : "pv32";
}

function invoke(vcpu: Vcpu, number: number, args: HypercallArgs): bigint | number | undefined {
  const { domain } = vcpu;
  const { hypervisor } = domain;
  if (number < 64) domain.hypercallCounts[number] = domain.hypercallCounts[number]! + 1;
  hypervisor.traceHypercall?.(vcpu, number, args);
  const result = call(vcpu, number, args);
  hypervisor.traceHypercallResult?.(vcpu, number, result);
  return result;
}

function call(vcpu: Vcpu, number: number, args: HypercallArgs): bigint | number | undefined {
  const handler: Hypercall | undefined = hypercallTable[kindOf(vcpu)][number];
  if (handler) return handler(vcpu, args) as bigint | number | undefined;
  if (number === __HYPERVISOR_multicall) return multicall(vcpu, args);
  reportOnce(vcpu, `unknown hypercall ${number}`);
  return -errno.ENOSYS;
}

/** Performs the hypercall that the vCPU's registers describe; RIP is after the instruction. */
export function dispatchHypercall(vcpu: Vcpu): void {
  const { state } = vcpu.cpu;
  const registers = vcpu.domain.abi === 64 ? ARGUMENTS_64 : ARGUMENTS_32;
  const { words } = direct;
  for (let i = 0; i < ARGUMENTS; i++) {
    const at = GPR + registers[i]! * 8;
    words[2 * i] = state.u32(at);
    words[2 * i + 1] = vcpu.domain.abi === 64 ? state.u32(at + 4) : 0;
  }
  const result = invoke(vcpu, state.gprNumber(Reg.RAX), direct);
  if (vcpu.continuation.isPending) restart(vcpu, registers);
  else if (typeof result === "number") setResult(vcpu, result);
  else if (result !== undefined) state.setGpr(Reg.RAX, BigInt.asUintN(64, result));
}

function setResult(vcpu: Vcpu, result: number): void {
  const { state } = vcpu.cpu;
  if (Number.isSafeInteger(result) && result >= -0x80000000 && result <= 0x7fffffff) {
    state.setU32(GPR + Reg.RAX * 8, result >>> 0);
    state.setU32(GPR + Reg.RAX * 8 + 4, result < 0 ? 0xffffffff : 0);
  } else state.setGpr(Reg.RAX, BigInt.asUintN(64, BigInt(result)));
}

/** The vCPU executes the hypercall instruction again, with the arguments that are left. */
function restart(vcpu: Vcpu, registers: readonly number[]): void {
  const { state } = vcpu.cpu;
  const { continuation } = vcpu;
  continuation.isPending = false;
  state.rip = BigInt.asUintN(64, state.rip - HYPERCALL_64_LENGTH);
  state.setGpr(Reg.RAX, BigInt(continuation.op));
  for (let i = 0; i < ARGUMENTS; i++) state.setGpr(registers[i]!, continuation.args[i]!);
}

/**
 * HYPERVISOR_multicall: arguments are a list of entries and their number. Each entry's result is stored in it. A call that goes on later
 * leaves its remaining arguments in its entry, and the multicall goes on there.
 */
export function multicall(vcpu: Vcpu, args: HypercallArgs): number | undefined {
  if (isInMulticall) return -errno.EINVAL;
  if (vcpu.domain.abi !== 64) return -errno.EOPNOTSUPP;
  const list = args.arg(0);
  const count = args.argNumber(1);
  isInMulticall = true;
  try {
    for (let done = 0; done < count; done++) {
      const entry = BigInt.asUintN(64, list + BigInt(done * ENTRY_64));
      const outcome = runEntry(vcpu, entry);
      if (outcome < 0) return outcome;
      if (!vcpu.domain.isRunning) return 0;
      if (outcome === EntryOutcome.LeftGuestState) return undefined;
      const next = outcome === EntryOutcome.Continues ? done : done + 1;
      if (outcome === EntryOutcome.Continues || (next % MULTICALL_BATCH === 0 && next < count)) {
        vcpu.continueHypercall(__HYPERVISOR_multicall, list + BigInt(next * ENTRY_64), count - next);
        return undefined;
      }
    }
    return 0;
  } finally {
    isInMulticall = false;
  }
}

function runEntry(vcpu: Vcpu, va: bigint): number {
  const { memory } = vcpu.domain.hypervisor;
  const { words } = entryArgs;
  const op = wordAt(vcpu, va, false);
  if (op < 0) return -errno.EFAULT;
  const number = memory.readU32(op);
  const isInOnePage = (op & 0xfff) <= 0x1000 - ENTRY_64;
  for (let i = 0; i < ARGUMENTS; i++) {
    const at = isInOnePage ? op + ARGS_64 + 8 * i : wordAt(vcpu, va + BigInt(ARGS_64 + 8 * i), false);
    if (at < 0) return -errno.EFAULT;
    words[2 * i] = memory.readU32(at);
    words[2 * i + 1] = memory.readU32(at + 4);
  }
  const result = invoke(vcpu, number, entryArgs);
  if (vcpu.continuation.isPending) {
    vcpu.continuation.isPending = false;
    for (let i = 0; i < ARGUMENTS; i++) {
      const at = wordAt(vcpu, va + BigInt(ARGS_64 + 8 * i), true);
      if (at < 0) return -errno.EFAULT;
      memory.writeU64(at, vcpu.continuation.args[i]!);
    }
    return EntryOutcome.Continues;
  }
  if (result === undefined) return EntryOutcome.LeftGuestState;
  const at = wordAt(vcpu, va + BigInt(RESULT_64), true);
  if (at < 0) return -errno.EFAULT;
  memory.writeU64(at, BigInt.asUintN(64, BigInt(result)));
  return EntryOutcome.Done;
}

/** Machine address of an 8-byte aligned word of the guest; entries that aren't aligned are refused. */
function wordAt(vcpu: Vcpu, va: bigint, write: boolean): number {
  return va & 7n ? -1 : guestAddress(vcpu, BigInt.asUintN(64, va), write);
}
