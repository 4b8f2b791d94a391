// Random damage to kernel files: the loader returns or throws KernelImageError, quickly.

import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, it } from "vitest";
import { describeKernel } from "../../../src/hypervisor/loader/describe-kernel.js";
import { readSymbols } from "../../../src/hypervisor/loader/elf-symbols.js";
import { parseGuestString } from "../../../src/hypervisor/loader/guest-string.js";
import { requirePv64Kernel, unpackKernel } from "../../../src/hypervisor/loader/kernel-image.js";
import { KernelImageError } from "../../../src/hypervisor/loader/kernel-image-error.js";
import { buildBzImage, buildElf, concat, note, text } from "./build-image.js";
import { CODE, kernel32, kernel64, LINUX_NOTES } from "./kernels.js";

const legacy = buildElf({
  segments: [{ paddr: 0x1000000n, contents: CODE.subarray(0, 64) }],
  sections: [
    { name: "__xen_guest", contents: text("VIRT_BASE=0x0,HYPERCALL_PAGE=0x1,FEATURES=!writable_page_tables|x") },
    { name: ".strtab", type: 3, contents: text("name") },
    { name: ".symtab", type: 2, link: 2, contents: new Uint8Array(96).fill(1) },
  ],
});

const IMAGES: readonly (readonly [string, Uint8Array])[] = [
  ["ELF64", kernel64()],
  ["ELF32", kernel32([note(9, text("yes"))])],
  ["__xen_guest", legacy],
  ["note section", buildElf({ sections: [{ name: ".note", type: 7, contents: concat(LINUX_NOTES) }] })],
  ["gzip", gzipSync(kernel64())],
  ["bzImage", buildBzImage(gzipSync(kernel64()))],
];

function survives(bytes: Uint8Array): void {
  try {
    const image = unpackKernel(bytes, { name: "k", maxSize: 1 << 22 });
    describeKernel(image);
    readSymbols(image.elf);
    requirePv64Kernel(image, { dom0: true });
  } catch (error) {
    if (!(error instanceof KernelImageError)) throw error;
    if (!/^k: [^\n]+$/.test(error.message)) throw new Error(`bad message ${error.message}`);
  }
}

describe.each(IMAGES)("damaged %s", (_name, image) => {
  it("never crashes when bytes change", () => {
    const interesting = fc.constantFrom(0, 1, 2, 4, 7, 8, 0x7f, 0x80, 0xfe, 0xff);
    // Headers are where it matters: half of the positions lie in the first 700 bytes.
    const place = fc.oneof(fc.nat(699), fc.nat(image.length - 1));
    fc.assert(
      fc.property(fc.array(fc.tuple(place, interesting), { minLength: 1, maxLength: 8 }), (changes) => {
        const bytes = Uint8Array.from(image);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        survives(bytes);
      }),
      { numRuns: 400 },
    );
  });

  it("never crashes at any truncation", () => {
    for (let length = 0; length < image.length; length += length < 1024 ? 1 : 61) survives(image.slice(0, length));
  });
});

describe("random __xen_guest strings", () => {
  it("give notes or an error", () => {
    const key = fc.constantFrom(
      "VIRT_BASE",
      "HYPERCALL_PAGE",
      "PAE",
      "FEATURES",
      "LOADER",
      "ELF_PADDR_OFFSET",
      "bimodal",
    );
    const value = fc.oneof(
      fc.string(),
      fc.bigInt({ min: 0n, max: 1n << 70n }).map((n) => `0x${n.toString(16)}`),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(key, value)), (pairs) => {
        try {
          parseGuestString(pairs.map(([k, v]) => `${k}=${v}`).join(","), "k");
        } catch (error) {
          if (!(error instanceof KernelImageError)) throw error;
        }
      }),
    );
  });
});
