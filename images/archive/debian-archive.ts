// A client of Debian's archive for one suite: finds packages in the signed indexes and fetches them. The chain of trust has no gap:
// OpenPGP signature → InRelease → SHA-256 → Packages.xz → SHA-256 → .deb; each link is checked at every use, cached or not.
import type { Cache } from "../cache/cache.js";
import { ImageError } from "../image-error.js";
import type { SigningKey } from "../openpgp/certificate.js";
import { type Signer, verifyCleartext } from "../openpgp/verify.js";
import { decompressAside } from "../package/decompress-aside.js";
import type { OnProgress } from "../progress.js";
import { SUITES, type SuiteName, type SuiteSource } from "../suites.js";
import type { Downloader } from "./downloader.js";
import type { Mirrors } from "./mirrors.js";
import { PackageIndex, type PackageRecord } from "./package-index.js";
import { parseRelease, type Release, type ReleaseFile } from "./release.js";
import { compareVersions } from "./version.js";

export interface DebianArchiveOptions {
  readonly suite: SuiteName;
  /** Whose binary packages; default amd64. */
  readonly architecture?: "amd64" | "i386";
  /** Leaves the security archive out: for packages that meet nobody. */
  readonly withoutSecurity?: boolean;
  readonly mirrors: Mirrors;
  readonly cache: Cache;
  /** Undefined: offline. */
  readonly downloader: Downloader | undefined;
  readonly keys: readonly SigningKey[];
  readonly onProgress: OnProgress;
  readonly signal: AbortSignal | undefined;
  /** Milliseconds since 1970, to notice an index that is past its Valid-Until. */
  readonly now: () => number;
}

/** A package, and which archive has it. */
export interface FoundPackage extends PackageRecord {
  readonly base: string;
}

/** One index that was used, for the manifest. */
export interface UsedRelease {
  readonly url: string;
  readonly date: Date;
  readonly signers: readonly Signer[];
}

interface OpenSource {
  readonly base: string;
  readonly release: Release;
  readonly used: UsedRelease;
  readonly packages: PackageIndex;
}

/** An InRelease file has about 200 KB, a Packages file 60 MB. */
const MAX_RELEASE_BYTES = 8 * 2 ** 20;
const MAX_INDEX_BYTES = 2 ** 29;

export class DebianArchive {
  readonly #options: DebianArchiveOptions;
  readonly #sources: readonly OpenSource[];

  private constructor(options: DebianArchiveOptions, sources: readonly OpenSource[]) {
    this.#options = options;
    this.#sources = sources;
  }

  /** Fetches and checks the indexes of a suite. Throws ImageError. */
  static async open(options: DebianArchiveOptions): Promise<DebianArchive> {
    const sources: OpenSource[] = [];
    for (const source of SUITES[options.suite]) {
      if (options.withoutSecurity && source.archive === "security") continue;
      sources.push(await openSource(options, source));
    }
    return new DebianArchive(options, sources);
  }

  get releases(): UsedRelease[] {
    return this.#sources.map((source) => source.used);
  }

  /** Names of the packages that every system of this suite has. */
  essential(): string[] {
    return [...new Set(this.#sources.flatMap(({ packages }) => packages.essential()))].sort();
  }

  has(name: string): boolean {
    return this.#sources.some(({ packages }) => packages.find(name).length > 0);
  }

  /** The newest version of a package in the suite, or exactly `version`. Throws ImageError "not-found". */
  find(name: string, version?: string): FoundPackage {
    const found = this.#sources.flatMap(({ base, packages }) =>
      packages.find(name).map((record) => ({ ...record, base })),
    );
    const fitting = version === undefined ? found : found.filter((record) => record.version === version);
    const newest = fitting.sort((a, b) => compareVersions(b.version, a.version))[0];
    if (newest !== undefined) return newest;
    const wanted = version === undefined ? name : `${name} ${version}`;
    throw new ImageError("not-found", `Debian ${this.#options.suite} has no package ${wanted}.`);
  }

  /** The .deb file, from the cache or the network, checked. Throws ImageError. */
  async fetch(record: FoundPackage): Promise<Uint8Array> {
    const what = `${record.name} ${record.version}`;
    const url = `${record.base}/${record.filename.split("/").map(encodeURIComponent).join("/")}`;
    return fetchBlob(this.#options, { url, what, phase: "download", sha256: record.sha256, size: record.size });
  }
}

async function openSource(options: DebianArchiveOptions, source: SuiteSource): Promise<OpenSource> {
  const base = options.mirrors[source.archive];
  const directory = `${base}/dists/${source.directory}`;
  const url = `${directory}/InRelease`;
  const { text, signers } = await fetchRelease(options, url);
  const release = parseRelease(text, url);
  if (release.codename !== source.directory && release.suite !== source.directory) {
    throw new ImageError("signature", `${url} is the index of ${release.codename}, not of ${source.directory}.`);
  }
  if (release.validUntil !== undefined && release.validUntil.getTime() < options.now()) {
    const until = release.validUntil.toISOString().slice(0, 10);
    warn(options, `The index ${url} was to be used until ${until} only: the mirror or the cache is out of date.`);
  }
  const architecture = options.architecture ?? "amd64";
  const indexes = `main/binary-${architecture}`;
  const name = `${indexes}/Packages`;
  const choice = [`${name}.xz`, `${name}.gz`].find((path) => release.files.has(path));
  if (choice === undefined) {
    throw new ImageError("bad-index", `${url} lists no compressed index of ${architecture} packages.`);
  }
  const file = release.files.get(choice) as ReleaseFile;
  const path = release.byHash ? `${indexes}/by-hash/SHA256/${file.sha256}` : choice;
  const what = `package index of ${source.directory}`;
  const packed = await fetchBlob(options, { url: `${directory}/${path}`, what, phase: "index", ...file });
  const packages = new PackageIndex(
    await unpackIndex(packed, choice.endsWith(".xz") ? "xz" : "gzip", what, options.signal),
    what,
  );
  return { base, release, used: { url, date: release.date, signers }, packages };
}

async function unpackIndex(
  packed: Uint8Array,
  format: "xz" | "gzip",
  what: string,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  try {
    return await decompressAside(packed, { format, maxOutput: MAX_INDEX_BYTES }, signal);
  } catch (error) {
    if (error instanceof ImageError && error.code === "aborted") throw error;
    throw new ImageError("bad-index", `The ${what} can't be decompressed.`, { cause: error });
  }
}

/** The verified InRelease: fresh from the network if there is one, the cached one (with a warning) if that fails. */
async function fetchRelease(
  options: DebianArchiveOptions,
  url: string,
): Promise<{ text: string; signers: readonly Signer[] }> {
  const verify = (bytes: Uint8Array) => verifyCleartext(Buffer.from(bytes).toString("latin1"), options.keys, url);
  if (options.downloader !== undefined) {
    try {
      const onBytes = (done: number, total: number | undefined) => report(options, "index", url, done, total);
      const bytes = await options.downloader.get({ url, maxBytes: MAX_RELEASE_BYTES, onBytes });
      const verified = verify(bytes);
      await options.cache.storeRelease(url, bytes);
      return verified;
    } catch (error) {
      const cached = error instanceof ImageError && error.code === "network" && (await options.cache.release(url));
      if (!cached) throw error;
      warn(options, `${error.message.replace(/\.$/, "")}; the copy in the cache is used instead.`);
      return verify(cached);
    }
  }
  const cached = await options.cache.release(url);
  if (cached === undefined) throw cold(options, url);
  return verify(cached);
}

interface BlobRequest {
  readonly url: string;
  readonly what: string;
  readonly phase: "index" | "download";
  readonly sha256: string;
  readonly size: number;
}

async function fetchBlob(options: DebianArchiveOptions, request: BlobRequest): Promise<Uint8Array> {
  const { url, what, phase, sha256, size } = request;
  const cached = await options.cache.blob(sha256);
  if (cached !== undefined) return cached;
  if (options.downloader === undefined) throw cold(options, what);
  const onBytes = (done: number) => report(options, phase, what, done, size);
  const bytes = await options.downloader.get({ url, maxBytes: size, sha256, onBytes });
  await options.cache.storeBlob(sha256, bytes);
  return bytes;
}

function cold(options: DebianArchiveOptions, what: string): ImageError {
  const message = `${what} is not in the cache ${options.cache.directory}, and offline nothing can be downloaded.`;
  return new ImageError("offline-cold", message);
}

function warn(options: DebianArchiveOptions, what: string): void {
  report(options, "warning", what, 0, undefined);
}

function report(
  options: DebianArchiveOptions,
  phase: "index" | "download" | "warning",
  what: string,
  done: number,
  total: number | undefined,
): void {
  options.onProgress({ phase, what, done, total });
}
