// The NAT as IPv6 guests find it: the router and its prefix, names, TCP and UDP to the machine's ::1 by real sockets, forwards; what a hostile
// guest sends.
import { createSocket } from "node:dgram";
import { connect, createServer } from "node:net";
import fc from "fast-check";
import { describe, expect, onTestFinished, test } from "vitest";
import { foldSum, sumWords } from "../../../src/devices/network/checksum.js";
import type { Offload } from "../../../src/devices/network/offload.js";
import { pairPorts } from "../../../src/devices/network/packet-port.js";
import { hostTimers, VirtualTimers } from "../../../src/devices/network/timers.js";
import { completeChecksum, findTransport, isChecksumRight } from "../../../src/devices/network/transport.js";
import { formatIpv6Address, parseIpv6, parseIpv6Address } from "../../../src/devices/network/user-net/ipv6.js";
import { type NatOptions, parseHostForward, parseSubnet6 } from "../../../src/devices/network/user-net/nat-options.js";
import { routeTo } from "../../../src/devices/network/user-net/routes.js";
import { parseTcp, TCP, type TcpSegment } from "../../../src/devices/network/user-net/tcp-segment.js";
import { UserNet } from "../../../src/devices/network/user-net/user-net.js";
import { ethernet, MAC_A, tcp, text, udp } from "./frames.js";

const GATEWAY_MAC = Uint8Array.of(0x52, 0x55, 10, 0, 2, 2);
const GUEST = "fec0::216:3eff:fe00:a";
const LINK_LOCAL = "fe80::216:3eff:fe00:a";
const bytes = (address: string) => [...Buffer.from(parseIpv6Address(address), "hex")];

function ipv6(from: string, to: string, protocol: number, payload: Uint8Array, hopLimit = 64): Uint8Array {
  const header = [0x60, 0, 0, 0, payload.length >> 8, payload.length & 255, protocol, hopLimit];
  return Uint8Array.from([...header, ...bytes(from), ...bytes(to), ...payload]);
}

function icmp6(from: string, to: string, message: readonly number[]): Uint8Array {
  const whole = Uint8Array.from(message);
  const pseudo = Uint8Array.from([
    ...bytes(from),
    ...bytes(to),
    0,
    0,
    whole.length >> 8,
    whole.length & 255,
    0,
    0,
    0,
    58,
  ]);
  const sum = foldSum(sumWords(whole, 0, whole.length, sumWords(pseudo, 0, pseudo.length)));
  whole.set([sum >> 8, sum & 255], 2);
  return whole;
}

class Guest {
  readonly net: UserNet;
  readonly got: Uint8Array[] = [];
  readonly port;

  constructor(options: NatOptions = {}, timers = hostTimers(() => performance.now())) {
    const [near, far] = pairPorts("nat");
    this.port = far;
    far.onFrame = (frame) => this.#receive(frame);
    let turn = 1;
    this.net = new UserNet({
      ...{ port: near, options, log: () => {}, timers },
      random: () => (turn = (turn * 16_807) % 2_147_483_647) / 2_147_483_647,
    });
    onTestFinished(() => this.net.close());
  }

  #receive(frame: Uint8Array): void {
    const packet = parseIpv6(frame.subarray(14));
    // Answers solicitations of our addresses.
    if (packet?.protocol === 58 && packet.payload[0] === 135) {
      const target = formatIpv6Address(Buffer.from(packet.payload.subarray(8, 24)).toString("hex"));
      const message = [136, 0, 0, 0, 0x60, 0, 0, 0, ...packet.payload.subarray(8, 24), 2, 1, ...MAC_A];
      const to = formatIpv6Address(packet.source);
      this.sendIp(target, to, 58, icmp6(target, to, message), 255);
    } else this.got.push(frame);
  }

  sendIp(from: string, to: string, protocol: number, payload: Uint8Array, hopLimit?: number, offload?: Offload): void {
    const frame = ethernet(GATEWAY_MAC, MAC_A, 0x86dd, ipv6(from, to, protocol, payload, hopLimit));
    if ((protocol === 6 || protocol === 17) && !offload) completeChecksum(frame);
    this.port.send(frame, offload);
  }

  sendTcp(to: string, options: Parameters<typeof tcp>[0]): void {
    this.sendIp(GUEST, to, 6, tcp(options));
  }

  sendIcmp(from: string, to: string, message: readonly number[], hopLimit = 255): void {
    this.sendIp(from, to, 58, icmp6(from, to, message), hopLimit);
  }

  /** The next packet of a protocol; its checksum is right. */
  async next(protocol: number) {
    for (let i = 0; i < 500; i++) {
      const index = this.got.findIndex((frame) => frame[12] === 0x86 && frame[20] === protocol);
      if (index >= 0) {
        const frame = this.got.splice(index, 1)[0]!;
        if (protocol === 6 || protocol === 17) expect(isChecksumRight(frame, findTransport(frame)!)).toBe(true);
        const packet = parseIpv6(frame.subarray(14))!;
        return { ...packet, from: formatIpv6Address(packet.source), to: formatIpv6Address(packet.target), frame };
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error("nothing came");
  }

  async nextTcp(): Promise<TcpSegment> {
    return parseTcp((await this.next(6)).payload)!;
  }

  /** Makes itself known. */
  greet(): this {
    this.sendIcmp(LINK_LOCAL, "ff02::2", [133, 0, 0, 0, 0, 0, 0, 0]);
    this.sendIcmp(GUEST, "fec0::2", [128, 0, 0, 0, 0, 0, 0, 0], 64);
    this.got.length = 0;
    return this;
  }
}

describe("addresses", () => {
  test.each([
    ["::", "00000000000000000000000000000000"],
    ["::1", "00000000000000000000000000000001"],
    ["fec0::2", "fec00000000000000000000000000002"],
    ["2001:db8:0:1::", "20010db8000000010000000000000000"],
    ["2001:db8:0:1:1:1:1:1", "20010db8000000010001000100010001"],
    ["1:0:0:2::3", "00010000000000020000000000000003"],
    ["::2:0:0:0:0", "00000000000000020000000000000000"],
  ])("%s", (written, hex) => {
    expect(parseIpv6Address(written)).toBe(hex);
    expect(parseIpv6Address(formatIpv6Address(hex))).toBe(hex);
  });
  test("are written as RFC 5952 has them, and read with their variants", () => {
    for (const address of [
      "::",
      "::1",
      "fec0::2",
      "2001:db8::1:0:0:1",
      "2001:db8:0:1:1:1:1:1",
      "1::",
      "1:2:3:4:5:6:7:8",
    ])
      expect(formatIpv6Address(parseIpv6Address(address))).toBe(address);
    expect(parseIpv6Address("::ffff:127.0.0.1")).toBe("00000000000000000000ffff7f000001");
    expect(parseIpv6Address("FE80::1%eth0")).toBe("fe800000000000000000000000000001");
    for (const wrong of ["", "1", "::1::2", "12345::", "10.0.0.1"]) expect(() => parseIpv6Address(wrong)).toThrow();
    expect(parseSubnet6("fd00:1:2:3::/64")).toBe("fd00000100020003");
    for (const wrong of ["fec0::", "fec0::/48", "fe80::/64", "ff02::/64", "::/64", "fec0::/64/1"])
      expect(() => parseSubnet6(wrong), wrong).toThrow(RangeError);
    expect(parseHostForward("tcp:[::1]:8080-[fec0::15]:80")).toMatchObject({
      ...{ hostAddress: "::1", hostPort: 8080, guestAddress: parseIpv6Address("fec0::15"), guestPort: 80 },
    });
    expect(() => parseHostForward("tcp:[::1:8080-:80")).toThrow(/hostfwd/);
  });
  test("nothing leads to loopback, to IPv4 in disguise, to link-local, site-local or multicast addresses", () => {
    const options = { gateway: 0x0a000202, gateway6: parseIpv6Address("fec0::2"), restrict: false, hostLoopback: true };
    const to = (target: string, changes = {}) => routeTo(parseIpv6Address(target), { ...options, ...changes });
    expect(to("fec0::2")).toBe("::1");
    expect(to("fec0::2", { hostLoopback: false })).toBeUndefined();
    expect(to("fec0::2", { restrict: true })).toBeUndefined();
    for (const target of [
      "::",
      "::1",
      "::127.0.0.1",
      "::ffff:127.0.0.1",
      "::ffff:0:7f00:1",
      "fe80::1",
      "febf::1",
      "fec0::9",
      "ff02::1",
    ])
      expect(to(target), target).toBeUndefined();
    expect(to("2001:db8::1")).toBe("2001:db8::1");
    expect(to("2001:db8::1", { gateway6: undefined })).toBeUndefined();
    expect(to("2001:db8::1", { restrict: true })).toBeUndefined();
  });
});

describe("the router", () => {
  test("advertises itself, a prefix to make addresses in, and a name server", async () => {
    const guest = new Guest();
    guest.sendIcmp(LINK_LOCAL, "ff02::2", [133, 0, 0, 0, 0, 0, 0, 0, 1, 1, ...MAC_A]);
    const { from, to, hopLimit, payload, frame } = await guest.next(58);
    expect([from, to, hopLimit, payload[0]]).toEqual(["fe80::2", "ff02::1", 255, 134]);
    expect([...frame.subarray(0, 6)]).toEqual([0x33, 0x33, 0, 0, 0, 1]);
    expect([...icmp6(from, to, [...payload.subarray(0, 2), 0, 0, ...payload.subarray(4)])]).toEqual([...payload]);
    // Prefix information: on the link, for addresses of one's own, forever.
    const prefix = payload.subarray(32, 64);
    expect([...prefix.subarray(0, 4)]).toEqual([3, 4, 64, 0xc0]);
    expect([...prefix.subarray(16)]).toEqual(bytes("fec0::"));
    expect([...payload.subarray(-16)]).toEqual(bytes("fec0::3"));
    expect(guest.net.gateway6).toBe("fec0::2");
  });

  test("advertises itself again, to those who once asked for it", () => {
    const timers = new VirtualTimers();
    const guest = new Guest({}, timers);
    timers.advance(3_600_000);
    expect(guest.got).toEqual([]);
    guest.greet();
    timers.advance(3_600_000);
    const kinds = guest.got.map((frame) => [frame[14 + 6], frame[14 + 40]]);
    expect(kinds).toEqual(Array.from({ length: 6 }, () => [58, 134]));
    guest.net.close();
    timers.advance(3_600_000);
    expect(guest.got).toHaveLength(6);
  });

  test("says where it is, defends its addresses, answers echo requests, also long ones in fragments", async () => {
    const guest = new Guest();
    guest.sendIcmp(GUEST, "ff02::1:ff00:2", [135, 0, 0, 0, 0, 0, 0, 0, ...bytes("fec0::2"), 1, 1, ...MAC_A]);
    const answer = await guest.next(58);
    expect([answer.from, answer.to, answer.payload[0], answer.payload[4]]).toEqual(["fec0::2", GUEST, 136, 0xe0]);
    expect([...answer.payload.subarray(-6)]).toEqual([...GATEWAY_MAC]);
    // Somebody is about to take the address.
    guest.sendIcmp("::", "ff02::1:ff00:2", [135, 0, 0, 0, 0, 0, 0, 0, ...bytes("fec0::2")]);
    expect(await guest.next(58)).toMatchObject({ from: "fec0::2", to: "ff02::1" });
    // From afar: no neighbour.
    guest.sendIcmp(GUEST, "fec0::2", [135, 0, 0, 0, 0, 0, 0, 0, ...bytes("fec0::2")], 254);
    guest.sendIcmp(GUEST, "fec0::2", [128, 0, 0, 0, 1, 2, 3, 4, 5], 64);
    expect([...(await guest.next(58)).payload].filter((_, i) => i < 2 || i > 3)).toEqual([129, 0, 1, 2, 3, 4, 5]);
    const long = icmp6(GUEST, "fec0::2", [128, 0, 0, 0, ...new Array<number>(2000).fill(7)]);
    for (const [at, more] of [
      [0, 1],
      [1000, 0],
    ] as const) {
      const part = [58, 0, at >> 8, (at & 0xf8) | more, 0, 0, 0, 9, ...long.subarray(at, at + (more ? 1000 : 5000))];
      guest.sendIp(GUEST, "fec0::2", 44, Uint8Array.from(part));
    }
    const pieces = [await guest.next(44), await guest.next(44)];
    expect(
      pieces.map(({ protocol, fragmentOffset, hasMoreFragments, payload }) => [
        protocol,
        fragmentOffset,
        hasMoreFragments,
        payload.length,
      ]),
    ).toEqual([
      [58, 0, true, 1448],
      [58, 1448, false, 556],
    ]);
    expect(guest.got).toEqual([]);
  });

  test("names: by DHCPv6 (RFC 8415) a guest learns of the server, which answers", async () => {
    const guest = new Guest({ hosts: { "files.test": "2001:db8::7" } }).greet();
    guest.sendIp(
      LINK_LOCAL,
      "ff02::1:2",
      17,
      udp(546, 547, Uint8Array.of(11, 1, 2, 3, 0, 1, 0, 4, 0, 3, 0, 1, 0, 6, 0, 2, 0, 23)),
    );
    const reply = (await guest.next(17)).payload.subarray(8);
    expect([...reply.subarray(0, 12)]).toEqual([7, 1, 2, 3, 0, 1, 0, 4, 0, 3, 0, 1]);
    expect([...reply.subarray(-20)]).toEqual([0, 23, 0, 16, ...bytes("fec0::3")]);
    const query = Uint8Array.from([
      0xab,
      0xcd,
      1,
      0,
      0,
      1,
      0,
      0,
      0,
      0,
      0,
      0,
      5,
      ...text("files"),
      4,
      ...text("test"),
      0,
      0,
      28,
      0,
      1,
    ]);
    guest.sendIp(GUEST, "fec0::3", 17, udp(4000, 53, query));
    expect([...(await guest.next(17)).payload.subarray(-16)]).toEqual(bytes("2001:db8::7"));
  });

  test("is silent without IPv6; what isn't allowed is refused", async () => {
    const off = new Guest({ ipv6: false });
    off.sendIcmp(LINK_LOCAL, "ff02::2", [133, 0, 0, 0, 0, 0, 0, 0]);
    expect([off.got, off.net.gateway6]).toEqual([[], undefined]);
    const guest = new Guest({ restrict: true, hostLoopback: true }).greet();
    guest.sendTcp("2001:db8::1", { sourcePort: 9, targetPort: 80, sequence: 7, flags: TCP.SYN });
    expect((await guest.nextTcp()).flags).toBe(TCP.RST | TCP.ACK);
    guest.sendIp(GUEST, "2001:db8::1", 17, udp(9, 9, text("x")));
    expect((await guest.next(58)).payload.subarray(0, 2)).toEqual(Uint8Array.of(1, 1));
  });
});

/** Skips where the machine has no ::1. */
async function listen(onData: (data: Buffer) => string, skip: (note: string) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (data) => socket.write(onData(data)));
  });
  onTestFinished(() => void server.close());
  const error = await new Promise<Error | undefined>((resolve) => {
    server.once("error", resolve);
    server.listen(0, "::1", () => resolve(undefined));
  });
  if (error) skip(`no ::1: ${error.message}`);
  return (server.address() as { port: number }).port;
}

describe("to the machine's ::1", () => {
  test("TCP, data both ways", async ({ skip }) => {
    const port = await listen((data) => data.toString().toUpperCase(), skip);
    const guest = new Guest({ hostLoopback: true }).greet();
    guest.sendTcp("fec0::2", { sourcePort: 1000, targetPort: port, sequence: 100, flags: TCP.SYN });
    const answer = await guest.nextTcp();
    expect([answer.flags, answer.acknowledgment, answer.mss]).toEqual([TCP.SYN | TCP.ACK, 101, 1440]);
    const acknowledgment = (answer.sequence + 1) >>> 0;
    guest.sendTcp("fec0::2", {
      ...{ sourcePort: 1000, targetPort: port, sequence: 101, acknowledgment, flags: TCP.ACK, payload: text("hello") },
    });
    let reply = await guest.nextTcp();
    while (reply.payload.length === 0) reply = await guest.nextTcp();
    expect(Buffer.from(reply.payload).toString()).toBe("HELLO");
    expect(guest.net.statistics.tcpConnections).toBe(1);
  });

  test("UDP, and its answer", async ({ skip }) => {
    await listen(() => "", skip);
    const socket = createSocket("udp6");
    onTestFinished(() => void socket.close());
    socket.on("message", (data, from) => socket.send(`re: ${data}`, from.port, from.address));
    await new Promise<void>((resolve) => socket.bind(0, "::1", resolve));
    const guest = new Guest({ hostLoopback: true }).greet();
    guest.sendIp(GUEST, "fec0::2", 17, udp(4000, socket.address().port, text("hi")));
    const { from, payload } = await guest.next(17);
    expect([from, Buffer.from(payload.subarray(8)).toString()]).toEqual(["fec0::2", "re: hi"]);
  });

  test("a forward from [::1] to a guest's IPv6 address", async ({ skip }) => {
    await listen(() => "", skip);
    const guest = new Guest().greet();
    const { port } = await guest.net.forward(`tcp:[::1]:0-[${GUEST}]:80`);
    const socket = connect(port, "::1");
    onTestFinished(() => void socket.destroy());
    const syn = await guest.next(6);
    expect([syn.from, syn.to, parseTcp(syn.payload)!.flags]).toEqual(["fec0::2", GUEST, TCP.SYN]);
  });
});

describe("hostile guests", () => {
  const addresses = fc.constantFrom(
    "fec0::2",
    "fec0::3",
    "fe80::2",
    "ff02::1",
    "ff02::2",
    "ff02::1:2",
    "::1",
    "::",
    GUEST,
    "2001:db8::1",
  );
  const packet = fc.record({
    ...{ from: addresses, to: addresses, hopLimit: fc.constantFrom(255, 64), isOffloaded: fc.boolean() },
    protocol: fc.constantFrom(0, 6, 17, 43, 44, 58, 60, 99),
    ports: fc.constantFrom([546, 547], [9, 53], [53, 53], [1, 1]),
    payload: fc.uint8Array({ minLength: 4, maxLength: 80 }),
    cut: fc.nat(120),
  });

  test("any packets, whole or cut off, with or without checksums: nothing throws, nothing is left", () => {
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 40 }), (packets) => {
        const timers = new VirtualTimers();
        const guest = new Guest({ restrict: true }, timers).greet();
        for (const { from, to, hopLimit, isOffloaded, protocol, ports, payload, cut } of packets) {
          const [a = 0, b = 0] = ports;
          const body = protocol === 17 ? udp(a, b, payload) : payload;
          if (protocol === 58) {
            body[0] = [128, 133, 135, 136, 1][body[0]! % 5] ?? 0;
            guest.sendIp(from, to, 58, icmp6(from, to, [...body]), hopLimit);
          } else if (isOffloaded) guest.sendIp(from, to, protocol, body, hopLimit, { kind: "checksum" });
          else {
            const frame = ethernet(GATEWAY_MAC, MAC_A, 0x86dd, ipv6(from, to, protocol, body, hopLimit));
            completeChecksum(frame);
            guest.port.send(frame.subarray(0, Math.max(14, frame.length - (cut % 9))));
          }
          timers.advance(1000);
        }
        expect(guest.net.statistics).toMatchObject({ tcpConnections: 0, udpMappings: 0 });
        guest.net.close();
        expect(timers.pending).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});
