// PV entry and exit without leaving WebAssembly: SYSCALL of 64-bit guest user code into the guest kernel (bounce.ts), the
// kernel's iret hypercall (iret.ts), an mmu_update that maps a page (gate-mmu.ts), and what a kernel does at each switch of
// tasks (gate-registers.ts). The function looks at everything first and changes nothing until it knows that it can go through. Whatever is out of the ordinary (no callback, a stack that isn't in the TLB, a pending upcall, flags that slow the CPU
// down, other selectors) leaves as an exit, and traps.ts and dispatch.ts do the work. Both ways agree in every bit:
// test/hypervisor/pv/gate.test.ts compares them. What it finds in the vCPU's struct is put there by gate-state.ts.

import * as S from "../../cpu/state-layout.js";
import { Reg, Seg } from "../../cpu/state-layout.js";
import { TLB_BYTES, TLB_READ, TLB_WRITE } from "../../cpu/tlb-layout.js";
import type { FunctionBody } from "../../cpu/wasm/code-writer.js";
import type { Value } from "../../cpu/wasm/function-builder.js";
import { ModuleWriter } from "../../cpu/wasm/module-writer.js";
import type { MachineMemory } from "../../mmu/machine-memory.js";
import {
  FLAT_KERNEL_CS64,
  FLAT_KERNEL_SS64,
  FLAT_USER_CS64,
  FLAT_USER_SS64,
  VGCF_in_syscall,
} from "../public/arch-x86/xen-x86_64.js";
import {
  __HYPERVISOR_iret,
  __HYPERVISOR_mmu_update,
  __HYPERVISOR_set_segment_base,
  __HYPERVISOR_stack_switch,
} from "../public/xen.js";
import { unpackDescriptor, XEN_GDT_ENTRIES } from "./descriptor-check.js";
import { GateEmitter } from "./gate-emitter.js";
import { emitMmuUpdate } from "./gate-mmu.js";
import { emitSetSegmentBase, emitStackSwitch } from "./gate-registers.js";
import { VCPU_INFO_UPCALL_MASK } from "./pv-context.js";

/** RFLAGS bits that iret loads here; with TF, RF or AC it isn't ours. */
const LOADABLE = S.DF | S.NT | S.ID;
const SPECIAL = S.TF | S.RF | S.AC;
const CLEARED_ON_ENTRY = S.TF | S.VM | S.RF | S.NT | S.AC | S.DF;
/** Words of the two frames: bounce.ts, iret.ts. */
const BOUNCE_BYTES = 7 * 8;
const IRET_BYTES = 9 * 8;
const Iret = { Rax: 0, R11: 8, Rcx: 16, Flags: 24, Rip: 32, Cs: 40, Rflags: 48, Rsp: 56, Ss: 64 } as const;

const FLAT_CODE = XEN_GDT_ENTRIES[6]!;
const FLAT_DATA = XEN_GDT_ENTRIES[5]!;
/** Bit of a selector: the LDT. */
const TABLE_INDICATOR = 4;

/** The module for Engine.setGate. */
export function writeGate(memory: MachineMemory): Uint8Array<ArrayBuffer> {
  const m = new ModuleWriter();
  m.importMemory("e", "memory", memory.memory.buffer.byteLength / 65536);
  const handler = m.type(["i32", "i32"], ["i32"]);
  m.importFunction("e", "lookupCode", m.type(["i32", "i32", "i64"], ["i32"]));
  m.importFunction("e", "leaveGate", handler);
  m.addFunction(handler, new Gate(memory).body(), "gate");
  return m.toBytes();
}

class Gate extends GateEmitter {
  body(): FunctionBody {
    this.leaveIf(this.eqz(this.stateLoad("i32", S.PV_GATE)));
    this.leaveIf(this.ne(this.stateLoad("i32", S.CODE_MODE), this.i32(2)));
    this.leaveIf(this.stateLoad("i32", S.STEP_MODE));
    this.leaveIf(this.and(this.stateLoad("i32", S.EFLAGS), this.i32(SPECIAL)));
    // Another TLB is in place while every access is looked at.
    this.leaveIf(this.ne(this.stateLoad("i32", S.TLB), this.stateLoad("i32", S.SPACE)));
    this.if(
      this.stateLoad("i32", S.PV_KERNEL),
      () => this.#hypercall(),
      () => this.#bounce(),
    );
    this.unreachable();
    return this.finish();
  }

  /** Makes a slot and its root the current ones, and exchanges the GS bases: guest-mode.ts. */
  #toggleMode(space: Value, root: number, kernel: 0 | 1): void {
    const gs = S.SEG_BASE + 8 * Seg.GS;
    const active = this.let(this.stateLoad("i64", gs));
    this.stateStore("i64", gs, this.stateLoad("i64", S.KERNEL_GS_BASE));
    this.stateStore("i64", S.KERNEL_GS_BASE, active);
    this.stateStore("i32", S.PV_KERNEL, this.i32(kernel));
    this.stateStore("i64", S.CR3, this.stateLoad("i64", root));
    this.stateStore("i32", S.SPACE, space);
    this.stateStore("i32", S.TLB, space);
    this.stateStore("i32", S.CODE_TLB, this.add(space, this.i32(TLB_BYTES)));
  }

  /** The flat segments of 64-bit code, under the given selectors. */
  #loadSegments(cs: Value, ss: Value): void {
    for (const [segment, selector, descriptor] of [
      [Seg.CS, cs, FLAT_CODE],
      [Seg.SS, ss, FLAT_DATA],
    ] as const) {
      const { base, limit, attributes } = unpackDescriptor(descriptor);
      this.stateStore("i32", S.SEG_SELECTOR + 4 * segment, selector);
      this.stateStore("i64", S.SEG_BASE + 8 * segment, this.i64(base));
      this.stateStore("i32", S.SEG_LIMIT + 4 * segment, this.i32(limit | 0));
      this.stateStore("i32", S.SEG_ATTR + 4 * segment, this.i32(attributes));
    }
    this.stateStore("i32", S.STACK_MASK, this.i32(-1));
  }

  /** Leaves unless a selector is Xen's flat one, or names the same descriptor in the first frame of the guest's GDT. */
  #requireFlat(selector: Value, flat: number, descriptor: bigint): void {
    this.if(this.ne(selector, this.i32(flat)), () => {
      const at = this.let(this.and(selector, this.i32(0xfff8)));
      const inside = this.ltU(at, this.stateLoad("i32", S.PV_GDT_BYTES));
      const global = this.eqz(this.and(selector, this.i32(TABLE_INDICATOR)));
      this.leaveIf(this.eqz(this.and(this.and(inside, global), this.ne(at, this.i32(0)))));
      this.leaveIf(this.ne(this.load("i64", this.add(this.stateLoad("i32", S.PV_GDT), at)), this.i64(descriptor)));
    });
  }

  #bounce(): void {
    const callback = this.let(this.stateLoad("i64", S.PV_SYSCALL));
    this.leaveIf(this.eqz(callback));
    const space = this.let(this.stateLoad("i32", S.PV_KERNEL_SPACE));
    this.leaveIf(this.eqz(space));
    const top = this.let(this.and(this.stateLoad("i64", S.PV_KERNEL_SP), this.i64(-16)));
    const bottom = this.let(this.sub(top, this.i64(BOUNCE_BYTES)));
    this.leaveIf(this.inHole(bottom, top));
    const frame = this.probe(space, bottom, BOUNCE_BYTES, TLB_WRITE);
    const oldMask = this.let(this.load("i32_8u", this.stateLoad("i32", S.PV_INFO), VCPU_INFO_UPCALL_MASK));
    const masks = this.stateLoad("i32", S.PV_SYSCALL_MASKS);
    const storeMask = this.upcallMask(this.let(this.select(this.and(masks, this.eqz(oldMask)), this.i32(1), oldMask)));

    const rip = this.nextRip();
    const rflags = this.let(this.eflags());
    const shown = this.or(
      this.or(this.and(rflags, this.i32(~(S.IF | S.IOPL))), this.stateLoad("i32", S.PV_IOPL)),
      this.select(oldMask, this.i32(0), this.i32(S.IF)),
    );
    const cs = this.or(this.i64(FLAT_USER_CS64), this.shl(this.extendU(oldMask), this.i64(32)));
    const rsp = this.gpr(Reg.RSP, 64);
    const words = [rip, this.extendU(rflags), rip, cs, this.extendU(shown), rsp, this.i64(FLAT_USER_SS64)];
    words.forEach((word, i) => {
      this.store("i64", frame, word, 8 * i);
    });
    storeMask();

    this.setGpr(Reg.RCX, 64, rip);
    this.setGpr(Reg.R11, 64, this.extendU(rflags));
    this.setGpr(Reg.RSP, 64, bottom);
    const kept = this.and(this.stateLoad("i32", S.EFLAGS), this.i32(~CLEARED_ON_ENTRY));
    this.stateStore("i32", S.EFLAGS, this.or(kept, this.i32(S.IF)));
    this.#toggleMode(space, S.PV_KERNEL_ROOT, 1);
    this.#loadSegments(this.i32(FLAT_KERNEL_CS64), this.i32(FLAT_KERNEL_SS64));
    this.count(S.PV_SYSCALL_COUNT);
    this.continueAt(callback);
  }

  #hypercall(): void {
    const number = this.let(this.stateLoad("i32", S.GPR + 8 * Reg.RAX));
    this.if(this.eq(number, this.i32(__HYPERVISOR_mmu_update)), () => emitMmuUpdate(this));
    this.if(this.eq(number, this.i32(__HYPERVISOR_stack_switch)), () => emitStackSwitch(this));
    this.if(this.eq(number, this.i32(__HYPERVISOR_set_segment_base)), () => emitSetSegmentBase(this));
    this.leaveIf(this.ne(number, this.i32(__HYPERVISOR_iret)));
    const frame = this.probe(this.stateLoad("i32", S.SPACE), this.gpr(Reg.RSP, 64), IRET_BYTES, TLB_READ);
    const word = (offset: number) => this.let(this.load("i64", frame, offset));
    const rflags = this.let(this.load("i32", frame, Iret.Rflags));
    this.leaveIf(this.and(rflags, this.i32(SPECIAL)));
    const iopl = this.and(rflags, this.stateLoad("i32", S.PV_IOPL_MASK));
    this.leaveIf(this.ne(iopl, this.stateLoad("i32", S.PV_IOPL)));
    const selector = (offset: number) =>
      this.let(this.or(this.and(this.load("i32", frame, offset), this.i32(0xffff)), this.i32(3)));
    const [cs, ss] = [selector(Iret.Cs), selector(Iret.Ss)];
    this.#requireFlat(cs, FLAT_USER_CS64, FLAT_CODE);
    this.#requireFlat(ss, FLAT_USER_SS64, FLAT_DATA);
    const inSyscall = this.let(this.and(this.load("i32", frame, Iret.Flags), this.i32(VGCF_in_syscall)));
    const rip = word(Iret.Rip);
    const high = this.let(this.shrS(rip, this.i64(47)));
    this.leaveIf(this.eqz(this.or(this.eqz(high), this.eq(high, this.i64(-1)))));
    const toUser = this.let(this.eq(this.and(this.load("i32", frame, Iret.Cs), this.i32(3)), this.i32(3)));
    const space = this.let(this.stateLoad("i32", S.PV_USER_SPACE));
    this.leaveIf(this.and(toUser, this.eqz(space)));
    const storeMask = this.upcallMask(this.let(this.eqz(this.and(rflags, this.i32(S.IF)))));

    const [rax, r11, rcx, rsp] = [word(Iret.Rax), word(Iret.R11), word(Iret.Rcx), word(Iret.Rsp)];
    storeMask();
    this.setStatusFlags(rflags);
    this.stateStore("i32", S.EFLAGS, this.or(this.and(rflags, this.i32(LOADABLE)), this.i32(S.IF | 2)));
    this.setGpr(Reg.RAX, 64, rax);
    this.setGpr(Reg.RSP, 64, rsp);
    this.if(
      inSyscall,
      () => {
        const loaded = this.and(rflags, this.i32(LOADABLE | S.STATUS_FLAGS));
        this.setGpr(Reg.R11, 64, this.extendU(this.or(loaded, this.i32(S.IF | 2))));
        this.setGpr(Reg.RCX, 64, rip);
      },
      () => {
        this.setGpr(Reg.R11, 64, r11);
        this.setGpr(Reg.RCX, 64, rcx);
      },
    );
    this.if(toUser, () => this.#toggleMode(space, S.PV_USER_ROOT, 0));
    this.#loadSegments(
      this.select(inSyscall, this.i32(FLAT_USER_CS64), cs),
      this.select(inSyscall, this.i32(FLAT_USER_SS64), ss),
    );
    this.count(S.PV_IRET_COUNT);
    this.continueAt(rip);
  }
}
