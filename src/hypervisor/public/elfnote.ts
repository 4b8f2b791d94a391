// xen/elfnote.h: the types of the ELF notes named "Xen" that a kernel carries for the domain builder.
// Strings are NUL-terminated ASCII; numbers are 4 or 8 bytes.

/** NAME=VALUE pair (string). */
export const XEN_ELFNOTE_INFO = 0;
/** Virtual address of the entry point. */
export const XEN_ELFNOTE_ENTRY = 1;
/** Virtual address of the hypercall page. */
export const XEN_ELFNOTE_HYPERCALL_PAGE = 2;
/** Virtual address at which pseudo-physical address 0 is mapped. Default 0. */
export const XEN_ELFNOTE_VIRT_BASE = 3;
/** What to subtract from an ELF p_paddr to get the pseudo-physical address. Default 0. */
export const XEN_ELFNOTE_PADDR_OFFSET = 4;
export const XEN_ELFNOTE_XEN_VERSION = 5;
export const XEN_ELFNOTE_GUEST_OS = 6;
export const XEN_ELFNOTE_GUEST_VERSION = 7;
export const XEN_ELFNOTE_LOADER = 8;
/** x86-32 only: "yes", "no", "bimodal" or "yes,bimodal". */
export const XEN_ELFNOTE_PAE_MODE = 9;
/** Feature names of features.h joined by '|'; a leading '!' marks a required one. */
export const XEN_ELFNOTE_FEATURES = 10;
/** "yes": the symbol table must be loaded after the image. */
export const XEN_ELFNOTE_BSD_SYMTAB = 11;
/** Lowest address at which the hypervisor hole may begin. */
export const XEN_ELFNOTE_HV_START_LOW = 12;
/** maddr_t-sized mask/value pairs that tell a non-present L1 entry with a valid MFN. */
export const XEN_ELFNOTE_L1_MFN_VALID = 13;
export const XEN_ELFNOTE_SUSPEND_CANCEL = 14;
/** Virtual address at which the builder maps the initial P2M. */
export const XEN_ELFNOTE_INIT_P2M = 15;
/** Non-zero: the ramdisk may lie outside the initial mapping, start_info gives its frame number. */
export const XEN_ELFNOTE_MOD_START_PFN = 16;
/** Bit mask of XENFEAT_ numbers, beside XEN_ELFNOTE_FEATURES. */
export const XEN_ELFNOTE_SUPPORTED_FEATURES = 17;
/** 32-bit physical entry point for PVH. */
export const XEN_ELFNOTE_PHYS32_ENTRY = 18;
export const XEN_ELFNOTE_MAX = XEN_ELFNOTE_PHYS32_ENTRY;
