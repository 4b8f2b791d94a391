// From the name of a kernel's metapackage to the packages that hold the kernel. linux-image-amd64 depends on
// linux-image-VERSION-amd64; since 7.x that one depends on linux-binary-… (the kernel), linux-modules-… and linux-base-… (the
// list of what is built in) in turn.
import { ImageError } from "../image-error.js";
import type { FoundPackage } from "./debian-archive.js";

const KERNEL_PART = /^linux-(image|binary|modules|base)-\d/;
const MAX_PARTS = 16;

/** All packages reached from `metapackage` over dependencies that are parts of a kernel, without the metapackage. */
export function findKernelPackages(
  metapackage: string,
  find: (name: string, version?: string) => FoundPackage,
): FoundPackage[] {
  const found = new Map<string, FoundPackage>();
  const visit = (record: FoundPackage): void => {
    for (const { name, exactVersion } of record.depends) {
      if (!KERNEL_PART.test(name) || found.has(name)) continue;
      if (found.size >= MAX_PARTS) throw new ImageError("bad-index", `The package ${metapackage} has too many parts.`);
      const part = find(name, exactVersion);
      found.set(name, part);
      visit(part);
    }
  };
  visit(find(metapackage));
  if (found.size === 0) throw new ImageError("not-found", `The package ${metapackage} depends on no kernel.`);
  return [...found.values()];
}
