import { describe, expect, it } from "vitest";
import { DEFAULT_FEATURES } from "../../../src/cpu/features.js";
import { Reg } from "../../../src/cpu/state-layout.js";
import { cpuFeatureWords } from "../../../src/hypervisor/pv/cpuid-features.js";
import { CpuidPolicy } from "../../../src/hypervisor/pv/cpuid-policy.js";
import { crashDump } from "../../../src/hypervisor/pv/crash-dump.js";
import { code, machineAddress, makePv, page } from "./pv-fixture.js";

const caller = { vcpuId: 3, osxsave: false };

function policy(features: ReadonlySet<string> = DEFAULT_FEATURES, tscKhz = 2_600_000) {
  return new CpuidPolicy({
    features: cpuFeatureWords(features),
    tscKhz,
    xenVersion: { major: 4, minor: 17 },
    machineAddressWidth: 40,
  });
}

/** EAX EBX ECX EDX as numbers. */
function leaf(p: CpuidPolicy, number: number, subleaf = 0, who = caller): number[] {
  return [...p.query(number, subleaf, who)];
}

function text(words: number[]): string {
  return String.fromCharCode(...words.flatMap((w) => [w & 0xff, (w >> 8) & 0xff, (w >> 16) & 0xff, w >>> 24]));
}

describe("CPUID of a PV guest", () => {
  it("names vendor, brand and Xen", () => {
    const p = policy();
    const [, ebx, ecx, edx] = leaf(p, 0) as [number, number, number, number];
    expect(text([ebx, edx, ecx])).toBe("AuthenticAMD");
    const brand = [2, 3, 4].flatMap((n) => leaf(p, 0x8000_0000 + n));
    expect(text(brand).replace(/\0+$/, "")).toBe("xen-ts virtual CPU x86-64-v2");
    expect(text(leaf(p, 0x4000_0000).slice(1))).toBe("XenVMMXenVMM");
    expect(leaf(p, 0x4000_0000)[0]).toBe(0x4000_0005);
    expect(leaf(p, 0x4000_0001)[0]).toBe(0x4_0011);
    expect(leaf(p, 0x4000_0002)).toEqual([1, 0x4000_0000, 1, 0]);
    expect(leaf(p, 0x4000_0005)).toEqual([0, 40, 0, 0]);
  });

  it("shows what the processor has, less what PV can't use", () => {
    const [, ebx, ecx, edx] = leaf(policy(), 1) as [number, number, number, number];
    expect(ebx >>> 24).toBe(3);
    // SSE2, FXSR, TSC, PAE, APIC are there; PSE, PGE, MTRR, VME aren't.
    for (const bit of [26, 24, 4, 6, 9]) expect((edx >>> bit) & 1).toBe(1);
    for (const bit of [3, 13, 12, 1]) expect((edx >>> bit) & 1).toBe(0);
    expect(ecx >>> 31).toBe(1);
    expect((ecx >>> 27) & 1).toBe(0);
    expect((leaf(policy(), 1, 0, { vcpuId: 0, osxsave: true })[2]! >>> 27) & 1).toBe(1);
    const smepSmap = (1 << 7) | (1 << 20);
    expect(leaf(policy(), 7)[1]! & smepSmap).toBe(0);
    expect(leaf(policy(), 7)[1]! & 1).toBe(1);
    // SERIALIZE: Linux then needs no IRET after it has patched its code.
    expect(leaf(policy(), 7)[3]! & (1 << 14)).toBe(1 << 14);
  });

  it("without XSAVE has no leaf 0xd and never OSXSAVE", () => {
    const p = policy(new Set([...DEFAULT_FEATURES].filter((name) => !name.startsWith("XSAVE"))));
    expect(leaf(p, 0)[0]).toBe(7);
    expect(leaf(p, 0xd)).toEqual([0, 0, 0, 0]);
    expect((leaf(p, 1, 0, { vcpuId: 0, osxsave: true })[2]! >>> 27) & 1).toBe(0);
    expect(leaf(policy(), 0xd)).toEqual([3, 576, 576, 0]);
  });

  it.each([2_600_000, 1_000_000, 999_999, 800_000, 4_294_000])("TSC leaf: the scale turns %d kHz into ns", (khz) => {
    const p = policy(DEFAULT_FEATURES, khz);
    expect(leaf(p, 0x4000_0003)[2]).toBe(khz);
    const [, , multiplier, shift] = leaf(p, 0x4000_0003, 1) as [number, number, number, number];
    expect(multiplier).toBeGreaterThanOrEqual(2 ** 31);
    const scale = (multiplier / 2 ** 32) * 2 ** (shift | 0);
    expect(scale * khz).toBeGreaterThan(999_999.9);
    expect(scale * khz).toBeLessThanOrEqual(1_000_000.1);
    expect(leaf(p, 0x4000_0003, 2)[0]).toBe(khz);
  });

  it("unknown leaves are zero", () => {
    for (const n of [2, 4, 0xb, 0x14, 0x4000_0004, 0x4000_0006, 0x4000_0100, 0x8000_0007, 0x8000_000a, 0xffff_ffff])
      expect(leaf(policy(), n)).toEqual([0, 0, 0, 0]);
  });
});

describe("crash dump", () => {
  it("shows registers, code and stack in Xen's format", () => {
    const pv = makePv();
    code(pv, 0x0f, 0x0b);
    pv.state.setGpr(Reg.RAX, 0x1234n);
    pv.state.setGpr(Reg.RSP, page(8) - 8n);
    pv.memory.writeU64(machineAddress(page(8)) - 8, 0xdead_beefn);
    const lines = crashDump(pv.host, pv.vcpu, { version: "Xen-4.17.7" });
    expect(lines.slice(0, 6)).toEqual([
      "Domain 0 (vcpu#0) crashed on cpu#0:",
      "----[ Xen-4.17.7  x86_64  debug=n  Not tainted ]----",
      "CPU:    0",
      "RIP:    e033:[<ffff888000000000>]",
      "RFLAGS: 0000000000000202   EM: 1   CONTEXT: pv guest (d0v0)",
      "rax: 0000000000001234   rbx: 0000000000000000   rcx: 0000000000000000",
    ]);
    expect(lines).toContain("ds: 0000   es: 0000   fs: 0000   gs: 0000   ss: e02b   cs: e033");
    expect(lines.find((line) => line.includes("<0f> 0b"))).toMatch(/^ -- /);
    const at = lines.indexOf(`Guest stack trace from rsp=${(page(8) - 8n).toString(16)}:`);
    expect(lines[at + 1]).toMatch(/^ {3}00000000deadbeef 0{16} 0{16} 0{16}$/);
    expect(lines.length - at).toBe(21);
  });
});
