// The one error type of the kernel loader: an image that can't be read or can't be booted. Its message is one
// line that names the file and the field: `vmlinuz: truncated: bzImage payload needs 812 bytes, 100 left`.

export type KernelImageErrorCode =
  /** Neither bzImage nor ELF, packed or not. */
  | "not-a-kernel"
  | "truncated"
  | "corrupt"
  /** A boot protocol, compression or ELF variant that isn't handled. */
  | "unsupported-format"
  | "too-large"
  /** No note named Xen and no __xen_guest section. */
  | "no-xen-notes"
  /** Has Xen notes, but none for PV. */
  | "no-pv-entry"
  | "bad-notes"
  /** Segments or notes that give an impossible memory layout. */
  | "bad-layout"
  /** 32-bit kernel. */
  | "unsupported-class"
  | "wrong-machine"
  /** The kernel requires a feature, loader or interface version that doesn't exist here. */
  | "unsupported-feature";

const WORDS: Readonly<Record<KernelImageErrorCode, string>> = {
  "not-a-kernel": "not a kernel",
  truncated: "truncated",
  corrupt: "corrupt",
  "unsupported-format": "unsupported format",
  "too-large": "too large",
  "no-xen-notes": "no Xen notes",
  "no-pv-entry": "not a PV kernel",
  "bad-notes": "bad Xen notes",
  "bad-layout": "bad memory layout",
  "unsupported-class": "not supported",
  "wrong-machine": "wrong machine",
  "unsupported-feature": "unsupported feature",
};

export class KernelImageError extends Error {
  readonly code: KernelImageErrorCode;
  /** Name of the image as the caller gave it. */
  readonly image: string;

  constructor(code: KernelImageErrorCode, image: string, detail: string, options?: ErrorOptions) {
    super(`${image}: ${WORDS[code]}: ${detail}`, options);
    this.name = "KernelImageError";
    this.code = code;
    this.image = image;
  }
}
