// OpenPGP public keys, version 4 (RFC 9580, sections 5.5.2 and 5.5.5): RSA and Ed25519, the kinds that sign Debian's archive.
// The arithmetic is node:crypto's.
import { createHash, createPublicKey, type KeyObject, verify } from "node:crypto";
import { ByteReader } from "./packet.js";

/** Public key algorithm IDs, RFC 9580 section 9.1. */
export const ALGORITHM_RSA = 1;
export const ALGORITHM_RSA_SIGN_ONLY = 3;
export const ALGORITHM_EDDSA_LEGACY = 22;
export const ALGORITHM_ED25519 = 27;

/** RFC 9580 section 9.5, those that are still safe; node's names. */
const HASH_NAMES = new Map([
  [8, "sha256"],
  [9, "sha384"],
  [10, "sha512"],
]);
/** 1.3.6.1.4.1.11591.15.1, the curve name of an EdDSA legacy key. */
const ED25519_OID = "2b06010401da470f01";
/** DER of SubjectPublicKeyInfo up to the 32 bytes of an Ed25519 key (RFC 8410 section 4). */
const ED25519_SPKI_PREFIX = "302a300506032b6570032100";
const SMALLEST_RSA_BYTES = 2048 / 8;

export interface PublicKey {
  /** 40 upper-case hex digits. */
  readonly fingerprint: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly algorithm: number;
  readonly body: Uint8Array;
  readonly key: KeyObject;
  /** Length of an RSA modulus in bytes; 0 for Ed25519. */
  readonly modulusLength: number;
}

/** Reads the body of a public key or subkey packet; undefined when its version or algorithm is not supported. */
export function readPublicKey(body: Uint8Array): PublicKey | undefined {
  const reader = new ByteReader(body);
  if (reader.u8() !== 4) return undefined;
  const created = reader.u32();
  const algorithm = reader.u8();
  const material = readMaterial(reader, algorithm);
  if (material === undefined) return undefined;
  // Section 5.5.4.2: SHA-1 over 0x99, the two-byte length and the packet's body.
  const fingerprint = createHash("sha1").update(keyHashPrefix(body)).update(body).digest("hex").toUpperCase();
  return { fingerprint, created, algorithm, body, ...material };
}

/** What stands before a key's packet body wherever it is hashed. */
export function keyHashPrefix(body: Uint8Array): Uint8Array {
  return Uint8Array.of(0x99, body.length >> 8, body.length & 0xff);
}

function readMaterial(reader: ByteReader, algorithm: number): { key: KeyObject; modulusLength: number } | undefined {
  switch (algorithm) {
    case ALGORITHM_RSA:
    case ALGORITHM_RSA_SIGN_ONLY: {
      const n = reader.mpi();
      const e = reader.mpi();
      if (n.length < SMALLEST_RSA_BYTES) return undefined;
      const jwk = { kty: "RSA", n: Buffer.from(n).toString("base64url"), e: Buffer.from(e).toString("base64url") };
      return { key: createPublicKey({ key: jwk, format: "jwk" }), modulusLength: n.length };
    }
    case ALGORITHM_EDDSA_LEGACY: {
      const oid = reader.take(reader.u8());
      const point = reader.mpi();
      // 0x40 marks the native form of the point.
      if (Buffer.from(oid).toString("hex") !== ED25519_OID || point.length !== 33 || point[0] !== 0x40)
        return undefined;
      return { key: ed25519Key(point.subarray(1)), modulusLength: 0 };
    }
    case ALGORITHM_ED25519:
      return { key: ed25519Key(reader.take(32)), modulusLength: 0 };
    default:
      return undefined;
  }
}

function ed25519Key(point: Uint8Array): KeyObject {
  const der = Buffer.concat([Buffer.from(ED25519_SPKI_PREFIX, "hex"), point]);
  return createPublicKey({ key: der, format: "der", type: "spki" });
}

/** Checks the algorithm-specific part of a signature over `data`. False too for a hash that is no longer safe (MD5, SHA-1). */
export function verifyWithKey(
  key: PublicKey,
  hashId: number,
  data: readonly Uint8Array[],
  fields: Uint8Array,
): boolean {
  const hashName = HASH_NAMES.get(hashId);
  if (hashName === undefined) return false;
  const reader = new ByteReader(fields);
  const message = Buffer.concat(data);
  switch (key.algorithm) {
    case ALGORITHM_RSA:
    case ALGORITHM_RSA_SIGN_ONLY: {
      const signature = reader.mpi();
      if (signature.length > key.modulusLength) return false;
      return verify(hashName, message, key.key, leftPadded(signature, key.modulusLength));
    }
    case ALGORITHM_EDDSA_LEGACY: {
      const r = reader.mpi();
      const s = reader.mpi();
      if (r.length > 32 || s.length > 32) return false;
      const signature = Buffer.concat([leftPadded(r, 32), leftPadded(s, 32)]);
      return verify(null, createHash(hashName).update(message).digest(), key.key, signature);
    }
    case ALGORITHM_ED25519:
      return verify(null, createHash(hashName).update(message).digest(), key.key, reader.take(64));
    default:
      return false;
  }
}

function leftPadded(bytes: Uint8Array, length: number): Uint8Array {
  const padded = new Uint8Array(length);
  padded.set(bytes, length - bytes.length);
  return padded;
}
