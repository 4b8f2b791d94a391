// The transmit ring of one queue (io/netif.h, "Guest transmit"): requests become frames. A packet's requests lie together in the
// ring: the first with the size of the whole, extra infos, the rest. Each slot is answered, in order and at once. The event that
// tells of answers is put off a little when little was sent: most often something comes for the guest meanwhile, whose event
// serves for both, or the guest sends again and looks itself.

import * as N from "../../../hypervisor/public/io/netif.js";
import { CHECKSUM_ONLY, type Offload, type Segmentation } from "../../network/offload.js";
import { ETHERNET_HEADER_SIZE } from "../../network/packet-port.js";
import type { Timers } from "../../network/timers.js";
import type { EventBinding, GrantAccess, GrantedPage } from "../backend.js";
import { BackRing } from "../ring.js";
import type { RateLimit } from "./rate-limit.js";

const PAGE_SIZE = 4096;
const ABI = 64;
/** Offsets of fields: there are thousands of entries a second. */
const REQUEST = {
  gref: N.netif_tx_request.offset(ABI, "gref"),
  offset: N.netif_tx_request.offset(ABI, "offset"),
  flags: N.netif_tx_request.offset(ABI, "flags"),
  id: N.netif_tx_request.offset(ABI, "id"),
  size: N.netif_tx_request.offset(ABI, "size"),
} as const;
const RESPONSE = {
  id: N.netif_tx_response.offset(ABI, "id"),
  status: N.netif_tx_response.offset(ABI, "status"),
} as const;
/** Slots of one packet that no frontend in good faith uses (Linux: fatal_skb_slots). */
const MAX_SLOTS = 20;
/** How long, for how many bytes and how many slots the event may be put off; senders of more wait for room, or for memory. */
const TELL_AFTER_MS = 1;
const MAX_UNTOLD_BYTES = 4096;
const MAX_UNTOLD_SLOTS = 32;
/** Who sends small packets in turns is told of so many at once, or after so many times the time above: it needs nothing of them meanwhile. */
const SLOTS_IN_TURNS = 8;
const PATIENCE_IN_TURNS = 4;

export interface TransmitOptions {
  readonly page: GrantedPage;
  readonly grants: GrantAccess;
  readonly limit: RateLimit | undefined;
  readonly timers: Timers;
  /** The guest and someone else send each other small packets in turns. */
  readonly takesTurns: () => boolean;
  readonly onFrame: (frame: Uint8Array, offload: Offload | undefined) => void;
  readonly onMulticast: (address: Uint8Array, isAdded: boolean) => void;
  /** A packet that was refused: answered with an error. */
  readonly onError: () => void;
  /** The frontend broke the ring's rules: the queue is dead. */
  readonly onBroken: (reason: string) => void;
}

interface Request {
  readonly gref: number;
  readonly offset: number;
  readonly flags: number;
  readonly id: number;
  readonly size: number;
}

/** What a packet's slots said. `requests[0]` is the first; `slots` are the ids to answer, -1 for an extra info. */
interface Packet {
  readonly requests: Request[];
  readonly slots: number[];
  offload: Segmentation | undefined;
  /** Only told the backend something. */
  isDummy: boolean;
  isBad: boolean;
}

export class GuestTransmit {
  readonly #options: TransmitOptions;
  readonly #ring: BackRing;
  readonly #entry = new Uint8Array(N.NETIF_TX_ENTRY_SIZE);
  readonly #request = new DataView(this.#entry.buffer);
  readonly #response = new Uint8Array(N.netif_tx_response.size(ABI));
  readonly #responseView = new DataView(this.#response.buffer);
  /** The first request of a packet that waits for credit. */
  #held: Request | undefined;
  #isDead = false;
  /** Since the last event. */
  #untoldBytes = 0;
  #untoldSlots = 0;
  /** An event is put off. */
  #owesEvent = false;
  /** Times that it was put off once more. */
  #waits = 0;
  /** Stops the timer that sends it. It runs on when the event was sent earlier: a new one for each packet would cost more. */
  #stopTimer: (() => void) | undefined;
  /** The guest got another event while its requests were served. */
  #isToldAnyway = false;
  event: EventBinding | undefined;

  constructor(options: TransmitOptions) {
    this.#options = options;
    this.#ring = new BackRing([options.page], N.NETIF_TX_ENTRY_SIZE);
  }

  /** Takes what waits on the ring. */
  service(): void {
    if (this.#isDead) return;
    this.#isToldAnyway = false;
    while (this.#next());
    if (this.#isDead || !(this.#ring.publish() || this.#owesEvent)) return;
    const isMuch = this.#untoldBytes > MAX_UNTOLD_BYTES || this.#untoldSlots > MAX_UNTOLD_SLOTS;
    if (isMuch || this.#isToldAnyway) {
      this.#tell();
      return;
    }
    this.#owesEvent = true;
    this.#arm();
  }

  #arm(): void {
    this.#stopTimer ??= this.#options.timers.after(TELL_AFTER_MS, () => {
      this.#stopTimer = undefined;
      if (!this.#owesEvent || this.#isDead) return;
      if (this.#mayWait && ++this.#waits < PATIENCE_IN_TURNS) this.#arm();
      else this.#tell();
    });
  }

  get #mayWait(): boolean {
    return this.#untoldSlots < SLOTS_IN_TURNS && this.#options.takesTurns();
  }

  /** Sends the event that was put off, if there is one. Call when the guest gets another one anyway. */
  tellAlong(): void {
    if (this.#mayWait) return;
    this.#isToldAnyway = true;
    if (this.#owesEvent && !this.#isDead) this.#tell();
  }

  #tell(): void {
    this.#owesEvent = false;
    this.#untoldBytes = this.#untoldSlots = this.#waits = 0;
    // Not when it has sent again and seen the answers then.
    if (this.#ring.isAwaited) this.event?.notify();
  }

  /** One packet. @returns whether there may be more */
  #next(): boolean {
    const { limit, onBroken } = this.#options;
    if (this.#isDead) return false;
    if (this.#ring.isBroken) return this.#die("the transmit ring's indices make no sense", onBroken);
    if (!this.#held) {
      if (this.#ring.waiting === 0 && !this.#ring.rearm()) return false;
      if (this.#ring.isBroken) return true;
      this.#held = this.#take();
    }
    const first = this.#held;
    if (limit && !limit.take(first.size, () => this.service())) return false;
    this.#held = undefined;
    const packet = this.#gather(first);
    if (!packet) return this.#die("a packet's slots go on beyond the ring, or are too many", onBroken);
    this.#finish(packet);
    return true;
  }

  #die(reason: string, onBroken: (reason: string) => void): false {
    this.#isDead = true;
    onBroken(reason);
    return false;
  }

  #take(): Request {
    this.#ring.take(this.#entry);
    const view = this.#request;
    return {
      gref: view.getUint32(REQUEST.gref, true),
      offset: view.getUint16(REQUEST.offset, true),
      flags: view.getUint16(REQUEST.flags, true),
      id: view.getUint16(REQUEST.id, true),
      size: view.getUint16(REQUEST.size, true),
    };
  }

  /** Undefined when the slots that must follow aren't there. */
  #gather(first: Request): Packet | undefined {
    const packet: Packet = { requests: [first], slots: [first.id], offload: undefined, isDummy: false, isBad: false };
    for (let more = (first.flags & N.NETTXF_extra_info) !== 0; more; ) {
      if (!this.#canTake(packet)) return undefined;
      this.#ring.take(this.#entry);
      packet.slots.push(-1);
      more = (this.#entry[1]! & N.XEN_NETIF_EXTRA_FLAG_MORE) !== 0;
      this.#readExtra(packet);
    }
    for (let last = first; last.flags & N.NETTXF_more_data; ) {
      if (!this.#canTake(packet)) return undefined;
      last = this.#take();
      packet.requests.push(last);
      packet.slots.push(last.id);
    }
    if (packet.requests.length > N.XEN_NETIF_NR_SLOTS_MIN) packet.isBad = true;
    return packet;
  }

  #canTake({ slots }: Packet): boolean {
    return slots.length < MAX_SLOTS && this.#ring.waiting > 0;
  }

  #readExtra(packet: Packet): void {
    switch (this.#entry[0]) {
      case N.XEN_NETIF_EXTRA_TYPE_GSO: {
        const { size, gsoType } = N.netif_extra_gso.decode(this.#entry, ABI);
        if (gsoType === N.XEN_NETIF_GSO_TYPE_TCPV4) packet.offload = { kind: "tcp4", segmentSize: size };
        else if (gsoType === N.XEN_NETIF_GSO_TYPE_TCPV6) packet.offload = { kind: "tcp6", segmentSize: size };
        else if (gsoType !== N.XEN_NETIF_GSO_TYPE_NONE) packet.isBad = true;
        if (packet.offload && size === 0) packet.isBad = true;
        return;
      }
      case N.XEN_NETIF_EXTRA_TYPE_MCAST_ADD:
      case N.XEN_NETIF_EXTRA_TYPE_MCAST_DEL:
        packet.isDummy = true;
        this.#options.onMulticast(this.#entry.slice(2, 8), this.#entry[0] === N.XEN_NETIF_EXTRA_TYPE_MCAST_ADD);
        return;
      case N.XEN_NETIF_EXTRA_TYPE_HASH:
        return;
      default:
        packet.isBad = true;
    }
  }

  #finish(packet: Packet): void {
    const { onFrame, onError } = this.#options;
    const frame = packet.isBad || packet.isDummy ? undefined : this.#assemble(packet);
    const isGood = frame !== undefined || (packet.isDummy && !packet.isBad);
    this.#untoldBytes += packet.requests[0]!.size;
    this.#untoldSlots += packet.slots.length;
    // Answered before the frame goes on: what it leads to may come back to this ring.
    for (const id of packet.slots) this.#respond(id, isGood);
    if (!isGood) onError();
    if (!frame) return;
    // The field keeps the pseudo-header's sum, for whoever cuts the packet or takes it as it is.
    const isBlank = (packet.requests[0]!.flags & N.NETTXF_csum_blank) !== 0;
    onFrame(frame, packet.offload ?? (isBlank ? CHECKSUM_ONLY : undefined));
  }

  #respond(id: number, isGood: boolean): void {
    const status = id < 0 ? N.NETIF_RSP_NULL : isGood ? N.NETIF_RSP_OKAY : N.NETIF_RSP_ERROR;
    this.#responseView.setUint16(RESPONSE.id, Math.max(id, 0), true);
    this.#responseView.setInt16(RESPONSE.status, status, true);
    this.#ring.put(this.#response);
  }

  /** Copies the packet out of the guest's pages. Undefined when it can't be. */
  #assemble({ requests }: Packet): Uint8Array | undefined {
    const total = requests[0]!.size;
    let rest = 0;
    for (let i = 1; i < requests.length; i++) rest += requests[i]!.size;
    if (total < ETHERNET_HEADER_SIZE || rest >= total) return undefined;
    const frame = new Uint8Array(total);
    let at = 0;
    for (const [i, { gref, offset, size }] of requests.entries()) {
      const length = i === 0 ? total - rest : size;
      if (offset + length > PAGE_SIZE) return undefined;
      if (!this.#options.grants.read(gref, offset, frame.subarray(at, at + length))) return undefined;
      at += length;
    }
    return frame;
  }

  close(): void {
    this.#isDead = true;
    this.#stopTimer?.();
    this.event?.close();
  }
}
