import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import type { EventVcpu } from "../../src/hypervisor/event-abi.js";
import { EventChannels } from "../../src/hypervisor/event-channels.js";
import { errno } from "../../src/hypervisor/public/errno.js";
import {
  EVTCHN_FIFO_CONTROL_BLOCK,
  EVTCHN_FIFO_LINK_MASK,
  EVTCHNSTAT_interdomain,
  EVTCHNSTAT_unbound,
} from "../../src/hypervisor/public/event-channel.js";
import type { Abi } from "../../src/hypervisor/public/layout.js";
import { shared_info, VIRQ_CONSOLE, VIRQ_TIMER, vcpu_info } from "../../src/hypervisor/public/xen.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";

const SHARED_INFO = 0x1000;

class TestVcpu implements EventVcpu {
  readonly id: number;
  readonly infoAddress: number;
  pollPort = 0;
  kicks = 0;
  polls = 0;
  constructor(id: number, base: number) {
    this.id = id;
    this.infoAddress = base + 64 * id;
  }
  eventsPending(): void {
    this.kicks++;
  }
  endPoll(): void {
    this.polls++;
  }
}

/** Two domains with two vCPUs each, in one memory; domain N's shared info is at N * 0x10000 + 0x1000. */
function makeDomains(memory: MachineMemory, abi: Abi) {
  const domains = new Map<number, { events: EventChannels; vcpus: TestVcpu[]; base: number; mapped: number[] }>();
  for (const domid of [0, 1]) {
    const base = domid * 0x10000;
    const vcpus = [0, 1].map((id) => new TestVcpu(id, base + SHARED_INFO));
    const mapped: number[] = [];
    const events = new EventChannels({
      domid,
      memory,
      abi,
      sharedInfo: base + SHARED_INFO,
      vcpu: (id) => vcpus[id],
      peer: (id) => domains.get(id)?.events,
      mapFrame: (gfn) => {
        if (gfn >= 16n) return -1;
        const maddr = base + Number(gfn) * 4096;
        mapped.push(maddr);
        return maddr;
      },
      unmapFrame: (maddr) => mapped.splice(mapped.indexOf(maddr - (maddr % 4096)), 1),
    });
    domains.set(domid, { events, vcpus, base, mapped });
  }
  return [domains.get(0)!, domains.get(1)!] as const;
}

describe.each<Abi>([64, 32])("2-level, %i-bit guest", (abi) => {
  let memory: MachineMemory;
  let a: ReturnType<typeof makeDomains>[0];
  let b: ReturnType<typeof makeDomains>[1];
  beforeEach(() => {
    memory = new MachineMemory({ frames: 32, engineBytes: 65536 });
    [a, b] = makeDomains(memory, abi);
  });

  const pending = (base: number, port: number) =>
    (memory.readU8(base + SHARED_INFO + shared_info.offset(abi, "evtchn_pending") + (port >> 3)) >> (port & 7)) & 1;
  const maskAt = (base: number, port: number) =>
    base + SHARED_INFO + shared_info.offset(abi, "evtchn_mask") + (port >> 3);
  const selector = (vcpu: TestVcpu) => memory.readU32(vcpu.infoAddress + vcpu_info.offset(abi, "evtchn_pending_sel"));
  const upcall = (vcpu: TestVcpu) => memory.readU8(vcpu.infoAddress);

  test("an event sets pending bit, selector and upcall flag, and wakes the vCPU once", () => {
    const port = a.events.bindVirq(VIRQ_TIMER, 1);
    expect(port).toBe(1);
    expect(a.events.raiseVirq(VIRQ_TIMER, 1)).toBe(true);
    expect(a.events.raiseVirq(VIRQ_TIMER, 1)).toBe(true);
    expect([pending(a.base, port), selector(a.vcpus[1]!), upcall(a.vcpus[1]!), a.vcpus[1]!.kicks]).toEqual([
      1, 1, 1, 1,
    ]);
    expect(upcall(a.vcpus[0]!)).toBe(0);
  });

  test("a masked port stays pending without an upcall until it is unmasked", () => {
    const port = a.events.bindIpi(0);
    memory.writeU8(maskAt(a.base, port), 0xff);
    a.events.send(port);
    expect([pending(a.base, port), upcall(a.vcpus[0]!)]).toEqual([1, 0]);
    a.events.unmask(port);
    expect([upcall(a.vcpus[0]!), selector(a.vcpus[0]!)]).toEqual([1, 1]);
  });

  test("interdomain: both ends signal each other; closing one leaves the other unbound", () => {
    const offered = b.events.allocUnbound(0);
    const bound = a.events.bindInterdomain(1, offered);
    expect(bound).toBeGreaterThan(0);
    expect(pending(a.base, bound)).toBe(1); // told once, because earlier events were lost
    a.events.send(bound);
    expect(pending(b.base, offered)).toBe(1);
    expect(b.events.status(offered)).toMatchObject({ status: EVTCHNSTAT_interdomain, remotePort: bound });
    expect(a.events.close(bound)).toBe(0);
    expect(b.events.status(offered)).toMatchObject({ status: EVTCHNSTAT_unbound, remoteDomain: 0 });
    expect(b.events.send(offered)).toBe(0);
  });

  test("binding is refused to domains that the port wasn't offered to", () => {
    const offered = b.events.allocUnbound(5);
    expect(a.events.bindInterdomain(1, offered)).toBe(-errno.EINVAL);
    expect(a.events.bindInterdomain(9, offered)).toBe(-errno.ESRCH);
  });

  test("a host backend is called on send, and raises events until the guest closes", () => {
    const port = a.events.allocUnbound(0);
    let calls = 0;
    const binding = a.events.bindHost(port, () => calls++)!;
    a.events.send(port);
    binding.notify();
    expect([calls, pending(a.base, port)]).toEqual([1, 1]);
    a.events.close(port);
    expect(binding.isOpen).toBe(false);
    binding.notify();
    expect(pending(a.base, port)).toBe(0);
  });

  test("VIRQs: global ones are bound on vCPU 0 only, each once", () => {
    expect(a.events.bindVirq(VIRQ_CONSOLE, 1)).toBe(-errno.EINVAL);
    const port = a.events.bindVirq(VIRQ_CONSOLE, 0);
    expect(a.events.bindVirq(VIRQ_CONSOLE, 0)).toBe(-errno.EEXIST);
    expect(a.events.bindVirq(VIRQ_TIMER, 7)).toBe(-errno.ENOENT);
    expect(a.events.bindVcpu(port, 1)).toBe(0);
    a.events.raiseVirq(VIRQ_CONSOLE);
    expect(upcall(a.vcpus[1]!)).toBe(1);
    a.events.close(port);
    expect(a.events.raiseVirq(VIRQ_CONSOLE)).toBe(false);
  });

  test("polling vCPUs end their poll for a masked port too", () => {
    const port = a.events.bindIpi(0);
    memory.writeU8(maskAt(a.base, port), 0xff);
    a.vcpus[1]!.pollPort = port;
    a.events.pollers.add(a.vcpus[1]!);
    a.events.send(port);
    expect(a.vcpus[1]!.polls).toBe(1);
  });

  test("ports run out with -ENOSPC", () => {
    let last = 0;
    for (let i = 0; i < abi * abi; i++) last = a.events.bindIpi(0);
    expect(last).toBe(-errno.ENOSPC);
  });

  test("closed numbers are used again, and reset closes all", () => {
    const ports = [0, 1, 2].map(() => a.events.bindIpi(0));
    a.events.close(ports[1]!);
    expect(a.events.bindIpi(0)).toBe(ports[1]);
    a.events.reset();
    expect(a.events.openPorts()).toEqual([]);
  });

  test("any sequence of operations keeps both tables consistent and never throws", () => {
    const command = fc.tuple(fc.nat(8), fc.boolean(), fc.nat(12), fc.nat(12));
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const [x, y] = makeDomains(new MachineMemory({ frames: 32, engineBytes: 65536 }), abi);
        for (const [kind, first, p, q] of commands) {
          const { events } = first ? x : y;
          const other = first ? 1 : 0;
          if (kind === 0) events.allocUnbound(other);
          else if (kind === 1) events.bindInterdomain(p % 3, q);
          else if (kind === 2) events.bindVirq(p, q % 3);
          else if (kind === 3) events.bindIpi(p % 3);
          else if (kind === 4) events.close(p);
          else if (kind === 5) events.send(p);
          else if (kind === 6) events.bindVcpu(p, q % 3);
          else if (kind === 7) events.bindHost(p, () => {});
          else events.unmask(p);
        }
        for (const [domid, { events }] of [x, y].entries())
          for (const port of events.openPorts()) {
            const status = events.status(port);
            if (typeof status === "number") throw new Error("an open port has no status");
            if (status.status !== EVTCHNSTAT_interdomain || status.remotePort === 0) continue;
            const peer = (status.remoteDomain === 0 ? x : y).events.status(status.remotePort);
            expect(peer).toMatchObject({ status: EVTCHNSTAT_interdomain, remoteDomain: domid, remotePort: port });
          }
      }),
    );
  });
});

/** The guest's side of the FIFO ABI, as event_channel.h describes it. */
class FifoGuest {
  readonly memory: MachineMemory;
  readonly control: number;
  readonly array: number;
  readonly heads = new Uint32Array(16);
  constructor(memory: MachineMemory, control: number, array: number) {
    this.memory = memory;
    this.control = control;
    this.array = array;
  }
  word(port: number): number {
    return this.memory.readU32(this.array + port * 4);
  }
  set(port: number, value: number): void {
    this.memory.writeU32(this.array + port * 4, value >>> 0);
  }
  /** Takes all pending events in queue order. */
  drain(): number[] {
    const handled: number[] = [];
    let ready = this.memory.readU32(this.control + EVTCHN_FIFO_CONTROL_BLOCK.ready);
    this.memory.writeU32(this.control + EVTCHN_FIFO_CONTROL_BLOCK.ready, 0);
    for (let priority = 0; priority < 16; priority++) {
      if (!(ready & (1 << priority))) continue;
      let head = this.heads[priority]!;
      if (head === 0) head = this.memory.readU32(this.control + EVTCHN_FIFO_CONTROL_BLOCK.head + 4 * priority);
      while (head !== 0) {
        const word = this.word(head);
        this.set(head, word & ~((1 << 29) | EVTCHN_FIFO_LINK_MASK));
        const next = word & EVTCHN_FIFO_LINK_MASK;
        if (word >>> 31 && !(word & (1 << 30))) {
          this.set(head, this.word(head) & 0x7fffffff);
          handled.push(head);
        }
        head = next;
      }
      this.heads[priority] = 0;
      ready = this.memory.readU32(this.control + EVTCHN_FIFO_CONTROL_BLOCK.ready) | ready;
    }
    return handled;
  }
}

describe("FIFO", () => {
  const start = (expand = true) => {
    const memory = new MachineMemory({ frames: 32, engineBytes: 65536 });
    const [domain] = makeDomains(memory, 64);
    const before = domain.events.bindIpi(0);
    domain.events.send(before);
    expect(domain.events.initControl(2n, 0, 0)).toBe(0);
    if (expand) expect(domain.events.expandArray(3n)).toBe(0);
    return { memory, domain, before, guest: new FifoGuest(memory, 2 * 4096, 3 * 4096) };
  };

  test("events from before the switch are delivered when the port gets its word", () => {
    const { domain, guest, before } = start(false);
    expect(guest.drain()).toEqual([]);
    domain.events.expandArray(3n);
    expect(guest.drain()).toEqual([before]);
  });

  test("events come in order of arrival within a priority, and by priority", () => {
    const { domain, guest } = start();
    guest.drain();
    const ports = [0, 1, 2, 3].map(() => domain.events.bindIpi(0));
    domain.events.setPriority(ports[2]!, 0);
    for (const port of [3, 1, 2, 0]) domain.events.send(ports[port]!);
    expect(guest.drain()).toEqual([ports[2], ports[3], ports[1], ports[0]]);
  });

  test("the same port can be delivered again and again", () => {
    const { domain, guest, before } = start();
    for (let i = 0; i < 3; i++) {
      guest.drain();
      domain.events.send(before);
      expect(guest.drain()).toEqual([before]);
    }
  });

  test("a masked port waits for its unmask", () => {
    const { domain, guest, before } = start();
    guest.drain();
    guest.set(before, 1 << 30);
    domain.events.send(before);
    expect(guest.drain()).toEqual([]);
    domain.events.unmask(before);
    expect(guest.drain()).toEqual([before]);
  });

  test("arguments are checked", () => {
    const { domain } = start();
    const { events } = domain;
    expect(events.initControl(2n, 0, 0)).toBe(-errno.EINVAL);
    expect(events.initControl(2n, 4, 1)).toBe(-errno.EINVAL);
    expect(events.initControl(2n, 4096 - 64, 1)).toBe(-errno.EINVAL);
    expect(events.initControl(2n, 0, 9)).toBe(-errno.ENOENT);
    expect(events.expandArray(99n)).toBe(-errno.EINVAL);
    expect(events.setPriority(1, 16)).toBe(-errno.EINVAL);
  });

  test("reset gives all pages back and returns to 2 levels", () => {
    const { domain } = start();
    domain.events.reset();
    expect(domain.mapped).toEqual([]);
    expect(domain.events.usesFifo).toBe(false);
  });

  test("every event that was sent is received, whatever the guest does in between", () => {
    const step = fc.oneof(
      fc.record({ send: fc.nat(7) }),
      fc.record({ priority: fc.nat(7), level: fc.nat(15) }),
      fc.constant("drain" as const),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const { domain, guest } = start();
        guest.drain();
        const ports = Array.from({ length: 8 }, () => domain.events.bindIpi(0));
        const expected = new Set<number>();
        for (const each of steps) {
          if (each === "drain") {
            expect(new Set(guest.drain())).toEqual(expected);
            expected.clear();
          } else if ("send" in each) {
            domain.events.send(ports[each.send]!);
            expected.add(ports[each.send]!);
          } else domain.events.setPriority(ports[each.priority]!, each.level);
        }
        expect(new Set(guest.drain())).toEqual(expected);
      }),
    );
  });

  test("garbage in the guest's own pages never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 256, maxLength: 256 }), fc.array(fc.nat(20)), (garbage, ports) => {
        const { domain, memory } = start();
        memory.write(2 * 4096, garbage.subarray(0, 72));
        memory.write(3 * 4096, garbage);
        for (const port of ports) {
          domain.events.send(port);
          domain.events.unmask(port);
          domain.events.bindIpi(0);
          domain.events.close(port);
        }
      }),
    );
  });
});
