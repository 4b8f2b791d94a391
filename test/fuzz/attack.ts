// An attack: a sequence of hypercalls, runs of random code and victim's turns, and the property that it does no harm.

import fc from "fast-check";
import { GPR, Reg } from "../../src/cpu/state-layout.js";
import { copyToGuest } from "../../src/hypervisor/guest-access.js";
import { dispatchHypercall } from "../../src/hypervisor/hypercall/dispatch.js";
import { runVcpu } from "../../src/hypervisor/run-vcpu.js";
import { FREE_PFN, va } from "../hypervisor/hypervisor-fixture.js";
import { type Attack, beginAttack, damage, endAttack, type Machine, makeMachine } from "./machine.js";
import { type Call, callKinds } from "./operations.js";
import { anyArb, CODE_PAGE, resolve, type Value } from "./values.js";

type Step =
  | { readonly call: Call }
  | { readonly code: readonly number[]; readonly registers: readonly Value[]; readonly budget: number };

const ARGUMENTS = [Reg.RDI, Reg.RSI, Reg.RDX, Reg.R10, Reg.R8, Reg.R9];
const MAX_CONTINUATIONS = 40;
/** Attackers that one machine takes: each leaves its CPU's state in the engine's memory. */
const ATTACKS_PER_MACHINE = 24;
const LOOP = [0xeb, 0xfe];

/** Instructions that matter to a hypervisor, with registers that hold hostile values. */
const SNIPPETS: readonly (readonly number[])[] = [
  [0x0f, 0x05],
  [0x0f, 0x34],
  [0xcd, 0x80],
  [0xcd, 0x82],
  [0xcc],
  [0x0f, 0x0b],
  [0x48, 0x89, 0x07],
  [0x48, 0x8b, 0x06],
  [0x48, 0x87, 0x07],
  [0xf0, 0x48, 0x0f, 0xb1, 0x17],
  [0xf0, 0x48, 0x0f, 0xc7, 0x0f],
  [0xf0, 0x80, 0x27, 0xfd],
  [0xf3, 0x48, 0xa5],
  [0xf3, 0xaa],
  [0x0f, 0x20, 0xc0],
  [0x0f, 0x22, 0xd8],
  [0x0f, 0x20, 0xd8],
  [0x0f, 0x22, 0xe0],
  [0x0f, 0x21, 0xf8],
  [0x0f, 0x23, 0xf8],
  [0x0f, 0x32],
  [0x0f, 0x30],
  [0x0f, 0xa2],
  [0x0f, 0x01, 0x3f],
  [0x0f, 0x01, 0x17],
  [0x0f, 0x00, 0xd0],
  [0x0f, 0x00, 0xd8],
  [0x8e, 0xd8],
  [0x8e, 0xe8],
  [0x8e, 0xd0],
  [0x48, 0xcf],
  [0x48, 0xcb],
  [0xf4],
  [0xfa],
  [0xfb],
  [0xe4, 0x71],
  [0xe6, 0x71],
  [0x6c],
  [0x6e],
  [0x0f, 0x31],
  [0x9c],
  [0x9d],
  [0x0f, 0x0b, 0x78, 0x65, 0x6e, 0x0f, 0xa2],
  [0xff, 0xe0],
  [0xff, 0xd0],
  [0xc3],
  [0x66, 0x0f, 0x6f, 0x07],
  [0x0f, 0xae, 0x07],
  [0x0f, 0xae, 0x0f],
  [0xdd, 0x37],
  [0xd9, 0x07],
];

const codeArb = fc
  .array(
    fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom(...SNIPPETS) },
      { weight: 2, arbitrary: fc.array(fc.nat(255), { minLength: 1, maxLength: 6 }) },
      { weight: 1, arbitrary: fc.nat(16).map((number) => [0xb8, number, 0, 0, 0, 0x0f, 0x05]) },
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map((parts) => parts.flat());

const stepArb = (callArb: fc.Arbitrary<Call>): fc.Arbitrary<Step> =>
  fc.oneof(
    { weight: 19, arbitrary: fc.record({ call: callArb }) },
    {
      weight: 1,
      arbitrary: fc.record({
        code: codeArb,
        registers: fc.array(anyArb, { minLength: 15, maxLength: 15 }),
        budget: fc.integer({ min: 1, max: 300 }),
      }),
    },
  );

export const attackArb = fc.oneof(
  ...callKinds.map((callArb) => fc.array(stepArb(callArb), { minLength: 1, maxLength: 40, size: "max" })),
);

/** Vectors with handlers that loop, stacks and callbacks: faults don't end the attack at once. */
function prepare(attack: Attack): void {
  const { pv } = attack.vcpu;
  const handler = va(FREE_PFN + CODE_PAGE) + 0xf00n;
  copyToGuest(attack.vcpu, handler, Uint8Array.from(LOOP));
  pv.trapAddress.fill(handler);
  pv.trapSelector.fill(0xe033);
  pv.kernelSs = 0xe02b;
  pv.kernelSp = va(FREE_PFN + 14) + 0xff0n;
  for (const callback of [pv.eventCallback, pv.failsafeCallback, pv.syscallCallback]) callback.address = handler;
}

function runCall(attack: Attack, { number, args, memory }: Call): void {
  const { vcpu } = attack;
  const { state } = vcpu.cpu;
  if (!vcpu.pv.kernelMode) return;
  for (const { offset, size, value } of memory) {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, resolve(attack, value)), true);
    copyToGuest(vcpu, va(FREE_PFN) + BigInt(offset), bytes.subarray(0, size));
  }
  state.setGpr(Reg.RAX, BigInt(number));
  for (const [i, register] of ARGUMENTS.entries()) {
    const value = args[i];
    state.setGpr(register, value ? BigInt.asUintN(64, resolve(attack, value)) : 0n);
  }
  if (number === 23) state.setGpr(Reg.RSP, va(FREE_PFN));
  const at = va(FREE_PFN + CODE_PAGE) + 0xf02n;
  for (let i = 0; i < MAX_CONTINUATIONS && vcpu.isRunnable; i++) {
    state.rip = at;
    dispatchHypercall(vcpu);
    if (state.rip !== at - 2n) break;
  }
}

function runCode(attack: Attack, code: readonly number[], registers: readonly Value[], budget: number): void {
  const { vcpu } = attack;
  copyToGuest(vcpu, va(FREE_PFN + CODE_PAGE), Uint8Array.from([...code, ...LOOP]));
  for (const [i, value] of registers.entries()) {
    const register = i < Reg.RSP ? i : i + 1;
    vcpu.cpu.state.setGpr(register, BigInt.asUintN(64, resolve(attack, value)));
  }
  vcpu.cpu.state.setGpr(Reg.RSP, va(FREE_PFN + 13) + 0x800n);
  if (vcpu.pv.kernelMode) vcpu.cpu.state.rip = va(FREE_PFN + CODE_PAGE);
  runVcpu(vcpu, budget);
}

/** Runs attacks, each with a fresh attacker; the machine is renewed now and then, and after a failure. */
export class Fuzzer {
  readonly #privileged: boolean;
  #machine: Machine | undefined;
  #attacks = 0;
  /** How often each hypercall succeeded, for a look at what the attacks reach. */
  readonly succeeded = new Map<number, number>();
  calls = 0;
  crashes = 0;

  constructor(privileged: boolean) {
    this.#privileged = privileged;
  }

  /** @throws Error that says what harm was done, or what the host threw. */
  run(steps: readonly Step[]): void {
    const machine = (this.#machine ??= this.#newMachine());
    this.#machine = undefined;
    const attack = beginAttack(machine, this.#privileged);
    prepare(attack);
    for (const step of steps) {
      if (!attack.domain.isRunning) break;
      attack.vcpu.wake();
      if ("call" in step) this.#call(attack, step.call);
      else runCode(attack, step.code, step.registers, step.budget);
    }
    if (!attack.domain.isRunning) this.crashes++;
    const problems = damage(attack);
    problems.push(...endAttack(attack));
    if (problems.length > 0) throw new Error(problems.slice(0, 8).join("\n"));
    if (++this.#attacks % ATTACKS_PER_MACHINE !== 0 && !this.#privileged) this.#machine = machine;
  }

  #call(attack: Attack, call: Call): void {
    runCall(attack, call);
    this.calls++;
    if (attack.vcpu.cpu.state.u32(GPR + 4) < 0x8000_0000)
      this.succeeded.set(call.number, (this.succeeded.get(call.number) ?? 0) + 1);
  }

  #newMachine(): Machine {
    this.#attacks = 0;
    return makeMachine();
  }
}
