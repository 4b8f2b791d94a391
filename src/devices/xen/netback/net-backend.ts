// A virtual network interface as its guest's frontend finds it: what Linux's xen-netback publishes in the XenStore, the queues
// that the frontend sets up (io/netif.h), and a port of whatever network it is attached to.

import { finishFrame, type Offload } from "../../network/offload.js";
import { ignoreFrame, type PacketPort, sendThrough } from "../../network/packet-port.js";
import type { Timers } from "../../network/timers.js";
import { findTransport } from "../../network/transport.js";
import { type BackendServices, FrontendError, type GrantedPage, readNumber, readOptionalNumber } from "../backend.js";
import { type BackendDriver, XenbusBackend } from "../xenbus-state.js";
import { Alternation } from "./alternation.js";
import { GuestReceive } from "./guest-receive.js";
import { GuestTransmit } from "./guest-transmit.js";
import { type Rate, RateLimit } from "./rate-limit.js";

const MAX_QUEUES = 4;
const MAX_U32 = 0xffffffff;
const MAX_MULTICAST = 64;
const PAGE_SIZE = 4096;

export interface NetBackendOptions {
  readonly services: BackendServices;
  /** Stays the caller's: close it after `stop` or `finished`. */
  readonly port: PacketPort;
  readonly backendPath: string;
  readonly frontendPath: string;
  /** Six bytes: the address that the guest was given. */
  readonly mac: Uint8Array;
  /** Frames from the guest with another source address are dropped; default false, as in Linux. */
  readonly locksMac?: boolean;
  /** Limits what the guest sends through each queue. */
  readonly rate?: Rate;
  readonly timers: Timers;
  readonly log: (line: string) => void;
}

/** Counts from the guest's point of view. */
export interface NetStatistics {
  sentFrames: number;
  sentBytes: number;
  receivedFrames: number;
  receivedBytes: number;
  /** To the guest, which had no room. */
  dropped: number;
  /** From the guest with a source address that isn't its own. */
  spoofed: number;
  errors: number;
}

/** What the frontend can take. */
interface Abilities {
  readonly scatterGather: boolean;
  readonly gso: { readonly tcp4: boolean; readonly tcp6: boolean };
  /** Packets without checksum, over IPv4 and over IPv6. */
  readonly blankChecksum: { readonly ip4: boolean; readonly ip6: boolean };
}

const NO_ABILITIES: Abilities = {
  scatterGather: false,
  gso: { tcp4: false, tcp6: false },
  blankChecksum: { ip4: false, ip6: false },
};

interface Queue {
  readonly transmit: GuestTransmit;
  readonly receive: GuestReceive;
}

export class NetBackend implements BackendDriver {
  readonly #options: NetBackendOptions;
  readonly device: XenbusBackend;
  #queues: Queue[] = [];
  #pages: GrantedPage[] = [];
  #limits: RateLimit[] = [];
  #abilities: Abilities = NO_ABILITIES;
  #unwatch: (() => void) | undefined;
  readonly #alternation = new Alternation();
  #filtersMulticast = false;
  readonly #multicast = new Set<string>();
  readonly statistics: NetStatistics = {
    sentFrames: 0,
    sentBytes: 0,
    receivedFrames: 0,
    receivedBytes: 0,
    dropped: 0,
    spoofed: 0,
    errors: 0,
  };

  constructor(options: NetBackendOptions) {
    const { services, backendPath, frontendPath, log } = options;
    this.#options = options;
    this.device = new XenbusBackend({ store: services.store, backendPath, frontendPath, log, driver: this });
  }

  #write(name: string, value: number): void {
    const { services, backendPath } = this.#options;
    services.store.write(`${backendPath}/${name}`, String(value));
  }

  publish(): void {
    this.#write("feature-sg", 1);
    this.#write("feature-gso-tcpv4", 1);
    this.#write("feature-gso-tcpv6", 1);
    this.#write("feature-ipv6-csum-offload", 1);
    this.#write("feature-rx-copy", 1);
    this.#write("feature-rx-flip", 0);
    this.#write("feature-multicast-control", 1);
    this.#write("feature-dynamic-multicast-control", 1);
    this.#write("feature-split-event-channels", 1);
    this.#write("multi-queue-max-queues", MAX_QUEUES);
  }

  connect(): void {
    const { services, frontendPath, port } = this.#options;
    const { store } = services;
    try {
      if (!this.#isSet("request-rx-copy"))
        throw new FrontendError(`${frontendPath}: the frontend doesn't ask for copying (request-rx-copy)`);
      this.#abilities = {
        scatterGather: this.#isSet("feature-sg"),
        gso: { tcp4: this.#isSet("feature-gso-tcpv4"), tcp6: this.#isSet("feature-gso-tcpv6") },
        blankChecksum: {
          ip4: !this.#isSet("feature-no-csum-offload"),
          ip6: this.#isSet("feature-ipv6-csum-offload"),
        },
      };
      const queues = readOptionalNumber(store, `${frontendPath}/multi-queue-num-queues`, MAX_QUEUES) ?? 1;
      if (queues === 0) throw new FrontendError(`${frontendPath}: no queues`);
      for (let i = 0; i < queues; i++) this.#connectQueue(queues === 1 ? frontendPath : `${frontendPath}/queue-${i}`);
    } catch (error) {
      this.#release();
      throw error;
    }
    this.#unwatch = store.watch(`${frontendPath}/request-multicast-control`, () => {
      this.#filtersMulticast = store.read(`${frontendPath}/request-multicast-control`) === "1";
    });
    port.wantsOffload = true;
    port.onFrame = (frame, offload) => this.#toGuest(frame, offload);
    for (const { transmit } of this.#queues) transmit.service();
  }

  #isSet(name: string): boolean {
    const { services, frontendPath } = this.#options;
    return readOptionalNumber(services.store, `${frontendPath}/${name}`, 1) === 1;
  }

  #mapRing(path: string): GrantedPage {
    const { services } = this.#options;
    const ref = readNumber(services.store, path, MAX_U32);
    const page = services.grants.map(ref, true);
    if (!page) throw new FrontendError(`${path}: grant reference ${ref} can't be mapped for the ring`);
    this.#pages.push(page);
    return page;
  }

  #connectQueue(path: string): void {
    const { services, rate, timers } = this.#options;
    const { grants, events, store } = services;
    const limit = rate && new RateLimit(rate, timers);
    if (limit) this.#limits.push(limit);
    const { statistics } = this;
    const onBroken = (reason: string) => this.device.fail(`${path}: ${reason}`);
    const onError = () => void statistics.errors++;
    const transmit = new GuestTransmit({
      page: this.#mapRing(`${path}/tx-ring-ref`),
      grants,
      limit,
      timers,
      takesTurns: () => this.#alternation.isGoingOn,
      onFrame: (frame, offload) => this.#fromGuest(frame, offload),
      onMulticast: (address, isAdded) => this.#changeMulticast(address, isAdded),
      onError,
      onBroken,
    });
    const receive = new GuestReceive({
      page: this.#mapRing(`${path}/rx-ring-ref`),
      grants,
      onDropped: () => void statistics.dropped++,
      onError,
      onTold: () => transmit.tellAlong(),
      onBroken,
    });
    this.#queues.push({ transmit, receive });
    const bind = (name: string, onEvent: () => void) => {
      const port = readNumber(store, `${path}/${name}`, MAX_U32);
      const event = events.bindUrgent(port, onEvent, () => this.#alternation.isUrgent);
      if (!event) throw new FrontendError(`${path}/${name}: event channel ${port} can't be bound`);
      return event;
    };
    if (store.read(`${path}/event-channel-tx`) !== undefined) {
      transmit.event = bind("event-channel-tx", () => this.#serve(transmit));
      receive.event = bind("event-channel-rx", () => receive.service());
      return;
    }
    transmit.event = receive.event = bind("event-channel", () => {
      this.#serve(transmit);
      receive.service();
    });
  }

  #serve(transmit: GuestTransmit): void {
    const { sentFrames, sentBytes } = this.statistics;
    transmit.service();
    this.#alternation.sent(this.statistics.sentFrames - sentFrames, this.statistics.sentBytes - sentBytes);
  }

  #changeMulticast(address: Uint8Array, isAdded: boolean): void {
    const key = address.join();
    if (!isAdded) this.#multicast.delete(key);
    else if (this.#multicast.size < MAX_MULTICAST) this.#multicast.add(key);
  }

  #fromGuest(frame: Uint8Array, offload: Offload | undefined): void {
    const { port, mac, locksMac } = this.#options;
    if (locksMac && mac.some((byte, i) => frame[6 + i] !== byte)) {
      this.statistics.spoofed++;
      return;
    }
    this.statistics.sentFrames++;
    this.statistics.sentBytes += frame.length;
    sendThrough(port, frame, offload);
  }

  #toGuest(frame: Uint8Array, offload: Offload | undefined): void {
    if (this.#queues.length === 0 || !this.#isWanted(frame)) return;
    const { scatterGather } = this.#abilities;
    if (offload && !this.#takes(frame, offload)) {
      for (const finished of finishFrame(frame, offload)) this.#toGuest(finished, undefined);
      return;
    }
    if (frame.length > PAGE_SIZE && !scatterGather) {
      this.statistics.dropped++;
      return;
    }
    this.statistics.receivedFrames++;
    this.statistics.receivedBytes += frame.length;
    this.#alternation.received(frame.length);
    this.#queues[this.#queueOf(frame)]!.receive.send(frame, offload);
  }

  #takes(frame: Uint8Array, { kind }: Offload): boolean {
    const { scatterGather, gso, blankChecksum } = this.#abilities;
    if (kind !== "checksum") return scatterGather && gso[kind];
    return findTransport(frame)?.version === 6 ? blankChecksum.ip6 : blankChecksum.ip4;
  }

  #isWanted(frame: Uint8Array): boolean {
    if (!this.#filtersMulticast || !(frame[0]! & 1)) return true;
    const group = frame.subarray(0, 6);
    return group.every((byte) => byte === 0xff) || this.#multicast.has(group.join());
  }

  /** Packets of one flow stay in one queue, and so in order. */
  #queueOf(frame: Uint8Array): number {
    if (this.#queues.length === 1) return 0;
    const transport = findTransport(frame);
    const [start, end] = transport ? [transport.network + 8, transport.offset] : [0, 12];
    let hash = 0x811c9dc5;
    const mix = (from: number, to: number) => {
      for (let i = from; i < to && i < frame.length; i++) hash = Math.imul(hash ^ frame[i]!, 0x01000193);
    };
    // Addresses, and the ports before the rest of the transport header; not the hop count and header checksum.
    mix(transport?.version === 4 ? start + 4 : start, end);
    if (transport) mix(transport.offset, transport.offset + 4);
    // The lowest bit is no more than the parity of the bytes' lowest: ports of one parity would share a queue.
    return (Math.imul(hash, 0x9e3779b1) >>> 16) % this.#queues.length;
  }

  disconnect(): Promise<void> {
    this.#release();
    return Promise.resolve();
  }

  #release(): void {
    this.#options.port.onFrame = ignoreFrame;
    this.#unwatch?.();
    this.#unwatch = undefined;
    for (const limit of this.#limits.splice(0)) limit.stop();
    for (const { transmit, receive } of this.#queues.splice(0)) {
      transmit.close();
      receive.close();
    }
    this.#multicast.clear();
    for (const page of this.#pages.splice(0)) page.release();
  }
}
