// Hostile network frontends on a bridge with a NAT: whatever is on their rings, in their frames and in the XenStore, nothing throws, no
// page stays mapped, and another station on the bridge is served as before.
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Bridge } from "../../../../src/devices/network/bridge.js";
import { FaultyPort } from "../../../../src/devices/network/faulty-port.js";
import { CapturePoint } from "../../../../src/devices/network/pcap.js";
import { VirtualTimers } from "../../../../src/devices/network/timers.js";
import { UserNet } from "../../../../src/devices/network/user-net/user-net.js";
import { NetBackend } from "../../../../src/devices/xen/netback/net-backend.js";
import { address, BROADCAST, ethernet, ipFrame, MAC_A, MAC_B, tcp, udp } from "../../network/frames.js";
import { settle, TestGuest } from "../test-guest.js";
import { BACKEND, connectFrontend, FRONTEND } from "./test-net-frontend.js";

const failures: unknown[] = [];
const onRejection = (error: unknown) => void failures.push(error);
beforeAll(() => void process.on("unhandledRejection", onRejection));
afterAll(() => void process.off("unhandledRejection", onRejection));

const GATEWAY_MAC = Uint8Array.of(0x52, 0x55, 10, 0, 2, 2);
const FROM = { from: "10.0.2.15", id: 3 };
const dns = Uint8Array.from([1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 97, 0, 0, 1, 0, 1]);
const TEMPLATES = [
  ipFrame(GATEWAY_MAC, MAC_A, {
    ...FROM,
    to: "10.0.2.2",
    protocol: 6,
    payload: tcp({ flags: 2, targetPort: 80 } as never),
  }),
  ipFrame(GATEWAY_MAC, MAC_A, { ...FROM, to: "192.0.2.1", protocol: 6, payload: tcp({ flags: 0x18 } as never) }),
  ipFrame(GATEWAY_MAC, MAC_A, { ...FROM, to: "10.0.2.3", protocol: 17, payload: udp(4000, 53, dns) }),
  ipFrame(BROADCAST, MAC_A, {
    ...FROM,
    to: "255.255.255.255",
    protocol: 17,
    payload: udp(68, 67, new Uint8Array(250)),
  }),
  ethernet(BROADCAST, MAC_A, 0x0806, Uint8Array.from([0, 1, 8, 0, 6, 4, 0, 1, ...MAC_A, ...new Uint8Array(14)])),
];

const word = fc.oneof(fc.nat(300), fc.constantFrom(0x7fffffff, 0xffffffff, 0x80000000), fc.nat(0xffffffff));
const action = fc.oneof(
  fc.record({
    kind: fc.constant("frame" as const),
    template: fc.constantFrom(...TEMPLATES),
    changes: fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 4 }),
    ...{ flags: fc.nat(15), pieceSize: fc.constantFrom(4096, 40, 14, 7), size: fc.nat(70_000) },
    extra: fc.option(fc.record({ type: fc.nat(6), gsoType: fc.nat(3), size: fc.nat(0xffff) })),
  }),
  fc.record({
    kind: fc.constant("request" as const),
    request: fc.record({
      gref: fc.oneof(fc.integer({ min: 0, max: 40 }), fc.nat(0xffffffff)),
      ...{ offset: fc.nat(0xffff), flags: fc.nat(15), id: fc.nat(0xffff), size: fc.nat(0xffff) },
    }),
  }),
  fc.record({ kind: fc.constant("index" as const), isTx: fc.boolean(), at: fc.constantFrom(0, 4, 8, 12), value: word }),
  fc.record({ kind: fc.constant("offer" as const), count: fc.nat(20) }),
  fc.record({
    kind: fc.constant("store" as const),
    name: fc.constantFrom(
      ...["state", "tx-ring-ref", "rx-ring-ref", "event-channel-tx", "event-channel-rx", "event-channel"],
      ...[
        "request-rx-copy",
        "feature-sg",
        "multi-queue-num-queues",
        "request-multicast-control",
        "queue-0/tx-ring-ref",
      ],
    ),
    value: fc.oneof(fc.nat(9).map(String), fc.string({ maxLength: 12 })),
  }),
);

test("random rings, frames and nodes", async () => {
  const states = new Set<string | undefined>();
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.integer({ min: 1, max: 3 }),
      fc.array(action, { maxLength: 40 }),
      async (isSplit, queues, actions) => {
        const guest = new TestGuest();
        const timers = new VirtualTimers();
        const bridge = new Bridge({ name: "xenbr0", now: () => timers.now() });
        const net = new UserNet({
          ...{ port: bridge.addPort("nat"), timers, random: () => 0.5, log: () => {} },
          options: { restrict: true },
        });
        guest.store.write(`${FRONTEND}/state`, "1");
        const port = new CapturePoint(new FaultyPort(bridge.addPort("vif1.0"), { timers }));
        let captured = 0;
        port.observe((frame) => (captured += frame.length));
        const backend = new NetBackend({
          ...{ services: guest.services, port, backendPath: BACKEND, frontendPath: FRONTEND, mac: MAC_A, timers },
          log: () => {},
        });
        backend.device.start();
        await settle();
        const made = await connectFrontend(guest, { isSplit, queues });
        for (const [i, each] of actions.entries()) {
          const queue = made[i % queues];
          if (each.kind === "frame") {
            const frame = each.template.slice();
            for (const [at, value] of each.changes) frame[at % frame.length] = value;
            queue!.send(frame, each.flags & 3, each.extra ? [each.extra] : [], each.pieceSize);
          } else if (each.kind === "request") {
            queue!.request(each.request);
            queue!.kickTx();
          } else if (each.kind === "index") queue![each.isTx ? "tx" : "rx"].view.setUint32(each.at, each.value, true);
          else if (each.kind === "offer") queue!.offer(each.count);
          else guest.store.write(`${FRONTEND}/${each.name}`, each.value);
          guest.kick(queue!.txPort);
          guest.kick(queue!.rxPort);
          await settle(1);
        }
        states.add(guest.store.read(`${BACKEND}/state`));
        expect([0, 2 * queues]).toContain(guest.mappings);
        // The neighbour asks for the gateway and is answered.
        const neighbour = bridge.addPort("vif2.0");
        const answers: Uint8Array[] = [];
        neighbour.onFrame = (frame) => answers.push(frame);
        const body = [
          0,
          1,
          8,
          0,
          6,
          4,
          0,
          1,
          ...MAC_B,
          ...address("10.0.2.16"),
          0,
          0,
          0,
          0,
          0,
          0,
          ...address("10.0.2.2"),
        ];
        neighbour.send(ethernet(BROADCAST, MAC_B, 0x0806, Uint8Array.from(body)));
        expect(answers.some((frame) => frame[21] === 2)).toBe(true);
        await backend.device.stop();
        expect(guest.mappings).toBe(0);
        expect(net.statistics).toMatchObject({ tcpConnections: 0, udpMappings: 0 });
        net.close();
      },
    ),
    { numRuns: 150 },
  );
  expect(failures).toEqual([]);
  // It went both ways: devices that lived on, and devices that were closed.
  expect(states.has("4") && states.size > 1).toBe(true);
});
