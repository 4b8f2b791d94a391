// The NAT as its guests' frames see it, with real sockets on the loopback: what is let through, what is refused, names, forwards,
// limits.
import { createSocket } from "node:dgram";
import { connect, createServer, type Socket } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Offload } from "../../../src/devices/network/offload.js";
import { pairPorts } from "../../../src/devices/network/packet-port.js";
import { hostTimers } from "../../../src/devices/network/timers.js";
import { parseHosts, parseServer } from "../../../src/devices/network/user-net/host-names.js";
import { parseIpv4 } from "../../../src/devices/network/user-net/ipv4.js";
import { type NatOptions, parseHostForward } from "../../../src/devices/network/user-net/nat-options.js";
import { routeTo } from "../../../src/devices/network/user-net/routes.js";
import { parseTcp, TCP, type TcpSegment } from "../../../src/devices/network/user-net/tcp-segment.js";
import { UserNet } from "../../../src/devices/network/user-net/user-net.js";
import { ethernet, ipFrame, MAC_A, tcp, text, udp } from "./frames.js";

const GATEWAY_MAC = Uint8Array.of(0x52, 0x55, 10, 0, 2, 2);
const GUEST = "10.0.2.15";

/** A guest that sends packets by hand. */
class Guest {
  readonly net: UserNet;
  readonly got: Uint8Array[] = [];
  readonly #port;

  constructor(options: NatOptions = {}) {
    const [near, far] = pairPorts("nat");
    this.#port = far;
    far.onFrame = (frame) => this.#receive(frame);
    let turn = 1;
    this.net = new UserNet({
      ...{ port: near, options, log: () => {}, timers: hostTimers(() => performance.now()) },
      random: () => (turn = (turn * 16_807) % 2_147_483_647) / 2_147_483_647,
    });
    onTestFinished(() => this.net.close());
    // So that the gateway knows us.
    this.send("10.0.2.2", 1, new Uint8Array(8));
  }

  #receive(frame: Uint8Array): void {
    // Answers ARP requests for itself.
    if (frame[12] === 8 && frame[13] === 6) {
      const reply = frame.slice(14);
      reply.set([0, 2, ...MAC_A, ...frame.subarray(38, 42), ...frame.subarray(22, 32)], 6);
      this.#port.send(ethernet(GATEWAY_MAC, MAC_A, 0x0806, reply));
    } else this.got.push(frame);
  }

  send(to: string, protocol: number, payload: Uint8Array, offload?: Offload): void {
    this.#port.send(ipFrame(GATEWAY_MAC, MAC_A, { from: GUEST, to, protocol, payload }), offload);
  }

  sendTcp(to: string, options: Parameters<typeof tcp>[0]): void {
    this.send(to, 6, tcp(options));
  }

  sendUdp(to: string, sourcePort: number, targetPort: number, data: Uint8Array): void {
    this.send(to, 17, udp(sourcePort, targetPort, data));
  }

  /** The next packet of a protocol. */
  async next(protocol: number): Promise<Uint8Array> {
    for (let i = 0; i < 500; i++) {
      const index = this.got.findIndex((frame) => frame[23] === protocol);
      if (index >= 0) return parseIpv4(this.got.splice(index, 1)[0]!.subarray(14))!.payload;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error("nothing came");
  }

  async nextTcp(): Promise<TcpSegment> {
    return parseTcp(await this.next(6))!;
  }
}

async function listen(onData: (data: Buffer) => string): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    socket.on("data", (data) => socket.write(onData(data)));
  });
  onTestFinished(() => void server.close());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return (server.address() as { port: number }).port;
}

describe("routes", () => {
  const gateway = 0x0a000202;
  const to = (target: number, restrict = false, hostLoopback = false) =>
    routeTo(target, { gateway, restrict, hostLoopback });
  test("the gateway is the machine's loopback only when that is allowed; nothing leads to what isn't routed", () => {
    expect(to(gateway)).toBeUndefined();
    expect(to(gateway, false, true)).toBe("127.0.0.1");
    expect(to(gateway, true, true)).toBeUndefined();
    for (const target of [0x7f000001, 0x7fffffff, 0x00000000, 0xa9fea9fe, 0xe0000001, 0xffffffff])
      expect(to(target, false, true)).toBeUndefined();
    expect(to(0xc0000201)).toBe("192.0.2.1");
    expect(to(0xc0000201, true)).toBeUndefined();
  });
});

describe("TCP", () => {
  const open = (guest: Guest, port: number, sourcePort = 1000) =>
    guest.sendTcp("10.0.2.2", { sourcePort, targetPort: port, sequence: 100, flags: TCP.SYN });

  test("a connection to the loopback: SYN answered when the socket stands, data both ways", async () => {
    const guest = new Guest({ hostLoopback: true });
    const port = await listen((data) => data.toString().toUpperCase());
    open(guest, port);
    const answer = await guest.nextTcp();
    expect([answer.flags, answer.acknowledgment, answer.mss]).toEqual([TCP.SYN | TCP.ACK, 101, 1460]);
    const ack = (answer.sequence + 1) >>> 0;
    guest.sendTcp("10.0.2.2", {
      ...{ sourcePort: 1000, targetPort: port, sequence: 101, acknowledgment: ack, flags: TCP.ACK },
      payload: text("hello"),
    });
    let reply = await guest.nextTcp();
    while (reply.payload.length === 0) reply = await guest.nextTcp();
    expect(Buffer.from(reply.payload).toString()).toBe("HELLO");
    expect(reply.acknowledgment).toBe(106);
    expect(guest.net.statistics.tcpConnections).toBe(1);
    guest.sendTcp("10.0.2.2", { sourcePort: 1000, targetPort: port, sequence: 106, flags: TCP.RST });
    expect(guest.net.statistics.tcpConnections).toBe(0);
  });

  /** A guest with a connection to a server of the machine. */
  async function established(onSocket: (socket: Socket) => void) {
    const guest = new Guest({ hostLoopback: true });
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {});
      onSocket(socket);
    });
    onTestFinished(() => void server.close());
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as { port: number };
    open(guest, port);
    let { sequence: next } = await guest.nextTcp();
    next = (next + 1) >>> 0;
    let own = 101;
    const send = (flags: number, data = "") => {
      const payload = text(data);
      const ports = { sourcePort: 1000, targetPort: port };
      guest.sendTcp("10.0.2.2", { ...ports, sequence: own, acknowledgment: next, flags, payload });
      own += payload.length + (flags & TCP.FIN);
    };
    send(TCP.ACK);
    /** Takes what comes, up to the machine's FIN or RST. */
    const rest = async () => {
      let said = "";
      for (;;) {
        const { flags, payload } = await guest.nextTcp();
        if (flags & TCP.RST) return `${said} reset`;
        said += Buffer.from(payload).toString();
        next = (next + payload.length + (flags & TCP.FIN)) >>> 0;
        if (payload.length > 0 || flags & TCP.FIN) send(TCP.ACK);
        if (flags & TCP.FIN) return said;
      }
    };
    return { guest, send, rest };
  }

  test("what the machine sends in bulk comes whole, in packets as long as they may be", async () => {
    const said = "0123456789abcdef".repeat(40_000);
    const { rest } = await established((socket) => socket.end(said));
    expect(await rest()).toBe(said);
  });

  test("half-closed by the guest: the server hears the end, and answers after it", async () => {
    const { guest, send, rest } = await established((socket) => {
      let heard = "";
      socket.on("data", (data) => (heard += data));
      socket.on("end", () => socket.end(`heard ${heard}`));
    });
    send(TCP.ACK | TCP.FIN, "all of it");
    expect(await rest()).toBe("heard all of it");
    expect(guest.net.statistics.tcpConnections).toBe(0);
  });

  test("half-closed by the server: the guest goes on until it is done", async () => {
    const heard = new Promise<string>((resolve) => {
      void established((socket) => {
        let all = "";
        socket.end("bye");
        socket.on("data", (data) => (all += data));
        socket.on("end", () => resolve(all));
      }).then(async ({ send, rest }) => {
        expect(await rest()).toBe("bye");
        send(TCP.ACK, "still ");
        send(TCP.ACK | TCP.FIN, "here");
      });
    });
    expect(await heard).toBe("still here");
  });

  test("broken off by the server: the guest is told by a reset", async () => {
    const { guest, send, rest } = await established((socket) => socket.on("data", () => socket.resetAndDestroy()));
    send(TCP.ACK, "hello");
    expect(await rest()).toBe(" reset");
    expect(guest.net.statistics.tcpConnections).toBe(0);
  });

  test.each([
    ["the loopback when it isn't allowed", {}],
    ["anything under restrict", { restrict: true, hostLoopback: true }],
  ])("%s is refused", async (_, options) => {
    const guest = new Guest(options);
    const port = await listen(() => "secret");
    open(guest, port);
    const { flags, acknowledgment } = await guest.nextTcp();
    expect([flags, acknowledgment]).toEqual([TCP.RST | TCP.ACK, 101]);
    expect(guest.net.statistics.tcpConnections).toBe(0);
  });

  test("a guest that opens all it can is stopped, and its sockets end with the network", async () => {
    const guest = new Guest({ hostLoopback: true });
    const port = await listen(() => "");
    for (let i = 0; i < 400; i++) open(guest, port, 2000 + i);
    expect(guest.net.statistics).toMatchObject({ tcpConnections: 256, tcpRefused: 144 });
    guest.net.close();
    expect(guest.net.statistics.tcpConnections).toBe(0);
  });

  test("a forward: the guest is asked by a SYN from the gateway; without a guest it is refused", async () => {
    const guest = new Guest();
    const { port } = await guest.net.forward("tcp:127.0.0.1:0-10.0.2.15:80");
    const socket = connect(port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    const syn = await guest.nextTcp();
    expect([syn.flags, syn.targetPort]).toEqual([TCP.SYN, 80]);
    guest.sendTcp("10.0.2.2", {
      ...{ sourcePort: 80, targetPort: syn.sourcePort, sequence: 7, flags: TCP.SYN | TCP.ACK },
      acknowledgment: (syn.sequence + 1) >>> 0,
    });
    socket.write("ping");
    let data = await guest.nextTcp();
    while (data.payload.length === 0) data = await guest.nextTcp();
    expect(Buffer.from(data.payload).toString()).toBe("ping");
    const other = await guest.net.forward("tcp:127.0.0.1:0-:81", Uint8Array.of(2, 0, 0, 0, 0, 9));
    const refused = connect(other.port, "127.0.0.1");
    await expect(new Promise((_, reject) => refused.once("error", reject))).rejects.toThrow(/ECONNRESET/);
  });
});

test("packets whose checksum was left to us are cut off as well as others: nothing throws", async () => {
  const guest = new Guest({ hostLoopback: true });
  for (const to of ["10.0.2.2", "10.0.2.3", "192.0.2.1"])
    for (const protocol of [6, 17, 1, 99])
      for (let length = 0; length < 24; length++)
        guest.send(to, protocol, new Uint8Array(length).fill(length), { kind: "checksum" });
  // A length that the datagram doesn't have.
  guest.send("10.0.2.3", 17, Uint8Array.of(16, 0, 0, 53, 255, 255, 0, 0, 1), { kind: "checksum" });
  expect(guest.net.statistics).toMatchObject({ tcpConnections: 0, udpMappings: 0, dnsQueries: 0 });
});

describe("UDP and names", () => {
  async function echo(): Promise<number> {
    const socket = createSocket("udp4");
    onTestFinished(() => void socket.close());
    socket.on("message", (data, from) => socket.send(`re: ${data}`, from.port, from.address));
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
    return socket.address().port;
  }

  test("a datagram and its answer; strangers are not let in; mappings are bounded", async () => {
    const guest = new Guest({ hostLoopback: true });
    const port = await echo();
    guest.sendUdp("10.0.2.2", 4000, port, text("hi"));
    const answer = await guest.next(17);
    expect([Buffer.from(answer.subarray(8)).toString(), (answer[2]! << 8) | answer[3]!]).toEqual(["re: hi", 4000]);
    for (let i = 0; i < 500; i++) guest.sendUdp("10.0.2.2", 5000 + i, port, text("x"));
    expect(guest.net.statistics.udpMappings).toBe(256);
  });

  function query(name: string, type = 1): Uint8Array {
    const labels = name.split(".").flatMap((label) => [label.length, ...text(label)]);
    return Uint8Array.from([0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, type, 0, 1]);
  }

  async function resolver(): Promise<string> {
    const socket = createSocket("udp4");
    onTestFinished(() => void socket.close());
    socket.on("message", (data, from) => {
      data[2]! |= 0x80;
      socket.send(Buffer.concat([data, Buffer.from("answer")]), from.port, from.address);
    });
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
    return `127.0.0.1:${socket.address().port}`;
  }

  test("names of the options are answered here, others by the resolver", async () => {
    const guest = new Guest({ hosts: { "Files.Test": "192.0.2.7" }, dns: [await resolver()] });
    guest.sendUdp("10.0.2.3", 4000, 53, query("files.test"));
    const own = (await guest.next(17)).subarray(8);
    expect([...own.subarray(0, 8)]).toEqual([0xab, 0xcd, 0x81, 0x80, 0, 1, 0, 1]);
    expect([...own.subarray(-4)]).toEqual([192, 0, 2, 7]);
    guest.sendUdp("10.0.2.3", 4000, 53, query("other.test"));
    const forwarded = (await guest.next(17)).subarray(8);
    expect([...forwarded.subarray(0, 2)]).toEqual([0xab, 0xcd]);
    expect(Buffer.from(forwarded.subarray(-6)).toString()).toBe("answer");
  });

  test("under restrict no name leads out", async () => {
    const guest = new Guest({ restrict: true, hosts: { "a.test": "192.0.2.7" }, dns: [await resolver()] });
    guest.sendUdp("10.0.2.3", 4000, 53, query("secret.example"));
    expect((await guest.next(17))[8 + 3]! & 15).toBe(5);
    guest.sendUdp("10.0.2.3", 4000, 53, query("a.test"));
    expect([...(await guest.next(17)).subarray(-4)]).toEqual([192, 0, 2, 7]);
  });

  test("broken queries are passed over", () => {
    const guest = new Guest();
    for (let length = 0; length < 20; length++) guest.sendUdp("10.0.2.3", 4000, 53, new Uint8Array(length).fill(0xc0));
    expect(guest.net.statistics.dnsQueries).toBe(0);
  });
});

test("port forwards, servers and hosts files are read as their manuals have them", () => {
  expect(parseHostForward("tcp:127.0.0.1:8080-:80")).toEqual({
    ...{ protocol: "tcp", hostAddress: "127.0.0.1", hostPort: 8080, guestAddress: undefined, guestPort: 80 },
  });
  expect(parseHostForward("udp::53-10.0.2.15:53")).toMatchObject({ protocol: "udp", hostAddress: "127.0.0.1" });
  for (const wrong of ["", "tcp:1-2", "tcp::99999-:80", "sctp::1-:2", "tcp:1.2.3.400:1-:2", "tcp::1-:0"])
    expect(() => parseHostForward(wrong), wrong).toThrow(/hostfwd|address/);
  expect(parseServer("192.0.2.53")).toEqual({ host: "192.0.2.53", port: 53 });
  expect(parseServer("127.0.0.1:5300")).toEqual({ host: "127.0.0.1", port: 5300 });
  expect(parseServer("[::1]:5300")).toEqual({ host: "::1", port: 5300 });
  expect(parseServer("fe80::1%eth0")).toEqual({ host: "fe80::1%eth0", port: 53 });
  expect(() => parseServer("dns.example")).toThrow(/name server/);
  expect(
    parseHosts("127.0.0.1 localhost # us\n::1 localhost\n192.0.2.1\tA.test b.test\nbogus x").get("a.test"),
  ).toEqual(["192.0.2.1"]);
});
