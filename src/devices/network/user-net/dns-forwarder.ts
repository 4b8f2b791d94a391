// The name server of user-mode networking: names of the network's options and of the machine's /etc/hosts are answered here, all
// others by the machine's resolvers, whose answers go back as they came (RFC 5625 4.1). Each query gets a socket and a random
// identification of its own; queries under way are bounded.

import { createSocket } from "node:dgram";
import { isIPv4, isIPv6 } from "node:net";
import type { Timers } from "../timers.js";
import { buildAnswer, DNS_CODE, DNS_TYPE, type DnsQuestion, parseQuestion } from "./dns-message.js";
import { HostsFile } from "./host-names.js";
import type { Destination } from "./tcp-proxy.js";

export interface DnsForwarderOptions {
  readonly timers: Timers;
  readonly random: () => number;
  readonly servers: () => readonly Destination[];
  readonly hosts: Readonly<Record<string, string>>;
  /** Only the options' own names are answered. */
  readonly restrict: boolean;
}

const MAX_QUERIES = 64;
const TIMEOUT_MS = 3000;

export class DnsForwarder {
  readonly #options: DnsForwarderOptions;
  readonly #hosts = new Map<string, string>();
  readonly #file = new HostsFile();
  readonly #queries = new Set<() => void>();

  constructor(options: DnsForwarderOptions) {
    this.#options = options;
    for (const [name, address] of Object.entries(options.hosts)) {
      if (!isIPv4(address) && !isIPv6(address)) throw new RangeError(`hosts: ${name}: "${address}" is not an address`);
      this.#hosts.set(name.toLowerCase(), address);
    }
  }

  /** Queries that wait for a resolver. */
  get pending(): number {
    return this.#queries.size;
  }

  /** @param reply called at most once, now or later */
  answer(query: Uint8Array, reply: (answer: Uint8Array) => void): void {
    const question = parseQuestion(query);
    if (!question) return;
    const known = this.#find(question.name);
    if (known.length > 0 && (question.type === DNS_TYPE.A || question.type === DNS_TYPE.AAAA))
      return void reply(buildAnswer(query, question, DNS_CODE.none, addressesOf(known, question.type)));
    if (this.#options.restrict) return void reply(buildAnswer(query, question, DNS_CODE.refused));
    const fail = () => reply(buildAnswer(query, question, DNS_CODE.failure));
    if (this.#queries.size >= MAX_QUERIES) return void fail();
    this.#ask(query, question, [...this.#options.servers()], reply, fail);
  }

  #find(name: string): readonly string[] {
    const own = this.#hosts.get(name);
    if (own !== undefined) return [own];
    return this.#options.restrict ? [] : this.#file.find(name);
  }

  #ask(
    query: Uint8Array,
    question: DnsQuestion,
    servers: Destination[],
    reply: (answer: Uint8Array) => void,
    fail: () => void,
  ): void {
    const server = servers.shift();
    if (!server) return void fail();
    const { timers, random } = this.#options;
    const message = query.slice();
    const id = Math.floor(random() * 0x10000);
    new DataView(message.buffer).setUint16(0, id);
    const socket = createSocket(isIPv6(server.host) ? "udp6" : "udp4");
    socket.unref();
    const end = () => {
      stopTimer();
      if (this.#queries.delete(end)) socket.close();
    };
    const next = () => {
      end();
      this.#ask(query, question, servers, reply, fail);
    };
    const stopTimer = timers.after(TIMEOUT_MS, next);
    this.#queries.add(end);
    socket.on("error", next);
    // Connected: answers of others don't arrive, and a port that nobody listens on is an error.
    socket.connect(server.port, server.host, () => socket.send(message));
    socket.on("message", (data) => {
      if (data.length < 12 || data.readUInt16BE(0) !== id || !(data[2]! & 0x80)) return;
      end();
      const answer = Uint8Array.from(data);
      new DataView(answer.buffer).setUint16(0, question.id);
      reply(answer);
    });
  }

  close(): void {
    for (const end of [...this.#queries]) end();
  }
}

function addressesOf(addresses: readonly string[], type: number): Uint8Array[] {
  if (type === DNS_TYPE.A)
    return addresses.filter((address) => isIPv4(address)).map((text) => Uint8Array.from(text.split("."), Number));
  return addresses.filter((address) => isIPv6(address)).map(ipv6Bytes);
}

function ipv6Bytes(text: string): Uint8Array {
  const [head = "", tail] = text.toLowerCase().replace(/%.*/, "").split("::");
  const words = (part: string) =>
    part
      .split(":")
      .filter((word) => word !== "")
      .flatMap((word) => {
        if (!word.includes(".")) return [Number.parseInt(word, 16)];
        const [a = 0, b = 0, c = 0, d = 0] = word.split(".").map(Number);
        return [a * 256 + b, c * 256 + d];
      });
  const [front, back] = [words(head), tail === undefined ? [] : words(tail)];
  const all = [...front, ...Array<number>(Math.max(0, 8 - front.length - back.length)).fill(0), ...back].slice(0, 8);
  return Uint8Array.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}
