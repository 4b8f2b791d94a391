// A guest's end of XenStore for tests: its ring page, and the nodes that the toolstack made for it.
import * as W from "../../../src/hypervisor/public/io/xs_wire.js";
import type { XenStoreServer } from "../../../src/hypervisor/xenstore/server.js";
import { encodeMessage, type Message, MessageReader, textOf } from "../../../src/hypervisor/xenstore/wire.js";
import type { MachineMemory } from "../../../src/mmu/machine-memory.js";

export const PAGE = 4096;
const { size, req, rsp, req_cons, req_prod, rsp_cons, rsp_prod } = W.XENSTORE_RING;

/** A guest's xenbus driver: talks through the ring page only. */
export class StoreGuest {
  readonly memory: MachineMemory;
  readonly server: XenStoreServer;
  readonly domid: number;
  readonly #reader = new MessageReader();
  #nextId = 1;
  readonly messages: Message[] = [];

  /** It doesn't take what is in its ring. */
  isDeaf = false;

  constructor(memory: MachineMemory, server: XenStoreServer, domid: number) {
    this.memory = memory;
    this.server = server;
    this.domid = domid;
    server.connect(domid, PAGE * domid, { notify: () => this.isDeaf || this.receive() });
  }
  #index(at: number): number {
    return this.memory.readU32(PAGE * this.domid + at);
  }
  receive(): void {
    const base = PAGE * this.domid;
    const from = this.#index(rsp_cons);
    const count = (this.#index(rsp_prod) - from) >>> 0;
    const bytes = Uint8Array.from({ length: count }, (_, i) => this.memory.readU8(base + rsp + ((from + i) % size)));
    this.memory.writeU32(base + rsp_cons, from + count);
    this.messages.push(...this.#reader.readAll(bytes));
    if (count > 0) this.server.service(this.domid);
  }
  /** Sends bytes in pieces that fit the ring. */
  send(bytes: Uint8Array): void {
    const base = PAGE * this.domid;
    for (let done = 0; done < bytes.length; ) {
      const at = this.#index(req_prod);
      const room = size - ((at - this.#index(req_cons)) >>> 0);
      if (room === 0) throw new Error("the server doesn't take requests");
      const part = bytes.subarray(done, done + room);
      for (const [i, byte] of part.entries()) this.memory.writeU8(base + req + ((at + i) % size), byte);
      this.memory.writeU32(base + req_prod, at + part.length);
      this.server.service(this.domid);
      done += part.length;
    }
  }
  /** Payload of the reply; "!ENOENT" for errors. */
  request(type: number, payload: string, transactionId = 0): string {
    const reply = this.reply(this.ask(type, payload, transactionId));
    if (reply === undefined) throw new Error("no reply");
    return reply;
  }
  /** @returns the request's number */
  ask(type: number, payload: string, transactionId = 0): number {
    const requestId = this.#nextId++;
    const bytes = Uint8Array.from(payload, (c) => c.charCodeAt(0));
    this.send(encodeMessage({ type, requestId, transactionId, payload: bytes }));
    return requestId;
  }
  reply(requestId: number): string | undefined {
    const at = this.messages.findIndex((m) => m.requestId === requestId && m.type !== W.XS_WATCH_EVENT);
    if (at < 0) return undefined;
    const [reply] = this.messages.splice(at, 1);
    const text = textOf(reply!.payload);
    return reply!.type === W.XS_ERROR ? `!${text.replace("\0", "")}` : text;
  }
  events(): string[] {
    return this.messages.splice(0).map((m) => textOf(m.payload).split("\0").slice(0, 2).join(" "));
  }
}

export const description = {
  domid: 1,
  name: "guest",
  handle: Uint8Array.from({ length: 16 }, (_, i) => i),
  memoryKib: 262144,
  maxMemoryKib: 262144,
  vcpus: 1,
  onlineVcpus: 1,
  storePort: 1,
  storeMfn: 1,
  consolePort: 2,
  consoleMfn: 2,
};

export function joinedText(...strings: string[]): string {
  return strings.map((text) => `${text}\0`).join("");
}
