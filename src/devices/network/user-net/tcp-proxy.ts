// TCP of guests carried on by sockets of the machine: each connection ends here towards its guest (tcp-connection.ts) and goes on as a
// socket. A SYN is answered when the socket has connected, so that the guest sees refusals as such. Both directions are held back
// when the other end doesn't read. Bounded: connections, and bytes of each.

import { connect, createServer, type Server, type Socket } from "node:net";
import type { Timers } from "../timers.js";
import { connectionShare, GuestCounts, LIMITS, type NewFlows } from "./guest-shares.js";
import type { IpAddress, IpPacket } from "./ip-packet.js";
import { MAX_PAYLOAD, TcpConnection } from "./tcp-connection.js";
import { buildTcp, parseTcp, TCP, type TcpSegment } from "./tcp-segment.js";

export interface Destination {
  readonly host: string;
  readonly port: number;
}

export interface TcpProxyOptions {
  readonly timers: Timers;
  readonly random: () => number;
  /** A segment without its checksum, to a guest. */
  readonly send: (to: IpAddress, from: IpAddress, segment: Uint8Array, segmentSize: number) => void;
  /** Undefined: forbidden. */
  readonly route: (target: IpAddress, port: number) => Destination | undefined;
  /** In whose name connections from the machine reach this guest. */
  readonly gatewayOf: (guest: IpAddress) => IpAddress;
  /** Whose address this is: what limits go by. */
  readonly ownerOf: (guest: IpAddress) => string;
  readonly newFlows: NewFlows;
}

interface Ends {
  readonly guest: IpAddress;
  readonly guestPort: number;
  readonly peer: IpAddress;
  readonly peerPort: number;
}

interface Entry {
  readonly owner: string;
  readonly connection: TcpConnection;
  readonly socket: Socket;
}

/** Packets of 1500 bytes, less the headers of IPv4 or IPv6 and TCP. */
const [MSS_4, MSS_6] = [1460, 1440] as const;
const mssTo = (guest: IpAddress): number => (typeof guest === "number" ? MSS_4 : MSS_6);
const CONNECT_TIMEOUT_MS = 60_000;
const KEEP_ALIVE_MS = 600_000;
const [FIRST_PORT, LAST_PORT] = [49_152, 65_535];
/** What one read of a socket takes at most: large reads become large packets, and the guest is woken for several at a time. */
const READ_BYTES = 4 * MAX_PAYLOAD;

export class TcpProxy {
  readonly #options: TcpProxyOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #counts = new GuestCounts();
  readonly #servers = new Set<Server>();
  #nextPort = FIRST_PORT;
  /** Of all sockets: each read is copied before the next one. */
  readonly #readBuffer = new Uint8Array(READ_BYTES);
  /** Connections that were refused because there were too many. */
  refused = 0;

  constructor(options: TcpProxyOptions) {
    this.#options = options;
  }

  /** Connections that are kept, those in their last state included. */
  get connections(): number {
    return this.#entries.size;
  }

  /** From a guest. @returns false when nobody is there */
  receive(packet: IpPacket): boolean {
    const segment = parseTcp(packet.payload);
    if (!segment) return true;
    const ends = {
      ...{ guest: packet.source, guestPort: segment.sourcePort },
      ...{ peer: packet.target, peerPort: segment.targetPort },
    };
    const entry = this.#entries.get(keyOf(ends));
    const isOpening = (segment.flags & (TCP.SYN | TCP.ACK | TCP.RST)) === TCP.SYN;
    if (entry && !(isOpening && entry.connection.state === "time-wait")) entry.connection.receive(segment);
    else if (isOpening) this.#open(ends, segment);
    else if (!(segment.flags & TCP.RST)) this.#refuse(ends, segment);
    return true;
  }

  #open(ends: Ends, segment: TcpSegment): void {
    const destination = this.#options.route(ends.peer, ends.peerPort);
    const owner = this.#options.ownerOf(ends.guest);
    if (!destination || !this.#hasRoom(owner)) return void this.#refuse(ends, segment);
    // Unanswered: the guest asks again in a while, as of a server whose queue is full.
    if (!this.#options.newFlows.take(owner)) return;
    const readBuffer = () =>
      this.#readBuffer.subarray(0, Math.min(READ_BYTES, connectionShare(this.#counts.of(owner))));
    const onRead = (length: number, bytes: Uint8Array) => {
      connection.write(bytes.slice(0, length));
      if (connection.buffered > 2 * connectionShare(this.#counts.of(owner))) socket.pause();
      return true;
    };
    const options = { ...destination, allowHalfOpen: true, timeout: CONNECT_TIMEOUT_MS };
    const socket = connect({ ...options, onread: { buffer: readBuffer, callback: onRead } });
    const connection = this.#join(ends, socket);
    connection.receiveSyn(segment);
    socket.once("connect", () => {
      socket.setTimeout(0);
      connection.accept();
    });
    socket.once("timeout", () => connection.abort());
  }

  /** A connection that only waits for stray packets makes room. */
  #hasRoom(owner: string): boolean {
    const isFull = () => this.#entries.size >= LIMITS.allConnections || this.#counts.of(owner) >= LIMITS.connections;
    if (!isFull()) return true;
    const isGuestFull = this.#counts.of(owner) >= LIMITS.connections;
    for (const [key, entry] of this.#entries)
      if (entry.connection.state === "time-wait" && (!isGuestFull || entry.owner === owner)) {
        this.#remove(key, entry);
        return true;
      }
    this.refused++;
    return false;
  }

  #remove(key: string, entry: Entry): void {
    if (this.#entries.get(key) !== entry) return;
    this.#entries.delete(key);
    this.#counts.add(entry.owner, -1);
  }

  /** Tells that there is no such connection (RFC 9293 3.5.2). */
  #refuse(ends: Ends, { flags, sequence, acknowledgment, payload }: TcpSegment): void {
    const length = payload.length + (flags & TCP.SYN ? 1 : 0) + (flags & TCP.FIN ? 1 : 0);
    const reset =
      flags & TCP.ACK
        ? { sequence: acknowledgment, acknowledgment: 0, flags: TCP.RST }
        : { sequence: 0, acknowledgment: (sequence + length) >>> 0, flags: TCP.RST | TCP.ACK };
    this.#send(ends, { ...reset, window: 0, payload: new Uint8Array(0) }, mssTo(ends.guest));
  }

  #send(
    { guest, guestPort, peer, peerPort }: Ends,
    segment: Omit<TcpSegment, "sourcePort" | "targetPort">,
    segmentSize: number,
  ): void {
    const bytes = buildTcp({ ...segment, sourcePort: peerPort, targetPort: guestPort });
    this.#options.send(guest, peer, bytes, segmentSize);
  }

  /** A connection towards a guest, tied to a socket. */
  #join(ends: Ends, socket: Socket): TcpConnection {
    const { timers, random, ownerOf } = this.#options;
    const key = keyOf(ends);
    const owner = ownerOf(ends.guest);
    const share = () => connectionShare(this.#counts.of(owner));
    const connection = new TcpConnection({
      timers,
      mss: mssTo(ends.guest),
      capacity: share,
      initialSequence: Math.floor(random() * 2 ** 32),
      send: (segment, segmentSize) => this.#send(ends, segment, segmentSize),
      backlog: () => socket.writableLength,
      onConnected: () => {},
      onData: (data) => void (socket.writable && socket.write(data)),
      onEnd: () => socket.end(),
      onSent: () => {
        if (socket.isPaused() && connection.buffered < share()) socket.resume();
      },
      onClosed: (how) => {
        this.#remove(key, entry);
        if (how === "done" || socket.connecting) socket.destroy();
        else if (!socket.destroyed) socket.resetAndDestroy();
      },
    });
    const entry: Entry = { owner, connection, socket };
    // One in its last state gives way to a new one between the same ends.
    const old = this.#entries.get(key);
    if (old) this.#remove(key, old);
    this.#entries.set(key, entry);
    this.#counts.add(owner, 1);
    socket.setNoDelay(true);
    // A partner that vanishes is noticed by the machine, and the guest told.
    socket.setKeepAlive(true, KEEP_ALIVE_MS);
    socket.unref();
    socket.on("data", (chunk: Buffer) => {
      connection.write(chunk);
      if (connection.buffered > 2 * share()) socket.pause();
    });
    socket.on("end", () => connection.end());
    socket.on("drain", () => connection.drained());
    socket.on("error", () => connection.abort());
    socket.on("close", () => {
      // Both ways are done, or the socket broke off.
      if (!socket.readableEnded) connection.abort();
    });
    return connection;
  }

  /** Listens on the machine and leads to a guest. @param guest asked for each connection; undefined: refused. @throws what listening met */
  forward(
    { host, port }: Destination,
    guestPort: number,
    guest: () => IpAddress | undefined,
  ): Promise<{ readonly port: number; close(): void }> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      const address = guest();
      if (address === undefined || !this.#hasRoom(this.#options.ownerOf(address))) return void socket.resetAndDestroy();
      const peer = this.#options.gatewayOf(address);
      const peerPort = this.#freePort(address, guestPort, peer);
      if (peerPort === undefined) return void socket.resetAndDestroy();
      this.#join({ guest: address, guestPort, peer, peerPort }, socket).connect();
    });
    this.#servers.add(server);
    server.unref();
    const close = () => {
      server.close();
      this.#servers.delete(server);
    };
    return new Promise((resolve, reject) => {
      server.once("error", (error) => {
        this.#servers.delete(server);
        reject(error);
      });
      server.listen(port, host, () => resolve({ port: (server.address() as { port: number }).port, close }));
    });
  }

  #freePort(guest: IpAddress, guestPort: number, peer: IpAddress): number | undefined {
    for (let tries = FIRST_PORT; tries <= LAST_PORT; tries++) {
      const peerPort = this.#nextPort;
      this.#nextPort = peerPort === LAST_PORT ? FIRST_PORT : peerPort + 1;
      if (!this.#entries.has(keyOf({ guest, guestPort, peer, peerPort }))) return peerPort;
    }
    return undefined;
  }

  close(): void {
    for (const server of this.#servers) server.close();
    this.#servers.clear();
    for (const { connection, socket } of [...this.#entries.values()]) {
      connection.abort();
      socket.destroy();
    }
    for (const [key, entry] of this.#entries) this.#remove(key, entry);
  }
}

function keyOf({ guest, guestPort, peer, peerPort }: Ends): string {
  return `${guest}:${guestPort}:${peer}:${peerPort}`;
}
