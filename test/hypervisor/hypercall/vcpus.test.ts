import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { ExitKind } from "../../../src/cpu/exit.js";
import { Reg } from "../../../src/cpu/state-layout.js";
import { auditFrames } from "../../../src/hypervisor/audit.js";
import { copyFromGuest, copyToGuest } from "../../../src/hypervisor/guest-access.js";
import { eventChannelOp } from "../../../src/hypervisor/hypercall/event-channel.js";
import { mmuextOp } from "../../../src/hypervisor/hypercall/mmuext.js";
import { schedOp } from "../../../src/hypervisor/hypercall/sched.js";
import { updateVaMapping } from "../../../src/hypervisor/hypercall/update-va-mapping.js";
import { vcpuOp } from "../../../src/hypervisor/hypercall/vcpu.js";
import type { Domain, Vcpu } from "../../../src/hypervisor/hypervisor.js";
import {
  VGCF_I387_VALID,
  VGCF_IN_KERNEL,
  VGCF_online,
  vcpu_guest_context,
} from "../../../src/hypervisor/public/arch-x86/xen.js";
import { errno } from "../../../src/hypervisor/public/errno.js";
import { EVTCHNOP_bind_ipi, EVTCHNOP_bind_vcpu, EVTCHNOP_send } from "../../../src/hypervisor/public/event-channel.js";
import { SCHEDOP_block, SCHEDOP_poll, SHUTDOWN_poweroff } from "../../../src/hypervisor/public/sched.js";
import * as V from "../../../src/hypervisor/public/vcpu.js";
import {
  MMUEXT_INVLPG_ALL,
  MMUEXT_INVLPG_MULTI,
  MMUEXT_TLB_FLUSH_ALL,
  MMUEXT_TLB_FLUSH_MULTI,
  VIRQ_TIMER,
  vcpu_info,
} from "../../../src/hypervisor/public/xen.js";
import { readGuestContext } from "../../../src/hypervisor/pv/read-context.js";
import { runVcpu } from "../../../src/hypervisor/run-vcpu.js";
import {
  BASE,
  call,
  FREE_PFN,
  type Host,
  makeDomain,
  makeHost,
  otherReferences,
  putWords,
  va,
} from "../hypervisor-fixture.js";

const ARGS = va(FREE_PFN);
const DATA = va(FREE_PFN + 8);
const CODE = va(FREE_PFN + 9);
const ENTRY = BASE + 0x10_0000n;
const UPCALL_PENDING = vcpu_info.offset(64, "evtchn_upcall_pending");

/** RAX = [RDI]; [RDI + 8] = RAX; again. */
const COPY_LOOP = [0x48, 0x8b, 0x07, 0x48, 0x89, 0x47, 0x08, 0xeb, 0xf7];
/** [RDI + 16] = 1; again. */
const NOTE_LOOP = [0xb8, 1, 0, 0, 0, 0x89, 0x47, 0x10, 0xeb, 0xf6];
/** byte [RSI + 1] = 2; again: what NOTE_LOOP at RSI notes becomes 2. */
const PATCH_LOOP = [0xc6, 0x46, 0x01, 0x02, 0xeb, 0xfa];
/** Waits for [RDI] to become nonzero as locks do, then [RDI + 24] = 1 for ever. */
const SPIN = [0x48, 0x83, 0x3f, 0, 0x75, 4, 0xf3, 0x90, 0xeb, 0xf6, 0xc6, 0x47, 0x18, 1, 0xeb, 0xfa];
/** Counts ECX down from 500, then SCHEDOP_yield; again. */
const YIELD_LOOP = [0xb9, 0xf4, 1, 0, 0, 0xff, 0xc9, 0x75, 0xfc, 0xb8, 29, 0, 0, 0, 0x31, 0xff, 0x0f, 5, 0xeb, 0xec];

let host: Host;
let domain: Domain;
let p2m: Uint32Array;
let v0: Vcpu;
let v1: Vcpu;

function build(options: { jit?: boolean; nsPerLook?: bigint } = {}): void {
  host = makeHost(8192, options);
  const guest = makeDomain(host, false, { vcpus: 3 });
  ({ domain, vcpu: v0, p2m } = guest);
  v1 = domain.vcpus[1]!;
}
beforeEach(() => build());

const blank = (type: { size(abi: 64): number }) => new Uint8Array(type.size(64));

function context(overrides: { rip?: bigint; rflags?: bigint; flags?: number } = {}) {
  const { rip = ENTRY, rflags = 0n, flags = VGCF_IN_KERNEL } = overrides;
  const empty = vcpu_guest_context.decode(blank(vcpu_guest_context), 64);
  const cr3 = BigInt(v0.pv.guestTable) << 12n;
  return vcpu_guest_context.encode(64, {
    ...empty,
    flags: BigInt(flags),
    user_regs: { ...empty.user_regs, rip, rflags, rdi: DATA, rsp: va(FREE_PFN + 20) },
    ctrlreg: empty.ctrlreg.map((value: bigint, i: number) => (i === 3 ? cr3 : value)),
    kernel_sp: va(FREE_PFN + 20),
  });
}

/** Arguments of a call that takes the address of a struct. */
function put(bytes: Uint8Array): bigint {
  expect(copyToGuest(v0, ARGS, bytes)).toBe(true);
  return ARGS;
}

const vcpu = (command: number, target: number, va = 0n, caller = v0) => call(vcpuOp, caller, command, target, va);

function initialise(overrides = {}): number | bigint | undefined {
  return vcpu(V.VCPUOP_initialise, 1, put(context(overrides)));
}

function start(code: readonly number[]): void {
  expect(copyToGuest(v0, CODE, Uint8Array.from(code))).toBe(true);
  expect(initialise({ rip: CODE, flags: VGCF_IN_KERNEL | VGCF_online })).toBe(0);
}

const word = (address: bigint) => {
  const bytes = copyFromGuest(v0, address, 8)!;
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
};
const upcalls = () => domain.vcpus.map(({ infoAddress }) => host.memory.readU8(infoAddress + UPCALL_PENDING));

describe("vCPUs come and go", () => {
  it("starts with the registers it was given, its IOPL virtual", () => {
    expect(initialise({ flags: 0 })).toBe(-errno.EINVAL);
    expect(initialise({ rip: 1n << 62n })).toBe(-errno.EINVAL);
    expect(vcpu(V.VCPUOP_up, 1)).toBe(-errno.EINVAL);
    expect(initialise({ rflags: 0x1000n })).toBe(0);
    expect(initialise()).toBe(-errno.EEXIST);
    expect(v1.cpu.state.gpr(Reg.RDI)).toBe(DATA);
    // Linux reaches for PCI ports on its second CPU before anything else.
    expect([v1.pv.iopl, v1.cpu.state.rflags & 0x3000n]).toEqual([1, 0n]);
    expect(vcpu(V.VCPUOP_is_up, 1)).toBe(0);
    expect(runVcpu(v1, 100)).toBe(0);
    expect(vcpu(V.VCPUOP_up, 1)).toBe(0);
    expect(vcpu(V.VCPUOP_is_up, 1)).toBe(1);
    expect(vcpu(V.VCPUOP_is_up, 3)).toBe(-errno.ENOENT);
  });

  it("starts with the FPU it was given, which a core has too", () => {
    const image = new Uint8Array(512);
    const view = new DataView(image.buffer);
    view.setUint16(0, 0x27f, true); // control: double precision
    view.setUint16(2, 6 << 11, true); // two values on the stack
    image[4] = 0xc0;
    view.setBigUint64(32, 0x8000_0000_0000_0000n, true); // ST(0) = 1
    view.setUint16(40, 0x3fff, true);
    view.setBigUint64(48, 0xc000_0000_0000_0000n, true); // ST(1) = 3
    view.setUint16(56, 0x4000, true);
    view.setUint32(24, 0x9fc0, true); // MXCSR: flush to zero, denormals are zeros
    view.setUint32(28, 0xffff, true);
    for (let i = 0; i < 256; i++) image[160 + i] = i;
    const fields = vcpu_guest_context.decode(context(), 64);
    const given = (fpu_ctxt: Uint8Array, flags: number) =>
      put(vcpu_guest_context.encode(64, { ...fields, fpu_ctxt, flags: BigInt(VGCF_IN_KERNEL | flags) }));
    expect(vcpu(V.VCPUOP_initialise, 1, given(image, VGCF_I387_VALID))).toBe(0);
    const core = vcpu_guest_context.decode(readGuestContext(v1), 64);
    expect([core.fpu_ctxt, Number(core.flags) & VGCF_I387_VALID]).toEqual([image, VGCF_I387_VALID]);
    // With an MXCSR that no processor loads it is as after a reset.
    view.setUint32(24, 0x1_0000, true);
    expect(vcpu(V.VCPUOP_initialise, 2, given(image, VGCF_I387_VALID))).toBe(0);
    const reset = vcpu_guest_context.decode(readGuestContext(domain.vcpus[2]!), 64).fpu_ctxt as Uint8Array;
    expect([reset[0], reset[1], reset[4], reset[24], reset[25]]).toEqual([0x7f, 3, 0, 0x80, 0x1f]);
    expect(reset.subarray(160, 416).every((byte) => byte === 0)).toBe(true);
  });

  it("goes down and up again where it was; the last one takes the domain along", () => {
    start(COPY_LOOP);
    putWords(v0, DATA, [5n]);
    runVcpu(v1, 100);
    expect(word(DATA + 8n)).toBe(5n);
    const { rip } = v1.cpu.state;
    expect(vcpu(V.VCPUOP_down, 1)).toBe(0);
    expect([runVcpu(v1, 100), v1.cpu.state.rip]).toEqual([0, rip]);
    expect(vcpu(V.VCPUOP_up, 1)).toBe(0);
    expect(runVcpu(v1, 100)).toBe(100);
    expect(vcpu(V.VCPUOP_down, 0)).toBe(0);
    expect(domain.isShutDown).toBe(false);
    expect(vcpu(V.VCPUOP_down, 1)).toBe(0);
    expect(domain.shutdownReason).toBe(SHUTDOWN_poweroff);
  });

  it("whatever it is initialised with: no exception, no reference lost", () => {
    const other = makeDomain(host, true);
    const empty = vcpu_guest_context.decode(context(), 64);
    const frame = fc.oneof(
      fc.bigInt(0n, 2n ** 64n - 1n),
      fc
        .constantFrom(v0.pv.guestTable, p2m[FREE_PFN]!, p2m[FREE_PFN + 1]!, other.p2m[FREE_PFN]!, 0, 8191, 8192)
        .map(BigInt),
    );
    const entries = fc.oneof(fc.bigInt(0n, 2n ** 64n - 1n), fc.bigInt(0n, 8000n));
    const values = fc.tuple(fc.array(frame, { minLength: 16, maxLength: 16 }), entries, frame, frame, entries, entries);
    fc.assert(
      fc.property(values, ([gdt_frames, gdt_ents, kernelRoot, userRoot, ldt_base, ldt_ents]) => {
        const ctrlreg = empty.ctrlreg.map((value: bigint, i: number) =>
          BigInt.asUintN(64, i === 3 ? kernelRoot << 12n : i === 1 ? userRoot << 12n : value),
        );
        const bytes = vcpu_guest_context.encode(64, { ...empty, gdt_frames, gdt_ents, ctrlreg, ldt_base, ldt_ents });
        vcpu(V.VCPUOP_initialise, 1, put(bytes));
        v1.isInitialised = false;
        expect(auditFrames(host.hypervisor.mm, otherReferences([domain, other.domain]))).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it("tells its run state, and writes it where it was asked to", () => {
    const stateOf = (id: number) => {
      expect(vcpu(V.VCPUOP_get_runstate_info, id, ARGS)).toBe(0);
      return V.vcpu_runstate_info.decode(copyFromGuest(v0, ARGS, 48)!, 64);
    };
    expect(stateOf(1).state).toBe(V.RUNSTATE_offline);
    putWords(v0, ARGS, [DATA + 0x100n]);
    expect(vcpu(V.VCPUOP_register_runstate_memory_area, 1, ARGS)).toBe(0);
    start(COPY_LOOP);
    expect(stateOf(1).state).toBe(V.RUNSTATE_runnable);
    runVcpu(v1, 1000);
    const seen = V.vcpu_runstate_info.decode(copyFromGuest(v0, DATA + 0x100n, 48)!, 64);
    expect([seen.state, seen.time[V.RUNSTATE_running]! > 0n]).toEqual([V.RUNSTATE_runnable, true]);
    call(schedOp, v1, SCHEDOP_block, 0n);
    expect(stateOf(1).state).toBe(V.RUNSTATE_blocked);
    expect(stateOf(0).state).toBe(V.RUNSTATE_runnable);
  });

  it("takes a vcpu_info of its own, once, and for another one only while that is down", () => {
    const info = (pfn: number, offset: number) =>
      put(V.vcpu_register_vcpu_info.encode(64, { mfn: BigInt(p2m[pfn]!), offset, rsvd: 0 }));
    expect(initialise()).toBe(0);
    expect(vcpu(V.VCPUOP_register_vcpu_info, 1, info(FREE_PFN + 10, 4090))).toBe(-errno.EINVAL);
    expect(vcpu(V.VCPUOP_register_vcpu_info, 1, info(FREE_PFN + 10, 64))).toBe(0);
    expect(vcpu(V.VCPUOP_register_vcpu_info, 1, info(FREE_PFN + 10, 128))).toBe(-errno.EINVAL);
    expect(v1.infoAddress).toBe(p2m[FREE_PFN + 10]! * 4096 + 64);
    expect(vcpu(V.VCPUOP_register_vcpu_info, 0, info(FREE_PFN + 10, 128), v1)).toBe(-errno.EINVAL);
    expect(vcpu(V.VCPUOP_register_vcpu_info, 0, info(FREE_PFN + 10, 128))).toBe(0);
  });
});

describe("events and timers of each vCPU", () => {
  const bindIpi = (id: number) => {
    putWords(v0, ARGS, [id]);
    expect(call(eventChannelOp, v0, EVTCHNOP_bind_ipi, ARGS)).toBe(0);
    return Number(word(ARGS) >> 32n);
  };
  const send = (port: number) => {
    putWords(v0, ARGS, [port]);
    expect(call(eventChannelOp, v0, EVTCHNOP_send, ARGS)).toBe(0);
  };
  const unmask = (port: number) => domain.events.unmask(port);

  it("an IPI wakes the vCPU it is bound to and no other", () => {
    start(COPY_LOOP);
    const port = bindIpi(1);
    unmask(port);
    call(schedOp, v1, SCHEDOP_block, 0n);
    expect(v1.isRunnable).toBe(false);
    send(port);
    expect([v1.isRunnable, upcalls()]).toEqual([true, [0, 1, 0]]);
    putWords(v0, ARGS, [BigInt(port) | (2n << 32n)]);
    expect(call(eventChannelOp, v0, EVTCHNOP_bind_vcpu, ARGS)).toBe(-errno.EINVAL);
  });

  it("timers: single-shot for oneself, periodic for anyone, each its own VIRQ", () => {
    start(COPY_LOOP);
    const ports = [0, 1].map((id) => domain.events.bindVirq(VIRQ_TIMER, id));
    ports.forEach(unmask);
    call(schedOp, v1, SCHEDOP_block, 0n);
    const single = (at: bigint, flags = 0) =>
      put(V.vcpu_set_singleshot_timer.encode(64, { timeout_abs_ns: at, flags }));
    expect(vcpu(V.VCPUOP_set_singleshot_timer, 1, single(1n))).toBe(-errno.EINVAL);
    expect(vcpu(V.VCPUOP_set_singleshot_timer, 1, single(1n, V.VCPU_SSHOTTMR_future), v1)).toBe(-errno.ETIME);
    const at = host.hypervisor.time.now() + 50_000n;
    expect(vcpu(V.VCPUOP_set_singleshot_timer, 1, single(at), v1)).toBe(0);
    expect(vcpu(V.VCPUOP_stop_singleshot_timer, 1, 0n, v1)).toBe(0);
    expect(host.hypervisor.nextDeadline()).toBeUndefined();
    expect(vcpu(V.VCPUOP_set_singleshot_timer, 1, single(at), v1)).toBe(0);
    expect(host.hypervisor.nextDeadline()).toBe(at);
    while (host.hypervisor.time.now() < at) host.hypervisor.runTimers();
    host.hypervisor.runTimers();
    expect([v1.isRunnable, upcalls()]).toEqual([true, [0, 1, 0]]);

    const period = (ns: bigint) => put(V.vcpu_set_periodic_timer.encode(64, { period_ns: ns }));
    expect(vcpu(V.VCPUOP_set_periodic_timer, 1, period(999_999n))).toBe(-errno.EINVAL);
    expect(vcpu(V.VCPUOP_set_periodic_timer, 1, period(1_000_000n))).toBe(0);
    expect(host.hypervisor.nextDeadline()).toBeDefined();
    expect(vcpu(V.VCPUOP_stop_periodic_timer, 1)).toBe(0);
    expect(host.hypervisor.nextDeadline()).toBeUndefined();
  });

  it("two vCPUs poll different ports", () => {
    start(COPY_LOOP);
    const ports = [bindIpi(0), bindIpi(1)];
    const poll = (caller: Vcpu, port: number) => {
      putWords(v0, ARGS + 64n, [port]);
      putWords(v0, ARGS, [ARGS + 64n, 1n, 0n]);
      return call(schedOp, caller, SCHEDOP_poll, ARGS);
    };
    expect(poll(v0, ports[0]!)).toBe(0);
    expect(poll(v1, ports[1]!)).toBe(0);
    expect([v0.isBlocked, v1.isBlocked]).toEqual([true, true]);
    send(ports[1]!);
    expect([v0.isBlocked, v1.isBlocked]).toEqual([true, false]);
    expect(poll(v1, ports[1]!)).toBe(0); // pending already
    expect(v1.isBlocked).toBe(false);
  });
});

describe("what one vCPU changes the others see", () => {
  const mfn = (pfn: number) => BigInt(p2m[pfn]!);
  const map = (address: bigint, pfn: number, flags = 0) =>
    expect(call(updateVaMapping, v0, address, (mfn(pfn) << 12n) | 0x67n, flags)).toBe(0);
  const mmuext = (cmd: number, arg1 = 0n, arg2 = 0n) => {
    putWords(v0, ARGS, [cmd, arg1, arg2]);
    return call(mmuextOp, v0, ARGS, 1, 0n, 0x7ff0);
  };

  it("mappings, at the latest after each kind of flush", () => {
    start(COPY_LOOP);
    const mask = ARGS + 128n;
    putWords(v0, mask, [2]);
    const flushes: [number, bigint, bigint][] = [
      [MMUEXT_TLB_FLUSH_ALL, 0n, 0n],
      [MMUEXT_TLB_FLUSH_MULTI, 0n, mask],
      [MMUEXT_INVLPG_ALL, DATA, 0n],
      [MMUEXT_INVLPG_MULTI, DATA, mask],
    ];
    for (const [i, [cmd, arg1, arg2]] of flushes.entries()) {
      const value = BigInt(100 + i);
      const pfn = FREE_PFN + 30 + i;
      putWords(v0, va(pfn), [value, 0]);
      runVcpu(v1, 100);
      map(DATA, pfn);
      expect(mmuext(cmd, arg1, arg2)).toBe(0);
      runVcpu(v1, 100);
      expect([word(DATA), word(va(pfn) + 8n)]).toEqual([value, value]);
    }
    expect(mmuext(MMUEXT_TLB_FLUSH_MULTI, 0n, 0x1234_0000_0000n)).toBe(-errno.EFAULT);
  });

  it("a frame that stops being writable, without being asked to flush", () => {
    start(COPY_LOOP);
    putWords(v0, DATA, [7]);
    runVcpu(v1, 100);
    expect(call(updateVaMapping, v0, DATA, (mfn(FREE_PFN + 8) << 12n) | 0x65n, 0)).toBe(0);
    putWords(v0, va(FREE_PFN + 31), [0]); // the other kernel stack: it may not be entered
    runVcpu(v1, 100);
    expect(domain.isShutDown).toBe(true); // #PF without a handler
  });

  it("code", () => {
    start(NOTE_LOOP);
    runVcpu(v1, 1000);
    expect(word(DATA + 16n)).toBe(1n);
    const patcher = va(FREE_PFN + 11);
    expect(copyToGuest(v0, patcher, Uint8Array.from(PATCH_LOOP))).toBe(true);
    v0.cpu.state.rip = patcher;
    v0.cpu.state.setGpr(Reg.RSI, CODE);
    runVcpu(v0, 50);
    runVcpu(v1, 1000);
    expect(word(DATA + 16n)).toBe(2n);
  });

  it("a lock that its holder lets go: who waits with PAUSE gives way soon", () => {
    start(SPIN);
    putWords(v0, DATA, [0, 0, 0, 0]);
    expect(runVcpu(v1, 1_000_000)).toBeLessThan(2000);
    expect(v1.hasYielded).toBe(true);
    putWords(v0, DATA, [1]);
    expect(runVcpu(v1, 1000)).toBeGreaterThanOrEqual(1000);
    expect([word(DATA + 24n), v1.hasYielded]).toEqual([1n, false]);
  });

  it("gives way when its turn has taken some milliseconds, whatever is left of its budget", () => {
    const executed = (nsPerLook: bigint) => {
      build({ nsPerLook });
      start(COPY_LOOP);
      return runVcpu(v1, 800_000);
    };
    expect(executed(0n)).toBe(800_000);
    expect(executed(1_000_000n)).toBeLessThan(400_000);
  });

  it("is looked at after so many instructions, however short its turns: the JIT learns there what runs", () => {
    start(YIELD_LOOP);
    const looks = () => host.hypervisor.exitCounts[ExitKind.Budget] ?? 0;
    for (let turn = 0; turn < 50; turn++) expect(runVcpu(v1, 2_000_000)).toBeLessThan(2000);
    expect(looks()).toBe(0);
    for (let turn = 0; turn < 50; turn++) runVcpu(v1, 20_000);
    expect(looks()).toBe(5);
  });

  it("gives way after the same instruction when the wait is compiled code", () => {
    const trace = (jit: boolean) => {
      build({ jit });
      start(SPIN);
      putWords(v0, DATA, [0, 0, 0, 0]);
      const turns = [];
      for (let i = 0; i < 3000; i++) turns.push([runVcpu(v1, 10_000), v1.cpu.state.rip, v1.hasYielded]);
      putWords(v0, DATA, [1]);
      turns.push([runVcpu(v1, 10_000), v1.cpu.state.rip, v1.hasYielded]);
      return { turns, regions: host.engine.jit?.regions ?? 0 };
    };
    const compiled = trace(true);
    const interpreted = trace(false);
    expect([compiled.regions > 0, interpreted.regions]).toEqual([true, 0]);
    expect(compiled.turns).toEqual(interpreted.turns);
  });
});
