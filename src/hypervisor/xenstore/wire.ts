// XenStore messages as bytes (io/xs_wire.h): a header of four words, then at most 4096 bytes of payload.

import { XENSTORE_PAYLOAD_MAX, XSD_SOCKMSG_SIZE, xsd_sockmsg } from "../public/io/xs_wire.js";

export interface Message {
  readonly type: number;
  readonly requestId: number;
  readonly transactionId: number;
  readonly payload: Uint8Array;
}

/** The stream can't be understood any more: the connection is over. */
export class WireError extends Error {
  override readonly name = "WireError";
}

export function encodeMessage({ type, requestId, transactionId, payload }: Message): Uint8Array {
  const bytes = new Uint8Array(XSD_SOCKMSG_SIZE + payload.length);
  bytes.set(xsd_sockmsg.encode(64, { type, req_id: requestId, tx_id: transactionId, len: payload.length }));
  bytes.set(payload, XSD_SOCKMSG_SIZE);
  return bytes;
}

/** Cuts a byte stream into messages. */
export class MessageReader {
  #pending = new Uint8Array(0);

  push(bytes: Uint8Array): void {
    const all = new Uint8Array(this.#pending.length + bytes.length);
    all.set(this.#pending);
    all.set(bytes, this.#pending.length);
    this.#pending = all;
  }

  /** The next message, when all of it is there. @throws WireError */
  next(): Message | undefined {
    const { length } = this.#pending;
    if (length < XSD_SOCKMSG_SIZE) return undefined;
    const header = xsd_sockmsg.decode(this.#pending, 64);
    if (header.len > XENSTORE_PAYLOAD_MAX) throw new WireError(`message of ${header.len} bytes`);
    const end = XSD_SOCKMSG_SIZE + header.len;
    if (end > length) return undefined;
    const payload = this.#pending.slice(XSD_SOCKMSG_SIZE, end);
    this.#pending = this.#pending.subarray(end);
    return { type: header.type, requestId: header.req_id, transactionId: header.tx_id, payload };
  }

  /** All that are complete with these bytes. @throws WireError */
  readAll(bytes: Uint8Array): Message[] {
    this.push(bytes);
    const messages: Message[] = [];
    for (let message = this.next(); message; message = this.next()) messages.push(message);
    return messages;
  }

  reset(): void {
    this.#pending = new Uint8Array(0);
  }
}

const decoder = new TextDecoder("latin1");

export function textOf(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Bytes of a string whose characters are bytes. */
export function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff);
}

/** Splits a payload into its NUL-terminated strings; what follows the last NUL is `rest`. */
export function splitStrings(payload: Uint8Array): { strings: string[]; rest: Uint8Array } {
  const strings: string[] = [];
  let start = 0;
  for (let i = payload.indexOf(0); i >= 0; i = payload.indexOf(0, start)) {
    strings.push(textOf(payload.subarray(start, i)));
    start = i + 1;
  }
  return { strings, rest: payload.subarray(start) };
}

/** Strings, each with its NUL. */
export function joinStrings(strings: readonly string[]): Uint8Array {
  return bytesOf(strings.map((text) => `${text}\0`).join(""));
}
