// All MMX and SSE bodies, by semantics key.

import type { SemanticsTable } from "../../emit/emitter.js";
import { sseConvertSemantics } from "./convert.js";
import { sseFloatSemantics } from "./float.js";
import { packedIntegerSemantics } from "./integer.js";
import { sseMoveSemantics } from "./move.js";
import { packedShiftSemantics } from "./shift.js";
import { shuffleSemantics } from "./shuffle.js";
import { sseSpecialSemantics } from "./special.js";

/** In families, for the joining table to check that no key is defined twice. */
export const sseSemantics: readonly SemanticsTable[] = [
  sseMoveSemantics,
  packedIntegerSemantics,
  packedShiftSemantics,
  shuffleSemantics,
  sseFloatSemantics,
  sseConvertSemantics,
  sseSpecialSemantics,
];
