// OpenPGP signature packets, version 4 (RFC 9580, section 5.2): parsing, and the check of one signature by one key.
// Only the hashed subpackets count, except hints of who signed and the embedded back signature, which proves itself.
import { ByteReader } from "./packet.js";
import { type PublicKey, verifyWithKey } from "./public-key.js";

/** Signature type IDs, RFC 9580 section 5.2.1. */
export const SIGNATURE_TEXT = 0x01;
export const SIGNATURE_DIRECT_KEY = 0x1f;
export const SIGNATURE_SUBKEY_BINDING = 0x18;
export const SIGNATURE_PRIMARY_BINDING = 0x19;
export const SIGNATURE_KEY_REVOCATION = 0x20;
export const SIGNATURE_SUBKEY_REVOCATION = 0x28;

/** Key flags, section 5.2.3.29. */
export const KEY_FLAG_SIGN = 0x02;

export interface Signature {
  readonly type: number;
  readonly algorithm: number;
  readonly hash: number;
  /** Seconds since 1970. */
  readonly created: number;
  /** Seconds after the key's creation; undefined: never. */
  readonly keyExpiresAfter: number | undefined;
  readonly keyFlags: number | undefined;
  /** Who says to have signed: a fingerprint or the 16 digits at its end; upper-case hex. */
  readonly issuer: string | undefined;
  /** Body of an embedded signature packet. */
  readonly embedded: Uint8Array | undefined;
  /** A critical subpacket that this code does not know: such a signature must not be trusted. */
  readonly unknownCritical: boolean;
  /** What is hashed after the signed data. */
  readonly trailer: Uint8Array;
  /** The algorithm-specific numbers. */
  readonly fields: Uint8Array;
}

/** Reads the body of a signature packet; undefined when it is of another version. Throws ImageError "signature" when cut. */
export function readSignature(body: Uint8Array): Signature | undefined {
  const reader = new ByteReader(body);
  if (reader.u8() !== 4) return undefined;
  const type = reader.u8();
  const algorithm = reader.u8();
  const hash = reader.u8();
  const hashed = readSubpackets(reader.take(reader.u16()));
  const hashedEnd = reader.position;
  const unhashed = readSubpackets(reader.take(reader.u16()));
  reader.u16(); // The first two bytes of the hash: a hint only.
  const fields = reader.rest();

  const created = hashed.numbers.get(2);
  if (created === undefined) return undefined;
  return {
    type,
    algorithm,
    hash,
    created,
    keyExpiresAfter: hashed.numbers.get(9) || undefined,
    keyFlags: hashed.flags,
    issuer: hashed.issuer ?? unhashed.issuer,
    embedded: hashed.embedded ?? unhashed.embedded,
    unknownCritical: hashed.unknownCritical,
    trailer: Buffer.concat([body.subarray(0, hashedEnd), trailerEnd(hashedEnd)]),
    fields,
  };
}

/** Section 5.2.4: version, 0xff, and the length of the hashed part of the packet as four bytes. */
function trailerEnd(length: number): Uint8Array {
  const end = Buffer.from([4, 0xff, 0, 0, 0, 0]);
  end.writeUInt32BE(length, 2);
  return end;
}

interface Subpackets {
  readonly numbers: Map<number, number>;
  flags: number | undefined;
  issuer: string | undefined;
  embedded: Uint8Array | undefined;
  unknownCritical: boolean;
}

/** Subpackets that can be passed over even when critical: preferences, features, exportability, revocation key and reason. */
const HARMLESS = new Set([4, 5, 7, 11, 12, 20, 21, 22, 23, 24, 25, 26, 28, 29, 30, 34, 35]);

function readSubpackets(bytes: Uint8Array): Subpackets {
  const found: Subpackets = {
    numbers: new Map(),
    flags: undefined,
    issuer: undefined,
    embedded: undefined,
    unknownCritical: false,
  };
  const reader = new ByteReader(bytes);
  while (!reader.atEnd) {
    const subpacket = new ByteReader(reader.take(reader.subpacketLength()));
    const typeByte = subpacket.u8();
    const type = typeByte & 0x7f;
    switch (type) {
      case 2: // creation time
      case 9: // key expiration
        found.numbers.set(type, subpacket.u32());
        break;
      case 16: // issuer key ID
        found.issuer ??= hex(subpacket.take(8));
        break;
      case 27:
        found.flags = subpacket.atEnd ? 0 : subpacket.u8();
        break;
      case 32:
        found.embedded = subpacket.rest();
        break;
      case 33: // issuer fingerprint: version, fingerprint
        if (subpacket.u8() === 4) found.issuer = hex(subpacket.take(20));
        break;
      default:
        if ((typeByte & 0x80) !== 0 && !HARMLESS.has(type)) found.unknownCritical = true;
    }
  }
  return found;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex").toUpperCase();
}

/** True when the signature names `key` as its maker, or nobody. */
export function mayBeIssuedBy(signature: Signature, key: PublicKey): boolean {
  return signature.issuer === undefined || key.fingerprint.endsWith(signature.issuer);
}

/** True when `key` made `signature` over `data` (the trailer is added here). Says nothing of time or of the key's standing. */
export function verifySignature(signature: Signature, key: PublicKey, data: readonly Uint8Array[]): boolean {
  if (signature.unknownCritical || signature.algorithm !== key.algorithm) return false;
  return verifyWithKey(key, signature.hash, [...data, signature.trailer], signature.fields);
}
