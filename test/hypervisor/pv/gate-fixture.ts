// Two machines that differ in the gate alone, for tests of what it does: a guest must not see which of WebAssembly and TypeScript it was.

import { expect } from "vitest";
import { GPR, KERNEL_GS_BASE, Reg } from "../../../src/cpu/state-layout.js";
import type { Vcpu } from "../../../src/hypervisor/hypervisor.js";
import type { Host } from "../hypervisor-fixture.js";

export interface GateMachine {
  snapshot(): unknown;
  /** How often the gate did it since the machine is ready. */
  gateCount(): number;
}

/** Registers of which each has a value of its own; RSP stays. */
export function fillRegisters({ cpu: { state } }: Vcpu): void {
  for (let i = 0; i < 16; i++) if (i !== Reg.RSP) state.setGpr(i, 0x0123_4567_89ab_cd00n + BigInt(i));
}

/** What a guest sees of itself, whatever the test is about, and what the host says of it. */
export function visibleState(host: Host, vcpu: Vcpu) {
  const { state } = vcpu.cpu;
  return {
    registers: Array.from({ length: 16 }, (_, i) => state.u64(GPR + 8 * i).toString(16)),
    rip: state.rip.toString(16),
    rflags: state.rflags.toString(16),
    segments: [0, 1, 2, 3, 4, 5].map((i) => state.segment(i)),
    shadowGs: state.u64(KERNEL_GS_BASE),
    info: [...host.memory.bytes(vcpu.infoAddress, 24)],
    instructions: vcpu.cpu.instructions,
    running: vcpu.domain.isRunning,
    log: host.log,
  };
}

/** Does the same on both, and compares. `passed`: the one with the gate took it, once. */
export function onBoth<Machine extends GateMachine>(
  make: (gate: boolean) => Machine,
  act: (machine: Machine) => void,
): { fast: Machine; slow: Machine; passed: boolean } {
  const [fast, slow] = [make(true), make(false)];
  for (const each of [fast, slow]) act(each);
  expect(fast.snapshot()).toEqual(slow.snapshot());
  expect(slow.gateCount()).toBe(0);
  expect(fast.gateCount()).toBeLessThanOrEqual(1);
  return { fast, slow, passed: fast.gateCount() === 1 };
}
