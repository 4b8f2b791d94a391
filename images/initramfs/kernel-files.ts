// Finds the kernel and its modules in the files of Debian's kernel packages: boot/vmlinuz-RELEASE up to 6.x,
// usr/lib/modules/RELEASE/vmlinuz since 7.x; modules under lib/ or usr/lib/, plain or compressed.
import { decompress, detectCompression } from "../../src/compress/index.js";
import { ImageError } from "../image-error.js";
import type { PackageFiles } from "../package/deb.js";
import type { KernelModuleSource } from "./kernel-modules.js";

const VMLINUZ = /^(?:boot\/vmlinuz-|(?:usr\/)?lib\/modules\/(?=[^/]+\/vmlinuz$))([^/]+)(?:\/vmlinuz)?$/;
const MODULE = /^(?:usr\/)?lib\/modules\/([^/]+)\/(modules\.builtin|kernel\/.+\.ko(?:\.xz|\.zst|\.gz)?)$/;
const MAX_MODULE_BYTES = 64 * 2 ** 20;

export interface KernelFiles {
  readonly vmlinuz: Uint8Array;
  readonly modules: KernelModuleSource;
}

/** The files of a kernel package that {@link collectKernel} needs. */
export function isKernelFile(path: string): boolean {
  return VMLINUZ.test(path) || MODULE.test(path);
}

/** Puts the kernel together from its packages. Throws ImageError "bad-package" unless there is exactly one kernel. */
export function collectKernel(packages: Iterable<PackageFiles>): KernelFiles {
  const kernels = new Map<string, Uint8Array>();
  const modules = new Map<string, Map<string, Uint8Array>>();
  for (const files of packages) {
    for (const [path, data] of files) {
      const kernel = VMLINUZ.exec(path)?.[1];
      if (kernel !== undefined) kernels.set(kernel, data);
      const module = MODULE.exec(path);
      if (module === null) continue;
      const [, release, name] = module as unknown as [string, string, string];
      modules.set(release, (modules.get(release) ?? new Map()).set(name, data));
    }
  }
  const [first] = kernels;
  if (first === undefined || kernels.size > 1) {
    throw new ImageError("bad-package", `The kernel packages hold ${kernels.size} kernels instead of one.`);
  }
  const [release, vmlinuz] = first;
  const files = modules.get(release);
  const builtin = files?.get("modules.builtin");
  if (files === undefined || builtin === undefined) {
    throw new ImageError("bad-package", `The kernel packages hold no modules for kernel ${release}.`);
  }
  const paths = [...files.keys()].filter((path) => path.startsWith("kernel/"));
  const read = (path: string) => readModule(path, files.get(path) as Uint8Array);
  return { vmlinuz, modules: { release, paths, builtin: Buffer.from(builtin).toString("latin1"), read } };
}

function readModule(path: string, data: Uint8Array): Uint8Array {
  const format = detectCompression(data);
  if (format === undefined) return data;
  try {
    return decompress(data, { format, maxOutput: MAX_MODULE_BYTES });
  } catch (error) {
    throw new ImageError("bad-package", `The kernel module ${path} can't be decompressed.`, { cause: error });
  }
}
