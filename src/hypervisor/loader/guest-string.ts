// The __xen_guest section of kernels older than the ELF notes: one NUL-terminated string, KEY=VALUE,KEY=VALUE…
// The LEGACY remarks of elfnote.h say how keys and notes correspond. Three differ in meaning: HYPERCALL_PAGE is
// a pseudo-physical frame number, BSD_SYMTAB counts by its presence, ELF_PADDR_OFFSET defaults to VIRT_BASE.

import { KernelImageError } from "./kernel-image-error.js";
import { parseFeatures } from "./xen-features.js";
import type { XenNotes, XenNotesDraft } from "./xen-notes-types.js";

/** Parses a __xen_guest string. Unknown keys are ignored, as Xen does. Throws "bad-notes". */
export function parseGuestString(text: string, image: string): XenNotes {
  const draft: XenNotesDraft = {
    source: "__xen_guest",
    features: parseFeatures(""),
    modStartPfn: false,
    suspendCancel: false,
    bsdSymtab: false,
    l1MfnValid: [],
    info: [],
    unknownTypes: [],
  };
  let hypercallFrame: bigint | undefined;
  for (const item of text.split(",")) {
    const equals = item.indexOf("=");
    const key = (equals < 0 ? item : item.slice(0, equals)).trim();
    const value = equals < 0 ? "" : item.slice(equals + 1);
    const number = () => guestNumber(key, value, image);
    switch (key) {
      case "LOADER":
        draft.loader = value;
        break;
      case "GUEST_OS":
        draft.guestOs = value;
        break;
      case "GUEST_VER":
      case "GUEST_VERSION":
        draft.guestVersion = value;
        break;
      case "XEN_VER":
        draft.xenVersion = value;
        break;
      case "VIRT_BASE":
        draft.virtBase = number();
        break;
      case "ELF_PADDR_OFFSET":
        draft.paddrOffset = number();
        break;
      case "VIRT_ENTRY":
        draft.entry = number();
        break;
      case "HYPERCALL_PAGE":
        hypercallFrame = number();
        break;
      case "FEATURES":
        draft.features = parseFeatures(value);
        break;
      case "PAE":
        // "yes[extended-cr3]" adds that page directories may lie above 4 GB.
        draft.paeMode = value.startsWith("yes") ? "yes" : value.startsWith("bimodal") ? "bimodal" : "no";
        if (value.includes("[extended-cr3]")) {
          const extended = parseFeatures("pae_pgdir_above_4gb");
          draft.features = { ...draft.features, supported: (draft.features.supported | extended.supported) >>> 0 };
        }
        break;
      case "bimodal":
        // The second half of "PAE=yes,bimodal".
        if (draft.paeMode === "yes") draft.paeMode = "bimodal";
        break;
      case "BSD_SYMTAB":
        draft.bsdSymtab = true;
        break;
      default:
    }
  }
  if (hypercallFrame !== undefined) {
    draft.hypercallPage = BigInt.asUintN(64, (hypercallFrame << 12n) + (draft.virtBase ?? 0n));
  }
  return draft;
}

/** A number as C's strtoull(…, 0) reads it: decimal, 0x hexadecimal or 0 octal, below 2^64. */
function guestNumber(key: string, value: string, image: string): bigint {
  const text = value.trim();
  const octal = /^0[0-7]+$/.test(text);
  if (!octal && !/^(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})$/.test(text)) {
    throw new KernelImageError("bad-notes", image, `__xen_guest ${key} is ${JSON.stringify(text.slice(0, 40))}`);
  }
  return BigInt.asUintN(64, BigInt(octal ? `0o${text.slice(1)}` : text));
}
