// The image "small": Debian's kernel for virtual machines, whose footprint lets a guest run in 64 MB, and the busybox initramfs.
import { BUSYBOX } from "./busybox.js";
import type { Recipe } from "./recipe.js";

export const SMALL: Recipe = {
  ...BUSYBOX,
  name: "small",
  description: "a busybox shell with Debian's cloud kernel, for guests of 64 MB and more",
  version: 4,
  kernel: "linux-image-cloud-amd64",
};
