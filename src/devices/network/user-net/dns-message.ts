// DNS messages as far as a forwarder looks into them (RFC 1035 4.1): the question, and answers from a table of names.

export interface DnsQuestion {
  readonly id: number;
  /** Lower case, without the last dot. */
  readonly name: string;
  readonly type: number;
  /** End of the question in the message. */
  readonly end: number;
}

export const DNS_TYPE = { A: 1, PTR: 12, AAAA: 28 } as const;
export const DNS_CODE = { none: 0, format: 1, failure: 2, nameError: 3, refused: 5 } as const;

const HEADER_SIZE = 12;
const CLASS_IN = 1;
const RESPONSE = 0x8000;
const RECURSION_DESIRED = 0x0100;
const RECURSION_AVAILABLE = 0x0080;
const MAX_NAME = 255;
const TIME_TO_LIVE = 60;

/** Undefined when the message isn't a query with one question. */
export function parseQuestion(message: Uint8Array): DnsQuestion | undefined {
  if (message.length < HEADER_SIZE + 5) return undefined;
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const flags = view.getUint16(2);
  // A response, or something else than a standard query.
  if (flags & 0xf800 || view.getUint16(4) !== 1) return undefined;
  const labels: string[] = [];
  let at = HEADER_SIZE;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > 63 || at - HEADER_SIZE > MAX_NAME) return undefined;
    at++;
    if (length === 0) break;
    if (at + length >= message.length) return undefined;
    labels.push(
      Buffer.from(message.subarray(at, at + length))
        .toString("latin1")
        .toLowerCase(),
    );
    at += length;
  }
  if (at + 4 > message.length) return undefined;
  return { id: view.getUint16(0), name: labels.join("."), type: view.getUint16(at), end: at + 4 };
}

/** An answer to `query` with addresses, or none. @param addresses of 4 or 16 bytes each, of the type asked for */
export function buildAnswer(
  query: Uint8Array,
  question: DnsQuestion,
  code: number,
  addresses: readonly Uint8Array[] = [],
): Uint8Array {
  const size = addresses.reduce((sum, address) => sum + 12 + address.length, question.end);
  const answer = new Uint8Array(size);
  answer.set(query.subarray(0, question.end));
  const view = new DataView(answer.buffer);
  view.setUint16(2, RESPONSE | (view.getUint16(2) & RECURSION_DESIRED) | RECURSION_AVAILABLE | code);
  view.setUint16(6, addresses.length);
  view.setUint32(8, 0);
  let at = question.end;
  for (const address of addresses) {
    // A pointer to the name in the question.
    view.setUint16(at, 0xc000 | HEADER_SIZE);
    view.setUint16(at + 2, question.type);
    view.setUint16(at + 4, CLASS_IN);
    view.setUint32(at + 6, TIME_TO_LIVE);
    view.setUint16(at + 10, address.length);
    answer.set(address, at + 12);
    at += 12 + address.length;
  }
  return answer;
}
