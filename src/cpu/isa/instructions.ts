// All instructions of the CPU, family by family. The opcode maps are built from this list.

import { arithmetic } from "./arithmetic.js";
import { atomic } from "./atomic.js";
import { bit } from "./bit.js";
import { controlFlow } from "./control-flow.js";
import { flags } from "./flags.js";
import type { Instruction } from "./instruction.js";
import { io } from "./io.js";
import { logic } from "./logic.js";
import { move } from "./move.js";
import { multiply } from "./multiply.js";
import { segment } from "./segment.js";
import { shift } from "./shift.js";
import { stack } from "./stack.js";
import { stateSave } from "./state-save.js";
import { string } from "./string.js";
import { system } from "./system.js";

export const instructions: readonly Instruction[] = [
  ...move,
  ...arithmetic,
  ...multiply,
  ...logic,
  ...shift,
  ...bit,
  ...atomic,
  ...string,
  ...stack,
  ...controlFlow,
  ...flags,
  ...segment,
  ...io,
  ...system,
  ...stateSave,
];
