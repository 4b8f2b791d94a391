// Takes files out of a binary package (deb(5)): an ar archive of debian-binary, control.tar.* and data.tar.*.
import type { Header } from "tar-stream";
import { extract } from "tar-stream";
import { ImageError } from "../image-error.js";
import { readAr } from "./ar.js";
import { decompressAside } from "./decompress-aside.js";

/** Regular files of a package by path, without a leading "./" or "/". */
export type PackageFiles = ReadonlyMap<string, Uint8Array>;

export interface UnpackOptions {
  readonly signal?: AbortSignal | undefined;
  /** About how many bytes the unpacked tar archive has: a good guess halves the memory needed. */
  readonly expectedSize?: number;
}

/** The largest kernel packages hold 400 MB. */
const MAX_UNPACKED = 2 ** 30;
const FORMATS = { ".xz": "xz", ".zst": "zstd", ".gz": "gzip", "": undefined } as const;

/**
 * The regular files of the package `deb` whose path `wanted` accepts. Throws ImageError "bad-package" or "aborted"; `where` names
 * the package in errors.
 */
export async function readDeb(
  deb: Uint8Array,
  wanted: (path: string) => boolean,
  where: string,
  options: UnpackOptions = {},
): Promise<PackageFiles> {
  return readTar(await unpackMember(deb, "data.tar", where, options), wanted, where);
}

/** The tar archive in a member of the package `deb`, whatever packs it. Throws ImageError "bad-package" or "aborted". */
export async function unpackMember(
  deb: Uint8Array,
  member: "data.tar" | "control.tar",
  where: string,
  options: UnpackOptions,
): Promise<Uint8Array> {
  const members = readAr(deb, where);
  const version = members[0];
  if (version?.name !== "debian-binary" || !Buffer.from(version.data).toString("latin1").startsWith("2.")) {
    throw new ImageError("bad-package", `${where} is not a Debian package of format 2.`);
  }
  const data = members.find(({ name }) => name.startsWith(member));
  const extension = data?.name.slice(member.length) ?? "none";
  if (data === undefined || !(extension in FORMATS)) {
    throw new ImageError(
      "bad-package",
      `${where} packs its files in an unknown way (${data?.name ?? `no ${member}`}).`,
    );
  }
  const format = FORMATS[extension as keyof typeof FORMATS];
  return format === undefined ? data.data : unpack(data.data, format, where, options);
}

async function unpack(
  data: Uint8Array,
  format: "xz" | "zstd" | "gzip",
  where: string,
  { signal, expectedSize = 0 }: UnpackOptions,
): Promise<Uint8Array> {
  try {
    const maxOutput = MAX_UNPACKED;
    return await decompressAside(data, { format, maxOutput, expectedSize: Math.min(expectedSize, maxOutput) }, signal);
  } catch (error) {
    if (error instanceof ImageError && error.code === "aborted") throw error;
    throw new ImageError("bad-package", `${where} can't be decompressed.`, { cause: error });
  }
}

/** The wanted regular files of a tar archive; mostly views into `tar`, so they cost no memory while it is alive. */
export async function readTar(
  tar: Uint8Array,
  wanted: (path: string) => boolean,
  where: string,
): Promise<Map<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  const reader = extract();
  const finished = (async () => {
    for await (const entry of reader) {
      const header: Header = entry.header;
      const path = header.name.replace(/^(\.?\/)+/, "");
      const keep = (header.type === "file" || header.type === "contiguous-file") && wanted(path);
      const chunks: Buffer[] = [];
      for await (const chunk of entry as AsyncIterable<Buffer>) if (keep) chunks.push(chunk);
      if (keep) files.set(path, chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks));
    }
  })();
  reader.end(Buffer.from(tar.buffer, tar.byteOffset, tar.byteLength));
  try {
    await finished;
  } catch (error) {
    throw new ImageError("bad-package", `The tar archive in ${where} is damaged.`, { cause: error });
  }
  return files;
}
