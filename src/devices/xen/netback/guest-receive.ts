// The receive ring of one queue (io/netif.h, "Guest receive"): frames go into the pages that the frontend offered, by copy. A
// response stands in its request's slot. Frames wait here, in bounded number, while the frontend offers too few pages.

import * as N from "../../../hypervisor/public/io/netif.js";
import type { Offload, Segmentation } from "../../network/offload.js";
import type { EventBinding, GrantAccess, GrantedPage } from "../backend.js";
import { BackRing } from "../ring.js";

const PAGE_SIZE = 4096;
const ABI = 64;
/** Offsets of fields: there are thousands of entries a second. */
const REQUEST = { id: N.netif_rx_request.offset(ABI, "id"), gref: N.netif_rx_request.offset(ABI, "gref") } as const;
const RESPONSE = {
  id: N.netif_rx_response.offset(ABI, "id"),
  offset: N.netif_rx_response.offset(ABI, "offset"),
  flags: N.netif_rx_response.offset(ABI, "flags"),
  status: N.netif_rx_response.offset(ABI, "status"),
} as const;
const MAX_WAITING_FRAMES = 1024;
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

export interface ReceiveOptions {
  readonly page: GrantedPage;
  readonly grants: GrantAccess;
  /** The guest has no room: the frame is lost. */
  readonly onDropped: () => void;
  readonly onError: () => void;
  /** The guest is told of frames. */
  readonly onTold: () => void;
  readonly onBroken: (reason: string) => void;
}

interface Waiting {
  readonly frame: Uint8Array;
  readonly offload: Offload | undefined;
}

const isCut = (offload: Offload | undefined): offload is Segmentation =>
  offload !== undefined && offload.kind !== "checksum";

export class GuestReceive {
  readonly #options: ReceiveOptions;
  readonly #ring: BackRing;
  readonly #entry = new Uint8Array(N.NETIF_RX_ENTRY_SIZE);
  readonly #request = new DataView(this.#entry.buffer);
  readonly #response = new Uint8Array(N.netif_rx_response.size(ABI));
  readonly #responseView = new DataView(this.#response.buffer);
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #isDead = false;
  event: EventBinding | undefined;

  constructor(options: ReceiveOptions) {
    this.#options = options;
    this.#ring = new BackRing([options.page], N.NETIF_RX_ENTRY_SIZE);
  }

  send(frame: Uint8Array, offload: Offload | undefined): void {
    if (this.#isDead) return;
    if (this.#waiting.length >= MAX_WAITING_FRAMES || this.#waitingBytes + frame.length > MAX_WAITING_BYTES) {
      this.#options.onDropped();
      return;
    }
    this.#waiting.push({ frame, offload });
    this.#waitingBytes += frame.length;
    if (this.#waiting.length === 1) this.service();
  }

  /** Delivers what fits into the pages on offer. */
  service(): void {
    if (this.#isDead) return;
    let delivered = 0;
    while (delivered < this.#waiting.length && this.#hasRoom(this.#waiting[delivered]!))
      this.#deliver(this.#waiting[delivered++]!);
    if (this.#isDead || delivered === 0) return;
    this.#waiting.splice(0, delivered);
    if (!this.#ring.publish()) return;
    this.event?.notify();
    this.#options.onTold();
  }

  #hasRoom({ frame, offload }: Waiting): boolean {
    const needed = Math.ceil(frame.length / PAGE_SIZE) + (isCut(offload) ? 1 : 0);
    if (!this.#ring.isBroken) return this.#ring.rearm(needed);
    this.#isDead = true;
    this.#options.onBroken("the receive ring's indices make no sense");
    return false;
  }

  #deliver({ frame, offload }: Waiting): void {
    this.#waitingBytes -= frame.length;
    for (let at = 0; at < frame.length; at += PAGE_SIZE) {
      const end = Math.min(at + PAGE_SIZE, frame.length);
      let flags = end < frame.length ? N.NETRXF_more_data : 0;
      if (at === 0 && offload) flags |= N.NETRXF_csum_blank | N.NETRXF_data_validated;
      if (at === 0 && isCut(offload)) flags |= N.NETRXF_extra_info;
      this.#put(frame.subarray(at, end), flags);
      if (at === 0 && isCut(offload)) this.#putExtra(offload);
    }
  }

  #put(data: Uint8Array, flags: number): void {
    this.#ring.take(this.#entry);
    const gref = this.#request.getUint32(REQUEST.gref, true);
    const isWritten = this.#options.grants.write(gref, 0, data);
    if (!isWritten) this.#options.onError();
    this.#responseView.setUint16(RESPONSE.id, this.#request.getUint16(REQUEST.id, true), true);
    this.#responseView.setUint16(RESPONSE.offset, 0, true);
    this.#responseView.setUint16(RESPONSE.flags, flags, true);
    this.#responseView.setInt16(RESPONSE.status, isWritten ? data.length : N.NETIF_RSP_ERROR, true);
    this.#ring.put(this.#response);
  }

  /** Takes a slot of its own, whose page isn't used. */
  #putExtra({ kind, segmentSize }: Segmentation): void {
    this.#ring.take(this.#entry);
    const gsoType = kind === "tcp4" ? N.XEN_NETIF_GSO_TYPE_TCPV4 : N.XEN_NETIF_GSO_TYPE_TCPV6;
    const type = N.XEN_NETIF_EXTRA_TYPE_GSO;
    this.#ring.put(N.netif_extra_gso.encode(ABI, { type, flags: 0, size: segmentSize, gsoType, pad: 0, features: 0 }));
  }

  close(): void {
    this.#isDead = true;
    this.#waiting.length = 0;
    this.event?.close();
  }
}
