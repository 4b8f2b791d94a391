// What a kernel tells the domain builder (elfnote.h), from its ELF notes or from the older __xen_guest string.
// Numbers are as found; only their sizes are checked here. kernel-layout.ts judges the addresses.

import {
  XEN_ELFNOTE_BSD_SYMTAB,
  XEN_ELFNOTE_ENTRY,
  XEN_ELFNOTE_FEATURES,
  XEN_ELFNOTE_GUEST_OS,
  XEN_ELFNOTE_GUEST_VERSION,
  XEN_ELFNOTE_HV_START_LOW,
  XEN_ELFNOTE_HYPERCALL_PAGE,
  XEN_ELFNOTE_INFO,
  XEN_ELFNOTE_INIT_P2M,
  XEN_ELFNOTE_L1_MFN_VALID,
  XEN_ELFNOTE_LOADER,
  XEN_ELFNOTE_MOD_START_PFN,
  XEN_ELFNOTE_PADDR_OFFSET,
  XEN_ELFNOTE_PAE_MODE,
  XEN_ELFNOTE_PHYS32_ENTRY,
  XEN_ELFNOTE_SUPPORTED_FEATURES,
  XEN_ELFNOTE_SUSPEND_CANCEL,
  XEN_ELFNOTE_VIRT_BASE,
  XEN_ELFNOTE_XEN_VERSION,
} from "../public/elfnote.js";
import { cString, type ElfImage } from "./elf.js";
import { type ElfNote, sectionNotes, segmentNotes } from "./elf-notes.js";
import { parseGuestString } from "./guest-string.js";
import { KernelImageError } from "./kernel-image-error.js";
import { parseFeatures } from "./xen-features.js";
import type { XenNotes, XenNotesDraft } from "./xen-notes-types.js";

/**
 * Finds a kernel's Xen notes: in PT_NOTE segments, else in note sections, else the __xen_guest section.
 * Undefined when there are none; "bad-notes" when they can't be made out.
 */
export function readXenNotes(elf: ElfImage, image: string): XenNotes | undefined {
  for (const notes of [segmentNotes(elf, image), sectionNotes(elf, image)]) {
    const xen = notes.filter(({ name }) => name === "Xen");
    if (xen.length > 0) return fromElfNotes(elf, xen, image);
  }
  const section = elf.sections.find(({ name }) => name === "__xen_guest");
  if (section === undefined) return undefined;
  const text = cString(elf.bytes.subarray(section.fileOffset, section.fileOffset + section.fileSize), 0, 65536);
  return parseGuestString(text, image);
}

function fromElfNotes(elf: ElfImage, notes: readonly ElfNote[], image: string): XenNotes {
  const info: string[] = [];
  const unknownTypes: number[] = [];
  const draft: XenNotesDraft = {
    source: "elf-notes",
    features: parseFeatures(""),
    modStartPfn: false,
    suspendCancel: false,
    bsdSymtab: false,
    l1MfnValid: [],
    info,
    unknownTypes,
  };
  for (const note of notes) {
    const number = () => noteNumber(note, image);
    const text = () => cString(note.descriptor);
    switch (note.type) {
      case XEN_ELFNOTE_INFO:
        info.push(text());
        break;
      case XEN_ELFNOTE_ENTRY:
        draft.entry = number();
        break;
      case XEN_ELFNOTE_HYPERCALL_PAGE:
        draft.hypercallPage = number();
        break;
      case XEN_ELFNOTE_VIRT_BASE:
        draft.virtBase = number();
        break;
      case XEN_ELFNOTE_PADDR_OFFSET:
        draft.paddrOffset = number();
        break;
      case XEN_ELFNOTE_XEN_VERSION:
        draft.xenVersion = text();
        break;
      case XEN_ELFNOTE_GUEST_OS:
        draft.guestOs = text();
        break;
      case XEN_ELFNOTE_GUEST_VERSION:
        draft.guestVersion = text();
        break;
      case XEN_ELFNOTE_LOADER:
        draft.loader = text();
        break;
      case XEN_ELFNOTE_PAE_MODE:
        draft.paeMode = paeMode(text(), image);
        break;
      case XEN_ELFNOTE_FEATURES:
        draft.features = parseFeatures(text());
        break;
      case XEN_ELFNOTE_BSD_SYMTAB:
        draft.bsdSymtab = text().startsWith("yes");
        break;
      case XEN_ELFNOTE_HV_START_LOW:
        draft.hvStartLow = number();
        break;
      case XEN_ELFNOTE_L1_MFN_VALID:
        draft.l1MfnValid = maskPairs(elf, note, image);
        break;
      case XEN_ELFNOTE_SUSPEND_CANCEL:
        draft.suspendCancel = number() !== 0n;
        break;
      case XEN_ELFNOTE_INIT_P2M:
        draft.initP2m = number();
        break;
      case XEN_ELFNOTE_MOD_START_PFN:
        draft.modStartPfn = number() !== 0n;
        break;
      case XEN_ELFNOTE_SUPPORTED_FEATURES:
        draft.supportedFeatures = Number(BigInt.asUintN(32, number()));
        break;
      case XEN_ELFNOTE_PHYS32_ENTRY:
        draft.phys32Entry = number();
        break;
      default:
        unknownTypes.push(note.type);
    }
  }
  const extra = draft.supportedFeatures ?? 0;
  draft.features = { ...draft.features, supported: (draft.features.supported | extra) >>> 0 };
  return draft;
}

function noteNumber(note: ElfNote, image: string): bigint {
  const size = note.descriptor.length;
  if (size !== 1 && size !== 2 && size !== 4 && size !== 8) {
    const detail = `note type ${note.type} at ${note.fileOffset}: a number of ${size} bytes`;
    throw new KernelImageError("bad-notes", image, detail);
  }
  return littleEndian(note.descriptor);
}

/** maddr_t is 8 bytes, or 4 in a 32-bit kernel without PAE: a descriptor of 8 bytes there is one pair of 4. */
function maskPairs(elf: ElfImage, note: ElfNote, image: string): { mask: bigint; value: bigint }[] {
  const size = note.descriptor.length;
  const width = elf.class === 32 && size % 16 !== 0 ? 4 : 8;
  if (size === 0 || size % (2 * width) !== 0) {
    throw new KernelImageError("bad-notes", image, `L1_MFN_VALID at ${note.fileOffset}: ${size} bytes aren't pairs`);
  }
  const pairs: { mask: bigint; value: bigint }[] = [];
  for (let at = 0; at < size; at += 2 * width) {
    pairs.push({
      mask: littleEndian(note.descriptor.subarray(at, at + width)),
      value: littleEndian(note.descriptor.subarray(at + width, at + 2 * width)),
    });
  }
  return pairs;
}

function littleEndian(bytes: Uint8Array): bigint {
  let value = 0n;
  for (let i = bytes.length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
  return value;
}

function paeMode(text: string, image: string): "no" | "yes" | "bimodal" {
  if (text.includes("bimodal")) return "bimodal";
  if (text === "yes" || text === "no") return text;
  throw new KernelImageError("bad-notes", image, `PAE_MODE is ${JSON.stringify(text.slice(0, 40))}`);
}
