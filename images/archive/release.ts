// The Release file of a Debian archive (wiki.debian.org/DebianRepository/Format): the date, and the SHA-256 of each index.
import { ImageError } from "../image-error.js";
import { parseStanza, requireField } from "./deb822.js";

export interface ReleaseFile {
  readonly sha256: string;
  readonly size: number;
}

export interface Release {
  readonly codename: string;
  readonly suite: string;
  readonly date: Date;
  readonly validUntil: Date | undefined;
  /** The archive also serves its indexes under by-hash/, where an update can't replace them in mid-download. */
  readonly byHash: boolean;
  /** Index files by path relative to the suite's directory. */
  readonly files: ReadonlyMap<string, ReleaseFile>;
}

/** Parses the verified text of an InRelease file. Throws ImageError "bad-index". */
export function parseRelease(text: string, where: string): Release {
  const stanza = parseStanza(text);
  const files = new Map<string, ReleaseFile>();
  for (const line of requireField(stanza, "SHA256", where).split("\n")) {
    if (line.trim() === "") continue;
    const match = /^([0-9a-f]{64})\s+(\d+)\s+(\S+)$/.exec(line.trim());
    if (match === null) throw new ImageError("bad-index", `${where} has a checksum line that can't be read.`);
    files.set(match[3] as string, { sha256: match[1] as string, size: Number(match[2]) });
  }
  const validUntil = stanza.get("valid-until");
  return {
    codename: requireField(stanza, "Codename", where),
    suite: stanza.get("suite") ?? "",
    date: readDate(requireField(stanza, "Date", where), where),
    validUntil: validUntil === undefined ? undefined : readDate(validUntil, where),
    byHash: stanza.get("acquire-by-hash") === "yes",
    files,
  };
}

function readDate(text: string, where: string): Date {
  const date = new Date(text);
  if (Number.isNaN(date.getTime()))
    throw new ImageError("bad-index", `${where} has a date that can't be read: ${text}`);
  return date;
}
