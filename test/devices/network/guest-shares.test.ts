// One guest behind a NAT can't take what belongs to others or to the machine: connections, mappings, the rate of new ones, memory.
import { createServer } from "node:net";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { pairPorts } from "../../../src/devices/network/packet-port.js";
import { VirtualTimers } from "../../../src/devices/network/timers.js";
import { connectionShare, LIMITS, NewFlows } from "../../../src/devices/network/user-net/guest-shares.js";
import { TCP } from "../../../src/devices/network/user-net/tcp-segment.js";
import { UserNet } from "../../../src/devices/network/user-net/user-net.js";
import { ipFrame, MAC_A, MAC_B, tcp, udp } from "./frames.js";

const GATEWAY_MAC = Uint8Array.of(0x52, 0x55, 10, 0, 2, 2);
const [A, B] = [
  { mac: MAC_A, from: "10.0.2.15" },
  { mac: MAC_B, from: "10.0.2.16" },
] as const;

/** Two guests of one network, whose time stands still unless it is told to pass. */
async function twoGuests() {
  const server = createServer((socket) => socket.on("error", () => {}));
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port: targetPort } = server.address() as { port: number };
  const timers = new VirtualTimers();
  const [near, far] = pairPorts("nat");
  const net = new UserNet({ port: near, timers, random: () => 0.5, log: () => {}, options: { hostLoopback: true } });
  onTestFinished(() => net.close());
  const send = ({ mac, from }: typeof A | typeof B, protocol: number, payload: Uint8Array) =>
    far.send(ipFrame(GATEWAY_MAC, mac, { from, to: "10.0.2.2", protocol, payload }));
  const open = (guest: typeof A | typeof B, sourcePort: number, flags: number = TCP.SYN, sequence = 100) =>
    send(guest, 6, tcp({ sourcePort, targetPort, sequence, flags }));
  return { net, timers, send, open, targetPort };
}

describe("limits of a guest", () => {
  test("connections: one that has all of its own leaves the others theirs", async () => {
    const { net, open } = await twoGuests();
    for (let i = 0; i < 300; i++) open(A, 2000 + i);
    expect(net.statistics).toMatchObject({ tcpConnections: LIMITS.connections, tcpRefused: 300 - LIMITS.connections });
    open(B, 2000);
    expect(net.statistics).toMatchObject({ tcpConnections: LIMITS.connections + 1 });
  });

  test("another address is not another guest", async () => {
    const { net, open } = await twoGuests();
    for (let i = 0; i < 300; i++)
      open({ mac: MAC_A, from: `10.0.2.${20 + (i % 50)}` } as unknown as typeof A, 2000 + i);
    expect(net.statistics.tcpConnections).toBe(LIMITS.connections);
  });

  test("new connections: so many at once and so many a second; the machine gets no socket for the rest", async () => {
    const { net, timers, open } = await twoGuests();
    // Reset at once: the number of connections is no limit here. Before the socket stands, the next sequence number is 101.
    const openAndReset = (port: number) => {
      open(A, port);
      open(A, port, TCP.RST, 101);
    };
    for (let i = 0; i < LIMITS.burst + 100; i++) openAndReset(2000 + i);
    expect(net.statistics).toMatchObject({ throttled: 100, tcpConnections: 0, tcpRefused: 0 });
    open(B, 2000);
    expect(net.statistics).toMatchObject({ throttled: 100, tcpConnections: 1 });
    timers.advance(1000);
    for (let i = 0; i < LIMITS.newPerSecond + 50; i++) openAndReset(4000 + i);
    expect(net.statistics.throttled).toBe(150);
  });

  test("UDP: the mapping that goes is the guest's own", async () => {
    const { net, send, targetPort } = await twoGuests();
    send(B, 17, udp(7, targetPort, new Uint8Array(1)));
    for (let i = 0; i < 300; i++) send(A, 17, udp(2000 + i, targetPort, new Uint8Array(1)));
    expect(net.statistics.udpMappings).toBe(LIMITS.mappings + 1);
    // Those that went made room: no more than these sockets were ever open.
    for (let i = 0; i < 1000; i++) send(A, 17, udp(3000 + i, targetPort, new Uint8Array(1)));
    expect(net.statistics).toMatchObject({ udpMappings: LIMITS.mappings + 1, throttled: 1300 - LIMITS.burst });
  });

  test("memory: the more connections, the less for each; all together never more than is a guest's", () => {
    expect(connectionShare(0)).toBe(LIMITS.connectionBytes);
    for (let count = 1; count <= LIMITS.connections; count++) {
      const share = connectionShare(count);
      expect(share).toBeLessThanOrEqual(LIMITS.connectionBytes);
      expect(share).toBeGreaterThanOrEqual(LIMITS.minConnectionBytes);
      expect(share * count).toBeLessThanOrEqual(LIMITS.guestBytes);
    }
  });

  test("however guests come: never more than bursts and rates allow", () => {
    const step = fc.record({ guest: fc.nat(400), count: fc.nat(900), pause: fc.nat(3000) });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const timers = new VirtualTimers();
        const flows = new NewFlows(timers);
        let granted = 0;
        for (const { guest, count, pause } of steps) {
          let own = 0;
          for (let i = 0; i < count; i++) if (flows.take(`${guest}`)) own++;
          expect(own).toBeLessThanOrEqual(LIMITS.burst);
          granted += own;
          expect(granted).toBeLessThanOrEqual(LIMITS.allBurst + (timers.now() * LIMITS.allNewPerSecond) / 1000 + 1);
          timers.advance(pause);
        }
      }),
      { numRuns: 50 },
    );
  });

  test("any TCP segments at a socket that is there: nothing throws, nothing is left", async () => {
    const { net, send, timers, targetPort } = await twoGuests();
    const segment = fc.record({
      ...{ guest: fc.constantFrom(A, B), sourcePort: fc.integer({ min: 1, max: 4 }), flags: fc.nat(63) },
      ...{ sequence: fc.oneof(fc.integer({ min: 90, max: 110 }), fc.nat(0xffffffff)), window: fc.nat(65_535) },
      ...{ options: fc.constantFrom(0, 4, 12, 40), length: fc.nat(1460), pause: fc.nat(5) },
      acknowledgment: fc.oneof(fc.integer({ min: 2 ** 31 - 3, max: 2 ** 31 + 3 }), fc.nat(0xffffffff)),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(segment, { maxLength: 30 }), async (segments) => {
        for (const { guest, options, length, pause, ...fields } of segments) {
          const bytes = { options: new Uint8Array(options).fill(fields.window), payload: new Uint8Array(length) };
          send(guest, 6, tcp({ ...fields, ...bytes, targetPort }));
          timers.advance(pause);
          if (pause === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        expect(net.statistics.tcpConnections).toBeLessThanOrEqual(8);
      }),
      { numRuns: 60 },
    );
    net.close();
    expect([net.statistics.tcpConnections, timers.pending]).toEqual([0, 0]);
  });
});
