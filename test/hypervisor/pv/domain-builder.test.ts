import { describe, expect, it } from "vitest";
import { findL1Slot } from "../../../src/hypervisor/guest-tables.js";
import { start_info } from "../../../src/hypervisor/public/xen.js";
import { bootstrapLayout } from "../../../src/hypervisor/pv/bootstrap-layout.js";
import { BootstrapTables } from "../../../src/hypervisor/pv/bootstrap-tables.js";
import { hypercallPage64 } from "../../../src/hypervisor/pv/hypercall-page.js";
import { makeDomain, makeHost, tinyKernel } from "../hypervisor-fixture.js";
import { smallMachine } from "../memory-fixture.js";

const BASE = 0xffff_ffff_8000_0000n;

describe("bootstrap layout", () => {
  // The figures that real Xen 4.17 printed for this kernel (golden/boot-logs/xen-dom0.log).
  it("is that of real Xen for Debian's 6.1 kernel as dom0", () => {
    const layout = bootstrapLayout({
      virtualBase: BASE,
      kernelEnd: 0xffff_ffff_84a0_0000n,
      ramdiskBytes: 0xfb22f,
      ramdiskByFrame: true,
      pages: 98304,
      p2mBase: 0x80_0000_0000n,
      startInfoBytes: 0x4b8,
      hasStore: false,
      hasConsole: false,
    });
    expect(layout).toMatchObject({
      startInfo: 0xffff_ffff_84a0_0000n,
      tables: 0xffff_ffff_84a0_1000n,
      tablePages: 0x29,
      stack: 0xffff_ffff_84a2_a000n,
      end: 0xffff_ffff_84c0_0000n,
      mappedPages: 0x4c00,
      ramdisk: undefined,
      ramdiskPages: 252,
      p2mFrames: { data: 192, l1: 1, l2: 1, l3: 1, total: 195 },
    });
  });

  it("maps ramdisk and P2M where the kernel asks for no other place, and gives a domU its ring pages", () => {
    const layout = bootstrapLayout({
      virtualBase: BASE,
      kernelEnd: BASE + 0x40_0123n,
      ramdiskBytes: 5000,
      ramdiskByFrame: false,
      pages: 4096,
      p2mBase: undefined,
      startInfoBytes: 0x490,
      hasStore: true,
      hasConsole: true,
    });
    const at = (address: bigint | undefined) => Number(address! - BASE);
    expect(at(layout.ramdisk)).toBe(0x401000);
    expect(at(layout.p2m)).toBe(0x403000);
    expect(at(layout.startInfo)).toBe(0x40b000);
    expect(at(layout.store)).toBe(0x40c000);
    expect(at(layout.console)).toBe(0x40d000);
    expect(at(layout.tables)).toBe(0x40e000);
    expect(at(layout.end) % 0x40_0000).toBe(0);
    expect(layout.end - layout.stackEnd).toBeGreaterThanOrEqual(0x8_0000n);
    expect(layout.ramdiskPages).toBe(0);
  });

  it("adds 4 MiB when less than 512 KiB would be left", () => {
    const request = {
      virtualBase: BASE,
      ramdiskBytes: 0,
      ramdiskByFrame: true,
      pages: 4096,
      p2mBase: 0x80_0000_0000n,
      startInfoBytes: 0x490,
      hasStore: false,
      hasConsole: false,
    };
    const roomy = bootstrapLayout({ ...request, kernelEnd: BASE + 0x37_0000n });
    const tight = bootstrapLayout({ ...request, kernelEnd: BASE + 0x37_a000n });
    expect(roomy.end - BASE).toBe(0x40_0000n);
    expect(tight.end - BASE).toBe(0x80_0000n);
  });
});

describe("bootstrap tables", () => {
  it("map pages, take table frames lowest level first, and mark table pages read-only", () => {
    const { memory } = smallMachine();
    const tables = new BootstrapTables(memory, 10);
    let next = 11;
    const newTable = () => next++;
    const isWritable = (index: number) => index === 0;
    tables.map(BASE, [50, 51], isWritable, newTable);
    tables.map(BASE + 0x20_0000n, [52], isWritable, newTable);
    expect(next).toBe(15);
    // Across the end of what one level-1 table maps.
    tables.map(BASE + 0x3f_f000n, [60, 61], () => true, newTable);
    expect(next).toBe(16);
    const l1 = (va: bigint) => findL1Slot(memory, 10, va);
    expect(l1(BASE)).toBe(11 * 4096);
    expect(l1(BASE + 0x20_0000n)).toBe(14 * 4096);
    expect(memory.readU64(l1(BASE))).toBe(0x10_0000_0003_2067n);
    expect(memory.readU64(l1(BASE + 0x1000n))).toBe(0x10_0000_0003_3025n);
    expect(memory.readU64(l1(BASE + 0x3f_f000n))).toBe(0x10_0000_0003_c067n);
    expect(memory.readU64(l1(BASE + 0x40_0000n))).toBe(0x10_0000_0003_d067n);
  });
});

describe("hypercall page", () => {
  it("has a SYSCALL stub of 32 bytes for each number", () => {
    const page = hypercallPage64();
    const stub = (n: number) => Buffer.from(page.subarray(n * 32, n * 32 + 16)).toString("hex");
    expect(stub(14)).toBe("5141" + "53b80e0000000f05415b59c3cccc");
    expect(stub(23)).toBe("51415350b8170000000f05cccccccccc");
  });
});

describe("a domain that the mapped region fills", () => {
  const kernel = tinyKernel([0xf4], 0x100_0000n);
  const MAPPED = 5120;
  const ramdisk = Uint8Array.from({ length: 9000 }, (_, i) => i % 251);

  it("has its ramdisk and its P2M below the kernel, where the kernel finds both", () => {
    const host = makeHost();
    const { built, domain, p2m } = makeDomain(host, false, { kernel, ramdisk, pages: MAPPED });
    expect(built.layout.mappedPages).toBe(MAPPED);
    const info = start_info.decode(host.memory.bytes(built.startInfoMfn * 4096, start_info.size(64)), 64);
    expect(info).toMatchObject({ nr_pages: 5120n, mod_start: 256n, mod_len: 9000n });
    expect(info).toMatchObject({ first_p2m_pfn: 259n, nr_p2m_frames: 13n, mfn_list: 0x80_0000_0000n });
    const read = (pfn: number, bytes: number) => host.memory.bytes(p2m[pfn]! * 4096, bytes);
    expect(Buffer.from(read(258, 9000 - 8192)).equals(ramdisk.subarray(8192))).toBe(true);
    expect([...new BigUint64Array(read(262, 4096).slice().buffer)]).toEqual([...p2m.subarray(0, 512)].map(BigInt));
    // The tables that map the P2M are tables: no writable mapping of them.
    const root = domain.vcpus[0]!.pv.guestTable;
    const isWritable = (pfn: number) =>
      (host.memory.readU32(findL1Slot(host.memory, root, BASE + BigInt(pfn * 4096))) & 2) !== 0;
    expect([258, 259, 260, 261, 262].map(isWritable)).toEqual([true, false, false, false, true]);
  });

  it("has them behind it when there is room", () => {
    const host = makeHost();
    const { built } = makeDomain(host, false, { kernel, ramdisk, pages: MAPPED + 100 });
    const info = start_info.decode(host.memory.bytes(built.startInfoMfn * 4096, start_info.size(64)), 64);
    expect(info).toMatchObject({ mod_start: 5120n, first_p2m_pfn: 5123n });
  });

  it("is refused when not even that is enough", () => {
    expect(() => makeDomain(makeHost(), false, { kernel, ramdisk, pages: MAPPED - 1 })).toThrow(
      /needs at least 20 MiB/,
    );
    const large = new Uint8Array(15 << 20);
    const build = () => makeDomain(makeHost(), false, { kernel, ramdisk: large, pages: MAPPED });
    expect(build).toThrow(/needs at least 3[56] MiB/);
  });
});
