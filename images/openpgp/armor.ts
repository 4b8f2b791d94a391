// ASCII armor and the cleartext signature framework of OpenPGP (RFC 9580, sections 6 and 7). Strict: nothing may stand before or
// after the message, so that what is read is what was signed.
import { ImageError } from "../image-error.js";

const BASE64_LINE = /^[A-Za-z0-9+/]+={0,2}$/;

/** The bytes inside one armored block of the given kind, such as "PUBLIC KEY BLOCK". Throws ImageError "signature". */
export function readArmor(text: string, kind: string): Uint8Array {
  const lines = text.replaceAll("\r\n", "\n").trim().split("\n");
  if (
    lines[0]?.trimEnd() !== `-----BEGIN PGP ${kind}-----` ||
    lines.at(-1)?.trimEnd() !== `-----END PGP ${kind}-----`
  ) {
    throw new ImageError("signature", `The OpenPGP ${kind.toLowerCase()} is not a complete armored block.`);
  }
  const blank = lines.findIndex((line) => line.trim() === "");
  const body = lines.slice(blank < 0 ? 1 : blank + 1, -1).map((line) => line.trim());
  const last = body.at(-1) ?? "";
  const checksum = /^=[A-Za-z0-9+/]{4}$/.test(last) ? body.pop() : undefined;
  if (!body.every((line) => BASE64_LINE.test(line))) {
    throw new ImageError("signature", `The OpenPGP ${kind.toLowerCase()} holds a line that is not base64.`);
  }
  const bytes = new Uint8Array(Buffer.from(body.join(""), "base64"));
  if (checksum !== undefined && Buffer.from(checksum.slice(1), "base64").readUIntBE(0, 3) !== crc24(bytes)) {
    throw new ImageError("signature", `The OpenPGP ${kind.toLowerCase()} has a wrong checksum.`);
  }
  return bytes;
}

/** A clear-signed message taken apart. `text`: what was signed, with "\n" line ends; `signed`: the canonical bytes to hash. */
export interface CleartextMessage {
  readonly text: string;
  readonly signed: Uint8Array;
  readonly signatures: Uint8Array;
}

/**
 * Splits a clear-signed message (RFC 9580 section 7). The canonical form has CRLF line ends, no spaces or tabs at the ends of
 * lines, and no line end after the last line. Throws ImageError "signature".
 */
export function readCleartext(message: string): CleartextMessage {
  const lines = message.split("\n").map((line) => line.replace(/\r$/, ""));
  while (lines.at(-1) === "") lines.pop();
  if (lines[0] !== "-----BEGIN PGP SIGNED MESSAGE-----") {
    throw new ImageError("signature", "The index is not clear-signed.");
  }
  let at = 1;
  for (; lines[at] !== ""; at++) {
    if (!/^Hash: [A-Za-z0-9, -]+$/.test(lines[at] ?? "")) {
      throw new ImageError("signature", "The clear-signed index has an unknown header.");
    }
  }
  const body: string[] = [];
  for (at++; at < lines.length; at++) {
    const line = lines[at] as string;
    if (line === "-----BEGIN PGP SIGNATURE-----") {
      const canonical = body.map((text) => text.replace(/[ \t\r]+$/, ""));
      return {
        text: `${canonical.join("\n")}\n`,
        signed: new Uint8Array(Buffer.from(canonical.join("\r\n"), "latin1")),
        signatures: readArmor(lines.slice(at).join("\n"), "SIGNATURE"),
      };
    }
    if (line.startsWith("-") && !line.startsWith("- ")) {
      throw new ImageError("signature", "The clear-signed index holds a line that is not dash-escaped.");
    }
    body.push(line.startsWith("- ") ? line.slice(2) : line);
  }
  throw new ImageError("signature", "The clear-signed index ends before its signature.");
}

/** RFC 9580 section 6.1.1: polynomial 0x864cfb, initial value 0xb704ce. */
function crc24(bytes: Uint8Array): number {
  let crc = 0xb704ce;
  for (const byte of bytes) {
    crc ^= byte << 16;
    for (let bit = 0; bit < 8; bit++) {
      crc <<= 1;
      if (crc & 0x1000000) crc ^= 0x1864cfb;
    }
  }
  return crc & 0xffffff;
}
