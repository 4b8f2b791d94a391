// All semantics bodies by key, joined from the family files. A key defined twice is a mistake and throws at load.

import type { Semantics, SemanticsTable } from "../emit/emitter.js";
import { arithmeticSemantics } from "./arithmetic.js";
import { bitSemantics } from "./bit.js";
import { flagSemantics } from "./flags.js";
import { moveSemantics } from "./move.js";
import { shiftSemantics } from "./shift.js";
import { sseSemantics } from "./sse/index.js";
import { stackSemantics } from "./stack.js";
import { stringSemantics } from "./string.js";
import { systemSemantics } from "./system.js";
import { x87ArithmeticSemantics } from "./x87-arithmetic.js";
import { x87ControlSemantics } from "./x87-control.js";
import { x87TransferSemantics } from "./x87-transfer.js";

function join(...tables: SemanticsTable[]): SemanticsTable {
  const all: Record<string, Semantics> = {};
  for (const table of tables) {
    for (const [key, body] of Object.entries(table)) {
      if (all[key]) throw new Error(`semantics of ${key} are defined twice`);
      all[key] = body;
    }
  }
  return all;
}

export const semantics: SemanticsTable = join(
  moveSemantics,
  arithmeticSemantics,
  shiftSemantics,
  bitSemantics,
  stringSemantics,
  stackSemantics,
  flagSemantics,
  systemSemantics,
  ...sseSemantics,
  x87ControlSemantics,
  x87TransferSemantics,
  x87ArithmeticSemantics,
);
