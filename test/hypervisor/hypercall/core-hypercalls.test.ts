import { beforeEach, describe, expect, test } from "vitest";
import { Reg } from "../../../src/cpu/state-layout.js";
import { copyFromGuest, copyToGuest, readU32, readU64 } from "../../../src/hypervisor/guest-access.js";
import { consoleIo } from "../../../src/hypervisor/hypercall/console-io.js";
import { dispatchHypercall } from "../../../src/hypervisor/hypercall/dispatch.js";
import { domctl } from "../../../src/hypervisor/hypercall/domctl.js";
import { physdevOp } from "../../../src/hypervisor/hypercall/physdev.js";
import { platformOp } from "../../../src/hypervisor/hypercall/platform.js";
import { schedOp } from "../../../src/hypervisor/hypercall/sched.js";
import { sysctl } from "../../../src/hypervisor/hypercall/sysctl.js";
import { buildTable, hypercallName } from "../../../src/hypervisor/hypercall/table.js";
import { setTimerOp } from "../../../src/hypervisor/hypercall/timer.js";
import { vcpuOp } from "../../../src/hypervisor/hypercall/vcpu.js";
import { vmAssist } from "../../../src/hypervisor/hypercall/vm-assist.js";
import { xenVersion } from "../../../src/hypervisor/hypercall/xen-version.js";
import * as D from "../../../src/hypervisor/public/domctl.js";
import { errno } from "../../../src/hypervisor/public/errno.js";
import { PHYSDEVOP_apic_read, PHYSDEVOP_set_iopl, physdev_apic } from "../../../src/hypervisor/public/physdev.js";
import * as P from "../../../src/hypervisor/public/platform.js";
import * as S from "../../../src/hypervisor/public/sched.js";
import * as Y from "../../../src/hypervisor/public/sysctl.js";
import * as V from "../../../src/hypervisor/public/vcpu.js";
import * as X from "../../../src/hypervisor/public/xen.js";
import { call, FREE_PFN, type Host, makeDomain, makeHost, putWords, va } from "../hypervisor-fixture.js";

const ARGUMENT = va(FREE_PFN);
const SYSCALL = 2n;

type Guest = ReturnType<typeof makeDomain>;

let host: Host;
let dom0: Guest;
let domU: Guest;
beforeEach(() => {
  host = makeHost();
  dom0 = makeDomain(host, true);
  domU = makeDomain(host, false);
});

function put(guest: Guest, bytes: Uint8Array, at = ARGUMENT): bigint {
  expect(copyToGuest(guest.vcpu, at, bytes)).toBe(true);
  return at;
}

/** Issues the hypercall through the registers, as SYSCALL does. */
function issue(guest: Guest, number: number, ...values: (bigint | number)[]): bigint {
  const { state } = guest.vcpu.cpu;
  state.setGpr(Reg.RAX, BigInt(number));
  const registers = [Reg.RDI, Reg.RSI, Reg.RDX, Reg.R10, Reg.R8, Reg.R9];
  for (const [i, value] of values.entries()) state.setGpr(registers[i]!, BigInt.asUintN(64, BigInt(value)));
  state.rip = 0x1002n;
  dispatchHypercall(guest.vcpu);
  return BigInt.asIntN(64, state.gpr(Reg.RAX));
}

describe("dispatch", () => {
  test("the result is in RAX, sign-extended; unknown numbers are -ENOSYS and logged once", () => {
    expect(issue(domU, X.__HYPERVISOR_xen_version, 0)).toBe(0x40011n);
    expect(issue(domU, 61, 0)).toBe(BigInt(-errno.ENOSYS));
    expect(issue(domU, 61, 0)).toBe(BigInt(-errno.ENOSYS));
    expect(issue(domU, 0xffffffff)).toBe(BigInt(-errno.ENOSYS));
    expect(host.log.filter((line) => line.includes("unknown hypercall 61"))).toHaveLength(1);
  });

  test("two rows with one number are refused, naming both", () => {
    const row = (name: string) => ({ number: 5, name, pv64: () => 0 });
    expect(() => buildTable([row("a"), row("b")])).toThrow("hypercall 5 is both a and b");
    expect(hypercallName(X.__HYPERVISOR_mmuext_op)).toBe("mmuext_op");
  });

  test("a call that goes on later leaves RIP on the instruction and what is left in the registers", () => {
    const count = 20000;
    expect(issue(dom0, X.__HYPERVISOR_console_io, X.CONSOLEIO_write, count, va(0x100))).toBe(
      BigInt(X.__HYPERVISOR_console_io),
    );
    const { state } = dom0.vcpu.cpu;
    expect(state.rip).toBe(0x1002n - SYSCALL);
    expect([state.gpr(Reg.RSI), state.gpr(Reg.RDX)]).toEqual([BigInt(count - 16384), va(0x104)]);
  });
});

describe("multicall", () => {
  const entry = (op: number, ...args: (bigint | number)[]) => [op, 0, ...args, ...new Array(6 - args.length).fill(0)];

  test("runs each entry and stores its result", () => {
    putWords(domU.vcpu, ARGUMENT, [
      ...entry(X.__HYPERVISOR_xen_version, 0),
      ...entry(X.__HYPERVISOR_vm_assist, 0, 99),
      ...entry(62),
    ]);
    expect(issue(domU, X.__HYPERVISOR_multicall, ARGUMENT, 3)).toBe(0n);
    const results = [0, 1, 2].map((i) => BigInt.asIntN(64, readU64(domU.vcpu, ARGUMENT + BigInt(i * 64 + 8))!));
    expect(results).toEqual([0x40011n, BigInt(-errno.EINVAL), BigInt(-errno.ENOSYS)]);
  });

  test("an entry may lie in two pages", () => {
    const behind = va(FREE_PFN + 1);
    const elsewhere = (BigInt(domU.p2m[FREE_PFN + 5]!) << 12n) | 0x67n;
    expect(issue(domU, X.__HYPERVISOR_update_va_mapping, behind, elsewhere, X.UVMF_INVLPG)).toBe(0n);
    for (const before of [56n, 32n, 16n, 8n]) {
      const list = behind - before;
      const text = va(FREE_PFN + 7);
      // No requests: it writes to `text` that it did none of them.
      putWords(domU.vcpu, list, entry(X.__HYPERVISOR_mmu_update, text, 0, text + 8n, 0x7ff0));
      putWords(domU.vcpu, text + 8n, [2 ** 32 - 1]);
      expect(issue(domU, X.__HYPERVISOR_multicall, list, 1)).toBe(0n);
      expect([readU64(domU.vcpu, list + 8n), readU64(domU.vcpu, text + 8n)]).toEqual([0n, 0n]);
    }
  });

  test("may not be nested", () => {
    putWords(domU.vcpu, ARGUMENT, entry(X.__HYPERVISOR_multicall, ARGUMENT, 1));
    expect(issue(domU, X.__HYPERVISOR_multicall, ARGUMENT, 1)).toBe(0n);
    expect(BigInt.asIntN(64, readU64(domU.vcpu, ARGUMENT + 8n)!)).toBe(BigInt(-errno.EINVAL));
  });

  test("an entry that gives way keeps its place: the whole goes on there", () => {
    const text = va(0x100);
    const long = entry(X.__HYPERVISOR_console_io, X.CONSOLEIO_write, 20000, text);
    putWords(dom0.vcpu, ARGUMENT, [...entry(X.__HYPERVISOR_xen_version, 0), ...long]);
    issue(dom0, X.__HYPERVISOR_multicall, ARGUMENT, 2);
    const { state } = dom0.vcpu.cpu;
    expect([state.gpr(Reg.RAX), state.gpr(Reg.RDI), state.gpr(Reg.RSI)]).toEqual([13n, ARGUMENT + 64n, 1n]);
    expect(readU64(dom0.vcpu, ARGUMENT + 64n + 24n)).toBe(BigInt(20000 - 16384));
    dispatchHypercall(dom0.vcpu);
    expect([state.gpr(Reg.RAX), readU64(dom0.vcpu, ARGUMENT + 72n)]).toEqual([0n, 0n]);
  });

  test("unreadable or unaligned lists are -EFAULT", () => {
    expect(issue(domU, X.__HYPERVISOR_multicall, 0x1000, 1)).toBe(BigInt(-errno.EFAULT));
    expect(issue(domU, X.__HYPERVISOR_multicall, ARGUMENT + 1n, 1)).toBe(BigInt(-errno.EFAULT));
  });
});

describe("sched_op", () => {
  test("block waits unless an upcall is pending", () => {
    const { vcpu } = domU;
    expect(call(schedOp, vcpu, S.SCHEDOP_block)).toBe(0);
    expect([vcpu.isBlocked, vcpu.isRunnable]).toEqual([true, false]);
    const port = domU.domain.events.bindIpi(0);
    domU.domain.events.send(port); // masked: all ports start masked
    expect(vcpu.isBlocked).toBe(true);
    domU.domain.events.unmask(port);
    expect(vcpu.isBlocked).toBe(false);
    call(schedOp, vcpu, S.SCHEDOP_block);
    expect(vcpu.isBlocked).toBe(false);
  });

  test("poll ends by an event on a masked port, or by its timeout", () => {
    const { vcpu } = domU;
    const port = domU.domain.events.bindIpi(0);
    put(domU, Uint8Array.of(port, 0, 0, 0), ARGUMENT + 64n);
    const poll = (timeout: bigint) => {
      put(domU, S.sched_poll.encode(64, { ports: ARGUMENT + 64n, nr_ports: 1, timeout }));
      return call(schedOp, vcpu, S.SCHEDOP_poll, ARGUMENT);
    };
    expect(poll(0n)).toBe(0);
    expect(vcpu.isBlocked).toBe(true);
    domU.domain.events.send(port);
    expect(vcpu.isBlocked).toBe(false);
    expect(poll(0n)).toBe(0);
    expect(vcpu.isBlocked).toBe(false); // already pending
    domU.domain.events.close(port);
    poll(host.hypervisor.time.now() + 1000n);
    expect([vcpu.isBlocked, host.hypervisor.nextDeadline() !== undefined]).toEqual([true, true]);
    vcpu.wake();
    const never = ARGUMENT + 64n;
    put(domU, Uint8Array.of(0, 99, 0, 0), never);
    const bad = S.sched_poll.encode(64, { ports: never, nr_ports: 1, timeout: 0n });
    expect(call(schedOp, vcpu, S.SCHEDOP_poll, put(domU, bad))).toBe(-errno.EINVAL);
  });

  test("shutdown stops the domain with its reason", () => {
    put(domU, S.sched_shutdown.encode(64, { reason: S.SHUTDOWN_reboot }));
    call(schedOp, domU.vcpu, S.SCHEDOP_shutdown, ARGUMENT);
    expect([domU.domain.isShutDown, domU.domain.shutdownReason, domU.vcpu.isRunnable]).toEqual([true, 1, false]);
    expect(dom0.vcpu.isRunnable).toBe(true);
  });

  test("watchdog: two slots, set, stopped", () => {
    const set = (id: number, timeout: number) => {
      put(domU, S.sched_watchdog.encode(64, { id, timeout }));
      return call(schedOp, domU.vcpu, S.SCHEDOP_watchdog, ARGUMENT);
    };
    expect([set(0, 5), set(0, 5), set(0, 5), set(1, 0), set(1, 5), set(3, 1)]).toEqual([
      1,
      2,
      -errno.ENOSPC,
      0,
      -errno.EINVAL,
      -errno.EINVAL,
    ]);
  });
});

describe("vcpu_op", () => {
  test("is_up: 1 for vCPU 0, -ENOENT beyond the domain's vCPUs", () => {
    expect(call(vcpuOp, domU.vcpu, V.VCPUOP_is_up, 0)).toBe(1);
    expect(call(vcpuOp, domU.vcpu, V.VCPUOP_is_up, 1)).toBe(-errno.ENOENT);
  });

  test("register_vcpu_info moves the structure, once, into a page that stays writable", () => {
    const { vcpu } = domU;
    const mfn = domU.p2m[FREE_PFN + 1]!;
    const register = (offset: number, frame = mfn) => {
      put(domU, V.vcpu_register_vcpu_info.encode(64, { mfn: BigInt(frame), offset, rsvd: 0 }));
      return call(vcpuOp, vcpu, V.VCPUOP_register_vcpu_info, 0, ARGUMENT);
    };
    expect(register(4096 - 32)).toBe(-errno.EINVAL);
    expect(register(0, dom0.p2m[FREE_PFN]!)).toBe(-errno.EINVAL);
    expect(register(0x3c0)).toBe(0);
    expect(vcpu.infoAddress).toBe(mfn * 4096 + 0x3c0);
    expect(readU32(vcpu, va(FREE_PFN + 1) + 0x3c0n)! & 0xff).toBe(1); // told to look once
    expect(register(0)).toBe(-errno.EINVAL);
  });

  test("single-shot timer: in the past it fires at once, or is refused when told so", () => {
    const { vcpu } = domU;
    const port = domU.domain.events.bindVirq(X.VIRQ_TIMER, 0);
    const set = (timeout_abs_ns: bigint, flags = 0) => {
      put(domU, V.vcpu_set_singleshot_timer.encode(64, { timeout_abs_ns, flags }));
      return call(vcpuOp, vcpu, V.VCPUOP_set_singleshot_timer, 0, ARGUMENT);
    };
    const far = host.hypervisor.time.now() + 1_000_000_000n;
    expect(set(far)).toBe(0);
    expect(host.hypervisor.nextDeadline()).toBe(far);
    expect(domU.domain.events.isPending(port)).toBe(false);
    expect(set(0n)).toBe(0);
    expect(domU.domain.events.isPending(port)).toBe(true);
    expect(call(setTimerOp, vcpu, far)).toBe(0);
    expect(vcpu.timers.singleshot).toBe(far);
  });

  test("the runstate area shows what get_runstate_info tells", () => {
    const { vcpu } = domU;
    const area = ARGUMENT + 256n;
    put(domU, V.vcpu_register_runstate_memory_area.encode(64, { addr: area }));
    expect(call(vcpuOp, vcpu, V.VCPUOP_register_runstate_memory_area, 0, ARGUMENT)).toBe(0);
    const shown = V.vcpu_runstate_info.decode(copyFromGuest(vcpu, area, 48)!, 64);
    expect(shown.state).toBe(vcpu.runstate.state);
    expect(call(vcpuOp, vcpu, V.VCPUOP_get_runstate_info, 0, 0x1000)).toBe(-errno.EFAULT);
  });
});

describe("queries", () => {
  const text = (guest: Guest, command: number) => {
    expect(call(xenVersion, guest.vcpu, command, ARGUMENT)).toBe(0);
    return new TextDecoder().decode(copyFromGuest(guest.vcpu, ARGUMENT, 64)!).replace(/\0.*/s, "");
  };

  test("xen_version: what a domU sees", () => {
    expect([text(domU, 1), text(domU, 3), text(domU, 4), text(domU, 9)]).toEqual([
      ".7",
      expect.stringContaining("xen-3.0-x86_64"),
      "<denied>",
      "<denied>",
    ]);
    put(domU, new Uint8Array(8));
    call(xenVersion, domU.vcpu, 6, ARGUMENT);
    expect(readU32(domU.vcpu, ARGUMENT + 4n)).toBe(0x220f0);
  });

  test("vm_assist takes what exists", () => {
    expect([2, 4, 5, 32, 6, 99].map((type) => call(vmAssist, domU.vcpu, 0, type))).toEqual([
      0,
      0,
      0,
      0,
      -errno.EINVAL,
      -errno.EINVAL,
    ]);
    expect(domU.domain.assists).toBe((1 << 2) | (1 << 4) | (1 << 5));
    call(vmAssist, domU.vcpu, 1, 4);
    expect(domU.domain.assists).toBe((1 << 2) | (1 << 5));
  });

  test("the hardware is dom0's alone", () => {
    put(dom0, physdev_apic.encode(64, { apic_physbase: 0xfec00000n, reg: 1, value: 0 }));
    expect(call(physdevOp, dom0.vcpu, PHYSDEVOP_apic_read, ARGUMENT)).toBe(0);
    expect(physdev_apic.decode(copyFromGuest(dom0.vcpu, ARGUMENT, 16)!, 64).value).toBe(0x170020);
    put(domU, physdev_apic.encode(64, { apic_physbase: 0xfec00000n, reg: 1, value: 0 }));
    expect(call(physdevOp, domU.vcpu, PHYSDEVOP_apic_read, ARGUMENT)).toBe(-errno.EPERM);
    put(domU, Uint8Array.of(4, 0, 0, 0));
    expect(call(physdevOp, domU.vcpu, PHYSDEVOP_set_iopl, ARGUMENT)).toBe(-errno.EINVAL);
    expect(call(consoleIo, domU.vcpu, X.CONSOLEIO_write, 1, ARGUMENT)).toBe(-errno.EPERM);
    putWords(domU.vcpu, ARGUMENT, [BigInt(P.XENPF_INTERFACE_VERSION) << 32n]);
    expect(call(platformOp, domU.vcpu, ARGUMENT)).toBe(-errno.EPERM);
    expect(call(sysctl, domU.vcpu, ARGUMENT)).toBe(-errno.EPERM);
    expect(call(domctl, domU.vcpu, ARGUMENT)).toBe(-errno.EPERM);
  });

  test("dom0 reads its console input", () => {
    dom0.domain.console.write(new TextEncoder().encode("ls\n"));
    expect(call(consoleIo, dom0.vcpu, X.CONSOLEIO_read, 16, ARGUMENT)).toBe(3);
    expect(new TextDecoder().decode(copyFromGuest(dom0.vcpu, ARGUMENT, 3))).toBe("ls\n");
  });

  test("sysctl and domctl list the domains", () => {
    const buffer = va(FREE_PFN + 2);
    putWords(dom0.vcpu, ARGUMENT, [
      BigInt(Y.XEN_SYSCTL_getdomaininfolist) | (BigInt(Y.XEN_SYSCTL_INTERFACE_VERSION) << 32n),
    ]);
    const list = { first_domain: 0, max_domains: 10, buffer, num_domains: 0 };
    put(dom0, Y.xen_sysctl_getdomaininfolist.encode(64, list), ARGUMENT + 8n);
    expect(call(sysctl, dom0.vcpu, ARGUMENT)).toBe(0);
    const size = Y.xen_sysctl_getdomaininfolist.size(64);
    const answer = Y.xen_sysctl_getdomaininfolist.decode(copyFromGuest(dom0.vcpu, ARGUMENT + 8n, size)!, 64);
    expect(answer.num_domains).toBe(2);
    const infoSize = D.xen_domctl_getdomaininfo.size(64);
    const second = D.xen_domctl_getdomaininfo.decode(
      copyFromGuest(dom0.vcpu, buffer + BigInt(infoSize), infoSize)!,
      64,
    );
    expect(second).toMatchObject({ domain: domU.domain.id, tot_pages: 2048n, nr_online_vcpus: 1 });
    putWords(dom0.vcpu, ARGUMENT, [
      BigInt(D.XEN_DOMCTL_pausedomain) | (BigInt(D.XEN_DOMCTL_INTERFACE_VERSION) << 32n),
      domU.domain.id,
    ]);
    expect(call(domctl, dom0.vcpu, ARGUMENT)).toBe(0);
    expect(domU.vcpu.isRunnable).toBe(false);
  });

  test("shares and affinities through domctl and sysctl", () => {
    const { domain, vcpu } = dom0;
    const at = ARGUMENT + 16n;
    const domctlOn = (command: number, argument: Uint8Array, domid = domU.domain.id) => {
      putWords(vcpu, ARGUMENT, [BigInt(command) | (BigInt(D.XEN_DOMCTL_INTERFACE_VERSION) << 32n), domid]);
      put(dom0, argument, at);
      return call(domctl, vcpu, ARGUMENT);
    };
    const schedule = (cmd: number, weight: number, cap: number, sched_id = D.XEN_SCHEDULER_CREDIT) =>
      domctlOn(D.XEN_DOMCTL_scheduler_op, D.xen_domctl_scheduler_op.encode(64, { sched_id, cmd, weight, cap }));
    expect(schedule(D.XEN_DOMCTL_SCHEDOP_putinfo, 512, 50)).toBe(0);
    expect(schedule(D.XEN_DOMCTL_SCHEDOP_putinfo, 0, 0xffff)).toBe(0);
    expect(schedule(D.XEN_DOMCTL_SCHEDOP_putinfo, 0, 101)).toBe(-errno.EINVAL);
    expect(schedule(D.XEN_DOMCTL_SCHEDOP_putinfo, 1, 1, 6)).toBe(-errno.EINVAL);
    expect(schedule(D.XEN_DOMCTL_SCHEDOP_getinfo, 0, 0)).toBe(0);
    expect(D.xen_domctl_scheduler_op.decode(copyFromGuest(vcpu, at, 12)!, 64)).toMatchObject({ weight: 512, cap: 50 });
    expect(domU.domain.sched).toMatchObject({ weight: 512, cap: 50 });

    const map = va(FREE_PFN + 3);
    const affinity = (command: number, flags: number, which = 0) => {
      const bitmap = { bitmap: map, nr_bits: 16 };
      const value = { vcpu: which, flags, cpumap_hard: bitmap, cpumap_soft: bitmap };
      return domctlOn(command, D.xen_domctl_vcpuaffinity.encode(64, value));
    };
    putWords(vcpu, map, [0b11n]);
    expect(affinity(D.XEN_DOMCTL_setvcpuaffinity, D.XEN_VCPUAFFINITY_HARD)).toBe(0);
    expect(copyFromGuest(vcpu, map, 2)).toEqual(Uint8Array.of(1, 0)); // the machine has one CPU
    expect(affinity(D.XEN_DOMCTL_getvcpuaffinity, D.XEN_VCPUAFFINITY_HARD)).toBe(0);
    expect(copyFromGuest(vcpu, map, 2)).toEqual(Uint8Array.of(3, 0));
    putWords(vcpu, map, [0b10n]);
    expect(affinity(D.XEN_DOMCTL_setvcpuaffinity, D.XEN_VCPUAFFINITY_HARD)).toBe(-errno.EINVAL);
    expect(affinity(D.XEN_DOMCTL_setvcpuaffinity, 0)).toBe(-errno.EINVAL);
    expect(affinity(D.XEN_DOMCTL_setvcpuaffinity, D.XEN_VCPUAFFINITY_SOFT, 1)).toBe(-errno.ESRCH);
    const info = { vcpu: 0, online: 0, blocked: 0, running: 1, cpu_time: 0n, cpu: 9 };
    expect(domctlOn(D.XEN_DOMCTL_getvcpuinfo, D.xen_domctl_getvcpuinfo.encode(64, info))).toBe(0);
    const seen = D.xen_domctl_getvcpuinfo.decode(copyFromGuest(vcpu, at, 24)!, 64);
    expect(seen).toMatchObject({ online: 1, blocked: 0, running: 0, cpu: 0 });

    const pool = (cmd: number, ratelimit_us: number, tslice_ms = 30) => {
      const header = BigInt(Y.XEN_SYSCTL_scheduler_op) | (BigInt(Y.XEN_SYSCTL_INTERFACE_VERSION) << 32n);
      putWords(vcpu, ARGUMENT, [header]);
      const value = { cpupool_id: 0, sched_id: D.XEN_SCHEDULER_CREDIT, cmd, pad: 0, tslice_ms, ratelimit_us };
      put(dom0, Y.xen_sysctl_scheduler_op.encode(64, { ...value, vcpu_migr_delay_us: 0 }), ARGUMENT + 8n);
      return call(sysctl, vcpu, ARGUMENT);
    };
    expect(pool(Y.XEN_SYSCTL_SCHEDOP_putinfo, 500)).toBe(0);
    expect(domain.hypervisor.scheduler.ratelimit).toBe(500_000);
    for (const [ratelimit, timeslice] of [
      [500, 0],
      [500, 1001],
      [99, 30],
      [6000, 5],
      [500_001, 1000],
    ] as const)
      expect(pool(Y.XEN_SYSCTL_SCHEDOP_putinfo, ratelimit, timeslice)).toBe(-errno.EINVAL);
    expect(pool(Y.XEN_SYSCTL_SCHEDOP_putinfo, 500, 5)).toBe(0);
    expect(domain.hypervisor.scheduler).toMatchObject({ timeslice: 5_000_000 });
    expect(pool(Y.XEN_SYSCTL_SCHEDOP_putinfo, 500)).toBe(0);
    expect(pool(Y.XEN_SYSCTL_SCHEDOP_getinfo, 0, 0)).toBe(0);
    const answer = Y.xen_sysctl_scheduler_op.decode(copyFromGuest(vcpu, ARGUMENT + 8n, 28)!, 64);
    expect(answer).toMatchObject({ tslice_ms: 30, ratelimit_us: 500 });
  });
});

test("destroying a domain gives back all its memory", () => {
  const { hypervisor } = host;
  const before = hypervisor.mm.freeFrames;
  const third = makeDomain(host, false);
  const { events, grants } = third.domain;
  events.initControl(BigInt(third.p2m[FREE_PFN]!), 0, 0);
  events.expandArray(BigInt(third.p2m[FREE_PFN + 1]!));
  grants.grow(4);
  grants.setVersion(2);
  hypervisor.destroyDomain(third.domain);
  expect([hypervisor.mm.freeFrames, hypervisor.findDomain(third.domain.id)]).toEqual([before, undefined]);
});
