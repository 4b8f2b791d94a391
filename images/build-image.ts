// The public functions of image building: build, find, list, remove.
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { DebianArchive, type FoundPackage } from "./archive/debian-archive.js";
import { Downloader } from "./archive/downloader.js";
import { findKernelPackages } from "./archive/kernel-packages.js";
import { type Mirrors, mirrorsFrom } from "./archive/mirrors.js";
import type { Environment } from "./archive/proxy.js";
import { Cache, defaultCacheDirectory } from "./cache/cache.js";
import { writeExt4 } from "./debian/write-ext4.js";
import { ImageError } from "./image-error.js";
import { type BuiltImage, ImageStore, imageName, resolveImageName } from "./image-store.js";
import { writeCpio } from "./initramfs/cpio.js";
import { collectKernel, isKernelFile } from "./initramfs/kernel-files.js";
import { debianArchiveKeys } from "./keys/debian.js";
import { buildId, describeFile, describeLargeFile, type ImageManifest } from "./manifest.js";
import { readCertificate } from "./openpgp/certificate.js";
import { type PackageFiles, readDeb } from "./package/deb.js";
import { type DebTree, readDebTree } from "./package/deb-tree.js";
import type { OnProgress } from "./progress.js";
import type { BootFiles, DiskRecipe, Recipe } from "./recipes/recipe.js";
import { DEFAULT_RECIPE, findRecipe } from "./recipes/recipes.js";
import { checkSuite, DEFAULT_SUITE, type SuiteName } from "./suites.js";

/** Where images are kept. */
export interface ImageLocation {
  /** Default: `$XDG_CACHE_HOME/xen-ts`, or `~/.cache/xen-ts`. */
  readonly cacheDir?: string;
}

export interface BuildImageOptions extends ImageLocation {
  /** Default "busybox". */
  readonly recipe?: string;
  /** Debian suite: bullseye, bookworm (default), trixie or sid. */
  readonly suite?: string;
  /** Default RECIPE-SUITE. */
  readonly name?: string;
  /** Use the cache only. */
  readonly offline?: boolean;
  readonly onProgress?: OnProgress;
  /** Stops the build. */
  readonly signal?: AbortSignal;
  /** Base URLs of the archives; default: see images/README.md. */
  readonly mirrors?: Partial<Mirrors>;
  /** Armored OpenPGP certificates to trust instead of Debian's, for an archive of one's own. */
  readonly certificates?: readonly string[];
  /** Proxies and mirrors are read from it. Default: the process's environment. */
  readonly environment?: Environment;
  /** How patient to be with the network; see Downloader. */
  readonly network?: { readonly attempts?: number; readonly firstPauseMs?: number; readonly idleTimeoutMs?: number };
}

/**
 * Builds an image, or finds that the one in the cache is what would be built. Throws ImageError and nothing else; whatever happens,
 * an image that was there before stays usable.
 */
export async function buildImage(options: BuildImageOptions = {}): Promise<BuiltImage> {
  const environment = options.environment ?? process.env;
  const recipe = findRecipe(options.recipe ?? DEFAULT_RECIPE);
  const suite = checkSuite(options.suite ?? DEFAULT_SUITE);
  const name = resolveImageName(options.name ?? imageName(recipe.name, suite));
  const cache = new Cache(options.cacheDir ?? defaultCacheDirectory(environment));
  const onProgress = options.onProgress ?? (() => undefined);
  const { signal } = options;
  const downloader = options.offline ? undefined : new Downloader({ environment, signal, ...options.network });
  const keys = options.certificates?.flatMap(readCertificate) ?? debianArchiveKeys();
  const mirrors = mirrorsFrom(environment, options.mirrors);
  checkAborted(signal);
  const archive = await DebianArchive.open({
    suite,
    mirrors,
    cache,
    downloader,
    keys,
    onProgress,
    signal,
    now: Date.now,
  });

  const build = new Build(name, recipe, suite, archive);
  const store = new ImageStore(cache, Date.now);
  const ready = await store.reuse(name, build.id);
  const image = ready ?? (await build.run(store, onProgress, signal));
  onProgress({ phase: "done", what: name, done: 1, total: 1 });
  return image;
}

/** The image `name` (default: the default image), checked; aliases as in {@link resolveImageName}. Throws "not-found". */
export async function findImage(name?: string, location: ImageLocation = {}): Promise<BuiltImage> {
  const resolved = resolveImageName(name);
  const image = await openStore(location).find(resolved);
  if (image !== undefined) return image;
  throw new ImageError("not-found", `The image ${resolved} was not built yet.`);
}

/** All images in the cache, by name; their files are not checked, as findImage does. */
export async function listImages(location: ImageLocation = {}): Promise<BuiltImage[]> {
  return openStore(location).list();
}

/** Removes an image; downloads stay in the cache. Throws ImageError "not-found". */
export async function removeImage(name: string, location: ImageLocation = {}): Promise<void> {
  const resolved = resolveImageName(name);
  if (await openStore(location).remove(resolved)) return;
  throw new ImageError("not-found", `There is no image ${resolved}.`);
}

function openStore(location: ImageLocation): ImageStore {
  return new ImageStore(new Cache(location.cacheDir ?? defaultCacheDirectory()), Date.now);
}

/** One build: the packages are chosen in the constructor, fetched and unpacked by `run`. */
class Build {
  readonly id: string;
  readonly #name: string;
  readonly #recipe: Recipe;
  readonly #suite: SuiteName;
  readonly #archive: DebianArchive;
  readonly #kernelParts: readonly FoundPackage[];
  readonly #others: readonly FoundPackage[];
  /** Packages that go onto the disk. */
  readonly #onDisk: readonly FoundPackage[];
  /** Of the newest index, in milliseconds since 1970: the time stamp of the initramfs's files. */
  readonly #time: number;

  constructor(name: string, recipe: Recipe, suite: SuiteName, archive: DebianArchive) {
    this.#name = name;
    this.#recipe = recipe;
    this.#suite = suite;
    this.#archive = archive;
    this.#kernelParts = findKernelPackages(recipe.kernel, (part, version) => archive.find(part, version));
    this.#others = recipe.packages.map((other) => archive.find(other));
    this.#time = Math.max(...archive.releases.map(({ date }) => date.getTime()));
    this.#onDisk = recipe.disk?.packages(archive) ?? [];
    const hashes = this.#packages.map((record) => record.sha256);
    this.id = buildId(recipe.name, recipe.version, hashes);
  }

  /** All of them, each once. */
  get #packages(): FoundPackage[] {
    const all = [...this.#kernelParts, ...this.#others, ...this.#onDisk];
    return [...new Map(all.map((record) => [record.name, record])).values()];
  }

  async run(store: ImageStore, onProgress: OnProgress, signal: AbortSignal | undefined): Promise<BuiltImage> {
    const unpacked = new Map<string, PackageFiles>();
    const debs = new Map<FoundPackage, Uint8Array>();
    for (const record of [...this.#others, ...this.#kernelParts]) debs.set(record, await this.#archive.fetch(record));
    for (const [record, deb] of debs) {
      const wanted = this.#kernelParts.includes(record) ? isKernelFile : (path: string) => this.#recipe.wants(path);
      unpacked.set(record.name, await unpack(record, deb, wanted, onProgress, signal));
    }
    checkAborted(signal);
    onProgress({ phase: "assemble", what: this.#name, done: 0, total: 1 });
    await nextTurn();
    const kernel = collectKernel(this.#kernelParts.map((record) => unpacked.get(record.name) as PackageFiles));
    const entries = this.#recipe.assemble(unpacked, kernel.modules);
    const initrd = writeCpio(entries, Math.floor(this.#time / 1000));
    checkAborted(signal);
    const files = { kernel: describeFile(kernel.vmlinuz), initrd: describeFile(initrd) };
    const { release } = kernel.modules;
    const { disk } = this.#recipe;
    let image: BuiltImage;
    if (disk) {
      const scratch = await store.scratch(this.#name);
      try {
        const path = join(scratch, "disk.img");
        await this.#writeDisk(path, disk, { ...kernel, initrd }, onProgress, signal);
        const withDisk = { ...files, disk: await describeLargeFile(path) };
        image = await store.store(this.#manifest(release, withDisk), kernel.vmlinuz, initrd, path);
      } finally {
        await rm(scratch, { recursive: true, force: true });
      }
    } else image = await store.store(this.#manifest(release, files), kernel.vmlinuz, initrd);
    onProgress({ phase: "assemble", what: this.#name, done: 1, total: 1 });
    return image;
  }

  async #writeDisk(
    path: string,
    disk: DiskRecipe,
    boot: BootFiles,
    onProgress: OnProgress,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const trees = new Map<string, DebTree>();
    for (const record of this.#onDisk) {
      checkAborted(signal);
      const deb = await this.#archive.fetch(record);
      const what = `${record.name} ${record.version}`;
      onProgress({ phase: "unpack", what, done: 0, total: deb.length });
      trees.set(record.name, await readDebTree(deb, what, { signal, expectedSize: record.unpackedSize }));
      onProgress({ phase: "unpack", what, done: deb.length, total: deb.length });
    }
    const tree = disk.tree(trees, this.#suite, boot);
    onProgress({ phase: "assemble", what: this.#name, done: 0, total: 1 });
    await writeExt4(path, tree, { size: disk.size, time: Math.floor(this.#time / 1000), signal });
  }

  #manifest(kernelRelease: string, files: ImageManifest["files"]): ImageManifest {
    return {
      format: 1,
      name: this.#name,
      build: this.id,
      recipe: this.#recipe.name,
      recipeVersion: this.#recipe.version,
      suite: this.#suite,
      kernelRelease,
      releases: this.#archive.releases.map(({ url, date, signers }) => ({
        url,
        date: date.toISOString(),
        signers: signers.map(({ fingerprint, userId }) => ({ fingerprint, userId })),
      })),
      packages: this.#packages.map((record) => ({
        name: record.name,
        version: record.version,
        architecture: record.architecture,
        url: `${record.base}/${record.filename}`,
        sha256: record.sha256,
        size: record.size,
      })),
      files,
    };
  }
}

async function unpack(
  record: FoundPackage,
  deb: Uint8Array,
  wanted: (path: string) => boolean,
  onProgress: OnProgress,
  signal: AbortSignal | undefined,
): Promise<PackageFiles> {
  checkAborted(signal);
  const what = `${record.name} ${record.version}`;
  onProgress({ phase: "unpack", what, done: 0, total: deb.length });
  await nextTurn();
  const files = await readDeb(deb, wanted, what, { signal, expectedSize: record.unpackedSize });
  onProgress({ phase: "unpack", what, done: deb.length, total: deb.length });
  return files;
}

/** Lets the terminal and a pending Ctrl-C have their turn before a long computation. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new ImageError("aborted", "The build of the image was stopped.");
}
