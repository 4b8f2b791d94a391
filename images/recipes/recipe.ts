// The shape of an image recipe: which Debian packages, and a pure function from their files to an initramfs.
import type { CpioEntry } from "../initramfs/cpio.js";
import type { KernelModuleSource } from "../initramfs/kernel-modules.js";
import type { PackageFiles } from "../package/deb.js";

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
}
