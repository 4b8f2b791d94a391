// What the benchmark takes from Debian, by the project's own archive client (signatures and checksums at every use, cached where images
// are): busybox-static and its packed payload for both architectures, a 32-bit kernel and SeaBIOS for v86.

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DebianArchive } from "../../dist/images/archive/debian-archive.js";
import { Downloader } from "../../dist/images/archive/downloader.js";
import { findKernelPackages } from "../../dist/images/archive/kernel-packages.js";
import { mirrorsFrom } from "../../dist/images/archive/mirrors.js";
import { Cache } from "../../dist/images/cache/cache.js";
import { defaultCacheDirectory } from "../../dist/images/index.js";
import { collectKernel, isKernelFile } from "../../dist/images/initramfs/kernel-files.js";
import { selectModules } from "../../dist/images/initramfs/kernel-modules.js";
import { debianArchiveKeys } from "../../dist/images/keys/debian.js";
import { readAr } from "../../dist/images/package/ar.js";
import { readDeb } from "../../dist/images/package/deb.js";
import { unpackKernel } from "../../dist/src/hypervisor/loader/kernel-image.js";

/** Files made from packages are kept here, named by the hash of what they were made from. */
const directory = join(defaultCacheDirectory(), "benchmark");
const cache = new Cache(defaultCacheDirectory());

/** The path of a file in the cache; `make` gives its bytes when it isn't there yet. */
export async function kept(name, make) {
  const path = join(directory, name);
  if (existsSync(path)) return path;
  mkdirSync(directory, { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, await make());
  renameSync(temporary, path);
  return path;
}

const hashOf = (text) => createHash("sha256").update(text).digest("hex").slice(0, 16);

export class Packages {
  #suite;
  #archives = new Map();

  constructor(suite) {
    this.#suite = suite;
  }

  #archive(architecture) {
    const known = this.#archives.get(architecture);
    if (known) return known;
    const environment = process.env;
    const opened = DebianArchive.open({
      suite: this.#suite,
      architecture,
      withoutSecurity: true,
      mirrors: mirrorsFrom(environment),
      cache,
      downloader: new Downloader({ environment, signal: undefined }),
      keys: debianArchiveKeys(),
      onProgress: () => {},
      signal: undefined,
      now: Date.now,
    });
    this.#archives.set(architecture, opened);
    return opened;
  }

  /** The busybox binary, and the package's own data.tar.xz: a file to unpack that no tool here had to make. */
  async busybox(architecture) {
    const archive = await this.#archive(architecture);
    const record = archive.find("busybox-static");
    const deb = await archive.fetch(record);
    const files = await readDeb(deb, (path) => /^(usr\/)?bin\/busybox$/.test(path), record.name);
    const packed = readAr(deb, record.name).find(({ name }) => name === "data.tar.xz");
    if (files.size !== 1 || !packed) throw new Error(`${record.name} ${record.version} isn't packed as expected`);
    return { version: record.version, binary: [...files.values()][0], packed: packed.data };
  }

  /** The path of the amd64 kernel; modules with all they need, in an order in which they can be loaded: { name: "virtio.ko", data }. */
  async kernelWithModules(roots) {
    const archive = await this.#archive("amd64");
    const parts = findKernelPackages("linux-image-amd64", (name, version) => archive.find(name, version));
    const unpacked = [];
    for (const part of parts) unpacked.push(await readDeb(await archive.fetch(part), isKernelFile, part.name));
    const { vmlinuz, modules } = collectKernel(unpacked);
    const { files } = selectModules(modules, roots);
    return {
      release: modules.release,
      kernel: await kept(`vmlinuz-${hashOf(vmlinuz)}`, () => vmlinuz),
      modules: files.map(({ path, data }) => ({ name: path.split("/").at(-1), data })),
    };
  }

  /** The path of a kernel for processors without 64-bit mode. */
  async kernel686() {
    const archive = await this.#archive("i386");
    const parts = findKernelPackages("linux-image-686", (name, version) => archive.find(name, version));
    const key = hashOf(parts.map(({ sha256 }) => sha256).join());
    return kept(`vmlinuz-686-${key}`, async () => {
      const unpacked = [];
      for (const part of parts) unpacked.push(await readDeb(await archive.fetch(part), isKernelFile, part.name));
      return collectKernel(unpacked).vmlinuz;
    });
  }

  /** Paths of the BIOS and the video BIOS, which v86's package doesn't hold. */
  async seabios() {
    const archive = await this.#archive("amd64");
    const record = archive.find("seabios");
    const files = async () =>
      readDeb(await archive.fetch(record), (path) => path.startsWith("usr/share/seabios/"), record.name);
    const file = (name) =>
      kept(`${record.sha256.slice(0, 16)}-${name}`, async () => (await files()).get(`usr/share/seabios/${name}`));
    return { bios: await file("bios.bin"), vgaBios: await file("vgabios-stdvga.bin") };
  }
}

/** The path of a bzImage's ELF file, which QEMU starts by its PVH entry and Xen as a PV dom0. */
export function unpackedKernel(path) {
  const packed = readFileSync(path);
  return kept(`vmlinux-${hashOf(packed)}`, () => unpackKernel(packed, { name: path }).elf.bytes);
}
