// DPPS's steps: products, sums of pairs, their sum. Each one's exceptions are an instruction's own.

import { expect, test } from "vitest";
import * as S from "../../../src/cpu/state-layout.js";
import { CODE, Tier } from "../jit/tiers.js";

const MXCSR_AT = 0x10100;
const registers = Array.from({ length: 16 }, (_, i) => (i === 3 ? BigInt(MXCSR_AT) : 0n));

/** MXCSR behind DPPS of a single lane, and whether it ended. */
function dotProduct(mxcsr: number, a: number, b: number): [number, boolean] {
  const tier = new Tier(false);
  // ldmxcsr [rbx]; mov eax, a; movd xmm1, eax; mov eax, b; movd xmm2, eax; dpps xmm1, xmm2, 11h; hlt, a fault at CPL 3
  const bytes = new Uint8Array(28);
  bytes.set(Buffer.from("0fae13b800000000660f6ec8b800000000660f6ed0660f3a40ca11f4", "hex"));
  const view = new DataView(bytes.buffer);
  view.setUint32(4, a, true);
  view.setUint32(13, b, true);
  tier.load({ bytes, starts: [] }, registers);
  tier.memory.write(MXCSR_AT, new Uint8Array(Uint32Array.of(mxcsr).buffer));
  tier.cpu.run(100);
  return [tier.cpu.state.u32(S.MXCSR), Number(tier.cpu.state.rip) === CODE + 27];
}

test("a product that underflows keeps its flags where the sum's denormal operand is an unmasked exception", () => {
  // 2^-100 and 2^-30, and a bit more each.
  const tiny = [0x0d800001, 0x30800001] as const;
  expect(dotProduct(0x1f80, ...tiny)).toEqual([0x1f80 | 0x32, true]);
  expect(dotProduct(0x1e80, ...tiny)).toEqual([0x1e80 | 0x32, false]);
  // An unmasked underflow ends the first step.
  expect(dotProduct(0x1780, ...tiny)).toEqual([0x1780 | 0x30, false]);
  expect(dotProduct(0x1f80, 0x3f800000, 0x40000000)).toEqual([0x1f80, true]);
});
