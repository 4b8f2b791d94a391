// The one error type of image building. `code` is for programs, `message` is one sentence for people.

export type ImageErrorCode =
  /** Not in the cache, and the network may not be used. */
  | "offline-cold"
  /** The archive could not be reached, or kept failing. */
  | "network"
  /** The archive's index has no valid signature by a key that we trust. */
  | "signature"
  /** A file differs from the SHA-256 that the signed index gives for it. */
  | "checksum"
  /** No such package, suite, recipe, image or file in a package. */
  | "not-found"
  /** The archive's index can't be understood. */
  | "bad-index"
  /** A package can't be unpacked, or lacks what the recipe needs. */
  | "bad-package"
  | "disk-full"
  /** The cache directory can't be read or written for another reason. */
  | "cache"
  /** A program of the host that the build needs. */
  | "tool-missing"
  /** An option has no usable value. */
  | "bad-option"
  /** The caller's AbortSignal fired. */
  | "aborted";

/** Thrown for everything that can go wrong in building, listing and removing images. */
export class ImageError extends Error {
  readonly code: ImageErrorCode;

  constructor(code: ImageErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ImageError";
    this.code = code;
  }
}
