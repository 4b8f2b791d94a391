// All instructions of the CPU, family by family. The opcode maps are built from this list.

import { arithmetic } from "./arithmetic.js";
import { atomic } from "./atomic.js";
import { bit } from "./bit.js";
import { controlFlow } from "./control-flow.js";
import { flags } from "./flags.js";
import type { Instruction } from "./instruction.js";
import { io } from "./io.js";
import { logic } from "./logic.js";
import { mmx } from "./mmx.js";
import { move } from "./move.js";
import { multiply } from "./multiply.js";
import { segment } from "./segment.js";
import { shift } from "./shift.js";
import { crypto } from "./sse/crypto.js";
import { sse } from "./sse/sse.js";
import { sse2Double } from "./sse/sse2-double.js";
import { sse2Integer } from "./sse/sse2-integer.js";
import { sse3, ssse3 } from "./sse/sse3.js";
import { sse41, sse42 } from "./sse/sse4.js";
import { stack } from "./stack.js";
import { stateSave } from "./state-save.js";
import { string } from "./string.js";
import { system } from "./system.js";
import { x87Arithmetic } from "./x87/arithmetic.js";
import { x87Transfer } from "./x87/transfer.js";

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
  ...x87Transfer,
  ...x87Arithmetic,
  ...mmx,
  ...sse,
  ...sse2Double,
  ...sse2Integer,
  ...sse3,
  ...ssse3,
  ...sse41,
  ...sse42,
  ...crypto,
];
