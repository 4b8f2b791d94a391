// The shape of what a kernel tells the domain builder (elfnote.h), whichever way it was written down.

import type { XenFeatureRequest } from "./xen-features.js";

export interface XenNotes {
  readonly source: "elf-notes" | "__xen_guest";
  readonly guestOs?: string;
  readonly guestVersion?: string;
  /** Interface version, "xen-3.0". */
  readonly xenVersion?: string;
  readonly loader?: string;
  /** PV entry point; without it the ELF header's e_entry counts. */
  readonly entry?: bigint;
  /** Virtual address, from the older string too. */
  readonly hypercallPage?: bigint;
  readonly virtBase?: bigint;
  readonly paddrOffset?: bigint;
  readonly initP2m?: bigint;
  readonly hvStartLow?: bigint;
  /** 32-bit kernels only. */
  readonly paeMode?: "no" | "yes" | "bimodal";
  /** The feature string, joined with the supportedFeatures bits. */
  readonly features: XenFeatureRequest;
  /** XEN_ELFNOTE_SUPPORTED_FEATURES as it stands. */
  readonly supportedFeatures?: number;
  readonly modStartPfn: boolean;
  readonly suspendCancel: boolean;
  readonly bsdSymtab: boolean;
  /** A non-present L1 entry has a valid MFN when (entry & mask) == value for one of these. */
  readonly l1MfnValid: readonly { readonly mask: bigint; readonly value: bigint }[];
  /** PVH entry point (physical). */
  readonly phys32Entry?: bigint;
  /** XEN_ELFNOTE_INFO strings. */
  readonly info: readonly string[];
  /** Types of Xen notes that elfnote.h doesn't define. */
  readonly unknownTypes: readonly number[];
}

/** XenNotes while they are gathered. */
export type XenNotesDraft = { -readonly [K in keyof XenNotes]: XenNotes[K] };
