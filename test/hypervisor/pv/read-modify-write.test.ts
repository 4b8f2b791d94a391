import { describe, expect, it } from "vitest";
import { AF, CF, OF, PF, SF, ZF } from "../../../src/cpu/state-layout.js";
import { readModifyWrite } from "../../../src/hypervisor/pv/read-modify-write.js";

const run = (name: string, memory: bigint, source: bigint, bits = 64, accumulator = 0n, rflags = 2n) =>
  readModifyWrite[name]!({ memory, source, bits, accumulator, rflags });
const flags = (value: number) => BigInt(value | 2);

describe("read-modify-write operations", () => {
  it.each([
    ["MOV", 5n, 9n, 9n, 0],
    ["AND", 0xf0n, 0x3cn, 0x30n, PF],
    ["OR", 0x8000_0000_0000_0000n, 1n, 0x8000_0000_0000_0001n, SF],
    ["XOR", 7n, 7n, 0n, ZF | PF],
    ["ADD", 0xffff_ffff_ffff_ffffn, 1n, 0n, ZF | PF | CF | AF],
    ["ADD", 0x7fff_ffff_ffff_ffffn, 1n, 0x8000_0000_0000_0000n, SF | PF | OF | AF],
    ["SUB", 0n, 1n, 0xffff_ffff_ffff_ffffn, SF | PF | CF | AF],
    ["SUB", 0x8000_0000_0000_0000n, 1n, 0x7fff_ffff_ffff_ffffn, OF | PF | AF],
    ["NOT", 0n, 0n, 0xffff_ffff_ffff_ffffn, 0],
    ["INC", 0xfn, 0n, 0x10n, AF],
    ["BTS", 0n, 65n, 2n, 0],
    ["BTR", 0x63n, 1n, 0x61n, CF],
    ["BTC", 1n, 0n, 0n, CF],
  ])("%s %d with %d", (name, memory, source, expected, set) => {
    expect(run(name, memory, source)).toEqual({ memory: expected, rflags: flags(set) });
  });

  it("XCHG and XADD give the old value back", () => {
    expect(run("XCHG", 5n, 9n)).toMatchObject({ memory: 9n, source: 5n });
    expect(run("XADD", 5n, 9n)).toMatchObject({ memory: 14n, source: 5n });
  });

  it("CMPXCHG stores only when the accumulator agrees", () => {
    expect(run("CMPXCHG", 5n, 9n, 64, 5n)).toMatchObject({ memory: 9n, rflags: flags(ZF | PF) });
    expect(run("CMPXCHG", 5n, 9n, 64, 4n)).toMatchObject({ memory: 5n, accumulator: 5n });
  });

  it("stays inside the operand's width", () => {
    expect(run("ADD", 0xffn, 1n, 8)).toEqual({ memory: 0n, rflags: flags(ZF | PF | CF | AF) });
    expect(run("NOT", 0n, 0n, 8).memory).toBe(0xffn);
    expect(run("INC", 0xffn, 0n, 8, 0n, 3n).rflags & 1n).toBe(1n);
  });
});
