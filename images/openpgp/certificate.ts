// OpenPGP certificates ("transferable public keys", RFC 9580, section 10.1): a primary key with its self-signatures, and
// the subkeys that it has bound. Gives the keys that may sign data, each with the time in which it is good.
import { ImageError } from "../image-error.js";
import { readArmor } from "./armor.js";
import {
  PACKET_PUBLIC_KEY,
  PACKET_PUBLIC_SUBKEY,
  PACKET_SIGNATURE,
  PACKET_USER_ID,
  type Packet,
  readPackets,
} from "./packet.js";
import { keyHashPrefix, type PublicKey, readPublicKey } from "./public-key.js";
import {
  KEY_FLAG_SIGN,
  readSignature,
  SIGNATURE_DIRECT_KEY,
  SIGNATURE_KEY_REVOCATION,
  SIGNATURE_PRIMARY_BINDING,
  SIGNATURE_SUBKEY_BINDING,
  SIGNATURE_SUBKEY_REVOCATION,
  type Signature,
  verifySignature,
} from "./signature.js";

/** A key whose signatures over data count. */
export interface SigningKey {
  readonly key: PublicKey;
  /** Fingerprint of the primary key, by which people know the certificate. */
  readonly primary: string;
  readonly userId: string;
  /** Seconds since 1970; undefined: never. */
  readonly expires: number | undefined;
}

/** The signing keys of one armored certificate. Throws ImageError "signature" when there is none. */
export function readCertificate(armored: string): SigningKey[] {
  const groups = groupPackets(readPackets(readArmor(armored, "PUBLIC KEY BLOCK")));
  const primaryGroup = groups[0];
  const primary = primaryGroup?.packet.type === PACKET_PUBLIC_KEY ? readPublicKey(primaryGroup.packet.body) : undefined;
  if (primaryGroup === undefined || primary === undefined) {
    throw new ImageError("signature", "An OpenPGP certificate does not begin with a key of a supported kind.");
  }
  if (primaryGroup.signatures.some((signature) => isRevocation(signature, SIGNATURE_KEY_REVOCATION, primary)))
    return [];

  const userId = groups.find(({ packet }) => packet.type === PACKET_USER_ID);
  const name = userId === undefined ? "" : Buffer.from(userId.packet.body).toString("utf8");
  const self = selfSignatures(groups, primary);
  const newest = self.at(-1);
  if (newest === undefined)
    throw new ImageError("signature", `The OpenPGP certificate of ${name} has no self-signature.`);
  const primaryExpires = expiry(primary, newest.keyExpiresAfter);
  const keys: SigningKey[] = [];
  if (canSign(newest)) keys.push({ key: primary, primary: primary.fingerprint, userId: name, expires: primaryExpires });
  for (const group of groups) {
    if (group.packet.type !== PACKET_PUBLIC_SUBKEY) continue;
    const key = readPublicKey(group.packet.body);
    const binding = key && bindingOf(group, primary, key);
    if (key === undefined || binding === undefined || !canSign(binding)) continue;
    const own = expiry(key, binding.keyExpiresAfter);
    const expires = Math.min(own ?? Number.POSITIVE_INFINITY, primaryExpires ?? Number.POSITIVE_INFINITY);
    keys.push({
      key,
      primary: primary.fingerprint,
      userId: name,
      expires: expires === Number.POSITIVE_INFINITY ? undefined : expires,
    });
  }
  return keys;
}

/** A key, subkey or user ID with the signatures that follow it. */
interface Group {
  readonly packet: Packet;
  readonly signatures: Signature[];
}

function groupPackets(packets: readonly Packet[]): Group[] {
  const groups: Group[] = [];
  for (const packet of packets) {
    if (packet.type !== PACKET_SIGNATURE) {
      groups.push({ packet, signatures: [] });
      continue;
    }
    const signature = readSignature(packet.body);
    if (signature !== undefined) groups.at(-1)?.signatures.push(signature);
  }
  return groups;
}

/** Valid self-signatures that say what the primary key is for, oldest first (section 5.2.3.10). */
function selfSignatures(groups: readonly Group[], primary: PublicKey): Signature[] {
  const valid: Signature[] = [];
  for (const { packet, signatures } of groups) {
    for (const signature of signatures) {
      const certifiesUser = signature.type >= 0x10 && signature.type <= 0x13 && packet.type === PACKET_USER_ID;
      const direct = signature.type === SIGNATURE_DIRECT_KEY && packet.type === PACKET_PUBLIC_KEY;
      // A direct-key signature that only names a revoker says nothing of use or expiry.
      if (!certifiesUser && !(direct && signature.keyFlags !== undefined)) continue;
      const data = certifiesUser ? [...hashedKey(primary), ...hashedUserId(packet.body)] : hashedKey(primary);
      if (verifySignature(signature, primary, data)) valid.push(signature);
    }
  }
  return valid.sort((a, b) => a.created - b.created);
}

/** The newest valid binding of a subkey; undefined when there is none or the primary key has revoked it. */
function bindingOf(group: Group, primary: PublicKey, subkey: PublicKey): Signature | undefined {
  const data = [...hashedKey(primary), ...hashedKey(subkey)];
  if (group.signatures.some((signature) => isRevocation(signature, SIGNATURE_SUBKEY_REVOCATION, primary, subkey))) {
    return undefined;
  }
  const valid = group.signatures.filter(
    (signature) => signature.type === SIGNATURE_SUBKEY_BINDING && verifySignature(signature, primary, data),
  );
  const newest = valid.sort((a, b) => a.created - b.created).at(-1);
  // A signing subkey must agree to the binding (section 5.2.1.9), or any certificate could claim it.
  const back = newest?.embedded && readSignature(newest.embedded);
  if (back?.type !== SIGNATURE_PRIMARY_BINDING || !verifySignature(back, subkey, data)) return undefined;
  return newest;
}

function isRevocation(signature: Signature, type: number, primary: PublicKey, subkey?: PublicKey): boolean {
  if (signature.type !== type) return false;
  const data = subkey === undefined ? hashedKey(primary) : [...hashedKey(primary), ...hashedKey(subkey)];
  return verifySignature(signature, primary, data);
}

function canSign(signature: Signature): boolean {
  return ((signature.keyFlags ?? 0) & KEY_FLAG_SIGN) !== 0;
}

function expiry(key: PublicKey, after: number | undefined): number | undefined {
  return after === undefined ? undefined : key.created + after;
}

function hashedKey(key: PublicKey): Uint8Array[] {
  return [keyHashPrefix(key.body), key.body];
}

/** Section 5.2.4: 0xb4 and a four-byte length before the user ID. */
function hashedUserId(body: Uint8Array): Uint8Array[] {
  const prefix = Buffer.from([0xb4, 0, 0, 0, 0]);
  prefix.writeUInt32BE(body.length, 1);
  return [prefix, body];
}
