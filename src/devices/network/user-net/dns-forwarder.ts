// The name server of user-mode networking: names of the network's options and of the machine's /etc/hosts are answered here, all
// others by the machine's resolvers, whose answers go back as they came (RFC 5625 4.1). Each query gets a socket and a random
// identification of its own; queries under way are bounded.

import { createSocket } from "node:dgram";
import { isIPv4, isIPv6 } from "node:net";
import type { Timers } from "../timers.js";
import { buildAnswer, DNS_CODE, DNS_TYPE, type DnsQuestion, parseQuestion } from "./dns-message.js";
import { GuestCounts, LIMITS } from "./guest-shares.js";
import { HostsFile } from "./host-names.js";
import { ipv6Bytes, parseIpv6Address } from "./ipv6.js";
import type { Destination } from "./tcp-proxy.js";

export interface DnsForwarderOptions {
  readonly timers: Timers;
  readonly random: () => number;
  readonly servers: () => readonly Destination[];
  readonly hosts: Readonly<Record<string, string>>;
  /** Only the options' own names are answered. */
  readonly restrict: boolean;
}

const TIMEOUT_MS = 3000;

interface Lookup {
  readonly owner: string;
  readonly query: Uint8Array;
  readonly question: DnsQuestion;
  readonly reply: (answer: Uint8Array) => void;
  readonly fail: () => void;
}

export class DnsForwarder {
  readonly #options: DnsForwarderOptions;
  readonly #hosts = new Map<string, string>();
  readonly #file = new HostsFile();
  readonly #queries = new Set<() => void>();
  readonly #counts = new GuestCounts();

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

  /** @param owner the guest that asks. @param reply called at most once, now or later */
  answer(owner: string, query: Uint8Array, reply: (answer: Uint8Array) => void): void {
    const question = parseQuestion(query);
    if (!question) return;
    const known = this.#find(question.name);
    if (known.length > 0 && (question.type === DNS_TYPE.A || question.type === DNS_TYPE.AAAA))
      return void reply(buildAnswer(query, question, DNS_CODE.none, addressesOf(known, question.type)));
    if (this.#options.restrict) return void reply(buildAnswer(query, question, DNS_CODE.refused));
    const fail = () => reply(buildAnswer(query, question, DNS_CODE.failure));
    if (this.#queries.size >= LIMITS.allQueries || this.#counts.of(owner) >= LIMITS.queries) return void fail();
    this.#ask({ owner, query, question, reply, fail }, [...this.#options.servers()]);
  }

  #find(name: string): readonly string[] {
    const own = this.#hosts.get(name);
    if (own !== undefined) return [own];
    return this.#options.restrict ? [] : this.#file.find(name);
  }

  #ask(lookup: Lookup, servers: Destination[]): void {
    const { owner, query, question, reply, fail } = lookup;
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
      if (!this.#queries.delete(end)) return;
      this.#counts.add(owner, -1);
      socket.close();
    };
    const next = () => {
      end();
      this.#ask(lookup, servers);
    };
    const stopTimer = timers.after(TIMEOUT_MS, next);
    this.#queries.add(end);
    this.#counts.add(owner, 1);
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
  return addresses.filter((address) => isIPv6(address)).map((text) => ipv6Bytes(parseIpv6Address(text)));
}
