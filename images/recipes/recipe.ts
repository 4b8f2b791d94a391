// The shape of an image recipe: which Debian packages, and a pure function from their files to an initramfs.
import type { DebianArchive, FoundPackage } from "../archive/debian-archive.js";
import type { CpioEntry } from "../initramfs/cpio.js";
import type { KernelModuleSource } from "../initramfs/kernel-modules.js";
import type { PackageFiles } from "../package/deb.js";
import type { DebTree, TreeEntry } from "../package/deb-tree.js";
import type { SuiteName } from "../suites.js";

export interface Recipe {
  readonly name: string;
  /** One line for `image list`. */
  readonly description: string;
  /** Part of what identifies a build: raise it when the recipe's result changes. */
  readonly version: number;
  /** The Debian metapackage of the kernel. */
  readonly kernel: string;
  /** Further packages by name; dependencies are not followed. */
  readonly packages: readonly string[];
  /** Which files of those packages are needed. */
  wants(path: string): boolean;
  /** The initramfs, from the files by package name and the kernel's modules. Pure. Throws ImageError "bad-package". */
  assemble(packages: ReadonlyMap<string, PackageFiles>, kernel: KernelModuleSource): CpioEntry[];
  /** Of an image with a disk beside kernel and initramfs. */
  readonly disk?: DiskRecipe;
}

/** An ext4 root file system. */
export interface DiskRecipe {
  /** Bytes. */
  readonly size: number;
  /** Packages that go onto the disk whole. */
  packages(archive: DebianArchive): FoundPackage[];
  /** The disk's files. `boot`: the kernel, its modules and the initramfs, for where they belong. Pure. */
  tree(packages: ReadonlyMap<string, DebTree>, suite: SuiteName, boot: BootFiles): TreeEntry[];
}

export interface BootFiles {
  readonly vmlinuz: Uint8Array;
  readonly initrd: Uint8Array;
  readonly modules: KernelModuleSource;
}
