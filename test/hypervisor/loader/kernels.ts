// The kernels that several loader tests share.

import {
  XEN_ELFNOTE_ENTRY,
  XEN_ELFNOTE_FEATURES,
  XEN_ELFNOTE_GUEST_OS,
  XEN_ELFNOTE_GUEST_VERSION,
  XEN_ELFNOTE_HV_START_LOW,
  XEN_ELFNOTE_HYPERCALL_PAGE,
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
} from "../../../src/hypervisor/public/elfnote.js";
import { buildElf, concat, note, number, text } from "./build-image.js";

export const BASE = 0xffffffff80000000n;
export const CODE = Uint8Array.from({ length: 8192 }, (_, i) => (i * 7) & 255);

/** Notes like those of Debian's 6.1 kernel, and a hypercall page. */
export const LINUX_NOTES: readonly Uint8Array[] = [
  note(XEN_ELFNOTE_GUEST_OS, text("linux")),
  note(XEN_ELFNOTE_GUEST_VERSION, text("2.6")),
  note(XEN_ELFNOTE_XEN_VERSION, text("xen-3.0")),
  note(XEN_ELFNOTE_VIRT_BASE, number(BASE)),
  note(XEN_ELFNOTE_INIT_P2M, number(0x8000000000n)),
  note(XEN_ELFNOTE_ENTRY, number(BASE + 0x1000100n)),
  note(XEN_ELFNOTE_HYPERCALL_PAGE, number(BASE + 0x1001000n)),
  note(XEN_ELFNOTE_FEATURES, text("!writable_page_tables|pae_pgdir_above_4gb|from_the_future")),
  note(XEN_ELFNOTE_SUPPORTED_FEATURES, number(0x8801, 4)),
  note(XEN_ELFNOTE_PAE_MODE, text("yes")),
  note(XEN_ELFNOTE_LOADER, text("generic")),
  note(XEN_ELFNOTE_L1_MFN_VALID, concat([number(1), number(1), number(3), number(2)])),
  note(XEN_ELFNOTE_SUSPEND_CANCEL, number(1, 4)),
  note(XEN_ELFNOTE_MOD_START_PFN, number(1, 4)),
  note(XEN_ELFNOTE_HV_START_LOW, number(0xffff800000000000n)),
  note(XEN_ELFNOTE_PADDR_OFFSET, number(0)),
  note(XEN_ELFNOTE_PHYS32_ENTRY, number(0x1000850n)),
];

/** A 64-bit kernel of two pages and .bss at physical 16 MiB, with the given notes in a PT_NOTE segment. */
export function kernel64(notes: readonly Uint8Array[] = LINUX_NOTES): Uint8Array {
  return buildElf({
    entry: 0x1000000n,
    segments: [
      { paddr: 0x1000000n, vaddr: BASE + 0x1000000n, contents: CODE, memorySize: 0x5000 },
      { type: 4, paddr: 0n, contents: concat([note(3, text("GNU build"), "GNU"), ...notes]) },
    ],
  });
}

export function kernel32(notes: readonly Uint8Array[]): Uint8Array {
  return buildElf({
    class: 32,
    entry: 0xc0100000n,
    segments: [
      { paddr: 0x100000n, vaddr: 0xc0100000n, contents: CODE },
      { type: 4, contents: concat(notes) },
    ],
  });
}
