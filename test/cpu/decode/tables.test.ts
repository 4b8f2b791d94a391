import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { buildOpcodeMaps } from "../../../src/cpu/decode/opcode-maps.js";
import { DEFAULT_FEATURES, FEATURE_BITS } from "../../../src/cpu/features.js";
import type { Row } from "../../../src/cpu/isa/instruction.js";
import { instruction, row } from "../../../src/cpu/isa/instruction.js";
import { instructions } from "../../../src/cpu/isa/instructions.js";

function build(...rows: readonly [string, Row][]): () => void {
  return () =>
    buildOpcodeMaps(
      rows.map(([name, one]) => instruction(name, [one])),
      DEFAULT_FEATURES,
    );
}

test("overlapping rows are an error that names both", () => {
  expect(build(["ONE", row("00 /r", "r/m8, r8")], ["TWO", row("00 /3", "m32")])).toThrow(/ONE "00 \/r".*TWO "00 \/3"/);
  expect(build(["ONE", row("0F 50 /r", "r32, xmm")], ["TWO", row("NP 0F 50 /r", "r32, xmm")])).not.toThrow();
});

test("mistakes in one row are errors that name it", () => {
  expect(build(["ONE", row("40+r", "rV")])).toThrow(/ONE.*64-bit rule/);
  expect(build(["ONE", row("E8 cz", "relZ")])).toThrow(/ONE.*64-bit rule/);
  expect(build(["ONE", row("9A cp", "ptr16:Z")])).toThrow(/ONE.*64-bit rule/);
  expect(build(["ONE", row("03 /r", "rV, r/mV", { lock: true })])).toThrow(/ONE.*LOCK/);
  expect(build(["ONE", row("80 /0", "r/m8, imm8")])).toThrow(/ONE.*immediate/);
  expect(build(["ONE", row("80 /9", "r/m8")])).toThrow(/ONE.*"\/9"/);
  expect(build(["ONE", row("80 /1", "r/m9")])).toThrow(/unknown operand text "r\/m9"/);
});

test("every feature of a row is one that CPUID can report", () => {
  for (const { rows } of instructions) {
    for (const { options } of rows)
      if (options.feature !== undefined) expect([...FEATURE_BITS.keys()]).toContain(options.feature);
  }
  for (const name of DEFAULT_FEATURES) expect([...FEATURE_BITS.keys()]).toContain(name);
});

test("isa/README.md lists the semantics keys with their operands", () => {
  const byKey = new Map<string, Set<string>>();
  for (const { mnemonic, rows } of instructions) {
    for (const one of rows) {
      const key = one.options.semantics ?? mnemonic;
      const operands = byKey.get(key) ?? new Set();
      byKey.set(key, operands.add(one.operands === "" ? "–" : one.operands.replace("imm8_2", "imm8")));
    }
  }
  const lines = new Map<string, string[]>();
  for (const [key, operands] of byKey) {
    const list = [...operands].join("; ");
    lines.set(list, [...(lines.get(list) ?? []), key]);
  }
  const table = [...lines].map(([operands, keys]) => `${keys.join(" ")}: ${operands}`).join("\n");
  const readme = readFileSync(new URL("../../../src/cpu/isa/README.md", import.meta.url), "utf8");
  expect(readme.slice(readme.indexOf("```text\n") + 8, readme.lastIndexOf("\n```"))).toBe(table);
});
