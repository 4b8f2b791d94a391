import { describe, expect, it } from "vitest";
import { parseGuestString } from "../../../src/hypervisor/loader/guest-string.js";
import { requirePv64Kernel, unpackKernel } from "../../../src/hypervisor/loader/kernel-image.js";
import { buildElf, text } from "./build-image.js";
import { CODE } from "./kernels.js";

describe("__xen_guest", () => {
  it("gives the same facts as notes, HYPERCALL_PAGE as a frame number above VIRT_BASE", () => {
    const notes = parseGuestString(
      "GUEST_OS=linux,GUEST_VER=2.6,XEN_VER=xen-3.0,HYPERCALL_PAGE=0x104,VIRT_BASE=0xC0000000,VIRT_ENTRY=0xC0100000," +
        "FEATURES=writable_page_tables|auto_translated_physmap,PAE=yes[extended-cr3],LOADER=generic,BSD_SYMTAB=yes,X=y",
      "k",
    );
    expect(notes).toMatchObject({
      source: "__xen_guest",
      guestOs: "linux",
      guestVersion: "2.6",
      xenVersion: "xen-3.0",
      virtBase: 0xc0000000n,
      entry: 0xc0100000n,
      hypercallPage: 0xc0104000n,
      paeMode: "yes",
      loader: "generic",
      bsdSymtab: true,
      features: { supported: 0b10101, required: 0, unknownRequired: [] },
    });
  });

  it.each([
    ["PAE=no", "no"],
    ["PAE=bimodal", "bimodal"],
    ["PAE=yes,bimodal", "bimodal"],
    ["PAE=yes", "yes"],
    ["", undefined],
  ])("%s", (string, mode) => {
    expect(parseGuestString(string, "k").paeMode).toBe(mode);
  });

  it("reads octal and decimal as C does and refuses other numbers", () => {
    expect(parseGuestString("VIRT_BASE=010", "k").virtBase).toBe(8n);
    expect(parseGuestString("VIRT_BASE=4096", "k").virtBase).toBe(4096n);
    expect(() => parseGuestString("VIRT_BASE=twelve", "k")).toThrow(
      'k: bad Xen notes: __xen_guest VIRT_BASE is "twelve"',
    );
  });

  it("is used when an image has no notes; ELF_PADDR_OFFSET defaults to VIRT_BASE", () => {
    const elf = buildElf({
      entry: 0x40000000n,
      segments: [{ paddr: 0x40000000n, vaddr: 0x40000000n, contents: CODE }],
      sections: [{ name: "__xen_guest", contents: text("VIRT_BASE=0x40000000,HYPERCALL_PAGE=0x1,LOADER=generic") }],
    });
    const kernel = requirePv64Kernel(unpackKernel(elf, { name: "k" }));
    expect(kernel.layout).toMatchObject({ virtualStart: 0x40000000n, paddrOffset: 0x40000000n, entry: 0x40000000n });
    expect(kernel.notes.hypercallPage).toBe(0x40001000n);
  });
});
