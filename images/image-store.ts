// Built images in the cache: images/NAME/BUILD/{vmlinuz,initrd.cpio,manifest.json}, and images/NAME/current, which names the BUILD
// that counts. A build directory appears complete, by rename, and `current` is replaced by rename: readers see the old or the new.
import { createHash } from "node:crypto";
import { mkdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Cache } from "./cache/cache.js";
import {
  cacheError,
  listDirectory,
  readIfPresent,
  removeStaleTemporaries,
  temporaryName,
  writeAtomically,
} from "./cache/files.js";
import { ImageError } from "./image-error.js";
import { describeLargeFile, type ImageManifest, parseManifest } from "./manifest.js";
import { DEFAULT_RECIPE, RECIPES } from "./recipes/recipes.js";
import { DEFAULT_SUITE, SUITE_NAMES } from "./suites.js";

/** A built image. Paths are absolute. */
export interface BuiltImage {
  readonly name: string;
  /** A bzImage. */
  readonly kernel: string;
  /** An uncompressed newc cpio archive. */
  readonly initrd: string;
  /** Of an image with a disk: its ext4 root file system, raw. Don't write to it: copy it, or use it with `snapshot`. */
  readonly disk?: string;
  readonly manifestPath: string;
  readonly manifest: ImageManifest;
}

const KERNEL_FILE = "vmlinuz";
const INITRD_FILE = "initrd.cpio";
const DISK_FILE = "disk.img";
const MANIFEST_FILE = "manifest.json";
const CURRENT_FILE = "current";
const NAME = /^[a-z0-9][a-z0-9+._-]{0,63}$/;
/** A build that was replaced stays for those who have just looked it up. */
const GRACE_MS = 10 * 60 * 1000;

/** The name of the image that a recipe and a suite give. */
export function imageName(recipe: string, suite: string): string {
  return `${recipe}-${suite}`;
}

/** `undefined`, `default`, a recipe or a suite stand for an image of the default suite or recipe. Throws "bad-option". */
export function resolveImageName(name: string | undefined): string {
  if (name === undefined || name === "default") return imageName(DEFAULT_RECIPE, DEFAULT_SUITE);
  if (!NAME.test(name)) {
    throw new ImageError("bad-option", `${JSON.stringify(name)} is not an image name: use a-z, 0-9 and "+._-".`);
  }
  if (RECIPES.some((recipe) => recipe.name === name)) return imageName(name, DEFAULT_SUITE);
  if (SUITE_NAMES.some((suite) => suite === name)) return imageName(DEFAULT_RECIPE, name);
  return name;
}

export class ImageStore {
  readonly #directory: string;
  readonly #now: () => number;

  constructor(cache: Cache, now: () => number) {
    this.#directory = cache.imagesDirectory;
    this.#now = now;
  }

  /** The image, its files checked against the manifest; undefined when it was not built. Throws ImageError "checksum". */
  async find(name: string): Promise<BuiltImage | undefined> {
    const build = await this.#current(name);
    return build === undefined ? undefined : this.#open(name, build);
  }

  /** All images, by name; their files are not checked, and one without a readable manifest is left out. */
  async list(): Promise<BuiltImage[]> {
    const images: BuiltImage[] = [];
    for (const name of await listDirectory(this.#directory)) {
      const build = NAME.test(name) ? await this.#current(name) : undefined;
      if (build === undefined) continue;
      const home = join(this.#directory, name, build);
      const text = await readIfPresent(join(home, MANIFEST_FILE));
      try {
        if (text !== undefined) images.push(describe(home, parseManifest(Buffer.from(text).toString("utf8"), home)));
      } catch {
        // Not readable by this version: building it again repairs it.
      }
    }
    return images;
  }

  /** False when there was none. */
  async remove(name: string): Promise<boolean> {
    const existed = (await this.#current(name)) !== undefined;
    try {
      await rm(join(this.#directory, name), { recursive: true, force: true });
    } catch (error) {
      throw cacheError(error, join(this.#directory, name));
    }
    return existed;
  }

  /** The image if this very build is there and whole, made current. */
  async reuse(name: string, build: string): Promise<BuiltImage | undefined> {
    const image = await this.#openIfWhole(name, build);
    if (image !== undefined) await this.#makeCurrent(name, build);
    return image;
  }

  /** Where a large file of a build can be made, on the file system of the images. Remove what is left there. */
  async scratch(name: string): Promise<string> {
    const path = temporaryName(join(this.#directory, name));
    try {
      await mkdir(path, { recursive: true });
    } catch (error) {
      throw cacheError(error, path);
    }
    return path;
  }

  /** Writes a build and makes it current. `disk`: a file that is moved there. */
  async store(manifest: ImageManifest, kernel: Uint8Array, initrd: Uint8Array, disk?: string): Promise<BuiltImage> {
    const home = join(this.#directory, manifest.name);
    const target = join(home, manifest.build);
    const temporary = temporaryName(home);
    try {
      await mkdir(temporary, { recursive: true });
      await writeAtomically(join(temporary, KERNEL_FILE), kernel);
      await writeAtomically(join(temporary, INITRD_FILE), initrd);
      if (disk !== undefined) await rename(disk, join(temporary, DISK_FILE));
      await writeAtomically(join(temporary, MANIFEST_FILE), `${JSON.stringify(manifest, null, 2)}\n`);
      await this.#install(temporary, target, manifest);
    } catch (error) {
      throw cacheError(error, target);
    } finally {
      await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    }
    await this.#makeCurrent(manifest.name, manifest.build);
    return describe(target, manifest);
  }

  /** Renames a finished build into place. Another process may have been faster with the same build: a whole one stays. */
  async #install(temporary: string, target: string, manifest: ImageManifest): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      try {
        return await rename(temporary, target);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if ((code !== "ENOTEMPTY" && code !== "EEXIST") || attempt >= 20) throw error;
      }
      if ((await this.#openIfWhole(manifest.name, manifest.build)) !== undefined) return;
      const aside = temporaryName(dirname(target));
      await rename(target, aside).catch(() => undefined);
      await rm(aside, { recursive: true, force: true });
    }
  }

  async #openIfWhole(name: string, build: string): Promise<BuiltImage | undefined> {
    try {
      return await this.#open(name, build);
    } catch (error) {
      if (error instanceof ImageError && (error.code === "checksum" || error.code === "bad-index")) return undefined;
      throw error;
    }
  }

  async #makeCurrent(name: string, build: string): Promise<void> {
    const home = join(this.#directory, name);
    await writeAtomically(join(home, CURRENT_FILE), `${build}\n`);
    await removeStaleTemporaries(home, this.#now());
    for (const other of await listDirectory(home)) {
      if (other === CURRENT_FILE || other === build) continue;
      const path = join(home, other);
      const age = await stat(path).then(
        (info) => this.#now() - info.mtimeMs,
        () => 0,
      );
      if (age > GRACE_MS) await rm(path, { recursive: true, force: true }).catch(() => undefined);
    }
  }

  async #current(name: string): Promise<string | undefined> {
    const bytes = await readIfPresent(join(this.#directory, name, CURRENT_FILE));
    const build = bytes && Buffer.from(bytes).toString("latin1").trim();
    return build !== undefined && /^[0-9a-f]{16}$/.test(build) ? build : undefined;
  }

  async #open(name: string, build: string): Promise<BuiltImage | undefined> {
    const home = join(this.#directory, name, build);
    const manifestPath = join(home, MANIFEST_FILE);
    const text = await readIfPresent(manifestPath);
    if (text === undefined) return undefined;
    const manifest = parseManifest(Buffer.from(text).toString("utf8"), manifestPath);
    const image = describe(home, manifest);
    await checkFile(image.kernel, manifest.files.kernel.sha256, name);
    await checkFile(image.initrd, manifest.files.initrd.sha256, name);
    if (image.disk !== undefined) await checkDisk(image.disk, manifest.files.disk?.sha256, name);
    return image;
  }
}

function describe(home: string, manifest: ImageManifest): BuiltImage {
  return {
    name: manifest.name,
    kernel: join(home, KERNEL_FILE),
    initrd: join(home, INITRD_FILE),
    ...(manifest.files.disk ? { disk: join(home, DISK_FILE) } : {}),
    manifestPath: join(home, MANIFEST_FILE),
    manifest,
  };
}

async function checkDisk(path: string, sha256: string | undefined, image: string): Promise<void> {
  const found = await describeLargeFile(path).catch(() => undefined);
  if (found === undefined || found.sha256 !== sha256) throw damaged(path, found !== undefined, image);
}

function damaged(path: string, isThere: boolean, image: string): ImageError {
  const state = isThere ? "damaged" : "missing";
  return new ImageError("checksum", `The file ${path} of image ${image} is ${state}: build it again.`);
}

async function checkFile(path: string, sha256: string, image: string): Promise<void> {
  const bytes = await readIfPresent(path);
  if (bytes !== undefined && createHash("sha256").update(bytes).digest("hex") === sha256) return;
  throw damaged(path, bytes !== undefined, image);
}
