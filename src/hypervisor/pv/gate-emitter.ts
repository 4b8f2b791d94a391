// What the pieces of the gate (gate.ts) share: leaving it unchanged, reaching guest memory through the TLB, going on in the guest.

import { InterpreterEmitter } from "../../cpu/emit/interpreter-emitter.js";
import * as S from "../../cpu/state-layout.js";
import { Reg } from "../../cpu/state-layout.js";
import { TLB_ENTRY_SHIFT, TLB_INDEX_MASK, TLB_LINEAR } from "../../cpu/tlb-layout.js";
import type { Value } from "../../cpu/wasm/function-builder.js";
import { FRAME_HAS_CODE, type MachineMemory } from "../../mmu/machine-memory.js";
import { HYPERVISOR_VIRT_END, HYPERVISOR_VIRT_START } from "../public/arch-x86/xen-x86_64.js";
import { VCPU_INFO_UPCALL_MASK, VCPU_INFO_UPCALL_PENDING } from "./pv-context.js";

/** Indices of the gate module's imports. */
const lookupCode = 0;
const leaveGate = 1;

export class GateEmitter extends InterpreterEmitter {
  readonly memory: MachineMemory;

  constructor(memory: MachineMemory) {
    // No operands and no memory access by the emitter's means: the functions it would call aren't there.
    const none = {
      translate: -1,
      commit: -1,
      goto: -1,
      gotoDirect: -1,
      host: -1,
      checkSegment: -1,
      gate: -1,
      x87: -1,
      ordinary: -1,
    };
    super({ mode: 64, size: 64, addressSize: 64, rep: 0, addressForm: "base", operands: [] }, none);
    this.memory = memory;
  }

  leaveIf(condition: Value): void {
    this.if(condition, () => this.return(this.call(leaveGate, "i32", [this.state, this.record])));
  }

  /** Linear address of `bytes` at a virtual one, when they lie in one page that is in the slot's TLB. */
  probe(space: Value, va: Value, bytes: number, tag: number): Value {
    const index = this.and(
      this.wrap(this.shrU(va, this.i64(12 - TLB_ENTRY_SHIFT))),
      this.i32(TLB_INDEX_MASK << TLB_ENTRY_SHIFT),
    );
    const entry = this.let(this.add(space, index));
    this.leaveIf(this.gtU(this.add(va, this.load("i64", entry, tag)), this.i64(4096 - bytes)));
    return this.let(this.add(this.wrap(va), this.load("i32", entry, TLB_LINEAR)));
  }

  /** Leaves when an upcall is due under the new mask, or when the mask can't simply be stored. Returns what stores it. */
  upcallMask(mask: Value): () => void {
    const info = this.let(this.stateLoad("i32", S.PV_INFO));
    const pending = this.load("i32_8u", info, VCPU_INFO_UPCALL_PENDING);
    this.leaveIf(this.and(this.ne(pending, this.i32(0)), this.eqz(mask)));
    const old = this.load("i32_8u", info, VCPU_INFO_UPCALL_MASK);
    const changes = this.let(this.ne(old, mask));
    this.leaveIfCode(info, changes);
    return () => this.if(changes, () => this.store("i32_8", info, mask, VCPU_INFO_UPCALL_MASK));
  }

  /** Whether [from, to) meets the hypervisor's hole; i32. */
  inHole(from: Value, to: Value): Value {
    const below = this.ltU(from, this.i64(BigInt.asIntN(64, HYPERVISOR_VIRT_END)));
    return this.and(below, this.gtU(to, this.i64(BigInt.asIntN(64, HYPERVISOR_VIRT_START))));
  }

  /** Leaves when the machine frame that holds a linear address holds decoded code: a write must be reported. */
  leaveIfCode(linear: Value, condition?: Value): void {
    const frame = this.shrU(this.sub(linear, this.i32(this.memory.ramBase)), this.i32(12));
    const flags = this.load("i32_8u", this.add(frame, this.i32(this.memory.frameFlagsBase)));
    const hasCode = this.ne(this.and(flags, this.i32(FRAME_HAS_CODE)), this.i32(0));
    this.leaveIf(condition ? this.and(condition, hasCode) : hasCode);
  }

  /** Leaves when an upcall that the guest has unmasked is to be delivered on the way out of a hypercall. */
  leaveIfUpcallIsDue(): void {
    const info = this.let(this.stateLoad("i32", S.PV_INFO));
    const pending = this.ne(this.load("i32_8u", info, VCPU_INFO_UPCALL_PENDING), this.i32(0));
    this.leaveIf(this.and(pending, this.eqz(this.load("i32_8u", info, VCPU_INFO_UPCALL_MASK))));
  }

  /** A hypercall that returned 0; returns from the function. */
  finishHypercall(counter: number): void {
    const rip = this.let(this.nextRip());
    this.setGpr(Reg.RCX, 64, rip);
    this.setGpr(Reg.R11, 64, this.extendU(this.eflags()));
    this.setGpr(Reg.RAX, 64, this.i64(0));
    this.count(counter);
    this.continueAt(rip);
  }

  count(counter: number): void {
    this.stateStore("i32", counter, this.add(this.stateLoad("i32", counter), this.i32(1)));
  }

  continueAt(rip: Value): void {
    this.return(this.call(lookupCode, "i32", [this.state, this.record, rip]));
  }
}
