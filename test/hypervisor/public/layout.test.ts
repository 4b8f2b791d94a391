import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Abi,
  array,
  bytes,
  handle,
  i16,
  struct,
  u8,
  u16,
  u32,
  u64,
  ulong,
  union,
} from "../../../src/hypervisor/public/layout.js";

const mixed = struct("mixed", { a: u8, b: u64, c: u16, d: ulong, e: i16, f: array(u32, 3), g: bytes(5), h: handle });

describe("struct", () => {
  test("aligns 8-byte integers to 8 bytes in a 64-bit guest and to 4 in a 32-bit one", () => {
    const offsets = (abi: Abi) => (["a", "b", "c", "d", "e", "f", "g", "h"] as const).map((f) => mixed.offset(abi, f));
    expect(offsets(64)).toEqual([0, 8, 16, 24, 32, 36, 48, 56]);
    expect(offsets(32)).toEqual([0, 4, 12, 16, 20, 24, 36, 44]);
    expect([mixed.size(64), mixed.size(32)]).toEqual([64, 48]);
  });

  test("writes only fields, so padding stays", () => {
    const target = new Uint8Array(16).fill(0xee);
    struct("s", { a: u8, b: u64 }).write(new DataView(target.buffer), 0, 64, { a: 1, b: 2n });
    expect([...target]).toEqual([1, ...new Array(7).fill(0xee), 2, 0, 0, 0, 0, 0, 0, 0]);
  });

  test("what is encoded decodes to the same value, in both ABIs", () => {
    const value = fc.record({
      a: fc.integer({ min: 0, max: 255 }),
      b: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      c: fc.integer({ min: 0, max: 65535 }),
      d: fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }),
      e: fc.integer({ min: -32768, max: 32767 }),
      f: fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 }), { minLength: 3, maxLength: 3 }),
      g: fc.uint8Array({ minLength: 5, maxLength: 5 }),
      h: fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }),
    });
    fc.assert(
      fc.property(value, fc.constantFrom<Abi>(64, 32), (v, abi) => {
        expect(mixed.decode(mixed.encode(abi, v), abi)).toEqual(v);
      }),
    );
  });

  test("a value too wide for its field is cut, as in C", () => {
    const s = struct("s", { a: u8, b: ulong });
    expect(s.decode(s.encode(32, { a: 0x1ff, b: 2n ** 40n + 7n }), 32)).toEqual({ a: 0xff, b: 7n });
  });
});

test("union members overlap; only those given are written", () => {
  const s = struct("s", { kind: u32, u: union({ wide: u64, narrow: u16 }) });
  expect([s.size(64), s.size(32)]).toEqual([16, 12]);
  const encoded = s.encode(64, { kind: 1, u: { narrow: 0x1234 } });
  expect(s.decode(encoded, 64)).toEqual({ kind: 1, u: { wide: 0x1234n, narrow: 0x1234 } });
});
