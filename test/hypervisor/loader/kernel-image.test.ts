import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { describeKernel } from "../../../src/hypervisor/loader/describe-kernel.js";
import { type KernelCache, requirePv64Kernel, unpackKernel } from "../../../src/hypervisor/loader/kernel-image.js";
import { KernelImageError } from "../../../src/hypervisor/loader/kernel-image-error.js";
import * as elfnote from "../../../src/hypervisor/public/elfnote.js";
import { buildBzImage, buildElf, concat, note, number, text } from "./build-image.js";
import { BASE, CODE, kernel32, kernel64, LINUX_NOTES } from "./kernels.js";

function failure(action: () => unknown): KernelImageError {
  try {
    action();
  } catch (error) {
    if (error instanceof KernelImageError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

const load = (bytes: Uint8Array) => unpackKernel(bytes, { name: "k" });
const loadPv = (bytes: Uint8Array) => requirePv64Kernel(load(bytes));
const without = (type: number) => LINUX_NOTES.filter((bytes) => bytes[8] !== type);
const replaced = (type: number, descriptor: Uint8Array) => [...without(type), note(type, descriptor)];

describe("a 64-bit kernel with ELF notes", () => {
  const kernel = loadPv(kernel64());

  it("has its notes read", () => {
    expect(kernel.notes).toEqual({
      source: "elf-notes",
      guestOs: "linux",
      guestVersion: "2.6",
      xenVersion: "xen-3.0",
      loader: "generic",
      entry: BASE + 0x1000100n,
      hypercallPage: BASE + 0x1001000n,
      virtBase: BASE,
      paddrOffset: 0n,
      initP2m: 0x8000000000n,
      hvStartLow: 0xffff800000000000n,
      paeMode: "yes",
      features: { supported: 0x8811, required: 1, unknownRequired: [] },
      supportedFeatures: 0x8801,
      modStartPfn: true,
      suspendCancel: true,
      bsdSymtab: false,
      l1MfnValid: [
        { mask: 1n, value: 1n },
        { mask: 3n, value: 2n },
      ],
      phys32Entry: 0x1000850n,
      info: [],
      unknownTypes: [],
    });
  });

  it("has its segments and layout worked out", () => {
    expect(kernel.segments).toHaveLength(1);
    const [segment] = kernel.segments;
    expect(segment).toMatchObject({ physicalAddress: 0x1000000n, fileSize: 8192, memorySize: 0x5000 });
    const { fileOffset, fileSize } = segment!;
    expect(kernel.elf.bytes.subarray(fileOffset, fileOffset + fileSize)).toEqual(CODE);
    expect(kernel.layout).toEqual({
      virtBase: BASE,
      paddrOffset: 0n,
      virtualStart: BASE + 0x1000000n,
      virtualEnd: BASE + 0x1005000n,
      entry: BASE + 0x1000100n,
    });
  });

  it("is described in lines", () => {
    const lines = describeKernel(kernel);
    expect(lines).toContain("  features required: writable_page_tables");
    expect(lines).toContain("kernel: 0xffffffff81000000-0xffffffff81005000, physical 0 at 0xffffffff80000000");
  });

  it("falls back to note sections when no segment covers the notes", () => {
    const elf = buildElf({
      segments: [{ paddr: 0x1000000n, contents: CODE, memorySize: 0x5000 }],
      sections: [{ name: ".note.Xen", type: 7, contents: concat(LINUX_NOTES) }],
    });
    expect(loadPv(elf).layout.virtBase).toBe(BASE);
  });

  it("may be loaded at an offset: PADDR_OFFSET is subtracted", () => {
    const elf = buildElf({
      entry: 0x40000010n,
      segments: [
        { paddr: 0x40000000n, vaddr: 0x40000000n, contents: CODE },
        { type: 4, contents: concat([note(3, number(0x40000000n)), note(4, number(0x40000000n))]) },
      ],
    });
    expect(loadPv(elf).layout).toMatchObject({ virtualStart: 0x40000000n, entry: 0x40000010n });
  });
});

describe("containers", () => {
  const elf = kernel64();
  const size = number(elf.length, 4);

  it("reads a gzip-wrapped ELF file", () => {
    const image = load(gzipSync(elf));
    expect(image).toMatchObject({ format: "ELF", compression: "gzip" });
    expect(image.elf.bytes).toEqual(elf);
  });

  it("reads a bzImage with a gzip payload, whose own trailer is the size", () => {
    const image = load(buildBzImage(gzipSync(elf)));
    expect(image).toMatchObject({ format: "bzImage", compression: "gzip", version: "9.9.9-test (a@b)" });
    expect(image.elf.bytes).toEqual(elf);
  });

  it("reads a bzImage with an lz4 payload and an appended size", () => {
    // A legacy lz4 frame of one block of literals.
    const literals = concat([Uint8Array.of(0xf0), ...lengthBytes(elf.length - 15), elf]);
    const frame = concat([Uint8Array.of(0x02, 0x21, 0x4c, 0x18), number(literals.length, 4), literals]);
    expect(load(buildBzImage(concat([frame, size]))).elf.bytes).toEqual(elf);
    const wrong = buildBzImage(concat([frame, number(elf.length + 1, 4)]));
    expect(failure(() => load(wrong)).message).toMatch(
      /^k: corrupt: bzImage payload unpacks to \d+ bytes, its trailer/,
    );
    const tooSmall = buildBzImage(concat([frame, number(elf.length - 1, 4)]));
    expect(failure(() => load(tooSmall)).code).toBe("corrupt");
  });

  it("reads a bzImage with a plain payload", () => {
    expect(load(buildBzImage(elf))).toMatchObject({ format: "bzImage", compression: "none" });
  });

  it("keeps what it unpacked and uses it again", () => {
    const store = new Map<string, Uint8Array>();
    const cache: KernelCache = { get: (key) => store.get(key), put: (key, bytes) => void store.set(key, bytes) };
    const file = buildBzImage(gzipSync(elf));
    expect(unpackKernel(file, { name: "k", cache }).fromCache).toBe(false);
    expect([...store.keys()][0]).toMatch(/^[0-9a-f]{64}$/);
    expect(unpackKernel(file, { name: "k", cache })).toMatchObject({ fromCache: true, compression: "gzip" });
    // A cache entry of the wrong size isn't believed.
    for (const key of store.keys()) store.set(key, elf.slice(0, -1));
    expect(unpackKernel(file, { name: "k", cache }).fromCache).toBe(false);
  });
});

function lengthBytes(rest: number): Uint8Array[] {
  return [new Uint8Array(Math.floor(rest / 255)).fill(255), Uint8Array.of(rest % 255)];
}

describe("errors are one line that names file and cause", () => {
  const cases: readonly [string, () => unknown, KernelImageError["code"], RegExp][] = [
    ["empty file", () => load(new Uint8Array(0)), "not-a-kernel", /^k: not a kernel: the file is empty$/],
    ["text", () => load(text("hello, world")), "not-a-kernel", /neither a bzImage nor an ELF file/],
    ["packed text", () => load(gzipSync(text("hello"))), "not-a-kernel", /the gzip file holds no ELF file/],
    ["cut ELF header", () => load(kernel64().slice(0, 40)), "truncated", /ELF header/],
    ["cut ELF", () => load(kernel64().slice(0, 2000)), "truncated", /program header 0 contents at \d+ needs 8192/],
    ["cut bzImage", () => load(buildBzImage(gzipSync(kernel64())).slice(0, 2000)), "truncated", /bzImage payload ends/],
    ["cut gzip", () => load(gzipSync(kernel64()).subarray(0, 300)), "truncated", /packed kernel: gzip: truncated/],
    ["damaged payload", () => load(buildBzImage(damaged(gzipSync(kernel64())))), "corrupt", /packed kernel: gzip/],
    ["old protocol", () => load(buildBzImage(kernel64(), 0x207)), "unsupported-format", /boot protocol 2\.07/],
    ["unknown packer", () => load(buildBzImage(new Uint8Array(64))), "unsupported-format", /begins with 000000000000/],
    ["huge", () => unpackKernel(gzipSync(kernel64()), { name: "k", maxSize: 100 }), "too-large", /exceed 100 bytes/],
    ["ARM", () => load(buildElf({ machine: 183, segments: [{ contents: CODE }] })), "wrong-machine", /machine 183/],
    ["no segments", () => load(buildElf({})), "corrupt", /no loadable segment/],
    ["no notes", () => loadPv(kernel64([])), "no-xen-notes", /neither ELF notes named Xen/],
    ["PVH only", () => loadPv(kernel64([note(18, number(0x1000000n, 4))])), "no-pv-entry", /PVH entry point only/],
    ["32-bit PAE", () => loadPv(kernel32([note(9, text("yes"))])), "unsupported-class", /not supported: 32-bit PV/],
    ["32-bit, cut note", () => loadPv(kernel32([note(3, number(0)), longNote()])), "unsupported-class", /32-bit PV/],
    ["odd PAE", () => load(kernel64(replaced(9, text("maybe")))), "bad-notes", /PAE_MODE is "maybe"/],
    ["odd number", () => load(kernel64(replaced(3, new Uint8Array(3)))), "bad-notes", /type 3 at \d+: a number of 3/],
    ["odd pairs", () => load(kernel64(replaced(13, new Uint8Array(9)))), "bad-notes", /L1_MFN_VALID/],
    ["note too long", () => load(kernel64([longNote()])), "bad-notes", /pass the segment's end/],
    ["offset alone", () => loadPv(kernel64(without(3))), "bad-notes", /PADDR_OFFSET without VIRT_BASE/],
    ["entry outside", () => loadPv(kernel64(replaced(1, number(5)))), "bad-layout", /entry 0x5 lies outside/],
    ["page outside", () => loadPv(kernel64(replaced(2, number(BASE)))), "bad-layout", /HYPERCALL_PAGE .* outside/],
    ["page askew", () => loadPv(kernel64(replaced(2, number(BASE + 8n)))), "bad-layout", /isn't page aligned/],
    ["P2M inside", () => loadPv(kernel64(replaced(15, number(BASE + 0x1002000n)))), "bad-layout", /INIT_P2M/],
    ["base too high", () => loadPv(kernel64(replaced(3, number(-1n & 0xffffffffffffffffn)))), "bad-layout", /above/],
    ["other version", () => loadPv(kernel64(replaced(5, text("xen-9")))), "unsupported-feature", /XEN_VERSION "xen-9"/],
    [
      "new feature",
      () => loadPv(kernel64(replaced(10, text("!magic")))),
      "unsupported-feature",
      /unknown feature "magic"/,
    ],
    [
      "not for dom0",
      () => requirePv64Kernel(load(kernel64(replaced(17, number(1, 4)))), { dom0: true }),
      "unsupported-feature",
      /excludes use as dom0/,
    ],
  ];

  it.each(cases)("%s", (_name, action, code, message) => {
    const error = failure(action);
    expect(error.message).toMatch(message);
    expect(error.message).toMatch(/^k: [^\n]+$/);
    expect(error.code).toBe(code);
  });
});

function damaged(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  for (let i = 40; i < 60; i++) copy[i] = copy[i]! ^ 0x55;
  return copy;
}

function longNote(): Uint8Array {
  const bytes = note(elfnote.XEN_ELFNOTE_LOADER, text("generic"));
  new DataView(bytes.buffer).setUint32(4, 4000, true);
  return bytes;
}
