// The network backend against a frontend written from io/netif.h, and against hostile ones.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type PacketPort, pairPorts } from "../../../../src/devices/network/packet-port.js";
import { VirtualTimers } from "../../../../src/devices/network/timers.js";
import { findTransport, isChecksumRight } from "../../../../src/devices/network/transport.js";
import { NetBackend, type NetBackendOptions } from "../../../../src/devices/xen/netback/net-backend.js";
import * as N from "../../../../src/hypervisor/public/io/netif.js";
import { BROADCAST, ethernet, ipFrame, MAC_A, MAC_B, tcp, text } from "../../network/frames.js";
import { settle, TestGuest } from "../test-guest.js";
import { BACKEND, connectFrontend, FRONTEND, type NetFrontendOptions } from "./test-net-frontend.js";

async function setUp(frontend: NetFrontendOptions = {}, options: Partial<NetBackendOptions> = {}) {
  const guest = new TestGuest();
  const timers = new VirtualTimers();
  const lines: string[] = [];
  const [near, far] = pairPorts("wire");
  const backend = new NetBackend({
    services: guest.services,
    port: near,
    backendPath: BACKEND,
    frontendPath: FRONTEND,
    mac: MAC_A,
    timers,
    log: (line) => lines.push(line),
    ...options,
  });
  guest.store.write(`${FRONTEND}/state`, "1");
  backend.device.start();
  await settle();
  const queues = await connectFrontend(guest, frontend);
  const sent: Uint8Array[] = [];
  far.onFrame = (frame) => sent.push(frame);
  const state = () => guest.store.read(`${BACKEND}/state`);
  return { guest, timers, lines, far: far as PacketPort, backend, queues, queue: queues[0]!, sent, state };
}

const payload = Uint8Array.from({ length: 9000 }, (_, i) => i * 13);
const tcpFrame = (data: Uint8Array) =>
  ipFrame(MAC_B, MAC_A, {
    ...{ from: "10.0.0.1", to: "10.0.0.2", protocol: 6 },
    payload: tcp({ sourcePort: 1, targetPort: 2, sequence: 9, flags: 0x18, payload: data }),
  });
const GSO4 = { type: N.XEN_NETIF_EXTRA_TYPE_GSO, gsoType: N.XEN_NETIF_GSO_TYPE_TCPV4, size: 1448 };

describe("handshake", () => {
  test("publishes features, connects, and gives everything back when the frontend closes", async () => {
    const { guest, backend, state, queue } = await setUp();
    expect(state()).toBe("4");
    expect(guest.store.read(`${BACKEND}/feature-gso-tcpv4`)).toBe("1");
    queue.offer(4);
    expect(guest.mappings).toBe(2);
    guest.store.write(`${FRONTEND}/state`, "6");
    await settle();
    expect(state()).toBe("6");
    expect(guest.mappings).toBe(0);
    expect(backend.statistics.errors).toBe(0);
  });

  test.each([
    ["no rx-copy", { "request-rx-copy": "0" }, /request-rx-copy/],
    ["a ring that isn't granted", { "tx-ring-ref": "7" }, /can't be mapped|missing/],
    ["too many queues", { "multi-queue-num-queues": "5" }, /up to 4/],
  ])("%s: closes with a reason", async (_name, nodes, reason) => {
    const { guest, timers } = { guest: new TestGuest(), timers: new VirtualTimers() };
    const lines: string[] = [];
    const [port] = pairPorts("wire");
    const paths = { backendPath: BACKEND, frontendPath: FRONTEND };
    const log = (line: string) => lines.push(line);
    new NetBackend({ services: guest.services, port, ...paths, mac: MAC_A, timers, log }).device.start();
    const all: Record<string, string> = { "request-rx-copy": "1", ...nodes, state: "4" };
    for (const [name, value] of Object.entries(all)) guest.store.write(`${FRONTEND}/${name}`, value);
    await settle();
    expect(guest.store.read(`${BACKEND}/state`)).toBe("5");
    expect(lines.join()).toMatch(reason);
    expect(guest.mappings).toBe(0);
  });
});

describe.each([{ isSplit: true }, { isSplit: false }])("transmit, split channels: $isSplit", ({ isSplit }) => {
  test("one slot, several slots, and a checksum to complete", async () => {
    const { queue, sent } = await setUp({ isSplit });
    const small = ethernet(MAC_B, MAC_A, 0x1234, text("hello"));
    queue.send(small);
    expect(sent.splice(0)).toEqual([small]);
    const large = tcpFrame(payload.subarray(0, 1400));
    const blank = large.slice();
    blank.set([0x12, 0x34], 50);
    queue.send(blank, N.NETTXF_csum_blank, [], 700);
    expect(Buffer.from(sent[0]!).equals(large)).toBe(true);
    expect(queue.answers()).toEqual([0, 0, 0, 0]);
  });

  test("segmentation offload: cut for a network that can't, whole for one that can", async () => {
    const { queue, sent, far } = await setUp({ isSplit });
    queue.send(tcpFrame(payload), N.NETTXF_csum_blank, [GSO4]);
    expect(sent).toHaveLength(7);
    for (const segment of sent.splice(0)) expect(isChecksumRight(segment, findTransport(segment)!)).toBe(true);
    expect(queue.answers()).toEqual([0, N.NETIF_RSP_NULL, 0, 0]);
    far.wantsOffload = true;
    queue.send(tcpFrame(payload), N.NETTXF_csum_blank, [GSO4]);
    expect(sent.map(({ length }) => length)).toEqual([54 + 9000]);
  });

  test("a blank checksum goes on as it is to a network that takes it", async () => {
    const { queue, far } = await setUp({ isSplit });
    const kinds: (string | undefined)[] = [];
    far.wantsOffload = true;
    far.onFrame = (frame, offload) => kinds.push(`${offload?.kind} ${frame[50]}`);
    const blank = tcpFrame(payload.subarray(0, 1400));
    blank.set([0x12, 0x34], 50);
    queue.send(blank, N.NETTXF_csum_blank);
    queue.send(ethernet(MAC_B, MAC_A, 0x1234, new Uint8Array(60)));
    expect(kinds).toEqual(["checksum 18", "undefined 0"]);
  });

  test("what isn't granted or lies beyond a page is an error for that packet alone", async () => {
    const { queue, sent, backend, state } = await setUp({ isSplit });
    queue.request({ gref: 9999, offset: 0, flags: 0, id: 1, size: 60 });
    queue.request({ gref: queue.tx.ref, offset: 4090, flags: 0, id: 2, size: 60 });
    queue.request({ gref: queue.tx.ref, offset: 0, flags: 0, id: 3, size: 13 });
    queue.send(ethernet(MAC_B, MAC_A, 1, text("fine")));
    expect(queue.answers()).toEqual([-1, -1, -1, 0]);
    expect([sent.length, backend.statistics.errors, state()]).toEqual([1, 3, "4"]);
  });
});

describe("events for answers", () => {
  const small = ethernet(MAC_B, MAC_A, 1, new Uint8Array(60));
  const events = ({ guest, queue }: Awaited<ReturnType<typeof setUp>>) => ({
    tx: guest.events.get(queue.txPort) ?? 0,
    rx: guest.events.get(queue.rxPort) ?? 0,
  });

  test("of a small packet: with the next event for the guest, or soon", async () => {
    const all = await setUp();
    const { queue, far, timers } = all;
    queue.offer(4);
    queue.send(small);
    expect(queue.tx.view.getUint32(8, true)).toBe(1);
    expect(events(all)).toEqual({ tx: 0, rx: 0 });
    far.send(ethernet(MAC_A, MAC_B, 1, text("reply")));
    expect(events(all)).toEqual({ tx: 1, rx: 1 });
    expect(queue.answers()).toEqual([0]);
    queue.send(small);
    timers.advance(2);
    expect(events(all)).toEqual({ tx: 2, rx: 1 });
    timers.advance(10);
    expect(events(all)).toEqual({ tx: 2, rx: 1 });
  });

  test("with the event of a frame that comes back at once", async () => {
    const all = await setUp();
    const { queue, far } = all;
    queue.offer(4);
    far.onFrame = () => far.send(ethernet(MAC_A, MAC_B, 1, text("reply")));
    queue.send(small);
    expect(events(all)).toEqual({ tx: 1, rx: 1 });
  });

  test("of small packets sent and received in turns: for eight at once, or after some milliseconds", async () => {
    const all = await setUp();
    const { queue, far, timers } = all;
    queue.offer(40);
    const answered: number[] = [];
    const look = () => {
      if (events(all).tx > answered.length) answered.push(queue.answers().length);
    };
    const round = () => {
      far.send(ethernet(MAC_A, MAC_B, 1, text("question")));
      look();
      queue.received();
      queue.send(small);
    };
    for (let i = 0; i < 21; i++) round();
    expect(answered).toEqual([1, 1, 8, 8]);
    timers.advance(3);
    expect(events(all)).toEqual({ tx: 4, rx: 21 });
    timers.advance(2);
    look();
    expect(answered).toEqual([1, 1, 8, 8, 3]);
  });

  test("none for who has looked already", async () => {
    const all = await setUp();
    const { queue, timers } = all;
    queue.send(small);
    expect(queue.answers()).toEqual([0]);
    timers.advance(2);
    expect(events(all).tx).toBe(0);
  });

  test("at once for many packets, and for large ones", async () => {
    const all = await setUp();
    const { queue } = all;
    for (let i = 0; i < 40; i++) queue.send(small);
    expect(events(all).tx).toBe(1);
    queue.answers();
    queue.send(tcpFrame(payload), N.NETTXF_csum_blank, [GSO4]);
    expect(events(all).tx).toBe(2);
  });

  test("none after the frontend has gone", async () => {
    const all = await setUp();
    all.queue.send(small);
    all.guest.store.write(`${FRONTEND}/state`, "6");
    await settle();
    expect(all.timers.pending).toBe(0);
    expect(events(all).tx).toBe(0);
  });
});

describe("receive", () => {
  test("a frame over several pages; waits for pages; asks for as many as it needs", async () => {
    const { queue, far, backend } = await setUp();
    const large = tcpFrame(payload);
    queue.offer(2);
    far.send(large);
    expect(queue.received()).toEqual([]);
    queue.offer(1);
    const [got] = queue.received();
    expect(Buffer.from(got!.frame).equals(large)).toBe(true);
    expect(backend.statistics.receivedFrames).toBe(1);
  });

  test("a blank checksum is filled in for a frontend that doesn't take one", async () => {
    const blank = tcpFrame(payload.subarray(0, 1400));
    const whole = blank.slice();
    blank.set([0x12, 0x34], 50);
    for (const isAble of [true, false]) {
      const { queue, far } = await setUp(isAble ? {} : { nodes: { "feature-no-csum-offload": "1" } });
      queue.offer(1);
      far.send(blank, { kind: "checksum" });
      const [got] = queue.received();
      expect(got!.flags).toBe(isAble ? N.NETRXF_csum_blank | N.NETRXF_data_validated : 0);
      expect(Buffer.from(got!.frame).equals(isAble ? blank : whole)).toBe(true);
    }
  });

  test("segmentation offload reaches a frontend that offers it, others get segments", async () => {
    const able = await setUp({ nodes: { "feature-gso-tcpv4": "1" } });
    able.queue.offer(8);
    able.far.send(tcpFrame(payload), { kind: "tcp4", segmentSize: 1448 });
    const [whole] = able.queue.received();
    expect(whole!.frame).toHaveLength(9054);
    expect(whole!.flags).toBe(N.NETRXF_more_data | N.NETRXF_extra_info | N.NETRXF_csum_blank | N.NETRXF_data_validated);
    expect(N.netif_extra_gso.decode(whole!.extra!, 64)).toMatchObject({ type: 1, size: 1448, gsoType: 1 });
    const plain = await setUp();
    plain.queue.offer(8);
    plain.far.send(tcpFrame(payload), { kind: "tcp4", segmentSize: 1448 });
    expect(plain.queue.received()).toHaveLength(7);
  });

  test("a guest that takes nothing loses frames, in bounded memory", async () => {
    const { far, backend } = await setUp();
    for (let i = 0; i < 2000; i++) far.send(ethernet(MAC_A, MAC_B, 1, text("x")));
    expect(backend.statistics.dropped).toBe(2000 - 1024);
  });

  test("multicast filter follows the frontend's list", async () => {
    const { queue, far, guest } = await setUp({ nodes: { "request-multicast-control": "1" } });
    const group = Uint8Array.of(1, 0, 0x5e, 0, 0, 1);
    const send = () => {
      for (const to of [group, BROADCAST, MAC_A]) far.send(ethernet(to, MAC_B, 1, text("x")));
      return queue.received().length;
    };
    queue.offer(20);
    expect(send()).toBe(2);
    queue.send(ethernet(MAC_B, MAC_A, 1, text("x")), 0, [{ type: N.XEN_NETIF_EXTRA_TYPE_MCAST_ADD, address: group }]);
    expect(queue.answers()).toEqual([0, N.NETIF_RSP_NULL]);
    expect(send()).toBe(3);
    queue.send(ethernet(MAC_B, MAC_A, 1, text("x")), 0, [{ type: N.XEN_NETIF_EXTRA_TYPE_MCAST_DEL, address: group }]);
    expect(send()).toBe(2);
    guest.store.write(`${FRONTEND}/request-multicast-control`, "0");
    expect(send()).toBe(3);
  });

  test("flows stay in their queue and spread over all", async () => {
    const { queues, far } = await setUp({ queues: 4 });
    for (const queue of queues) queue.offer(200);
    for (let port = 0; port < 64; port++)
      for (let i = 0; i < 2; i++) {
        const fields = { from: "10.0.0.2", to: "10.0.0.1", protocol: 6 };
        const segment = tcp({ sourcePort: 80, targetPort: port, sequence: i, flags: 16 });
        far.send(ipFrame(MAC_A, MAC_B, { ...fields, payload: segment }));
      }
    const counts = queues.map((queue) => queue.received().length);
    expect(counts.reduce((a, b) => a + b)).toBe(128);
    for (const count of counts) expect(count % 2 === 0 && count > 8).toBe(true);
  });

  test("flows whose ports are all even spread too: Linux gives programs that connect such ports", async () => {
    const { queues, far } = await setUp({ queues: 2 });
    for (const queue of queues) queue.offer(100);
    for (let i = 0; i < 32; i++) {
      const segment = tcp({ sourcePort: 80, targetPort: 40_000 + 2 * i, sequence: i, flags: 16 });
      far.send(ipFrame(MAC_A, MAC_B, { from: "10.0.0.2", to: "10.0.0.1", protocol: 6, payload: segment }));
    }
    for (const queue of queues) expect(queue.received().length).toBeGreaterThan(8);
  });
});

describe("limits", () => {
  test("rate: what exceeds the interval's credit waits for the next", async () => {
    const rate = { bytesPerInterval: 1000, intervalMs: 50 };
    const { queue, sent, timers } = await setUp({}, { rate });
    for (let i = 0; i < 5; i++) queue.send(ethernet(MAC_B, MAC_A, i, new Uint8Array(486)));
    expect(sent).toHaveLength(2);
    timers.advance(50);
    expect(sent).toHaveLength(4);
    timers.advance(50);
    expect(sent).toHaveLength(5);
  });

  test("a locked address can't be forged", async () => {
    const { queue, sent, backend } = await setUp({}, { locksMac: true });
    queue.send(ethernet(MAC_A, MAC_B, 1, text("x")));
    queue.send(ethernet(MAC_B, MAC_A, 1, text("x")));
    expect([sent.length, backend.statistics.spoofed]).toEqual([1, 1]);
  });
});

describe("hostile frontends", () => {
  test("indices that make no sense close the device, nothing stays mapped", async () => {
    for (const ring of ["tx", "rx"] as const) {
      const { queue, guest, state, lines, far } = await setUp();
      queue[ring].view.setUint32(0, 0x80000000, true);
      guest.kick(queue.txPort);
      guest.kick(queue.rxPort);
      far.send(ethernet(MAC_A, MAC_B, 1, text("x")));
      await settle();
      expect(state()).toBe("5");
      expect(lines.join()).toMatch(/indices make no sense/);
      expect(guest.mappings).toBe(0);
    }
  });

  test("a packet without an end closes the device", async () => {
    const { queue, state } = await setUp();
    queue.request({ gref: queue.tx.ref, offset: 0, flags: N.NETTXF_more_data, id: 0, size: 100 });
    queue.kickTx();
    await settle();
    expect(state()).toBe("5");
  });

  test("anything in the rings: nothing throws, no grant leaks, responses are consistent", async () => {
    const entry = fc.record({
      gref: fc.oneof(fc.integer({ min: 8, max: 14 }), fc.nat(0xffffffff)),
      offset: fc.oneof(fc.nat(64), fc.nat(0xffff)),
      flags: fc.oneof(fc.nat(15), fc.nat(0xffff)),
      id: fc.nat(0xffff),
      size: fc.oneof(fc.nat(2000), fc.nat(0xffff)),
    });
    const rxEntry = fc.record({ id: fc.nat(0xffff), pad: fc.nat(0xffff), gref: fc.oneof(fc.nat(20), fc.nat()) });
    const steps = fc.array(
      fc.tuple(fc.array(entry, { maxLength: 30 }), fc.array(rxEntry, { maxLength: 10 }), fc.nat(9000)),
      { maxLength: 5 },
    );
    await fc.assert(
      fc.asyncProperty(steps, fc.boolean(), async (all, isAble) => {
        const { queue, guest, far } = await setUp({ nodes: { "feature-gso-tcpv4": isAble ? "1" : "0" } });
        for (let i = 0; i < 4; i++) guest.grant();
        for (const [requests, offers, size] of all) {
          for (const request of requests) queue.request(request);
          for (const offer of offers) queue.rx.push(N.netif_rx_request.encode(64, offer));
          queue.tx.publish();
          queue.rx.publish();
          guest.kick(queue.txPort);
          guest.kick(queue.rxPort);
          far.send(tcpFrame(payload.subarray(0, size)), { kind: "tcp4", segmentSize: 1448 });
          await settle(1);
        }
        expect([0, 2]).toContain(guest.mappings);
      }),
      { numRuns: 60 },
    );
  });
});
