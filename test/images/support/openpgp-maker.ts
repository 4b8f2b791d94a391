// Makes OpenPGP certificates and clear-signed messages for tests, from the packet layouts of RFC 9580; keys are node:crypto's.
// Written apart from images/openpgp, and held against gpgv by test/images/openpgp.test.ts.
import { createHash, generateKeyPairSync, type KeyObject, sign } from "node:crypto";

export type KeyKind = "rsa" | "ed25519";

export interface TestKey {
  readonly kind: KeyKind;
  readonly body: Buffer;
  readonly privateKey: KeyObject;
  readonly fingerprint: string;
  readonly created: number;
}

const HASH_SHA256 = 8;
const ALGORITHMS = { rsa: 1, ed25519: 22 } as const;
const ED25519_OID = Buffer.from("092b06010401da470f01", "hex");

export function makeKey(kind: KeyKind, created: number): TestKey {
  const pair = kind === "rsa" ? generateKeyPairSync("rsa", { modulusLength: 2048 }) : generateKeyPairSync("ed25519");
  const jwk = pair.publicKey.export({ format: "jwk" });
  const bytes = (text: string | undefined) => Buffer.from(text as string, "base64url");
  const material =
    kind === "rsa"
      ? [mpi(bytes(jwk.n)), mpi(bytes(jwk.e))]
      : [ED25519_OID, mpi(Buffer.concat([Buffer.from([0x40]), bytes(jwk.x)]))];
  const body = Buffer.concat([Buffer.from([4]), u32(created), Buffer.from([ALGORITHMS[kind]]), ...material]);
  const fingerprint = createHash("sha1").update(hashedKey(body)).digest("hex").toUpperCase();
  return { kind, body, privateKey: pair.privateKey, fingerprint, created };
}

export interface CertificateOptions {
  readonly userId?: string;
  /** Seconds after the key's creation. */
  readonly expiresAfter?: number;
  readonly primaryFlags?: number;
  readonly subkey?: { readonly key: TestKey; readonly withoutBackSignature?: boolean; readonly revoked?: boolean };
  readonly revoked?: boolean;
}

export function makeCertificate(primary: TestKey, options: CertificateOptions = {}): string {
  const userId = Buffer.from(options.userId ?? "Test Archive <test@example.org>");
  const packets = [packet(6, primary.body)];
  const ofPrimary = (type: number, data: Buffer[], subpackets: Buffer[], unhashed: Buffer[] = []) =>
    packet(2, makeSignature(primary, { type, created: primary.created, subpackets, unhashed }, data));
  if (options.revoked) packets.push(ofPrimary(0x20, [hashedKey(primary.body)], []));
  const expiry = options.expiresAfter === undefined ? [] : [subpacket(9, u32(options.expiresAfter))];
  const flags = subpacket(27, Buffer.from([options.primaryFlags ?? 3]));
  const uid = Buffer.concat([Buffer.from([0xb4]), u32(userId.length), userId]);
  packets.push(packet(13, userId), ofPrimary(0x13, [hashedKey(primary.body), uid], [flags, ...expiry]));
  if (options.subkey) {
    const { key, withoutBackSignature, revoked } = options.subkey;
    const data = [hashedKey(primary.body), hashedKey(key.body)];
    const back = makeSignature(key, { type: 0x19, created: key.created, subpackets: [], unhashed: [] }, data);
    packets.push(packet(14, key.body));
    const unhashed = withoutBackSignature ? [] : [subpacket(32, back)];
    packets.push(ofPrimary(0x18, data, [subpacket(27, Buffer.from([2]))], unhashed));
    if (revoked) packets.push(ofPrimary(0x28, data, []));
  }
  return armor("PUBLIC KEY BLOCK", Buffer.concat(packets));
}

export interface CleartextOptions {
  readonly created: number;
  readonly subpackets?: readonly Buffer[];
  readonly type?: number;
}

/** A clear-signed `text`, signed by all `keys`. */
export function clearSign(text: string, keys: readonly TestKey[], options: CleartextOptions): string {
  const lines = text.replace(/\n$/, "").split("\n");
  const canonical = Buffer.from(lines.map((line) => line.replace(/[ \t\r]+$/, "")).join("\r\n"));
  const escaped = lines.map((line) => (line.startsWith("-") ? `- ${line}` : line)).join("\n");
  const { created, subpackets = [], type = 1 } = options;
  const signatures = keys.map((key) =>
    currentPacket(2, makeSignature(key, { type, created, subpackets, unhashed: [] }, [canonical])),
  );
  const armored = armor("SIGNATURE", Buffer.concat(signatures));
  return `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n${escaped}\n${armored}`;
}

export function subpacket(type: number, data: Buffer): Buffer {
  const length = data.length + 1;
  const prefix = length < 192 ? Buffer.from([length]) : Buffer.concat([Buffer.from([255]), u32(length)]);
  return Buffer.concat([prefix, Buffer.from([type]), data]);
}

interface SignatureParts {
  readonly type: number;
  readonly created: number;
  readonly subpackets: readonly Buffer[];
  readonly unhashed: readonly Buffer[];
}

function makeSignature(key: TestKey, parts: SignatureParts, data: readonly Buffer[]): Buffer {
  const issuer = subpacket(33, Buffer.concat([Buffer.from([4]), Buffer.from(key.fingerprint, "hex")]));
  const hashed = Buffer.concat([subpacket(2, u32(parts.created)), issuer, ...parts.subpackets]);
  const head = Buffer.concat([
    Buffer.from([4, parts.type, ALGORITHMS[key.kind], HASH_SHA256]),
    u16(hashed.length),
    hashed,
  ]);
  const message = Buffer.concat([...data, head, Buffer.from([4, 0xff]), u32(head.length)]);
  const digest = createHash("sha256").update(message).digest();
  const keyId = subpacket(16, Buffer.from(key.fingerprint.slice(-16), "hex"));
  const unhashed = Buffer.concat([keyId, ...parts.unhashed]);
  let fields: Buffer;
  if (key.kind === "rsa") {
    fields = mpi(sign("sha256", message, key.privateKey));
  } else {
    const signature = sign(null, digest, key.privateKey);
    fields = Buffer.concat([mpi(signature.subarray(0, 32)), mpi(signature.subarray(32))]);
  }
  return Buffer.concat([head, u16(unhashed.length), unhashed, digest.subarray(0, 2), fields]);
}

function hashedKey(body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x99]), u16(body.length), body]);
}

/** A packet with a legacy header, as gpg writes them and the only kind that gpgv takes in a key ring. */
function packet(type: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x80 | (type << 2) | 1]), u16(body.length), body]);
}

/** A packet with a header of the current format. */
function currentPacket(type: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0xc0 | type, 255]), u32(body.length), body]);
}

/** A number without leading zero bits, after its length in bits. */
function mpi(bytes: Buffer): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0);
  const digits = start < 0 ? Buffer.alloc(0) : bytes.subarray(start);
  const bits = digits.length === 0 ? 0 : digits.length * 8 - Math.clz32(digits[0] as number) + 24;
  return Buffer.concat([u16(bits), digits]);
}

function armor(kind: string, bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return `-----BEGIN PGP ${kind}-----\n\n${lines.join("\n")}\n=${crc24(bytes)}\n-----END PGP ${kind}-----\n`;
}

/** The armor's checksum, bit by bit as RFC 9580 section 6.1 gives it. */
function crc24(bytes: Buffer): string {
  let crc = 0xb704ce;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      const out = (crc >> 23) ^ ((byte >> bit) & 1);
      crc = ((crc << 1) & 0xffffff) ^ (out ? 0x864cfb : 0);
    }
  }
  return Buffer.from([crc >> 16, (crc >> 8) & 0xff, crc & 0xff]).toString("base64");
}

function u16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
