import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DomainConsole } from "../../src/hypervisor/domain-console.js";
import { XENCONS } from "../../src/hypervisor/public/io/console.js";
import { MachineMemory } from "../../src/mmu/machine-memory.js";

const RING = 4096;

function makeConsole() {
  const memory = new MachineMemory({ frames: 4, engineBytes: 65536 });
  const output: number[] = [];
  let waiting = 0;
  const console = new DomainConsole({
    onOutput: (bytes) => output.push(...bytes),
    onInputWaiting: () => waiting++,
  });
  return { memory, console, output, waiting: () => waiting };
}

function attach(setup: ReturnType<typeof makeConsole>) {
  let notified = 0;
  let event = () => {};
  const { memory } = setup;
  const page = {
    bytes: memory.bytes(RING, 4096),
    write: (offset: number, source: Uint8Array) => memory.write(RING + offset, source),
  };
  setup.console.attachRing(page, (onEvent) => {
    event = onEvent;
    return { notify: () => notified++ };
  });
  const index = (at: number) => memory.readU32(RING + at);
  return {
    signal: () => event(),
    notified: () => notified,
    /** The guest writes at most as many bytes as there is room. */
    guestWrites: (bytes: readonly number[]) => {
      const room = XENCONS.outSize - ((index(XENCONS.out_prod) - index(XENCONS.out_cons)) >>> 0);
      const part = bytes.slice(0, room);
      for (const [i, byte] of part.entries())
        memory.writeU8(RING + XENCONS.out + ((index(XENCONS.out_prod) + i) & (XENCONS.outSize - 1)), byte);
      memory.writeU32(RING + XENCONS.out_prod, (index(XENCONS.out_prod) + part.length) >>> 0);
      return part.length;
    },
    guestReads: (limit: number) => {
      const available = (index(XENCONS.in_prod) - index(XENCONS.in_cons)) >>> 0;
      const bytes = Array.from({ length: Math.min(limit, available) }, (_, i) =>
        memory.readU8(RING + XENCONS.in + ((index(XENCONS.in_cons) + i) & (XENCONS.inSize - 1))),
      );
      memory.writeU32(RING + XENCONS.in_cons, (index(XENCONS.in_cons) + bytes.length) >>> 0);
      return bytes;
    },
  };
}

const bytes = (text: string) => new TextEncoder().encode(text);

test("without a ring input waits to be read, and is announced", () => {
  const { console, waiting } = makeConsole();
  expect(console.write(bytes("abc"))).toBe(3);
  console.write(bytes("de"));
  expect(waiting()).toBe(2);
  expect(new TextDecoder().decode(console.read(4))).toBe("abcd");
  expect([console.queued, console.read(10).length, console.read(10).length]).toEqual([1, 1, 0]);
});

describe("ring", () => {
  test("output is taken on an event, and the guest is told that there is room", () => {
    const setup = makeConsole();
    const ring = attach(setup);
    ring.guestWrites([...bytes("hello")]);
    ring.signal();
    expect(String.fromCharCode(...setup.output)).toBe("hello");
    expect(ring.notified()).toBe(1);
  });

  test("indices that can't be move nothing", () => {
    const setup = makeConsole();
    const ring = attach(setup);
    setup.memory.writeU32(RING + XENCONS.out_prod, 99999);
    setup.memory.writeU32(RING + XENCONS.in_prod, 99999);
    setup.console.write(bytes("x"));
    ring.signal();
    expect([setup.output.length, ring.notified(), setup.console.queued]).toEqual([0, 0, 1]);
  });

  test("all bytes arrive in order in both directions, whatever the pieces", () => {
    const step = fc.record({
      out: fc.uint8Array({ maxLength: 3000 }),
      in: fc.uint8Array({ maxLength: 2000 }),
      take: fc.nat(1500),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), fc.nat(2 ** 32 - 1), (steps, start) => {
        const setup = makeConsole();
        for (const at of [XENCONS.in_cons, XENCONS.in_prod, XENCONS.out_cons, XENCONS.out_prod])
          setup.memory.writeU32(RING + at, start);
        const ring = attach(setup);
        const sent: number[] = [];
        const typed: number[] = [];
        const received: number[] = [];
        for (const each of steps) {
          const count = ring.guestWrites([...each.out]);
          sent.push(...each.out.slice(0, count));
          setup.console.write(each.in);
          typed.push(...each.in);
          received.push(...ring.guestReads(each.take));
          ring.signal();
        }
        while (received.length < typed.length) {
          received.push(...ring.guestReads(1024));
          ring.signal();
        }
        expect(setup.output).toEqual(sent);
        expect(received).toEqual(typed);
      }),
      { numRuns: 40 },
    );
  });

  test("after the domain's end its page isn't touched", () => {
    const setup = makeConsole();
    const ring = attach(setup);
    setup.console.detach();
    setup.memory.writeU32(RING + XENCONS.out_prod, 5);
    ring.signal();
    setup.console.write(bytes("x"));
    expect([setup.output.length, setup.memory.readU32(RING + XENCONS.in_prod)]).toEqual([0, 0]);
  });
});
