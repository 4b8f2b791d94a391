// Ports, bridge, capture, faults, stream links: what is sent arrives where it should, and nowhere else.
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Bridge } from "../../../src/devices/network/bridge.js";
import { FaultyPort, lineFaults } from "../../../src/devices/network/faulty-port.js";
import { cutSegments } from "../../../src/devices/network/offload.js";
import { joinPorts, pairPorts } from "../../../src/devices/network/packet-port.js";
import { CapturePoint, pcapHeader, pcapRecord } from "../../../src/devices/network/pcap.js";
import { connectStreamLink, listenStreamLink, type StreamLink } from "../../../src/devices/network/stream-link.js";
import { VirtualTimers } from "../../../src/devices/network/timers.js";
import { completeChecksum, findTransport, isChecksumRight } from "../../../src/devices/network/transport.js";
import { BROADCAST, ethernet, ipFrame, MAC_A, MAC_B, tcp, text } from "./frames.js";

function bridgeOf(count: number, options = {}) {
  const timers = new VirtualTimers();
  const bridge = new Bridge({ name: "xenbr0", now: () => timers.now(), ...options });
  const got: string[] = [];
  const ports = Array.from({ length: count }, (_, i) => {
    const port = bridge.addPort(`vif${i}.0`);
    port.onFrame = (frame) => got.push(`${i}:${frame.length}`);
    return port;
  });
  return { timers, bridge, ports, got };
}
const a2b = ethernet(MAC_B, MAC_A, 0x1234, new Uint8Array(50));
const b2a = ethernet(MAC_A, MAC_B, 0x1234, new Uint8Array(60));

describe("bridge", () => {
  test("floods what it doesn't know in port order, then forwards to the one port", () => {
    const { ports, got, bridge } = bridgeOf(4);
    ports[0]!.send(a2b);
    expect(got.splice(0)).toEqual(["1:64", "2:64", "3:64"]);
    ports[2]!.send(b2a);
    expect(got.splice(0)).toEqual(["0:74"]);
    ports[0]!.send(a2b);
    expect(got.splice(0)).toEqual(["2:64"]);
    expect(bridge.addresses.map(({ mac, port }) => `${mac} ${port}`)).toEqual([
      "00:16:3e:00:00:0b vif2.0",
      "00:16:3e:00:00:0a vif0.0",
    ]);
  });

  test("forgets an address after its time, and when its port closes", () => {
    const { ports, got, timers } = bridgeOf(3);
    ports[1]!.send(b2a);
    got.splice(0);
    timers.advance(299_999);
    ports[0]!.send(a2b);
    expect(got.splice(0)).toEqual(["1:64"]);
    timers.advance(1);
    ports[0]!.send(a2b);
    expect(got.splice(0)).toEqual(["1:64", "2:64"]);
    ports[1]!.send(b2a);
    ports[1]!.close();
    got.splice(0);
    ports[0]!.send(a2b);
    expect(got).toEqual(["2:64"]);
  });

  test("an address that moves is followed; the table stays bounded; broken frames go nowhere", () => {
    const { ports, got, bridge } = bridgeOf(3, { maxAddresses: 8 });
    ports[1]!.send(b2a);
    ports[2]!.send(b2a);
    got.splice(0);
    ports[0]!.send(a2b);
    expect(got.splice(0)).toEqual(["2:64"]);
    for (let i = 0; i < 100; i++) ports[0]!.send(ethernet(MAC_B, Uint8Array.of(2, 0, 0, 0, 0, i), 0, text("x")));
    expect(bridge.addresses).toHaveLength(8);
    got.splice(0);
    ports[0]!.send(new Uint8Array(13));
    ports[0]!.send(new Uint8Array(70_000));
    expect(got).toEqual([]);
  });

  test("joined bridges carry frames and offload", () => {
    const [left, right] = [bridgeOf(2), bridgeOf(2)];
    joinPorts(left.bridge.addPort("up"), right.bridge.addPort("up"));
    left.ports[0]!.send(ethernet(BROADCAST, MAC_A, 0x1234, text("hello")));
    expect([...left.got, ...right.got]).toEqual(["1:19", "0:19", "1:19"]);
  });
});

describe("segmentation", () => {
  const payload = Uint8Array.from({ length: 10_000 }, (_, i) => i * 7);
  const big = ipFrame(MAC_B, MAC_A, {
    from: "10.0.0.1",
    to: "10.0.0.2",
    protocol: 6,
    payload: tcp({ sourcePort: 1, targetPort: 2, sequence: 0xfffff000, flags: 0x19, payload }),
  });

  test("segments together are the packet, each with right checksums", () => {
    const segments = cutSegments(big, { kind: "tcp4", segmentSize: 1448 });
    expect(segments).toHaveLength(7);
    const joined: number[] = [];
    for (const [i, segment] of segments.entries()) {
      const transport = findTransport(segment)!;
      expect(isChecksumRight(segment, transport)).toBe(true);
      const view = new DataView(segment.buffer);
      expect(view.getUint32(38)).toBe((0xfffff000 + i * 1448) >>> 0);
      expect(segment[47]).toBe(i === 6 ? 0x19 : 0x10);
      joined.push(...segment.subarray(54));
    }
    expect(Uint8Array.from(joined)).toEqual(payload);
  });

  test("a receiver that doesn't want the whole gets segments", () => {
    const [a, b] = pairPorts("wire");
    const sizes: number[] = [];
    b.onFrame = (frame) => sizes.push(frame.length);
    a.send(big, { kind: "tcp4", segmentSize: 5000 });
    b.wantsOffload = true;
    a.send(big, { kind: "tcp4", segmentSize: 5000 });
    expect(sizes).toEqual([5054, 5054, 10_054]);
  });

  test("IPv6 with an extension header: checksum and segments", () => {
    const inner = tcp({ sourcePort: 1, targetPort: 2, sequence: 5, flags: 0x10, payload: payload.subarray(0, 3000) });
    const packet = new Uint8Array(40 + 8 + inner.length);
    packet[0] = 0x60;
    new DataView(packet.buffer).setUint16(4, 8 + inner.length);
    packet[6] = 60;
    packet.fill(0x20, 8, 40);
    packet[40] = 6;
    packet.set(inner, 48);
    const frame = ethernet(MAC_B, MAC_A, 0x86dd, packet);
    expect(completeChecksum(frame)).toBe(true);
    const segments = cutSegments(frame, { kind: "tcp6", segmentSize: 1400 });
    expect(segments.map(({ length }) => length - 82)).toEqual([1400, 1400, 200]);
    for (const segment of segments) expect(isChecksumRight(segment, findTransport(segment)!)).toBe(true);
  });

  test("anything at all neither throws nor grows", () => {
    const mangled = fc.tuple(fc.integer({ min: 0, max: 60 }), fc.uint8Array({ maxLength: 8 }), fc.nat(200));
    fc.assert(
      fc.property(mangled, fc.nat(70_000), ([at, bytes, length], segmentSize) => {
        const frame = big.slice(0, Math.max(length, at + bytes.length));
        frame.set(bytes, at);
        completeChecksum(frame);
        for (const kind of ["tcp4", "tcp6"] as const)
          for (const segment of cutSegments(frame, { kind, segmentSize }))
            expect(segment.length).toBeLessThanOrEqual(frame.length);
      }),
      { numRuns: 500 },
    );
  });
});

describe("capture", () => {
  test("writes both directions with nanoseconds", () => {
    const [a, b] = pairPorts("wire");
    const file: number[] = [];
    let wall = 1_767_225_600_123_456_789n;
    const port = new CapturePoint(a);
    file.push(...pcapHeader());
    const stop = port.observe((frame) => file.push(...pcapRecord(frame, wall++)));
    const got: Uint8Array[] = [];
    port.onFrame = (frame) => got.push(frame);
    port.send(a2b);
    b.send(b2a);
    stop();
    port.send(a2b);
    expect(got).toEqual([b2a]);
    const view = new DataView(Uint8Array.from(file).buffer);
    expect(view.getUint32(0, true)).toBe(0xa1b23c4d);
    expect(view.getUint32(20, true)).toBe(1);
    expect([view.getUint32(24, true), view.getUint32(28, true)]).toEqual([1_767_225_600, 123_456_789]);
    expect([view.getUint32(32, true), view.getUint32(36, true)]).toEqual([64, 64]);
    expect(view.getUint32(40 + 64 + 4, true)).toBe(123_456_790);
    expect(file).toHaveLength(24 + 16 + 64 + 16 + 74);
  });
});

describe("faults", () => {
  test("loss, delay and partition", () => {
    const timers = new VirtualTimers();
    const [a, b] = pairPorts("wire");
    const faulty = new FaultyPort(a, { timers });
    let got = 0;
    b.onFrame = () => got++;
    faulty.send(a2b);
    expect(got).toBe(1);
    faulty.decide = () => ({ delayMs: 20 });
    faulty.send(a2b);
    timers.advance(19);
    expect(got).toBe(1);
    timers.advance(1);
    expect(got).toBe(2);
    faulty.send(a2b);
    faulty.isPartitioned = true;
    timers.advance(100);
    faulty.isPartitioned = false;
    expect(got).toBe(2);
    let turn = 0;
    faulty.decide = lineFaults({ loss: 0.5 }, () => (turn++ % 2 ? 0.9 : 0.1));
    for (let i = 0; i < 10; i++) faulty.send(a2b);
    expect(got).toBe(7);
  });
});

describe("stream link", () => {
  async function withLink(run: (path: string, accepted: Promise<StreamLink>) => Promise<void>): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), "xen-ts-link-"));
    const path = join(folder, "link");
    let accept: (link: StreamLink) => void = () => {};
    const accepted = new Promise<StreamLink>((resolve) => (accept = resolve));
    const server = await listenStreamLink(path, (link) => accept(link));
    try {
      await run(path, accepted);
    } finally {
      server.close();
      rmSync(folder, { recursive: true });
    }
  }

  test("frames arrive whole both ways", () =>
    withLink(async (path, accepted) => {
      const near = await connectStreamLink(path);
      const far = await accepted;
      const frames = Array.from({ length: 50 }, (_, i) => ethernet(MAC_B, MAC_A, i, new Uint8Array(i * 200).fill(i)));
      const got: Uint8Array[] = [];
      const all = new Promise<void>((resolve) => {
        far.onFrame = (frame) => {
          if (got.push(frame) === frames.length) resolve();
        };
      });
      for (const frame of frames) near.send(frame);
      await all;
      expect(Buffer.concat(got).equals(Buffer.concat(frames))).toBe(true);
      near.close();
      expect(await far.ended).toBe("closed");
    }));

  test("a length that no frame has ends the link", () =>
    withLink(async (path, accepted) => {
      const socket = connect(path);
      const link = await accepted;
      socket.on("error", () => {});
      socket.write(Uint8Array.of(0xff, 0, 0, 0));
      expect(await link.ended).toMatch(/frame of 4278190080 bytes/);
      socket.destroy();
    }));
});
