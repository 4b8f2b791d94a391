// A network frontend as a guest would have it, for tests: rings, requests, extra infos, and what came back.
import * as N from "../../../../src/hypervisor/public/io/netif.js";
import { settle, type TestGuest } from "../test-guest.js";

export const FRONTEND = "/local/domain/1/device/vif/0";
export const BACKEND = "/local/domain/0/backend/vif/1/0";

export interface TestExtra {
  readonly type: number;
  readonly gsoType?: number;
  readonly size?: number;
  readonly address?: Uint8Array;
}

export interface Received {
  readonly frame: Uint8Array;
  readonly flags: number;
  readonly extra: Uint8Array | undefined;
}

class Ring {
  readonly view: DataView;
  readonly ref: number;
  readonly #size: number;
  readonly #entrySize: number;
  produced = 0;
  consumed = 0;

  constructor({ ref, page }: { ref: number; page: Uint8Array }, entrySize: number) {
    this.view = new DataView(page.buffer);
    this.ref = ref;
    this.#entrySize = entrySize;
    this.#size = 256;
    this.view.setUint32(4, 1, true);
    this.view.setUint32(12, 1, true);
  }

  at(index: number): number {
    return 64 + (index & (this.#size - 1)) * this.#entrySize;
  }

  push(entry: Uint8Array): void {
    new Uint8Array(this.view.buffer).set(entry, this.at(this.produced++));
  }

  /** @returns whether the backend asked to be told */
  publish(): boolean {
    const old = this.view.getUint32(0, true);
    this.view.setUint32(0, this.produced, true);
    return (this.produced - this.view.getUint32(4, true)) >>> 0 < (this.produced - old) >>> 0;
  }

  take(): Uint8Array | undefined {
    if (this.consumed === this.view.getUint32(8, true)) return undefined;
    const at = this.at(this.consumed++);
    this.view.setUint32(12, this.consumed + 1, true);
    return new Uint8Array(this.view.buffer).slice(at, at + this.#entrySize);
  }
}

export class TestNetQueue {
  readonly guest: TestGuest;
  readonly tx: Ring;
  readonly rx: Ring;
  readonly txPort: number;
  readonly rxPort: number;
  readonly #offered: { ref: number; page: Uint8Array }[] = [];
  #id = 0;

  constructor(guest: TestGuest, isSplit: boolean) {
    this.guest = guest;
    this.tx = new Ring(guest.grant(), N.NETIF_TX_ENTRY_SIZE);
    this.rx = new Ring(guest.grant(), N.NETIF_RX_ENTRY_SIZE);
    this.txPort = guest.allocatePort();
    this.rxPort = isSplit ? guest.allocatePort() : this.txPort;
  }

  /** Sends a frame cut into pieces of so many bytes. */
  send(frame: Uint8Array, flags = 0, extras: readonly TestExtra[] = [], pieceSize = 4096): void {
    for (let at = 0; at < frame.length || at === 0; at += pieceSize) {
      const piece = frame.subarray(at, at + pieceSize);
      const { ref, page } = this.guest.grant();
      const offset = Math.min(16, 4096 - piece.length);
      page.set(piece, offset);
      const more = at + pieceSize < frame.length ? N.NETTXF_more_data : 0;
      const first = at === 0 ? flags | (extras.length > 0 ? N.NETTXF_extra_info : 0) : 0;
      const size = at === 0 ? frame.length : piece.length;
      this.request({ gref: ref, offset, flags: first | more, id: this.#id++, size });
      if (at === 0) for (const [i, extra] of extras.entries()) this.#pushExtra(extra, i + 1 < extras.length);
    }
    this.kickTx();
  }

  request(request: { gref: number; offset: number; flags: number; id: number; size: number }): void {
    this.tx.push(N.netif_tx_request.encode(64, request));
  }

  #pushExtra({ type, gsoType = 0, size = 0, address }: TestExtra, hasMore: boolean): void {
    const entry = new Uint8Array(12);
    const flags = hasMore ? 1 : 0;
    if (address) entry.set([type, flags, ...address]);
    else entry.set(N.netif_extra_gso.encode(64, { type, flags, size, gsoType, pad: 0, features: 0 }));
    this.tx.push(entry);
  }

  kickTx(): void {
    if (this.tx.publish()) this.guest.kick(this.txPort);
  }

  /** Statuses of the transmit responses since the last call. */
  answers(): number[] {
    const statuses: number[] = [];
    for (let entry = this.tx.take(); entry; entry = this.tx.take())
      statuses.push(N.netif_tx_response.decode(entry, 64).status);
    return statuses;
  }

  offer(count: number): void {
    for (let i = 0; i < count; i++) {
      const buffer = this.guest.grant();
      this.rx.push(N.netif_rx_request.encode(64, { id: this.#offered.length & 255, pad: 0, gref: buffer.ref }));
      this.#offered.push(buffer);
    }
    if (this.rx.publish()) this.guest.kick(this.rxPort);
  }

  received(): Received[] {
    const frames: Received[] = [];
    for (
      let index = this.rx.consumed, entry = this.rx.take();
      entry;
      index = this.rx.consumed, entry = this.rx.take()
    ) {
      const first = N.netif_rx_response.decode(entry, 64);
      const pieces: Uint8Array[] = [];
      const add = ({ status, offset }: { status: number; offset: number }, slot: number) =>
        pieces.push(this.#offered[slot]!.page.slice(offset, offset + Math.max(status, 0)));
      add(first, index);
      const extra = first.flags & N.NETRXF_extra_info ? this.rx.take() : undefined;
      for (let { flags } = first; flags & N.NETRXF_more_data; ) {
        const slot = this.rx.consumed;
        const response = N.netif_rx_response.decode(this.rx.take()!, 64);
        add(response, slot);
        flags = response.flags;
      }
      frames.push({ frame: Uint8Array.from(Buffer.concat(pieces)), flags: first.flags, extra });
    }
    return frames;
  }
}

export interface NetFrontendOptions {
  readonly queues?: number;
  readonly isSplit?: boolean;
  readonly nodes?: Readonly<Record<string, string>>;
}

/** Writes the frontend's nodes and connects. */
export async function connectFrontend(
  guest: TestGuest,
  { queues = 1, isSplit = true, nodes = {} }: NetFrontendOptions = {},
): Promise<TestNetQueue[]> {
  const { store } = guest;
  const made = Array.from({ length: queues }, () => new TestNetQueue(guest, isSplit));
  const defaults = { "request-rx-copy": "1", "feature-rx-notify": "1", "feature-sg": "1" };
  for (const [name, value] of Object.entries({ ...defaults, ...nodes })) store.write(`${FRONTEND}/${name}`, value);
  if (queues > 1) store.write(`${FRONTEND}/multi-queue-num-queues`, String(queues));
  for (const [i, queue] of made.entries()) {
    const path = queues > 1 ? `${FRONTEND}/queue-${i}` : FRONTEND;
    store.write(`${path}/tx-ring-ref`, String(queue.tx.ref));
    store.write(`${path}/rx-ring-ref`, String(queue.rx.ref));
    if (isSplit) {
      store.write(`${path}/event-channel-tx`, String(queue.txPort));
      store.write(`${path}/event-channel-rx`, String(queue.rxPort));
    } else store.write(`${path}/event-channel`, String(queue.txPort));
  }
  store.write(`${FRONTEND}/state`, "4");
  await settle();
  return made;
}
