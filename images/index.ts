// The public door of images/: everything that the command line and programs need to make and find guest images.

export type { Mirrors } from "./archive/mirrors.js";
export {
  type BuildImageOptions,
  buildImage,
  findImage,
  type ImageLocation,
  listImages,
  removeImage,
} from "./build-image.js";
export { defaultCacheDirectory } from "./cache/cache.js";
export { ImageError, type ImageErrorCode } from "./image-error.js";
export { type BuiltImage, resolveImageName } from "./image-store.js";
export { type CpioEntry, writeCpio } from "./initramfs/cpio.js";
export type { ImageManifest } from "./manifest.js";
export type { OnProgress, ProgressEvent, ProgressPhase } from "./progress.js";
export { EXEC_BEGIN_MARKER, EXEC_END_MARKER, SHELL_READY_MARKER } from "./recipes/busybox-files.js";
export type { Recipe } from "./recipes/recipe.js";
export { DEFAULT_RECIPE, RECIPES } from "./recipes/recipes.js";
export { DEFAULT_SUITE, SUITE_NAMES, type SuiteName } from "./suites.js";
export { terminalProgress } from "./terminal-progress.js";
