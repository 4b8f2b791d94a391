// From a kernel file to a KernelImage: recognises bzImage, plain and compressed ELF, unpacks, parses, reads the
// Xen notes and works out the layout. Unpacking takes a second or two, so its result can be kept in a cache.

import { createHash } from "node:crypto";
import { CompressError, type Compression, decompress, detectCompression } from "../../compress/index.js";
import { XENFEAT_dom0, XENFEAT_supervisor_mode_kernel } from "../public/features.js";
import { type BzImage, isBzImage, parseBzImage } from "./bzimage.js";
import { type ElfImage, type ElfSegment, EM_386, EM_X86_64, isElf, parseElf } from "./elf.js";
import { KernelImageError, type KernelImageErrorCode } from "./kernel-image-error.js";
import { computeLayout, type KernelLayout, loadSegments, physicalExtent } from "./kernel-layout.js";
import { readXenNotes } from "./xen-notes.js";
import type { XenNotes } from "./xen-notes-types.js";

/** Keeps unpacked kernels. A cache may forget at any time; it must return what was put, or undefined. */
export interface KernelCache {
  /** `key` is the SHA-256 of the packed file in hexadecimal. */
  get(key: string): Uint8Array | undefined;
  put(key: string, bytes: Uint8Array): void;
}

export interface UnpackKernelOptions {
  /** The file's name for error messages. */
  readonly name: string;
  readonly cache?: KernelCache;
  /** Most bytes of an unpacked kernel; default 512 MiB. */
  readonly maxSize?: number;
}

export interface KernelImage {
  readonly name: string;
  readonly format: "bzImage" | "ELF";
  readonly compression: Compression | "none";
  /** The version text of a bzImage's header, else "". */
  readonly version: string;
  readonly fromCache: boolean;
  readonly elf: ElfImage;
  /** PT_LOAD segments in file order; file contents are elf.bytes[fileOffset, fileOffset + fileSize). */
  readonly segments: readonly ElfSegment[];
  /** Physical addresses as the ELF header has them: lowest byte, and the one after the highest. */
  readonly physicalStart: bigint;
  readonly physicalEnd: bigint;
  /** Undefined for a kernel without Xen notes. */
  readonly notes: XenNotes | undefined;
}

/** A kernel that can be built into a 64-bit PV domain. */
export interface PvKernel extends KernelImage {
  readonly notes: XenNotes;
  readonly layout: KernelLayout;
}

const MIB = 2 ** 20;

/**
 * Unpacks and parses a kernel file: bzImage, ELF, or ELF compressed in any format that src/compress has. Throws
 * KernelImageError. A kernel without Xen notes or of another class is fine here: see requirePv64Kernel.
 */
export function unpackKernel(bytes: Uint8Array, options: UnpackKernelOptions): KernelImage {
  const { name } = options;
  const unpacked = unpack(bytes, options);
  const elf = parseElf(unpacked.bytes, name);
  if (elf.machine !== (elf.class === 64 ? EM_X86_64 : EM_386)) {
    throw new KernelImageError("wrong-machine", name, `ELF${elf.class} machine ${elf.machine}, expected x86`);
  }
  const { start, end } = physicalExtent(elf, name);
  return {
    name,
    format: unpacked.format,
    compression: unpacked.compression,
    version: unpacked.version,
    fromCache: unpacked.fromCache,
    elf,
    segments: loadSegments(elf),
    physicalStart: start,
    physicalEnd: end,
    notes: readXenNotes(elf, name),
  };
}

/**
 * Checks that a kernel can be a 64-bit PV guest, or with `dom0` the control domain, and computes its layout.
 * Throws KernelImageError. Of the required features only supervisor_mode_kernel is held against a kernel, as in
 * Xen: Linux marks writable_page_tables as required and runs without it.
 */
export function requirePv64Kernel(image: KernelImage, options: { readonly dom0?: boolean } = {}): PvKernel {
  const { name, notes, elf } = image;
  if (notes === undefined) {
    throw new KernelImageError("no-xen-notes", name, "neither ELF notes named Xen nor a __xen_guest section");
  }
  if (elf.class === 32)
    throw new KernelImageError("unsupported-class", name, "32-bit PV kernel; only 64-bit PV kernels can be booted");
  if (notes.phys32Entry !== undefined && notes.entry === undefined && notes.virtBase === undefined) {
    throw new KernelImageError("no-pv-entry", name, "it has a PVH entry point only (no ENTRY, no VIRT_BASE note)");
  }
  if (notes.xenVersion !== undefined && !notes.xenVersion.startsWith("xen-3.0")) {
    throw new KernelImageError("unsupported-feature", name, `XEN_VERSION ${quote(notes.xenVersion)}, not xen-3.0`);
  }
  if (notes.loader !== undefined && notes.loader !== "generic" && !notes.guestOs?.startsWith("linux")) {
    throw new KernelImageError("unsupported-feature", name, `LOADER ${quote(notes.loader)}, not generic`);
  }
  const unknown = notes.features.unknownRequired[0];
  if (unknown !== undefined) {
    throw new KernelImageError("unsupported-feature", name, `it requires the unknown feature ${quote(unknown)}`);
  }
  if (notes.features.required & (1 << XENFEAT_supervisor_mode_kernel)) {
    throw new KernelImageError("unsupported-feature", name, "it requires to run in supervisor mode");
  }
  if (options.dom0 && notes.supportedFeatures !== undefined && !(notes.supportedFeatures & (1 << XENFEAT_dom0))) {
    throw new KernelImageError("unsupported-feature", name, "its SUPPORTED_FEATURES note excludes use as dom0");
  }
  return { ...image, notes, layout: computeLayout(elf, notes, name) };
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 60));
}

interface Unpacked {
  readonly bytes: Uint8Array;
  readonly format: "bzImage" | "ELF";
  readonly compression: Compression | "none";
  readonly version: string;
  readonly fromCache: boolean;
}

function unpack(file: Uint8Array, options: UnpackKernelOptions): Unpacked {
  const { name } = options;
  if (file.length === 0) throw new KernelImageError("not-a-kernel", name, "the file is empty");
  if (isElf(file)) return { bytes: file, format: "ELF", compression: "none", version: "", fromCache: false };
  if (isBzImage(file)) return unpackBzImage(file, parseBzImage(file, name), options);
  const compression = detectCompression(file);
  if (compression === undefined) {
    throw new KernelImageError("not-a-kernel", name, "neither a bzImage nor an ELF file, compressed or not");
  }
  const { bytes, fromCache } = cached(file, options, undefined, () =>
    decompressKernel(file, compression, undefined, options),
  );
  if (!isElf(bytes)) throw new KernelImageError("not-a-kernel", name, `the ${compression} file holds no ELF file`);
  return { bytes, format: "ELF", compression, version: "", fromCache };
}

function unpackBzImage(file: Uint8Array, image: BzImage, options: UnpackKernelOptions): Unpacked {
  const { name } = options;
  const { payload, unpackedSize, version } = image;
  const common = { format: "bzImage", version } as const;
  if (isElf(payload)) return { ...common, bytes: payload, compression: "none", fromCache: false };
  const compression = detectCompression(payload);
  if (compression === undefined) {
    const magic = Buffer.from(payload.subarray(0, 6)).toString("hex");
    throw new KernelImageError("unsupported-format", name, `bzImage payload begins with ${magic}: no known packer`);
  }
  const packed = compression === "gzip" ? payload : payload.subarray(0, payload.length - 4);
  const result = cached(file, options, unpackedSize, () => {
    const bytes = decompressKernel(packed, compression, unpackedSize, options);
    if (bytes.length !== unpackedSize) {
      const detail = `bzImage payload unpacks to ${bytes.length} bytes, its trailer says ${unpackedSize}`;
      throw new KernelImageError("corrupt", name, detail);
    }
    return bytes;
  });
  if (!isElf(result.bytes)) throw new KernelImageError("corrupt", name, "the bzImage payload holds no ELF file");
  return { ...common, ...result, compression };
}

/** What the cache has, if it can be right; otherwise `make`, kept. */
function cached(
  file: Uint8Array,
  options: UnpackKernelOptions,
  expectedSize: number | undefined,
  make: () => Uint8Array,
): { bytes: Uint8Array; fromCache: boolean } {
  const { cache } = options;
  if (cache === undefined) return { bytes: make(), fromCache: false };
  const key = createHash("sha256").update(file).digest("hex");
  const hit = cache.get(key);
  if (hit !== undefined && isElf(hit) && (expectedSize === undefined || hit.length === expectedSize)) {
    return { bytes: hit, fromCache: true };
  }
  const bytes = make();
  if (isElf(bytes)) cache.put(key, bytes);
  return { bytes, fromCache: false };
}

const CODES: Readonly<Record<CompressError["code"], KernelImageErrorCode>> = {
  truncated: "truncated",
  corrupt: "corrupt",
  unsupported: "unsupported-format",
  "too-large": "too-large",
  "unknown-format": "unsupported-format",
};

function decompressKernel(
  packed: Uint8Array,
  compression: Compression,
  expectedSize: number | undefined,
  options: UnpackKernelOptions,
): Uint8Array {
  const maxSize = options.maxSize ?? 512 * MIB;
  if (expectedSize !== undefined && expectedSize > maxSize) {
    const detail = `it would unpack to ${expectedSize} bytes, the limit is ${maxSize}`;
    throw new KernelImageError("too-large", options.name, detail);
  }
  try {
    // More than the declared size is wrong in any case: stop there.
    return decompress(packed, {
      format: compression,
      maxOutput: expectedSize ?? maxSize,
      ...(expectedSize === undefined ? {} : { expectedSize }),
    });
  } catch (cause) {
    if (!(cause instanceof CompressError)) throw cause;
    const code = cause.code === "too-large" && expectedSize !== undefined ? "corrupt" : CODES[cause.code];
    throw new KernelImageError(code, options.name, `packed kernel: ${cause.message}`, { cause });
  }
}
