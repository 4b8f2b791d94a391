// Data across a page's end: what the TLB has of both pages is read and written without TypeScript; the rest as it always was.

import { expect, test } from "vitest";
import * as S from "../../src/cpu/state-layout.js";
import { CODE, Tier } from "./jit/tiers.js";

const tier = new Tier(false);
const { cpu, memory } = tier;
const PAGE_END = 0x12000;
/** add [rdi], rax; adc dword [rdi], eax; movups xmm1, [rdi]; movups [rsi], xmm1; xchg [rdi], ax; hlt. */
const CODE_BYTES = "480107 1107 0f100f 0f110e 668707 f4";

function run(rdi: number, rsi: number, warm: boolean): { misses: number; bytes: string; vector: number } {
  const bytes = Uint8Array.from((CODE_BYTES.replace(/ /g, "").match(/../g) ?? []).map((b) => Number.parseInt(b, 16)));
  const registers = Array.from({ length: 16 }, (_, i) =>
    i === 0 ? 0xf123456789abcdefn : i === 7 ? BigInt(rdi) : i === 6 ? BigInt(rsi) : 0n,
  );
  tier.load({ bytes, starts: [0] }, registers);
  if (warm) tier.warm();
  const { access } = cpu;
  const { miss } = access;
  let misses = 0;
  // Those that fetch code don't come this way.
  access.miss = (...args) => {
    misses++;
    return miss.apply(access, args);
  };
  cpu.run(100);
  access.miss = miss;
  return {
    misses,
    bytes: Buffer.from(memory.u8.subarray(0x10000, 0x20000)).toString("base64") + cpu.state.u64(S.XMM + 16),
    vector: cpu.exit.vector,
  };
}

test.each([1, 2, 3, 4, 7, 8, 9, 15])("%i bytes before it", (before) => {
  const cold = run(PAGE_END - before, PAGE_END + 0x3000 - before, false);
  const warm = run(PAGE_END - before, PAGE_END + 0x3000 - before, true);
  expect(warm.bytes).toBe(cold.bytes);
  expect(warm.misses).toBe(0);
  expect(cold.misses).toBeGreaterThan(0);
});

test("a second page that can't be written: nothing is", () => {
  // Page 0x20 is read-only.
  const { bytes, vector } = run(0x1fffc, 0x13000, true);
  expect(vector).toBe(14);
  expect(cpu.state.rip).toBe(BigInt(CODE));
  expect(cpu.state.cr2).toBe(0x20000n);
  expect(bytes).toBe(run(0x1fffc, 0x13000, false).bytes);
});
