// The TCP end of the NAT against another of its kind, over lines that lose, reorder and delay; and against segments by hand.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { VirtualTimers } from "../../../src/devices/network/timers.js";
import { type OutSegment, TcpConnection } from "../../../src/devices/network/user-net/tcp-connection.js";
import { withRange } from "../../../src/devices/network/user-net/tcp-scoreboard.js";
import {
  buildTcp,
  parseTcp,
  SendBuffer,
  TCP,
  type TcpSegment,
} from "../../../src/devices/network/user-net/tcp-segment.js";

interface End {
  readonly connection: TcpConnection;
  readonly got: Uint8Array[];
  readonly events: string[];
  backlog: number;
}

type Passes = (count: number, segment: OutSegment, from: number) => number | undefined;

/** @param passes says of each segment whether, and how much later, it arrives. @param takesSack false: an old client */
function makePair(passes: Passes = () => 1, takesSack = true) {
  const timers = new VirtualTimers();
  let count = 0;
  const ends: End[] = [];
  const make = (index: number, initialSequence: number) => {
    const end: End = { got: [], events: [], backlog: 0 } as unknown as End;
    const connection = new TcpConnection({
      ...{ timers, initialSequence, mss: 1000, capacity: () => 256 * 1024 },
      send(segment, segmentSize) {
        // What is too long for the wire is cut, as below the NAT.
        const { payload, sequence, flags } = segment;
        for (let at = 0; at === 0 || at < payload.length; at += segmentSize) {
          const isLast = at + segmentSize >= payload.length;
          const piece: OutSegment = {
            ...segment,
            takesSack: takesSack && segment.takesSack,
            sequence: (sequence + at) >>> 0,
            flags: isLast ? flags : flags & ~(TCP.FIN | TCP.PSH),
            payload: payload.subarray(at, at + segmentSize),
          };
          const delay = passes(count++, piece, index);
          if (delay === undefined) continue;
          timers.after(delay, () => deliver(1 - index, { ...piece, sourcePort: 1, targetPort: 2 }));
        }
      },
      backlog: () => end.backlog,
      onConnected: () => end.events.push("connected"),
      onData: (data) => end.got.push(data.slice()),
      onEnd: () => end.events.push("end"),
      onSent: () => {},
      onClosed: (how) => end.events.push(how),
    });
    Object.assign(end, { connection });
    ends.push(end);
    return end;
  };
  const deliver = (index: number, segment: TcpSegment) => {
    const { connection } = ends[index]!;
    if (index === 1 && connection.state === "closed" && segment.flags === TCP.SYN) {
      connection.receiveSyn(segment);
      connection.accept();
    } else connection.receive(segment);
  };
  // Close to where sequence numbers begin anew.
  const [client, server] = [make(0, 0xffff_fff0), make(1, 0x7fff_fff0)];
  client.connection.connect();
  return { timers, client, server, deliver };
}

const bytes = (length: number, seed = 1) => Uint8Array.from({ length }, (_, i) => (i * seed * 31 + (i >> 8)) & 255);

describe("connection", () => {
  test("opens, carries data both ways, closes half by half", () => {
    const { timers, client, server } = makePair();
    timers.advance(100);
    expect([client.events, server.events]).toEqual([["connected"], ["connected"]]);
    client.connection.write(bytes(300_000));
    client.connection.end();
    timers.advance(2000);
    expect(Buffer.concat(server.got).equals(bytes(300_000))).toBe(true);
    expect(server.events).toEqual(["connected", "end"]);
    expect([client.connection.state, server.connection.state]).toEqual(["fin-wait-2", "close-wait"]);
    server.connection.write(bytes(70_000, 3));
    timers.advance(1000);
    server.connection.end();
    timers.advance(1000);
    expect(Buffer.concat(client.got).equals(bytes(70_000, 3))).toBe(true);
    expect([client.connection.state, server.connection.state]).toEqual(["time-wait", "closed"]);
    timers.advance(60_000);
    expect(client.events).toEqual(["connected", "end", "done"]);
    expect(timers.pending).toBe(0);
  });

  test("both close at once", () => {
    const { timers, client, server } = makePair();
    timers.advance(100);
    client.connection.end();
    server.connection.end();
    timers.advance(60_000);
    expect([client.events, server.events]).toEqual([
      ["connected", "end", "done"],
      ["connected", "end", "done"],
    ]);
  });

  test.each([0.02, 0.1, 0.3])("a line that loses %d of its segments and reorders the rest", (loss) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2 ** 30 }),
        fc.integer({ min: 1, max: 150_000 }),
        fc.boolean(),
        (seed, length, takesSack) => {
          let state = seed;
          const random = () => {
            state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
            return (state >>> 8) / 2 ** 24;
          };
          const { timers, client, server } = makePair(
            () => (random() < loss ? undefined : 1 + Math.floor(random() * 6)),
            takesSack,
          );
          for (let i = 0; i < 20 && server.events.length === 0; i++) timers.advance(5000);
          if (server.events[0] !== "connected") return;
          client.connection.write(bytes(length));
          client.connection.end();
          server.connection.write(bytes(length >> 1, 5));
          server.connection.end();
          timers.advance(3_000_000);
          // Only when every try of one segment was lost may it have given up.
          if (loss < 0.3 || ![client, server].some(({ events }) => events.includes("reset"))) {
            expect(Buffer.concat(server.got).equals(bytes(length))).toBe(true);
            expect(Buffer.concat(client.got).equals(bytes(length >> 1, 5))).toBe(true);
          }
          expect(timers.pending).toBe(0);
        },
      ),
      // The example: both sides send again at once.
      {
        numRuns: 15,
        examples: [
          [488_106_469, 59_868, false],
          [488_106_469, 59_868, true],
        ],
      },
    );
  });

  test("a reader that stops closes the window, and opens it again; a lost opening is asked for", () => {
    let isLosing = false;
    const { timers, client, server } = makePair(() => (isLosing ? undefined : 1));
    timers.advance(100);
    server.backlog = 256 * 1024;
    client.connection.write(bytes(600_000));
    timers.advance(20_000);
    const held = Buffer.concat(server.got).length;
    expect(held).toBeLessThanOrEqual(257 * 1024);
    isLosing = true;
    server.backlog = 0;
    server.connection.drained();
    isLosing = false;
    timers.advance(200_000);
    expect(Buffer.concat(server.got).equals(bytes(600_000))).toBe(true);
  });

  test("what is lost of a window is sent again once, and at once: no timeout, nothing that has come", () => {
    const lost = new Set<number>();
    let sent = 0;
    const { timers, client, server } = makePair((_, { payload, sequence }, from) => {
      if (from !== 0 || payload.length === 0) return 10;
      sent++;
      // Every third segment of a stretch, the first time that it is sent.
      const number = ((sequence - 0xffff_fff1) >>> 0) / 1000;
      if (number < 60 || number > 75 || number % 3 > 0 || lost.has(number)) return 10;
      lost.add(number);
      return undefined;
    });
    timers.advance(100);
    client.connection.write(bytes(200_000));
    timers.advance(350);
    expect(lost.size).toBe(6);
    expect(Buffer.concat(server.got).equals(bytes(200_000))).toBe(true);
    expect(sent).toBe(200 + 6);
  });

  test("says what has come too early, the latest first (RFC 2018)", () => {
    const said: (readonly (readonly number[])[] | undefined)[] = [];
    const { timers, deliver } = makePair((_, { payload, sack }, from) => {
      if (from === 1 && payload.length === 0)
        said.push(sack?.map((block) => block.map((n) => (n - 0xffff_fff1) >>> 0)));
      return 1;
    });
    timers.advance(100);
    said.length = 0;
    const send = (at: number, length: number) =>
      deliver(1, {
        ...{ sourcePort: 1, targetPort: 2, flags: TCP.ACK, window: 1000, payload: bytes(length) },
        ...{ sequence: (0xffff_fff1 + at) >>> 0, acknowledgment: 0x7fff_fff1 },
      });
    for (const at of [200, 400, 600, 800, 1000, 300]) send(at, 100);
    send(0, 200);
    send(500, 600);
    expect(said).toEqual([
      [[200, 300]],
      ...[
        [
          [400, 500],
          [200, 300],
        ],
        [
          [600, 700],
          [200, 300],
          [400, 500],
        ],
      ],
      [
        [800, 900],
        [200, 300],
        [400, 500],
        [600, 700],
      ],
      [
        [1000, 1100],
        [200, 300],
        [400, 500],
        [600, 700],
      ],
      [
        [200, 500],
        [600, 700],
        [800, 900],
        [1000, 1100],
      ],
      [
        [600, 700],
        [800, 900],
        [1000, 1100],
      ],
      undefined,
    ]);
  });

  test("who doesn't take selective acknowledgments gets none", () => {
    let blocks = 0;
    let count = 0;
    const { timers, client, server } = makePair((_, { sack, payload }) => {
      if (sack) blocks++;
      return payload.length > 0 && ++count % 20 === 0 ? undefined : 1;
    }, false);
    timers.advance(100);
    client.connection.write(bytes(100_000));
    timers.advance(60_000);
    expect(Buffer.concat(server.got).equals(bytes(100_000))).toBe(true);
    expect(blocks).toBe(0);
  });

  test("a silent partner is asked now and then; one that doesn't answer is given up", () => {
    let isUp = true;
    const asked: number[] = [];
    const { timers, client, server } = makePair((_, { sequence, payload, flags }, from) => {
      if (from === 0 && payload.length === 0 && flags === TCP.ACK && sequence === 0xffff_fff0) asked.push(timers.now());
      return isUp ? 1 : undefined;
    });
    timers.advance(7_300_000);
    expect([client.events, server.events]).toEqual([["connected"], ["connected"]]);
    expect(asked.length).toBeGreaterThanOrEqual(6);
    isUp = false;
    asked.length = 0;
    timers.advance(3_600_000);
    expect(asked).toHaveLength(8);
    expect([client.events, server.events]).toEqual([
      ["connected", "reset"],
      ["connected", "reset"],
    ]);
    expect(timers.pending).toBe(0);
  });

  test.each([0, 1])("a guest that asks whether we are there, with %d bytes, is answered", (length) => {
    const answers: OutSegment[] = [];
    const { timers, deliver } = makePair((_, segment, from) => {
      if (from === 1) answers.push(segment);
      return 1;
    });
    timers.advance(100);
    answers.length = 0;
    deliver(1, {
      ...{ sourcePort: 1, targetPort: 2, flags: TCP.ACK, window: 1000, payload: new Uint8Array(length) },
      ...{ sequence: 0xffff_fff0, acknowledgment: 0x7fff_fff1 },
    });
    expect(answers).toMatchObject([{ flags: TCP.ACK, acknowledgment: 0xffff_fff1, sequence: 0x7fff_fff1 }]);
  });

  test("nobody there: gives up after its tries, and leaves no timer", () => {
    const { timers, client } = makePair(() => undefined);
    timers.advance(10 * 60_000);
    expect(client.events).toEqual(["reset"]);
    expect(timers.pending).toBe(0);
  });

  test("a partner that goes silent is given up", () => {
    let isUp = true;
    const { timers, client } = makePair(() => (isUp ? 1 : undefined));
    timers.advance(100);
    isUp = false;
    client.connection.write(bytes(10));
    timers.advance(3_600_000);
    expect(client.events).toEqual(["connected", "reset"]);
    expect(timers.pending).toBe(0);
  });

  test("resets and SYNs count with the exact number only (RFC 5961)", () => {
    const { timers, server, deliver } = makePair();
    timers.advance(100);
    const base = { sourcePort: 1, targetPort: 2, acknowledgment: 0, window: 1000, payload: new Uint8Array(0) };
    deliver(1, { ...base, sequence: 0xffff_fff1 + 500, flags: TCP.RST });
    deliver(1, { ...base, sequence: 0xffff_fff1, flags: TCP.SYN });
    expect(server.connection.state).toBe("established");
    deliver(1, { ...base, sequence: 0xffff_fff1, flags: TCP.RST });
    expect(server.events).toEqual(["connected", "reset"]);
  });

  test("any segments: nothing throws, memory stays bounded", () => {
    const segment = fc.record({
      sequence: fc.oneof(fc.integer({ min: -300_000, max: 300_000 }), fc.integer()),
      acknowledgment: fc.oneof(fc.integer({ min: -10, max: 10 }), fc.integer()),
      ...{ flags: fc.nat(63), window: fc.nat(65_535), length: fc.nat(3000) },
      sack: fc.array(fc.tuple(fc.integer({ min: -10, max: 6000 }), fc.integer({ min: -10, max: 6000 })), {
        maxLength: 4,
      }),
    });
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 60 }), (segments) => {
        const { timers, server, deliver } = makePair();
        timers.advance(100);
        server.connection.write(bytes(5000));
        for (const { sequence, acknowledgment, flags, window, length, sack } of segments) {
          deliver(1, {
            sack: sack.map(([from, to]) => [(0x7fff_fff1 + from) >>> 0, (0x7fff_fff1 + to) >>> 0] as const),
            ...{ sourcePort: 1, targetPort: 2, flags, window, payload: new Uint8Array(length) },
            sequence: (0xffff_fff1 + sequence) >>> 0,
            acknowledgment: (0x7fff_fff1 + acknowledgment) >>> 0,
          });
          timers.advance(10);
        }
        timers.advance(60_000);
      }),
      { numRuns: 100 },
    );
  });
});

test("options of a segment are written and read; broken ones are passed over", () => {
  const segment = {
    ...{ sourcePort: 1, targetPort: 2, sequence: 3, acknowledgment: 4, window: 5, payload: bytes(6) },
  };
  const syn = { ...segment, flags: TCP.SYN, mss: 1460, windowScale: 7, takesSack: true };
  expect(parseTcp(buildTcp(syn))).toEqual(syn);
  const sack = [
    [0xffff_fff0, 10],
    [20, 0x8000_0000],
  ] as const;
  const ack = { ...segment, flags: TCP.ACK, sack };
  expect(parseTcp(buildTcp(ack))).toEqual(ack);
  const broken = buildTcp(ack);
  // An option that is longer than the header; blocks that are cut off.
  for (const [length, expected] of [
    [200, undefined],
    [1, undefined],
    [15, [[0xffff_fff0, 10]]],
  ] as const) {
    broken[23] = length;
    expect(parseTcp(broken)?.sack).toEqual(expected);
  }
});

test("ranges stay in order and apart", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 8 })), { maxLength: 30 }), (pieces) => {
      const base = 0xffff_ffe0;
      let ranges: readonly (readonly [number, number])[] = [];
      const has = new Set<number>();
      for (const [at, length] of pieces) {
        ranges = withRange(ranges, [(base + at) >>> 0, (base + at + length) >>> 0]);
        for (let i = 0; i < length; i++) has.add(at + i);
      }
      const expected: number[][] = [];
      for (let i = 0; i <= 70; i++) {
        if (has.has(i) && !has.has(i - 1)) expected.push([i]);
        if (!has.has(i) && has.has(i - 1)) expected.at(-1)!.push(i);
      }
      expect(ranges.map((range) => range.map((n) => (n - base) >>> 0))).toEqual(expected);
    }),
  );
});

test("the send buffer gives any range, where it lies if that is in one piece, and forgets from the start", () => {
  const buffer = new SendBuffer();
  const all = bytes(1000);
  for (let at = 0; at < 1000; at += 7) buffer.append(all.subarray(at, at + 7));
  expect(buffer.read(8, 6).buffer).toBe(all.buffer);
  expect(buffer.read(8, 6)).toEqual(all.subarray(8, 14));
  buffer.drop(100);
  expect(buffer.read(3, 500)).toEqual(all.subarray(103, 603));
  buffer.drop(899);
  expect(buffer.read(0, 1)).toEqual(all.subarray(999));
  expect(buffer.length).toBe(1);
});
