// Loops around computed jumps, whose accesses share probes on all ways through them.

import { expect, test } from "vitest";
import { loopTrees } from "../../../src/cpu/jit/loop-trees.js";
import { CODE, Tier } from "./tiers.js";

test("each way through the loop has its copies; what doesn't come back has none", () => {
  // 0 is a switch to 1, 2 and 4; 1 and 2 lead to 3, that to 0 again or, as 4 does, to 5.
  const edges = [
    [0, 1],
    [0, 2],
    [0, 4],
    [1, 3],
    [2, 3],
    [3, 0],
    [3, 5],
    [4, 5],
  ] as const;
  const counts = [3, 2, 2, 4, 1, 1];
  const tree = loopTrees(counts, edges, new Set([0])).get(0);
  expect(tree?.nodes.map(({ block, next }) => [block, ...next])).toEqual([
    [0, [1, 1], [2, 2]],
    [1, [3, 3]],
    [2, [3, 4]],
    [3],
    [3],
  ]);
  expect(loopTrees(counts, edges, new Set([4])).size).toBe(0);
  // A block that isn't small is there once.
  const once = loopTrees([3, 2, 2, 40, 1, 1], [...edges, [2, 0]], new Set([0])).get(0);
  expect(once?.nodes.map(({ block }) => block)).toEqual([0, 1, 2, 3]);
  expect(loopTrees([3, 2, 2, 100, 1, 1], edges, new Set([0])).size).toBe(0);
});

/**
 * l: mov edx, ecx; and edx, 3; shl edx, 4; lea rsi, [rip+table]; add rsi, rdx; jmp rsi / k: add [r8+8], al; dec ecx; jnz l; hlt
 * table: add [r8], ecx; add r8, 4; jmp k / add eax, [r8+4]; sub r8, 2; jmp k / mov [r9], ecx; lea r9, [r9+8]; jmp k /
 * lea r8, [r10+rcx*8]; jmp k
 */
function interpreter(): Uint8Array {
  const bytes = new Uint8Array(112).fill(0xf4);
  const put = (at: number, text: string) => bytes.set(Buffer.from(text.replaceAll(" ", ""), "hex"), at);
  put(0, "89 ca 83 e2 03 c1 e2 04 48 8d 35 11 00 00 00 48 01 d6 ff e6");
  const cases = ["41 01 08 49 83 c0 04", "41 03 40 04 49 83 e8 02", "41 89 09 4d 8d 49 08", "4d 8d 04 ca"];
  for (const [i, text] of cases.entries()) {
    const at = 32 + 16 * i;
    const end = at + (text.length + 1) / 3 + 2;
    put(at, `${text} eb ${(96 - end).toString(16).padStart(2, "0")}`);
  }
  put(96, "41 00 40 08 ff c9 0f 85 94 ff ff ff f4");
  return bytes;
}

test("an interpreter's loop leaves the same state at the ends of pages, with any budget", () => {
  const tiers = [new Tier(false), new Tier(true)];
  const registers = Array.from({ length: 16 }, () => 0n);
  for (const tier of tiers) tier.load({ bytes: interpreter(), starts: [] }, registers);
  const run = (r9: number, r10: number, times: number, budget: number) => {
    for (const { cpu } of tiers) {
      cpu.state.rip = BigInt(CODE);
      for (const [register, value] of [
        [0, 7],
        [1, times],
        [8, r10],
        [9, r9],
        [10, r10],
      ] as const)
        cpu.state.setGpr(register, BigInt(value));
    }
    for (let i = 0; i < 20_000; i++) {
      for (const { cpu } of tiers) cpu.run(budget);
      const [a, b] = tiers.map((tier) => tier.observe());
      expect(b, `R9 ${r9.toString(16)} R10 ${r10.toString(16)}`).toBe(a);
      if (!a!.includes("exit 1")) break;
    }
    expect(Buffer.compare(tiers[0]!.memory.u8, tiers[1]!.memory.u8)).toBe(0);
  };
  for (let i = 0; i < 60; i++) run(0x12000, 0x14000, 900, 100_000);
  expect(tiers[1]!.cpu.engine.jit!.regions).toBeGreaterThan(0);
  for (const end of [0x11000, 0x1f000, 0x20000, 0x21000, 0x22000])
    for (let k = -24; k < 12; k += 3) {
      run(0x12ff0 + k, end - 200 + k, 60, 100_000);
      run(end - 60 + k, 0x13f00 + k, 60, 100_000);
    }
  for (let budget = 1; budget < 60; budget++) run(0x12fd0, 0x13fa0, 23, budget);
});
