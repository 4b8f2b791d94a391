// A kernel as text, one fact a line, for the command line and for logs.

import type { KernelImage } from "./kernel-image.js";
import { KernelImageError } from "./kernel-image-error.js";
import { computeLayout, hex } from "./kernel-layout.js";
import { featureNames } from "./xen-features.js";
import type { XenNotes } from "./xen-notes-types.js";

/** Lines "key: value" about an image: format, segments, Xen notes, layout. Never throws for an unpacked image. */
export function describeKernel(image: KernelImage): string[] {
  const { elf, notes } = image;
  const packing = image.compression === "none" ? "" : `, ${image.compression}`;
  const lines = [`format: ${image.format}${packing}, ELF${elf.class} x86, ${elf.bytes.length} bytes`];
  if (image.version !== "") lines.push(`version: ${image.version}`);
  lines.push(`ELF entry: ${hex(elf.entry)}`);
  for (const s of image.segments) {
    const rights = `${s.readable ? "r" : "-"}${s.writable ? "w" : "-"}${s.executable ? "x" : "-"}`;
    const sizes = `file ${hex(BigInt(s.fileSize))}, memory ${hex(BigInt(s.memorySize))}`;
    lines.push(`segment: ${rights} physical ${hex(s.physicalAddress)}, virtual ${hex(s.virtualAddress)}, ${sizes}`);
  }
  if (notes === undefined) return [...lines, "Xen notes: none"];
  lines.push(`Xen notes: from ${notes.source}`, ...describeNotes(notes));
  try {
    const layout = computeLayout(elf, notes, image.name);
    lines.push(
      `kernel: ${hex(layout.virtualStart)}-${hex(layout.virtualEnd)}, physical 0 at ${hex(layout.virtBase)}`,
      `entry: ${hex(layout.entry)}`,
    );
  } catch (error) {
    if (!(error instanceof KernelImageError)) throw error;
    lines.push(`kernel: ${error.message}`);
  }
  return lines;
}

function describeNotes(notes: XenNotes): string[] {
  const lines: string[] = [];
  const add = (key: string, value: string | bigint | undefined) => {
    if (value !== undefined) lines.push(`  ${key}: ${typeof value === "bigint" ? hex(value) : value}`);
  };
  add("GUEST_OS", notes.guestOs);
  add("GUEST_VERSION", notes.guestVersion);
  add("XEN_VERSION", notes.xenVersion);
  add("LOADER", notes.loader);
  add("VIRT_BASE", notes.virtBase);
  add("PADDR_OFFSET", notes.paddrOffset);
  add("ENTRY", notes.entry);
  add("HYPERCALL_PAGE", notes.hypercallPage);
  add("INIT_P2M", notes.initP2m);
  add("HV_START_LOW", notes.hvStartLow);
  add("PHYS32_ENTRY", notes.phys32Entry);
  add("PAE_MODE", notes.paeMode);
  add("features supported", featureNames(notes.features.supported).join(" ") || "none");
  add(
    "features required",
    [...featureNames(notes.features.required), ...notes.features.unknownRequired].join(" ") || "none",
  );
  for (const { mask, value } of notes.l1MfnValid) add("L1_MFN_VALID", `mask ${hex(mask)} value ${hex(value)}`);
  if (notes.modStartPfn) add("MOD_START_PFN", "yes");
  if (notes.suspendCancel) add("SUSPEND_CANCEL", "yes");
  if (notes.bsdSymtab) add("BSD_SYMTAB", "yes");
  return lines;
}
