// The image "debian": a small Debian on an ext4 disk, with apt, and an initramfs that only finds it.
import { packageClosure } from "../debian/package-closure.js";
import { DISK_INIT } from "../debian/root-files.js";
import { rootTree } from "../debian/root-tree.js";
import type { CpioEntry } from "../initramfs/cpio.js";
import type { TreeEntry } from "../package/deb-tree.js";
import { busyboxInitramfs, busyboxOf, isBusybox, moduleEntries } from "./busybox.js";
import { BLOCK_OPTIONS } from "./busybox-files.js";
import type { BootFiles, Recipe } from "./recipe.js";

/** What the initramfs needs, and what the system may want to load later. */
const INITRAMFS_MODULES = ["xen-blkfront", "ext4"];
const SYSTEM_MODULES = [
  "xen-blkfront",
  "xen-netfront",
  "ext4",
  "xenfs",
  "xen-evtchn",
  "xen-gntdev",
  "xen-gntalloc",
  "xen-privcmd",
];

export const DEBIAN: Recipe = {
  name: "debian",
  description: "a small Debian with apt on an ext4 disk",
  version: 6,
  kernel: "linux-image-amd64",
  packages: ["busybox-static"],
  wants: isBusybox,
  assemble: (packages, kernel) => {
    const init: CpioEntry = { kind: "file", path: "init", data: Buffer.from(DISK_INIT), mode: 0o755 };
    return busyboxInitramfs(busyboxOf(packages), kernel, { init, files: [BLOCK_OPTIONS], modules: INITRAMFS_MODULES });
  },
  disk: {
    size: 512 * 2 ** 20,
    packages: packageClosure,
    tree: (packages, suite, boot) => rootTree(packages, suite, bootEntries(boot)),
  },
};

function bootEntries({ vmlinuz, initrd, modules }: BootFiles): TreeEntry[] {
  const common = { uid: 0, gid: 0, target: "", data: new Uint8Array(0) };
  const file = (path: string, data: Uint8Array): TreeEntry => ({ ...common, path, kind: "file", mode: 0o644, data });
  const link = (path: string, target: string): TreeEntry => ({ ...common, path, kind: "symlink", mode: 0o777, target });
  const { release } = modules;
  return [
    ...[file(`boot/vmlinuz-${release}`, vmlinuz), link("boot/vmlinuz", `vmlinuz-${release}`)],
    ...[file(`boot/initrd.img-${release}`, initrd), link("boot/initrd.img", `initrd.img-${release}`)],
    ...moduleEntries(modules, SYSTEM_MODULES).flatMap((entry) =>
      entry.kind === "file" ? [file(`usr/${entry.path}`, entry.data)] : [],
    ),
  ];
}
