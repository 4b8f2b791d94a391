// A Packages index: what an archive holds, as stanzas in one text of tens of megabytes. Stanzas are found by name
// with a byte search and only then parsed, so nothing is built for the 60,000 packages that nobody asked for.
import { ImageError } from "../image-error.js";
import { parseStanza, requireField, type Stanza } from "./deb822.js";

/** One package as the signed index describes it. */
export interface PackageRecord {
  readonly name: string;
  readonly version: string;
  readonly architecture: string;
  readonly depends: readonly Dependency[];
  /** Path of the .deb below the archive's base URL. */
  readonly filename: string;
  readonly size: number;
  readonly sha256: string;
  /** About how many bytes its files take as a tar archive; 0: not known. */
  readonly unpackedSize: number;
}

/** The first alternative of one dependency; `exactVersion` where it demands one with "=". */
export interface Dependency {
  readonly name: string;
  readonly exactVersion: string | undefined;
}

export class PackageIndex {
  readonly #bytes: Buffer;
  readonly #where: string;

  /** `where` names the index in errors. */
  constructor(bytes: Uint8Array, where: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#where = where;
  }

  /** Names of the packages that every Debian system has (Essential: yes). */
  essential(): string[] {
    const names = new Set<string>();
    const key = "\nEssential: yes\n";
    for (let at = this.#bytes.indexOf(key, 0, "latin1"); at >= 0; at = this.#bytes.indexOf(key, at + 1, "latin1")) {
      const start = this.#bytes.lastIndexOf("\n\n", at, "latin1");
      const name = /^\s*Package: (\S+)\n/.exec(this.#bytes.toString("latin1", Math.max(start, 0), at + 1))?.[1];
      if (name !== undefined) names.add(name);
    }
    return [...names];
  }

  /** All versions of a package in this index. Throws ImageError "bad-index" when its stanza is damaged. */
  find(name: string): PackageRecord[] {
    const found: PackageRecord[] = [];
    const key = `Package: ${name}\n`;
    for (let at = this.#bytes.indexOf(key, 0, "latin1"); at >= 0; at = this.#bytes.indexOf(key, at + 1, "latin1")) {
      // "Package:" is the first field of a stanza in every archive; elsewhere the match is part of some value.
      if (at !== 0 && !(this.#bytes[at - 1] === 0x0a && (at === 1 || this.#bytes[at - 2] === 0x0a))) continue;
      const end = this.#bytes.indexOf("\n\n", at, "latin1");
      const text = this.#bytes.toString("utf8", at, end < 0 ? this.#bytes.length : end);
      found.push(readRecord(parseStanza(text), this.#where));
    }
    return found;
  }
}

function readRecord(stanza: Stanza, where: string): PackageRecord {
  const name = requireField(stanza, "Package", where);
  const about = `${where}, package ${name}`;
  const filename = requireField(stanza, "Filename", about);
  const sha256 = requireField(stanza, "SHA256", about);
  const size = Number(requireField(stanza, "Size", about));
  const badPath = filename.startsWith("/") || filename.split("/").includes("..");
  if (!/^[0-9a-f]{64}$/.test(sha256) || !Number.isSafeInteger(size) || size < 0 || badPath) {
    throw new ImageError("bad-index", `${about} has a field that can't be read.`);
  }
  const depends = [stanza.get("pre-depends"), stanza.get("depends")].flatMap((value) => readDependencies(value ?? ""));
  return {
    name,
    version: requireField(stanza, "Version", about),
    architecture: requireField(stanza, "Architecture", about),
    depends,
    filename,
    size,
    sha256,
    // Installed-Size is in KiB and rounded up file by file; a tar archive adds headers: a little more is enough.
    unpackedSize: Math.ceil((Number(stanza.get("installed-size")) || 0) * 1024 * 1.05),
  };
}

/** `a (= 1.0) | b, c:any` → [{a, 1.0}, {c}]. */
function readDependencies(value: string): Dependency[] {
  const found: Dependency[] = [];
  for (const item of value.split(",")) {
    const match = /^\s*([a-z0-9][a-z0-9+.-]*)(?::\S+)?\s*(?:\(\s*(\S+)\s+([^)\s]+)\s*\))?/.exec(
      item.split("|")[0] ?? "",
    );
    if (match === null) continue;
    found.push({ name: match[1] as string, exactVersion: match[2] === "=" ? match[3] : undefined });
  }
  return found;
}
