// Running a vCPU: guest code until it exits, what the exit asks for, pending upcalls, again; until the budget is used up or the
// vCPU has nothing to do. The only place that calls Cpu.run for a domain.

import type { CpuState } from "../cpu/cpu-state.js";
import { ExitKind, Vector } from "../cpu/exit.js";
import { PAUSES_LEFT, Reg } from "../cpu/state-layout.js";
import { writeRunstateArea } from "./guest-areas.js";
import { dispatchHypercall } from "./hypercall/dispatch.js";
import { XEN_EXTRAVERSION, XEN_MAJOR, XEN_MINOR } from "./hypercall/xen-version.js";
import type { Vcpu } from "./hypervisor.js";
import { RUNSTATE_runnable, RUNSTATE_running } from "./public/vcpu.js";
import {
  __HYPERVISOR_iret,
  __HYPERVISOR_mmu_update,
  __HYPERVISOR_set_segment_base,
  __HYPERVISOR_stack_switch,
} from "./public/xen.js";
import { crashDump } from "./pv/crash-dump.js";
import { countGate, openGate } from "./pv/gate-state.js";
import { injectPendingUpcalls } from "./pv/inject.js";
import { handleException, handleSoftwareInterrupt, handleSyscall, handleSysenter } from "./pv/traps.js";

/**
 * What an exit counts in instructions: hypercalls and emulation take host time too. Not so for what gate.ts may do without an
 * exit: whether it did must not show in a deterministic run.
 */
const EXIT_COST = 100;
/** A vCPU that executes as many PAUSEs in a slice waits for another one, which only runs when this one gives way. */
const PAUSES_OF_A_SLICE = 64;
/**
 * Timers are looked at after so many instructions, whoever runs them, or a part of a slice where guest code runs fast: leaving it
 * has its price. It is also how the JIT learns where guests spend their time (cpu/jit/promotions.ts), those too whose turns are short.
 */
const TIMER_INTERVAL = 10_000;
const TIMER_PARTS = 8;
/** Time is looked at with the timers, and after so many exits. */
const EXITS_PER_LOOK = 64;

/**
 * @param budget about how many instructions may run.
 * @param longestMs a turn ends after so many whatever is left of its budget, for code that turns out to be much slower than the code
 * before it. Under virtual time a turn takes none.
 * @returns how many instructions ran.
 */
export function runVcpu(vcpu: Vcpu, budget: number, longestMs = 4): number {
  const { hypervisor } = vcpu.domain;
  hypervisor.runTimers();
  if (!vcpu.isRunnable) return 0;
  const before = vcpu.cpu.instructions;
  vcpu.hasYielded = false;
  enter(vcpu);
  let left = budget;
  const interval = Math.max(TIMER_INTERVAL, Math.floor(budget / TIMER_PARTS));
  let untilTimers = hypervisor.untilTimers > 0 ? Math.min(hypervisor.untilTimers, interval) : interval;
  let exits = 0;
  const end = hypervisor.time.now() + BigInt(Math.round(longestMs * 1e6));
  while (left > 0 && vcpu.isRunnable && !vcpu.hasYielded) {
    const used = step(vcpu, Math.min(left, untilTimers));
    left -= used;
    untilTimers -= used;
    const isDue = untilTimers <= 0;
    if (!isDue && ++exits < EXITS_PER_LOOK) continue;
    exits = 0;
    if (isDue) {
      untilTimers = interval;
      hypervisor.runTimers();
    }
    if (hypervisor.time.now() >= end) break;
  }
  hypervisor.untilTimers = untilTimers;
  countGate(vcpu);
  leave(vcpu);
  return vcpu.cpu.instructions - before;
}

function enter(vcpu: Vcpu): void {
  const { pv, cpu } = vcpu;
  cpu.setAddressSpace(pv.kernelMode ? pv.guestTable : pv.guestUserTable);
  cpu.state.setU32(PAUSES_LEFT, PAUSES_OF_A_SLICE);
  vcpu.setRunstate(RUNSTATE_running);
  writeRunstateArea(vcpu);
}

function leave(vcpu: Vcpu): void {
  const { domain } = vcpu;
  if (domain.needsDump) {
    domain.needsDump = false;
    const version = `Xen-${XEN_MAJOR}.${XEN_MINOR}${XEN_EXTRAVERSION}`;
    for (const line of crashDump(domain.hypervisor, vcpu, { version })) domain.hypervisor.log(line);
  }
  if (!domain.isRunning) return;
  if (vcpu.isRunnable) vcpu.setRunstate(RUNSTATE_runnable);
  writeRunstateArea(vcpu);
}

/** Runs until one exit is handled; returns what it counts. */
function step(vcpu: Vcpu, budget: number): number {
  const { cpu, pv, domain } = vcpu;
  const { hypervisor } = domain;
  injectPendingUpcalls(hypervisor, vcpu);
  if (!vcpu.isRunnable) return 0;
  const before = cpu.instructions;
  hypervisor.traceInstruction?.(vcpu);
  const { observer } = hypervisor;
  observer?.enter(vcpu);
  openGate(vcpu);
  const exit = cpu.run(hypervisor.traceInstruction ? 1 : budget);
  observer?.leave(vcpu, exit);
  hypervisor.countExit(exit.kind);
  let cost = EXIT_COST;
  switch (exit.kind) {
    case ExitKind.Budget:
      return Math.max(1, cpu.instructions - before);
    case ExitKind.Syscall:
      if (!pv.kernelMode) {
        cost = 0;
        handleSyscall(hypervisor, vcpu, exit);
        break;
      }
      if (mayPassGate(cpu.state)) cost = 0;
      hypercall(vcpu);
      break;
    case ExitKind.Io:
      // At CPL 3 without an I/O bitmap the processor raises #GP; whether the guest may is for the emulation to say.
      exit.vector = Vector.GP;
      exit.errorCode = 0;
      handleException(hypervisor, vcpu, exit);
      break;
    case ExitKind.Exception:
      hypervisor.traceException?.(vcpu, exit.vector, exit.errorCode);
      handleException(hypervisor, vcpu, exit);
      break;
    case ExitKind.SoftwareInterrupt:
      handleSoftwareInterrupt(hypervisor, vcpu, exit);
      break;
    case ExitKind.Sysenter:
      handleSysenter(hypervisor, vcpu, exit);
      break;
    case ExitKind.Pause:
      vcpu.hasYielded = true;
      break;
    default:
      throw new Error(`a PV vCPU can't exit with kind ${exit.kind}`);
  }
  observer?.handled(vcpu);
  return cpu.instructions - before + cost;
}

/** Whether a hypercall is of a kind that gate.ts carries out. */
function mayPassGate(state: CpuState): boolean {
  const number = state.gprNumber(Reg.RAX);
  switch (number) {
    case __HYPERVISOR_iret:
    case __HYPERVISOR_stack_switch:
    case __HYPERVISOR_set_segment_base:
      return true;
    default:
      return number === __HYPERVISOR_mmu_update && state.gprNumber(Reg.RSI) === 1;
  }
}

/** SYSCALL from guest kernel mode: RCX and R11 become what the instruction leaves in them. */
function hypercall(vcpu: Vcpu): void {
  const { state } = vcpu.cpu;
  state.setGpr(Reg.RCX, state.rip);
  state.setGpr(Reg.R11, state.rflags);
  dispatchHypercall(vcpu);
}
