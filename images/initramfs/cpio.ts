// Writes cpio archives in the "newc" format (SVR4 without checksum), the one that Linux unpacks as an initramfs:
// linux/Documentation/driver-api/early-userspace/buffer-format.rst. Each entry is a 110 byte ASCII header (magic 070701 and
// thirteen 8-digit hex fields), the name with its NUL, and the data, each padded to 4 bytes; "TRAILER!!!" ends the archive.
// The same entries always give the same bytes: owner 0:0, one fixed mtime, inode numbers in order.

/** One file system object of an initramfs. `path` has no leading slash; `mode` holds permission bits only (default by kind). */
export type CpioEntry =
  | { readonly kind: "file"; readonly path: string; readonly data: Uint8Array; readonly mode?: number }
  | { readonly kind: "directory"; readonly path: string; readonly mode?: number }
  | { readonly kind: "symlink"; readonly path: string; readonly target: string }
  | {
      readonly kind: "character-device" | "block-device";
      readonly path: string;
      readonly major: number;
      readonly minor: number;
      readonly mode?: number;
    };

const S_IFMT = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  "character-device": 0o020000,
  "block-device": 0o060000,
} as const;
const DEFAULT_MODE = {
  file: 0o644,
  directory: 0o755,
  symlink: 0o777,
  "character-device": 0o600,
  "block-device": 0o600,
} as const;
const HEADER_LENGTH = 110;
const TRAILER = "TRAILER!!!";
const encoder = new TextEncoder();
const NO_DATA = new Uint8Array(0);

/**
 * The bytes of a newc archive of `entries`, in their order (a directory must come before what it holds).
 * `mtime`: seconds since 1970 given to every entry. Throws RangeError on a bad path or a file over 4 GiB.
 */
export function writeCpio(entries: Iterable<CpioEntry>, mtime = 0): Uint8Array {
  const chunks: Uint8Array[] = [];
  const seen = new Set<string>();
  let inode = 1;
  for (const entry of entries) {
    checkPath(entry.path);
    if (seen.has(entry.path)) throw new RangeError(`cpio: ${entry.path} is given twice`);
    seen.add(entry.path);
    const data = contentOf(entry);
    if (data.length > 0xffff_ffff) throw new RangeError(`cpio: ${entry.path} is larger than the format can hold`);
    const permissions = "mode" in entry && entry.mode !== undefined ? entry.mode : DEFAULT_MODE[entry.kind];
    const device = "major" in entry ? [entry.major, entry.minor] : [0, 0];
    const mode = S_IFMT[entry.kind] | (permissions & 0o7777);
    const links = entry.kind === "directory" ? 2 : 1;
    chunks.push(header([inode++, mode, 0, 0, links, mtime, data.length, 0, 0, ...device], entry.path));
    if (data.length > 0) chunks.push(data, padding(data.length));
  }
  chunks.push(header([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], TRAILER));
  // Linux reads on after the trailer, skipping zeros, so that archives can be joined; 512 is the customary block.
  return joinPadded(chunks, 512);
}

function contentOf(entry: CpioEntry): Uint8Array {
  if (entry.kind === "file") return entry.data;
  return entry.kind === "symlink" ? encoder.encode(entry.target) : NO_DATA;
}

function checkPath(path: string): void {
  const bad =
    path === "" || path === TRAILER || path.includes("\0") || path.split("/").some((p) => p === "" || p === "..");
  if (bad) throw new RangeError(`cpio: ${JSON.stringify(path)} is not a relative path`);
}

/** Header, name, NUL and padding. `fields`: inode mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor. */
function header(fields: readonly number[], name: string): Uint8Array {
  const nameBytes = encoder.encode(name);
  const all = [...fields, nameBytes.length + 1, 0];
  const text = `070701${all.map((field) => (field >>> 0).toString(16).padStart(8, "0")).join("")}`;
  const length = HEADER_LENGTH + nameBytes.length + 1;
  const bytes = new Uint8Array(length + (-length & 3));
  bytes.set(encoder.encode(text), 0);
  bytes.set(nameBytes, HEADER_LENGTH);
  return bytes;
}

function padding(length: number): Uint8Array {
  return new Uint8Array(-length & 3);
}

function joinPadded(chunks: readonly Uint8Array[], block: number): Uint8Array {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  const bytes = new Uint8Array(Math.ceil(length / block) * block);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
