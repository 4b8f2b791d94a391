// One client of XenStore: its requests, watches and transactions (docs: xenstore.txt; io/xs_wire.h). Bytes come in by `receive` and
// go out by the `send` of the constructor; what carries them (a ring, a socket) is outside.

import * as W from "../public/io/xs_wire.js";
import { type ControlledStore, control, printable } from "./control.js";
import { type OpenRequest, OutstandingRequests } from "./outstanding.js";
import { absolutePath, homeOf } from "./path.js";
import { formatPermissions, parsePermissions } from "./permissions.js";
import type { Outgoing } from "./ring.js";
import type { StoreView, Transaction } from "./store.js";
import { StoreError } from "./store-error.js";
import { Watches } from "./watches.js";
import { bytesOf, encodeMessage, joinStrings, type Message, MessageReader, splitStrings, textOf } from "./wire.js";

/** Of an unprivileged domain. */
const MAX_TRANSACTION_CHANGES = 8192;
const OK = bytesOf("OK\0");

/** What a connection needs of the server around it. */
export interface ConnectionHost extends ControlledStore {
  /** Whose handling causes what happens now. */
  request: OpenRequest | undefined;
  isIntroduced(domid: number): boolean;
  /** Requests of the toolstack, which only dom0 may make. @throws StoreError */
  introduce(domid: number, mfn: number, port: number): void;
  release(domid: number): void;
  setTarget(domid: number, target: number): void;
}

type Handler = (view: StoreView, payload: Uint8Array) => Uint8Array;

export class StoreConnection {
  readonly domid: number;
  readonly #host: ConnectionHost;
  readonly #send: (message: Outgoing) => void;
  readonly #reader = new MessageReader();
  readonly watches: Watches;
  readonly outstanding = new OutstandingRequests();
  readonly #transactions = new Map<number, Transaction>();
  #nextTransaction = 1;
  /** Watch events that wait until the reply of the request that caused them has been sent. */
  #events: Outgoing[] = [];
  #isHandling = false;

  constructor(host: ConnectionHost, domid: number, send: (message: Outgoing) => void) {
    this.#host = host;
    this.domid = domid;
    this.#send = send;
    const limit = () => host.store.quota.watches;
    this.watches = new Watches(domid, limit, (path, token) => this.#watchEvent(path, token));
  }

  get transactions(): number {
    return this.#transactions.size;
  }

  /** Bytes of its transactions, of its domain's quota `memory`. */
  get transactionBytes(): number {
    let sum = 0;
    for (const { bytes } of this.#transactions.values()) sum += bytes;
    return sum;
  }

  /** Bytes arrived. */
  push(bytes: Uint8Array): void {
    this.#reader.push(bytes);
  }

  /** Handles the next request, and returns it. @throws WireError when the stream is broken */
  handleNext(): Message | undefined {
    const message = this.#reader.next();
    if (message) this.#handle(message);
    return message;
  }

  /** Forgets watches and transactions, as for a client that starts anew. */
  reset(): void {
    this.watches.clear();
    this.#transactions.clear();
    this.#reader.reset();
  }

  #watchEvent(path: string, token: string): void {
    const payload = joinStrings([path, token]);
    const bytes = encodeMessage({ type: W.XS_WATCH_EVENT, requestId: 0, transactionId: 0, payload });
    const event = { bytes, event: `${path}\0${token}`, done: this.#host.request?.hold() ?? (() => {}) };
    if (this.#isHandling) this.#events.push(event);
    else this.#send(event);
  }

  #handle(message: Message): void {
    const { type, requestId, transactionId } = message;
    let reply: Message;
    const request = this.outstanding.begin();
    const done = request.hold();
    const outer = this.#host.request;
    this.#host.request = request;
    this.#isHandling = true;
    try {
      reply = { type, requestId, transactionId, payload: this.#answer(message) };
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      reply = { type: W.XS_ERROR, requestId, transactionId, payload: bytesOf(`${error.code}\0`) };
    } finally {
      this.#isHandling = false;
      this.#host.request = outer;
    }
    if (this.#host.isTraced) this.#trace(message, reply);
    this.#send({ bytes: encodeMessage(reply), done });
    for (const event of this.#events.splice(0)) this.#send(event);
  }

  /** Bytes left of the domain's quota `memory`. */
  get #room(): number {
    if (this.domid === 0) return Number.POSITIVE_INFINITY;
    return this.#host.store.quota.memory - this.#host.store.memoryOf(this.domid);
  }

  #trace({ type, transactionId, payload }: Message, reply: Message): void {
    const name = Object.hasOwn(W.XS_NAMES, type) ? W.XS_NAMES[type] : `request ${type}`;
    const words = printable(textOf(payload).replace(/\0$/, "").replaceAll("\0", " "));
    const failure = reply.type === W.XS_ERROR ? `: ${textOf(reply.payload).replace("\0", "")}` : "";
    const transaction = transactionId === 0 ? "" : ` in transaction ${transactionId}`;
    this.#host.log(`xenstore: domain ${this.domid}: ${name} ${words}${transaction}${failure}`);
  }

  #answer({ type, transactionId, payload }: Message): Uint8Array {
    const handler = Object.hasOwn(this.#handlers, type) ? this.#handlers[type] : undefined;
    if (!handler) throw new StoreError("ENOSYS");
    if (type === W.XS_TRANSACTION_END) return this.#endTransaction(transactionId, payload);
    if (transactionId === 0) {
      const answer = this.#host.store.direct((view) => handler(view, payload));
      // Too long an answer fails the request; the work is done all the same, and only queries are long.
      if (answer.length > W.XENSTORE_PAYLOAD_MAX) throw new StoreError("E2BIG");
      return answer;
    }
    const transaction = this.#transactions.get(transactionId);
    if (!transaction) throw new StoreError("ENOENT");
    const { touched, changes } = transaction;
    const { transactionNodes } = this.#host.store.quota;
    if (this.domid !== 0 && (touched.size > transactionNodes || changes.length > MAX_TRANSACTION_CHANGES))
      throw new StoreError("ENOSPC");
    if (this.#room <= 0) throw new StoreError("ENOMEM");
    const answer = handler(transaction, payload);
    if (answer.length > W.XENSTORE_PAYLOAD_MAX) throw new StoreError("E2BIG");
    return answer;
  }

  #endTransaction(id: number, payload: Uint8Array): Uint8Array {
    const transaction = this.#transactions.get(id);
    if (!transaction) throw new StoreError("ENOENT");
    const [answer] = strings(payload, 1);
    if (answer !== "T" && answer !== "F") throw new StoreError("EINVAL");
    this.#transactions.delete(id);
    if (answer === "T") this.#host.store.commit(transaction, this.domid);
    return OK;
  }

  #path(text: string): string {
    const isTooLong = this.domid !== 0 && !text.startsWith("/") && text.length > this.#host.store.quota.pathLength;
    if (isTooLong) throw new StoreError("EINVAL");
    return absolutePath(text, this.domid);
  }

  #privileged(): void {
    if (this.domid !== 0) throw new StoreError("EACCES");
  }

  readonly #handlers: Readonly<Record<number, Handler>> = {
    [W.XS_CONTROL]: (_view, payload) => {
      this.#privileged();
      return joinStrings([control(this.#host, strings(payload, 1))]);
    },
    [W.XS_READ]: (view, payload) => {
      const [path] = strings(payload, 1);
      return this.#host.store.read(view, this.domid, this.#path(path!));
    },
    [W.XS_WRITE]: (view, payload) => {
      const end = payload.indexOf(0);
      if (end < 0) throw new StoreError("EINVAL");
      const path = this.#path(textOf(payload.subarray(0, end)));
      this.#host.store.write(view, this.domid, path, payload.subarray(end + 1));
      return OK;
    },
    [W.XS_MKDIR]: (view, payload) => {
      const [path] = strings(payload, 1);
      this.#host.store.mkdir(view, this.domid, this.#path(path!));
      return OK;
    },
    [W.XS_RM]: (view, payload) => {
      const [path] = strings(payload, 1);
      this.#host.store.remove(view, this.domid, this.#path(path!));
      return OK;
    },
    [W.XS_DIRECTORY]: (view, payload) => {
      const [path] = strings(payload, 1);
      return joinStrings(this.#host.store.directory(view, this.domid, this.#path(path!)));
    },
    [W.XS_DIRECTORY_PART]: (view, payload) => {
      const [path, offset] = strings(payload, 2);
      return this.#directoryPart(view, path!, Number(offset));
    },
    [W.XS_GET_PERMS]: (view, payload) => {
      const [path] = strings(payload, 1);
      return joinStrings(formatPermissions(this.#host.store.permissions(view, this.domid, this.#path(path!))));
    },
    [W.XS_SET_PERMS]: (view, payload) => {
      const { strings: all } = splitStrings(payload);
      const [path, ...texts] = all;
      if (path === undefined) throw new StoreError("EINVAL");
      this.#host.store.setPermissions(view, this.domid, this.#path(path), parsePermissions(texts));
      return OK;
    },
    [W.XS_WATCH]: (_view, payload) => {
      const [path, token] = strings(payload, 2);
      this.watches.add(path!, token!, this.#room);
      this.#watchEvent(path!, token!);
      return OK;
    },
    [W.XS_UNWATCH]: (_view, payload) => {
      const [path, token] = strings(payload, 2);
      this.watches.remove(path!, token!);
      return OK;
    },
    [W.XS_RESET_WATCHES]: () => {
      this.watches.clear();
      this.#transactions.clear();
      return OK;
    },
    [W.XS_TRANSACTION_START]: () => {
      if (this.domid !== 0 && this.#transactions.size >= this.#host.store.quota.transactions)
        throw new StoreError("ENOSPC");
      if (this.#room <= 0) throw new StoreError("ENOMEM");
      const id = this.#nextTransaction++;
      this.#transactions.set(
        id,
        this.#host.store.begin(() => this.#room),
      );
      return joinStrings([String(id)]);
    },
    // Handled before dispatch: it has no view of its own.
    [W.XS_TRANSACTION_END]: () => OK,
    [W.XS_GET_DOMAIN_PATH]: (_view, payload) => {
      const [domid] = strings(payload, 1);
      return joinStrings([homeOf(number(domid))]);
    },
    [W.XS_IS_DOMAIN_INTRODUCED]: (_view, payload) => {
      const [domid] = strings(payload, 1);
      return joinStrings([this.#host.isIntroduced(number(domid)) ? "T" : "F"]);
    },
    [W.XS_INTRODUCE]: (_view, payload) => {
      this.#privileged();
      const [domid, mfn, port] = strings(payload, 3);
      this.#host.introduce(number(domid), number(mfn), number(port));
      return OK;
    },
    [W.XS_RELEASE]: (_view, payload) => {
      this.#privileged();
      const [domid] = strings(payload, 1);
      this.#host.release(number(domid));
      return OK;
    },
    [W.XS_SET_TARGET]: (_view, payload) => {
      this.#privileged();
      const [domid, target] = strings(payload, 2);
      this.#host.setTarget(number(domid), number(target));
      return OK;
    },
    // A domain that was suspended goes on: nothing here depends on that.
    [W.XS_RESUME]: (_view, payload) => {
      this.#privileged();
      const [domid] = strings(payload, 1);
      if (!this.#host.isIntroduced(number(domid))) throw new StoreError("ENOENT");
      return OK;
    },
  };

  /**
   * A part of a directory too long for one message: a generation, which differs when the names do, then names from `offset` on;
   * an empty name ends the list.
   */
  #directoryPart(view: StoreView, path: string, offset: number): Uint8Array {
    if (!Number.isInteger(offset) || offset < 0) throw new StoreError("EINVAL");
    const names = this.#host.store.directory(view, this.domid, this.#path(path));
    const all = joinStrings(names);
    const generation = bytesOf(`${hash(all)}\0`);
    const room = W.XENSTORE_PAYLOAD_MAX - generation.length - 1;
    let end = Math.min(all.length, offset + room);
    // Whole names only.
    if (end < all.length) end = all.lastIndexOf(0, end - 1) + 1;
    const part = all.subarray(Math.min(offset, all.length), end);
    const isLast = end === all.length;
    const result = new Uint8Array(generation.length + part.length + (isLast ? 1 : 0));
    result.set(generation);
    result.set(part, generation.length);
    return result;
  }
}

/** FNV-1a, 32 bits. */
function hash(bytes: Uint8Array): number {
  let value = 0x811c9dc5;
  for (const byte of bytes) value = Math.imul(value ^ byte, 0x01000193);
  return value >>> 0;
}

/** At least `count` NUL-terminated strings. @throws StoreError EINVAL */
function strings(payload: Uint8Array, count: number): string[] {
  const { strings: all } = splitStrings(payload);
  if (all.length < count) throw new StoreError("EINVAL");
  return all;
}

function number(text: string | undefined): number {
  if (!/^\d{1,10}$/.test(text ?? "")) throw new StoreError("EINVAL");
  return Number(text);
}
