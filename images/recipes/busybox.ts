// The image "busybox": a Debian kernel, and an initramfs of busybox-static, the modules that a Xen guest needs, and a few
// text files. It shows the shape of a recipe: which packages, and a pure function from their files to an initramfs.
import { ImageError } from "../image-error.js";
import { findApplets } from "../initramfs/busybox-applets.js";
import type { CpioEntry } from "../initramfs/cpio.js";
import { type KernelModuleSource, selectModules } from "../initramfs/kernel-modules.js";
import type { PackageFiles } from "../package/deb.js";
import { BUSYBOX_TEXT_FILES, type TextFile } from "./busybox-files.js";
import type { Recipe } from "./recipe.js";

/** Modules for both sides of a Xen guest, and for disks. Some kernels have some of them built in. */
const MODULES = [
  "xen-blkfront",
  "xen-netfront",
  "xen-evtchn",
  "xen-gntdev",
  "xen-gntalloc",
  "xen-privcmd",
  "xenfs",
  "ext4",
] as const;

/** Where the binary is before and after the merge of / and /usr. */
const BUSYBOX_PATHS: readonly string[] = ["bin/busybox", "usr/bin/busybox"];
const DIRECTORIES = [
  "bin",
  "dev",
  "etc",
  "etc/modprobe.d",
  "etc/udhcpc",
  "etc/xents",
  "lib",
  "lib/modules",
  "mnt",
  "proc",
  "root",
  "run",
  "sys",
  "tmp",
  "usr",
  "var",
];
/** One directory of programs under all its usual names. */
const DIRECTORY_LINKS = [
  ["sbin", "bin"],
  ["usr/bin", "../bin"],
  ["usr/sbin", "../bin"],
  ["lib64", "lib"],
  ["var/run", "../run"],
  ["var/tmp", "../tmp"],
] as const;
/** The kernel opens /dev/console before anything is mounted; the rest of /dev is devtmpfs. Numbers: devices.txt. */
const DEVICES = [
  ["console", 5, 1, 0o600],
  ["tty", 5, 0, 0o666],
  ["null", 1, 3, 0o666],
  ["zero", 1, 5, 0o666],
  ["random", 1, 8, 0o666],
  ["urandom", 1, 9, 0o666],
  ["hvc0", 229, 0, 0o600],
] as const;

export const BUSYBOX: Recipe = {
  name: "busybox",
  description: "a Debian kernel with a busybox shell in an initramfs",
  version: 7,
  kernel: "linux-image-amd64",
  packages: ["busybox-static"],
  wants: isBusybox,
  assemble(packages, kernel) {
    const init: CpioEntry = { kind: "symlink", path: "init", target: "bin/busybox" };
    return busyboxInitramfs(busyboxOf(packages), kernel, { modules: MODULES, init, files: BUSYBOX_TEXT_FILES });
  },
};

export function isBusybox(path: string): boolean {
  return BUSYBOX_PATHS.includes(path);
}

/** The binary. Throws ImageError "bad-package". */
export function busyboxOf(packages: ReadonlyMap<string, PackageFiles>): Uint8Array {
  const files = packages.get("busybox-static");
  const path = BUSYBOX_PATHS.find((candidate) => files?.has(candidate));
  if (path === undefined) throw new ImageError("bad-package", "The package busybox-static holds no busybox.");
  return files?.get(path) as Uint8Array;
}

export interface InitramfsParts {
  readonly init: CpioEntry;
  readonly files: readonly TextFile[];
  readonly modules: readonly string[];
}

/** The entries of an initramfs. `busybox`: the statically linked binary. */
export function busyboxInitramfs(
  busybox: Uint8Array,
  kernel: KernelModuleSource,
  { init, files, modules }: InitramfsParts,
): CpioEntry[] {
  const entries: CpioEntry[] = DIRECTORIES.map((path) => directory(path));
  entries.push(init);
  for (const [path, target] of DIRECTORY_LINKS) entries.push({ kind: "symlink", path, target });
  for (const [name, major, minor, mode] of DEVICES) {
    entries.push({ kind: "character-device", path: `dev/${name}`, major, minor, mode });
  }
  entries.push({ kind: "file", path: "bin/busybox", data: busybox, mode: 0o755 });
  for (const applet of findApplets(busybox)) {
    if (applet !== "busybox") entries.push({ kind: "symlink", path: `bin/${applet}`, target: "busybox" });
  }
  for (const { path, text, mode } of files) entries.push({ kind: "file", path, data: Buffer.from(text), mode });
  entries.push(...moduleEntries(kernel, modules));
  return entries;
}

/** Modules with all that they need, and the tables for modprobe, below lib/modules. */
export function moduleEntries(kernel: KernelModuleSource, modules: readonly string[]): CpioEntry[] {
  const { files, tables } = selectModules(kernel, modules);
  const base = `lib/modules/${kernel.release}`;
  const entries: CpioEntry[] = [directory(base)];
  const made = new Set([""]);
  for (const { path, data } of files) {
    const parts = path.split("/").slice(0, -1);
    parts.forEach((_, index) => {
      const parent = parts.slice(0, index + 1).join("/");
      if (!made.has(parent)) entries.push(directory(`${base}/${parent}`));
      made.add(parent);
    });
    entries.push({ kind: "file", path: `${base}/${path}`, data });
  }
  const text = new TextEncoder();
  for (const table of tables)
    entries.push({ kind: "file", path: `${base}/${table.path}`, data: text.encode(table.text) });
  return entries;
}

function directory(path: string): CpioEntry {
  const mode = path === "tmp" ? 0o1777 : path === "root" ? 0o700 : 0o755;
  return { kind: "directory", path, mode };
}
