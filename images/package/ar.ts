// Reads ar archives as dpkg writes them (deb(5)): a magic line, then members with a 60 byte text header each, padded to even length.
import { ImageError } from "../image-error.js";

export interface ArMember {
  readonly name: string;
  readonly data: Uint8Array;
}

const MAGIC = "!<arch>\n";
const HEADER_LENGTH = 60;

/** All members, as views into `bytes`. Throws ImageError "bad-package" when the archive is cut or malformed; `where` names it. */
export function readAr(bytes: Uint8Array, where: string): ArMember[] {
  const text = (from: number, to: number) => Buffer.from(bytes.subarray(from, to)).toString("latin1");
  if (text(0, MAGIC.length) !== MAGIC) throw new ImageError("bad-package", `${where} is not a Debian package.`);
  const members: ArMember[] = [];
  for (let at = MAGIC.length; at < bytes.length; ) {
    const size = text(at + 48, at + 58).trim();
    const data = at + HEADER_LENGTH;
    const whole = text(at + 58, data) === "`\n" && /^\d+$/.test(size) && data + Number(size) <= bytes.length;
    if (!whole) throw new ImageError("bad-package", `${where} is cut short or damaged.`);
    // GNU ar ends names with a slash, dpkg doesn't.
    const name = text(at, at + 16)
      .trimEnd()
      .replace(/\/$/, "");
    members.push({ name, data: bytes.subarray(data, data + Number(size)) });
    at = data + Number(size) + (Number(size) & 1);
  }
  return members;
}
