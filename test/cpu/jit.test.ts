// Compiled regions and the interpreter leave the same machine behind: some random programs (thousands in
// test/slow/jit-equality.test.ts; fast-check prints the seed), and what once differed.

import fc from "fast-check";
import { expect, test } from "vitest";
import { checkTiers, hotTrials, trials } from "./jit/random-trial.js";
import { TierPair } from "./jit/tiers.js";

/** Every first budget from 1 on, then to the end. */
function agreesAtEveryBudget(hex: string, registers: Readonly<Record<number, bigint>> = {}, most = 40): void {
  const bytes = Uint8Array.from([...Buffer.from(hex.replaceAll(" ", ""), "hex"), 0xf4]);
  const all = Array.from({ length: 16 }, (_, i) => registers[i] ?? (i === 4 ? 0xa000n : 0x11000n));
  const pair = new TierPair();
  for (let first = 1; first <= most; first++) {
    const trial = { program: { bytes, starts: [] }, registers: all, budgets: [first, 1000], limit: 1000 };
    expect(pair.compare(trial), `budget ${first}`).toBeUndefined();
  }
  expect(pair.regions).toBeGreaterThan(0);
}

test("random programs", () => {
  const pair = checkTiers({ runs: Number(process.env.XEN_TS_RUNS ?? 60), trials: trials(30) });
  expect(pair.regions).toBeGreaterThan(20);
});

test("random programs, interrupted after every number of instructions", () => {
  const pair = checkTiers({ runs: 8, trials: trials(12), everyBudget: 30 });
  expect(pair.regions).toBeGreaterThan(8);
});

// Seldom a program keeps changing its own code, and each change is compiled: 20 s instead of 0.7.
test("random programs in a hot loop", { timeout: 120_000 }, () => {
  const pair = checkTiers({ runs: 8, trials: hotTrials(12), compilation: "heat" });
  expect(pair.instructions).toBeGreaterThan(10_000);
});

test("REP MOVSB onto the page it runs in does as much at once whatever of it is decoded", () => {
  // mov ecx, 3; rep movsb; jo, jge and jo back; add ax, 0; shufps; add [rip+0x8040], r8b, twice; loopnz; jmp back; mov [rip-0x41], 0
  const code =
    "b903000000 f3a4 0f80f3ffffff 0f8dedffffff 0f80e7ffffff 6681c00000 0fc6440be000 44000540800000 44000540800000 e005 e9c7ffffff" +
    "c605bfffffff00 f4";
  const bytes = Uint8Array.from(Buffer.from(code.replaceAll(" ", ""), "hex"));
  const program = fc.constant({ bytes, starts: [0, 5] });
  checkTiers({
    runs: 400,
    trials: trials(2).chain((trial) => program.map((fixed) => ({ ...trial, program: fixed }))),
    seed: 7,
  });
});

test("SERIALIZE between a store into code and what it changed", () => {
  // mov byte [rip+4], 5; serialize; mov al, 0 (its operand is what is stored to)
  agreesAtEveryBudget("c6 05 04 00 00 00 05 0f 01 e8 b0 00");
});

test("a loop with memory, at every budget", () => {
  // l: add [rbx], rcx; lea rbx, [rbx+8]; dec ecx; jnz l
  agreesAtEveryBudget("48 01 0b 48 8d 5b 08 ff c9 75 f5", { 1: 9n });
});

test("a comparison repeated no times leaves the flags of what came before to the condition", () => {
  // xor eax, eax; repe cmpsb; setz dl; cmp al, 1; repne scasb; setb dh; mov ecx, 3; repe cmpsb; setz al
  agreesAtEveryBudget("31 c0 f3 a6 0f 94 c2 3c 01 f2 ae 0f 92 c6 b9 03 00 00 00 f3 a6 0f 94 c0", {
    1: 0n,
    7: 0x12345n,
  });
});

test("a store into the region's own next instruction", () => {
  // mov byte [rip+1], 2; mov eax, 1; inc eax
  agreesAtEveryBudget("c6 05 01 00 00 00 02 b8 01 00 00 00 ff c0");
});

test("a jump into the middle of a loop", () => {
  // jmp m; l: inc eax; m: inc edx; dec ecx; jnz l
  agreesAtEveryBudget("eb 02 ff c0 ff c2 ff c9 75 f8", { 0: 0n, 1: 5n, 2: 0n });
});

test("a page fault in the middle of a block, and of a repeated store", () => {
  // inc eax; mov [rbx], rax; inc eax / rep stosb into the read-only page
  agreesAtEveryBudget("ff c0 48 89 03 ff c0", { 3: 0x22000n });
  agreesAtEveryBudget("ff c0 f3 aa ff c0", { 1: 20n, 7: 0x1fff8n });
});
