// The gateway of user-mode networking as a guest meets it: an address, a router that answers, no answer to nonsense.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { internetChecksum } from "../../../src/devices/network/checksum.js";
import { pairPorts } from "../../../src/devices/network/packet-port.js";
import { VirtualTimers } from "../../../src/devices/network/timers.js";
import { findTransport, isChecksumRight } from "../../../src/devices/network/transport.js";
import { Gateway } from "../../../src/devices/network/user-net/gateway.js";
import { Reassembler } from "../../../src/devices/network/user-net/ip-packet.js";
import { formatAddress, parseIpv4 } from "../../../src/devices/network/user-net/ipv4.js";
import { address, BROADCAST, ethernet, ipFrame, MAC_A, MAC_B, tcp, udp } from "./frames.js";

const GATEWAY_MAC = Uint8Array.of(0x52, 0x55, 10, 0, 2, 2);

function setUp() {
  const timers = new VirtualTimers();
  const [near, guest] = pairPorts("wire");
  const gateway = new Gateway({ port: near, timers, hostname: "guest1", domain: "lan" });
  const got: Uint8Array[] = [];
  guest.onFrame = (frame) => got.push(frame);
  return { timers, gateway, guest, got };
}

function dhcp(type: number, mac: Uint8Array, options: number[] = []): Uint8Array {
  const message = new Uint8Array(300);
  message.set([1, 1, 6, 0, 1, 2, 3, 4]);
  message.set(mac, 28);
  message.set([0x63, 0x82, 0x53, 0x63, 53, 1, type, ...options, 255], 236);
  const fields = { from: "0.0.0.0", to: "255.255.255.255", protocol: 17 };
  return ipFrame(BROADCAST, mac, { ...fields, payload: udp(68, 67, message) });
}

function readDhcp(frame: Uint8Array) {
  const transport = findTransport(frame)!;
  expect(isChecksumRight(frame, transport)).toBe(true);
  const message = frame.subarray(transport.offset + 8);
  const options = new Map<number, number[]>();
  for (let at = 240; message[at] !== 255; at += 2 + message[at + 1]!)
    options.set(message[at]!, [...message.subarray(at + 2, at + 2 + message[at + 1]!)]);
  return { address: [...message.subarray(16, 20)].join("."), id: [...message.subarray(4, 8)], options };
}

function ping(size: number): Uint8Array {
  const message = new Uint8Array(8 + size).map((_, i) => i * 3);
  message.set([8, 0, 0, 0]);
  const sum = internetChecksum(message);
  message.set([sum >> 8, sum & 255], 2);
  return message;
}

describe("DHCP", () => {
  test("discover, offer, request, acknowledge", () => {
    const { guest, got } = setUp();
    guest.send(dhcp(1, MAC_A));
    const offer = readDhcp(got.shift()!);
    expect(offer).toMatchObject({ address: "10.0.2.15", id: [1, 2, 3, 4] });
    expect(offer.options.get(53)).toEqual([2]);
    guest.send(dhcp(3, MAC_A, [50, 4, 10, 0, 2, 15, 54, 4, 10, 0, 2, 2]));
    const { options } = readDhcp(got.shift()!);
    expect(options.get(53)).toEqual([5]);
    expect([options.get(1), options.get(3), options.get(6)]).toEqual([
      [255, 255, 255, 0],
      [10, 0, 2, 2],
      [10, 0, 2, 3],
    ]);
    expect(Buffer.from(options.get(12)!).toString()).toBe("guest1");
  });

  test("each guest its own address, the same one again; another's is refused; a declined one isn't given out", () => {
    const { guest, got } = setUp();
    for (const mac of [MAC_A, MAC_B, MAC_A]) guest.send(dhcp(1, mac));
    expect(got.splice(0).map((frame) => readDhcp(frame).address)).toEqual(["10.0.2.15", "10.0.2.16", "10.0.2.15"]);
    guest.send(dhcp(3, MAC_B, [50, 4, 10, 0, 2, 15]));
    expect(readDhcp(got.shift()!).options.get(53)).toEqual([6]);
    guest.send(dhcp(4, MAC_A, [50, 4, 10, 0, 2, 15]));
    guest.send(dhcp(1, MAC_A));
    expect(readDhcp(got.shift()!).address).toBe("10.0.2.17");
    guest.send(dhcp(3, MAC_A, [54, 4, 10, 9, 9, 9]));
    expect(got).toEqual([]);
  });

  test("a flood of hardware addresses ends at the pool's size", () => {
    const { guest, gateway } = setUp();
    for (let i = 0; i < 1000; i++) guest.send(dhcp(1, Uint8Array.of(2, 0, 0, 0, i >> 8, i & 255)));
    expect(gateway.dhcp.leases.size).toBe(240);
  });
});

describe("router", () => {
  const from = "10.0.2.15";

  test("ARP: for its own addresses only", () => {
    const { guest, got } = setUp();
    const ask = (target: string) => {
      const body = [0, 1, 8, 0, 6, 4, 0, 1, ...MAC_A, ...address(from), 0, 0, 0, 0, 0, 0, ...address(target)];
      guest.send(ethernet(BROADCAST, MAC_A, 0x0806, Uint8Array.from(body)));
      return got.shift();
    };
    for (const target of ["10.0.2.2", "10.0.2.3"]) {
      const reply = ask(target)!;
      expect([...reply.subarray(20, 32)]).toEqual([0, 2, ...GATEWAY_MAC, ...address(target)]);
    }
    expect(ask("10.0.2.77")).toBeUndefined();
  });

  test("echo: the same data back, in fragments when it is long", () => {
    const { guest, got, timers } = setUp();
    const message = ping(56);
    guest.send(ipFrame(GATEWAY_MAC, MAC_A, { from, to: "10.0.2.2", protocol: 1, payload: message }));
    const reply = parseIpv4(got.shift()!.subarray(14))!;
    expect([formatAddress(reply.source), reply.payload[0]]).toEqual(["10.0.2.2", 0]);
    expect(reply.payload.subarray(4)).toEqual(message.subarray(4));
    expect(internetChecksum(reply.payload)).toBe(0);
    const long = ping(4000);
    // The last fragment first.
    for (const at of [2960, 0, 1480]) {
      const payload = long.subarray(at, at + 1480);
      const fragment = (at / 8) | (at + 1480 < long.length ? 0x2000 : 0);
      guest.send(ipFrame(GATEWAY_MAC, MAC_A, { from, to: "10.0.2.2", protocol: 1, payload, fragment }));
    }
    expect(got).toHaveLength(3);
    const reassembler = new Reassembler(timers);
    const [whole] = got.map((frame) => reassembler.add(parseIpv4(frame.subarray(14))!)).filter(Boolean);
    expect(Buffer.from(whole!.payload.subarray(4)).equals(long.subarray(4))).toBe(true);
  });

  test("what leads elsewhere is refused as prohibited, a closed port of its own as such", () => {
    const { guest, got } = setUp();
    const payload = tcp({ sourcePort: 5, targetPort: 80, sequence: 1, flags: 2 });
    guest.send(ipFrame(GATEWAY_MAC, MAC_A, { from, to: "192.0.2.1", protocol: 6, payload }));
    guest.send(ipFrame(GATEWAY_MAC, MAC_A, { from, to: "10.0.2.2", protocol: 6, payload }));
    const messages = got.map((frame) => parseIpv4(frame.subarray(14))!.payload);
    expect(messages.map(([type, code]) => [type, code])).toEqual([
      [3, 13],
      [3, 3],
    ]);
    expect([...messages[0]!.subarray(28, 32)]).toEqual([0, 5, 0, 80]);
  });
});

describe("hostile guests", () => {
  test("fragments that overlap, or never end, are forgotten", () => {
    const { guest, got, timers } = setUp();
    const send = (id: number, at: number, size: number, hasMore: boolean) => {
      const fragment = (at / 8) | (hasMore ? 0x2000 : 0);
      const payload = new Uint8Array(size);
      guest.send(
        ipFrame(GATEWAY_MAC, MAC_A, { from: "10.0.2.15", to: "10.0.2.2", protocol: 1, payload, fragment, id }),
      );
    };
    send(1, 0, 16, true);
    send(1, 8, 16, true);
    send(1, 24, 8, false);
    for (let id = 0; id < 1000; id++) send(id, 65_528, 64, false);
    timers.advance(60_000);
    for (let id = 0; id < 1000; id++) send(id, 8, 64, true);
    expect(got).toEqual([]);
  });

  test("any frame: nothing throws", () => {
    const { guest } = setUp();
    const bases = [
      dhcp(1, MAC_A),
      dhcp(3, MAC_A, [50, 4, 10, 0, 2, 15]),
      ipFrame(GATEWAY_MAC, MAC_A, { from: "10.0.2.15", to: "10.0.2.2", protocol: 1, payload: ping(20) }),
    ];
    const change = fc.tuple(fc.nat(350), fc.nat(255));
    fc.assert(
      fc.property(fc.constantFrom(...bases), fc.array(change, { maxLength: 12 }), fc.nat(350), (base, changes, cut) => {
        const frame = base.slice(0, Math.max(14, cut));
        for (const [at, value] of changes) if (at >= 34 || at < 14) frame[at] = value;
        guest.send(frame);
      }),
      { numRuns: 2000 },
    );
  });
});
