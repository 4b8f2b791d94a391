// OpenPGP packet framing (RFC 9580, section 4): splits a byte string into packets; and a bounds-checked reader for their bodies.
import { ImageError } from "../image-error.js";

/** Packet type IDs, RFC 9580 section 5. */
export const PACKET_SIGNATURE = 2;
export const PACKET_PUBLIC_KEY = 6;
export const PACKET_USER_ID = 13;
export const PACKET_PUBLIC_SUBKEY = 14;

export interface Packet {
  readonly type: number;
  readonly body: Uint8Array;
}

/** All packets of `bytes`. Throws ImageError "signature" on a packet that is cut or has no definite length. */
export function readPackets(bytes: Uint8Array): Packet[] {
  const reader = new ByteReader(bytes);
  const packets: Packet[] = [];
  while (!reader.atEnd) {
    const header = reader.u8();
    if ((header & 0x80) === 0) throw malformed();
    // Bit 6: the current format; else the legacy one, with the type in bits 5-2 and the size of the length in bits 1-0.
    const current = (header & 0x40) !== 0;
    const type = current ? header & 0x3f : (header >> 2) & 0x0f;
    const length = current ? reader.newLength() : legacyLength(reader, header & 3);
    packets.push({ type, body: reader.take(length) });
  }
  return packets;
}

function legacyLength(reader: ByteReader, lengthType: number): number {
  if (lengthType === 3) throw malformed();
  return lengthType === 0 ? reader.u8() : lengthType === 1 ? reader.u16() : reader.u32();
}

/** Reads big-endian fields one after the other; throws ImageError "signature" at the end. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** How many bytes were read. */
  get position(): number {
    return this.#at;
  }

  take(length: number): Uint8Array {
    if (this.#at + length > this.#bytes.length) throw malformed();
    return this.#bytes.subarray(this.#at, (this.#at += length));
  }

  rest(): Uint8Array {
    return this.take(this.#bytes.length - this.#at);
  }

  u8(): number {
    return this.take(1)[0] as number;
  }

  u16(): number {
    return this.u8() * 0x100 + this.u8();
  }

  u32(): number {
    return this.u16() * 0x10000 + this.u16();
  }

  /** A multiprecision integer (section 3.2) without leading zero bytes. */
  mpi(): Uint8Array {
    const bits = this.u16();
    return this.take((bits + 7) >> 3);
  }

  /** A packet length of the current format (section 4.2.1.1-3); partial lengths are for streams, never for signatures. */
  newLength(): number {
    const first = this.u8();
    if (first < 192) return first;
    if (first < 224) return (first - 192) * 256 + this.u8() + 192;
    if (first === 255) return this.u32();
    throw malformed();
  }

  /** A signature subpacket's length (section 5.2.3.7): as above, but two-byte lengths go up to 254. */
  subpacketLength(): number {
    const first = this.u8();
    if (first < 192) return first;
    return first === 255 ? this.u32() : (first - 192) * 256 + this.u8() + 192;
  }
}

function malformed(): ImageError {
  return new ImageError("signature", "The OpenPGP data is malformed.");
}
