// TCP segments (RFC 9293 3.1) with the options that matter here: maximum segment size, window scale (RFC 7323), selective
// acknowledgments (RFC 2018). What guests send is checked against its length; sequence numbers are compared modulo 2^32.

export const TCP = { FIN: 1, SYN: 2, RST: 4, PSH: 8, ACK: 16 } as const;

/** Sequence numbers of the first byte, and of the one after the last. */
export type SackBlock = readonly [start: number, end: number];

export interface TcpSegment {
  readonly sourcePort: number;
  readonly targetPort: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly flags: number;
  /** As on the wire: not scaled. */
  readonly window: number;
  readonly mss?: number | undefined;
  readonly windowScale?: number | undefined;
  /** Of a SYN: its sender takes selective acknowledgments. */
  readonly takesSack?: boolean | undefined;
  /** What has come beyond the acknowledgment; at most four. */
  readonly sack?: readonly SackBlock[] | undefined;
  readonly payload: Uint8Array;
}

const HEADER_SIZE = 20;
const OPTION = { end: 0, nop: 1, mss: 2, windowScale: 3, sackPermitted: 4, sack: 5 } as const;
/** RFC 7323 2.3 */
const MAX_SCALE = 14;

/** Undefined when it is cut off. The checksum is the caller's matter. */
export function parseTcp(bytes: Uint8Array): TcpSegment | undefined {
  if (bytes.length < HEADER_SIZE) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerSize = (bytes[12]! >> 4) * 4;
  if (headerSize < HEADER_SIZE || headerSize > bytes.length) return undefined;
  const flags = bytes[13]! & 0x3f;
  return {
    sourcePort: view.getUint16(0),
    targetPort: view.getUint16(2),
    sequence: view.getUint32(4),
    acknowledgment: view.getUint32(8),
    flags,
    window: view.getUint16(14),
    ...(headerSize > HEADER_SIZE ? parseOptions(view, headerSize, (flags & TCP.SYN) !== 0) : {}),
    payload: bytes.subarray(headerSize),
  };
}

type Options = Pick<TcpSegment, "mss" | "windowScale" | "takesSack" | "sack">;

function parseOptions(view: DataView, end: number, isSyn: boolean): Options {
  const found: { -readonly [K in keyof Options]: Options[K] } = {};
  for (let at = HEADER_SIZE; at < end; ) {
    const kind = view.getUint8(at);
    if (kind === OPTION.end) break;
    if (kind === OPTION.nop) {
      at++;
      continue;
    }
    if (at + 1 >= end) break;
    const length = view.getUint8(at + 1);
    if (length < 2 || at + length > end) break;
    if (isSyn && kind === OPTION.mss && length === 4) found.mss = view.getUint16(at + 2);
    if (isSyn && kind === OPTION.windowScale && length === 3)
      found.windowScale = Math.min(MAX_SCALE, view.getUint8(at + 2));
    if (isSyn && kind === OPTION.sackPermitted && length === 2) found.takesSack = true;
    if (!isSyn && kind === OPTION.sack) found.sack = readBlocks(view, at + 2, at + length);
    at += length;
  }
  return found;
}

function readBlocks(view: DataView, start: number, end: number): SackBlock[] {
  const blocks: SackBlock[] = [];
  for (let at = start; at + 8 <= end; at += 8) blocks.push([view.getUint32(at), view.getUint32(at + 4)]);
  return blocks;
}

const word = (value: number): number[] => [value >>> 24, (value >> 16) & 0xff, (value >> 8) & 0xff, value & 0xff];

/** Bytes before a segment that `buildTcp` leaves for the headers of the packet that it goes out in. */
export const HEADROOM = 14 + 40;

/** A segment without its checksum, with HEADROOM before it in its buffer. */
export function buildTcp(segment: TcpSegment): Uint8Array {
  const { mss, windowScale, takesSack, sack = [], payload } = segment;
  const options: number[] = [];
  if (mss !== undefined) options.push(OPTION.mss, 4, mss >> 8, mss & 0xff);
  if (windowScale !== undefined) options.push(OPTION.nop, OPTION.windowScale, 3, windowScale);
  if (takesSack) options.push(OPTION.nop, OPTION.nop, OPTION.sackPermitted, 2);
  if (sack.length > 0)
    options.push(OPTION.nop, OPTION.nop, OPTION.sack, 2 + 8 * sack.length, ...sack.flat().flatMap(word));
  const headerSize = HEADER_SIZE + options.length;
  const bytes = new Uint8Array(HEADROOM + headerSize + payload.length).subarray(HEADROOM);
  const view = new DataView(bytes.buffer, HEADROOM);
  view.setUint16(0, segment.sourcePort);
  view.setUint16(2, segment.targetPort);
  view.setUint32(4, segment.sequence);
  view.setUint32(8, segment.acknowledgment);
  view.setUint8(12, (headerSize / 4) << 4);
  view.setUint8(13, segment.flags);
  view.setUint16(14, segment.window);
  bytes.set(options, HEADER_SIZE);
  bytes.set(payload, headerSize);
  return bytes;
}

/** a - b, as a signed distance on the circle of sequence numbers. */
export function sequenceDistance(a: number, b: number): number {
  return (a - b) | 0;
}

/** Bytes that wait to be sent or acknowledged, from one position on. */
export class SendBuffer {
  readonly #chunks: Uint8Array[] = [];
  /** Bytes of the first chunk that are gone. */
  #skip = 0;
  length = 0;

  append(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.length += chunk.length;
  }

  /** Forgets the first bytes. */
  drop(count: number): void {
    this.length -= count;
    let left = count + this.#skip;
    let gone = 0;
    while (gone < this.#chunks.length && left >= this.#chunks[gone]!.length) left -= this.#chunks[gone++]!.length;
    this.#chunks.splice(0, gone);
    this.#skip = left;
  }

  /** Bytes [offset, offset + length), which are there: where they lie, or a copy when that is in several chunks. */
  read(offset: number, length: number): Uint8Array {
    let target: Uint8Array | undefined;
    let at = 0;
    let skip = offset + this.#skip;
    for (const chunk of this.#chunks) {
      if (skip >= chunk.length) {
        skip -= chunk.length;
        continue;
      }
      if (!target && skip + length <= chunk.length) return chunk.subarray(skip, skip + length);
      target ??= new Uint8Array(length);
      const part = chunk.subarray(skip, skip + length - at);
      target.set(part, at);
      at += part.length;
      skip = 0;
      if (at === length) break;
    }
    return target ?? new Uint8Array(length);
  }
}
