// Decides whether a clear-signed message may be trusted. The rule: at least one good signature by a key that we trust, made
// while that key was valid, and no signature that names a key of ours and does not fit. Signatures by unknown keys are passed over.
// A key that has expired since stays good for what it signed before: old suites and offline caches go on working.
import { ImageError } from "../image-error.js";
import { readCleartext } from "./armor.js";
import type { SigningKey } from "./certificate.js";
import { PACKET_SIGNATURE, readPackets } from "./packet.js";
import { mayBeIssuedBy, readSignature, SIGNATURE_TEXT, type Signature, verifySignature } from "./signature.js";

/** Who signed, in words for a manifest. `signed`: seconds since 1970. */
export interface Signer {
  readonly fingerprint: string;
  readonly primary: string;
  readonly userId: string;
  readonly signed: number;
}

export interface VerifiedText {
  /** Exactly what was signed, "\n" line ends. */
  readonly text: string;
  readonly signers: readonly Signer[];
}

/** Checks `message` against `keys`. Throws ImageError "signature" that says what is wrong. `what` names the message in errors. */
export function verifyCleartext(message: string, keys: readonly SigningKey[], what: string): VerifiedText {
  const { text, signed, signatures } = readCleartext(message);
  const signers: Signer[] = [];
  let unknown = 0;
  let lapsed: SigningKey | undefined;
  for (const packet of readPackets(signatures)) {
    const signature = packet.type === PACKET_SIGNATURE ? readSignature(packet.body) : undefined;
    if (signature === undefined || signature.issuer === undefined) continue;
    const signer = keys.find(({ key }) => mayBeIssuedBy(signature, key));
    if (signer === undefined) {
      unknown++;
    } else if (signature.type !== SIGNATURE_TEXT || !verifySignature(signature, signer.key, [signed])) {
      throw new ImageError(
        "signature",
        `The signature of ${what} by ${signer.userId} is bad: the file is not what was signed.`,
      );
    } else if (!madeInTime(signature, signer)) {
      lapsed = signer;
    } else {
      const { primary, userId, key } = signer;
      signers.push({ fingerprint: key.fingerprint, primary, userId, signed: signature.created });
    }
  }
  if (signers.length > 0) return { text, signers };
  if (lapsed !== undefined) {
    throw new ImageError("signature", `${what} is signed with the key of ${lapsed.userId}, which had expired.`);
  }
  const why = unknown > 0 ? "only by keys that are not Debian archive keys known to xen-ts" : "by nobody";
  throw new ImageError("signature", `${what} is signed ${why}.`);
}

function madeInTime(signature: Signature, { key, expires }: SigningKey): boolean {
  if (signature.created < key.created) return false;
  return expires === undefined || signature.created < expires;
}
